//! Delivery: what arrives is one request that holds every item once, however it comes to be sent.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU16;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use spanspool::BatchTraceProcessor;
use testkit::client::{NEVER_MS, assert_all_delivered, enqueue, lanes, rejected, the_header};
use testkit::host::Host;
use testkit::ingest::{Answer, Ingest, items_of};
use testkit::wait::{PATIENCE, eventually};
use testkit::{TempDir, caller, compile_c};

use super::{item, names_in, open, times};

fn ingest() -> Ingest {
    Ingest::start(|_| Answer::status(200)).unwrap()
}

/// The URL of a receiver, without the path of a signal.
pub fn base(ingest: &Ingest) -> String {
    format!("http://127.0.0.1:{}", ingest.port())
}

#[test]
fn items_in_a_row_are_one_request_of_otlp() {
    let (dir, receiver) = (TempDir::new("otlp-row"), ingest());
    let client =
        open(dir.path(), &base(&receiver), &[("schedule_delay_ms", NEVER_MS), ("sanitize", "always")]);
    let items = ["a", "b", "żółw"].map(item);
    items.iter().for_each(|item| client.enqueue(item).unwrap());
    client.flush(PATIENCE).unwrap();
    let requests = receiver.requests();
    let [request] = &requests[..] else { panic!("{} requests", requests.len()) };
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/v1/traces"));
    assert_eq!(request.body, items.concat(), "the bytes that went in");
    assert_eq!(names_in(request), ["a", "b", "żółw"]);
    assert_eq!(the_header(request, "content-type"), "application/x-protobuf");
    let version = env!("CARGO_PKG_VERSION");
    let agent = format!("spanspool/{version} OTel-OTLP-Exporter-Rust/{version}");
    assert_eq!(the_header(request, "user-agent"), agent);
    assert!(the_header(request, "idempotency-key").ends_with(&crc_of(&items)), "{request:?}");
    for foreign in ["openai-beta", "authorization", "content-encoding"] {
        assert_eq!(request.header(foreign), None);
    }
    assert_all_delivered(&client, 3);
}

/// The end of the id of a batch of these items.
fn crc_of(items: &[Vec<u8>]) -> String {
    let mut batch = spanspool::Batch::new("lane", 0, "");
    items.iter().for_each(|item| batch.push(item));
    batch.id().rsplit('-').next().unwrap().to_owned()
}

#[test]
fn each_signal_goes_to_its_path_also_from_one_spool() {
    let (dir, receiver) = (TempDir::new("otlp-signals"), ingest());
    let url = format!("{}/base/?token=secret", base(&receiver));
    let of = |signal| open(dir.path(), &url, &[("signal", signal), ("validation", "none")]);
    let clients = ["traces", "logs", "metrics"].map(|signal| (signal, of(signal)));
    for (signal, client) in &clients {
        client.enqueue(signal.as_bytes()).unwrap();
        client.flush(PATIENCE).unwrap();
    }
    let mut found: Vec<_> = receiver.requests().into_iter().map(|it| (it.path, it.body)).collect();
    found.sort();
    let expected = ["logs", "metrics", "traces"]
        .map(|signal| (format!("/base/v1/{signal}?token=secret"), signal.as_bytes().to_vec()));
    assert_eq!(found, expected);
    let mut to: Vec<_> = lanes(dir.path()).into_iter().map(|lane| lane.destination.to_string()).collect();
    to.sort();
    let of = |signal| format!("otlp {signal} {}/base/v1/{signal}", base(&receiver));
    assert_eq!(to, ["logs", "metrics", "traces"].map(of));
}

#[test]
fn a_key_and_headers_are_sent_and_none_of_openais() {
    let (dir, receiver) = (TempDir::new("otlp-headers"), ingest());
    let basic = [("header.Authorization", "Basic c3Bhbg=="), ("header.User-Agent", "plug/1")];
    let client = open(dir.path(), &base(&receiver), &basic);
    client.enqueue(&item("basic")).unwrap();
    client.flush(PATIENCE).unwrap();
    client.set_api_key("sk-key").unwrap();
    client.enqueue(&item("bearer")).unwrap();
    client.flush(PATIENCE).unwrap();
    let requests = receiver.requests();
    assert_eq!(the_header(&requests[0], "authorization"), "Basic c3Bhbg==");
    assert_eq!(the_header(&requests[0], "user-agent"), "plug/1");
    assert_eq!(the_header(&requests[1], "authorization"), "Bearer sk-key");
    drop(client);
    // The ingest's key has one setting only.
    let error = spanspool::Config::new().set("header.Authorization", "Basic c3Bhbg==").map(drop).unwrap_err();
    assert!(error.message().contains("spanspool sets this header itself"), "{error}");
}

/// Leaves `names` in the spool by a process that is killed before it sends them to `url`.
fn leave(dir: &TempDir, url: &str, names: &[String], more: &[&str]) {
    let program = compile_c("tests/c/enqueue_bytes.c", dir.path());
    let file = dir.path().join("items");
    let framed = names.iter().map(|name| item(name));
    let framed = framed.flat_map(|item| [&(item.len() as u32).to_le_bytes()[..], &item].concat());
    fs::write(&file, framed.collect::<Vec<_>>()).unwrap();
    let spool = format!("spool_dir={}", spool(dir).display());
    let endpoint = format!("endpoint={url}");
    let mut command = caller(program);
    command
        .arg(file)
        .args([
            &spool,
            "exporter=otlp",
            &endpoint,
            "schedule_delay_ms=86400000",
            "max_batch_size=65536",
            "enqueue_timeout_ms=60000",
        ])
        .args(more);
    let mut host = Host::run(&mut command);
    assert_eq!(host.line(), "ready");
    host.kill();
}

fn spool(dir: &TempDir) -> std::path::PathBuf {
    dir.path().join("spool")
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("span-{n}")).collect()
}

#[test]
fn what_a_killed_process_left_is_delivered_whatever_is_in_flight() {
    for in_flight in ["1", "8"] {
        let dir = TempDir::new(&format!("otlp-kill-{in_flight}"));
        let down = Ingest::start(|_| Answer::status(503)).unwrap();
        let url = base(&down);
        // Mostly in segments.
        leave(&dir, &url, &names(700), &["journal_bytes=64KiB"]);
        // What the dead process sent last is never read.
        down.stop();
        let receiver = Ingest::start_on(down.port(), |_| Answer::status(200)).unwrap();
        let settings = [
            ("max_in_flight", in_flight),
            ("max_batch_size", "16"),
            ("adopt_interval_ms", "50"),
            ("request_timeout_ms", "86400000"),
        ];
        // Its own lane takes nothing of another destination's.
        drop(open(&spool(&dir), "http://127.0.0.1:9", &settings));
        let client = open(&spool(&dir), &url, &settings);
        client.enqueue(&item("own")).unwrap();
        // The one that was left becomes its own, or is adopted.
        let delivered = || client.stats().unwrap().delivered;
        eventually("all is delivered", || client.flush(PATIENCE).is_ok() && delivered() == 701);
        let times = times(&receiver.requests());
        assert_eq!(times.len(), 701);
        assert!(times.values().all(|times| *times == 1), "{times:?}");
    }
}

#[test]
fn an_outage_holds_and_loses_nothing() {
    let dir = TempDir::new("otlp-outage");
    let answers = AtomicU16::new(0);
    let receiver = Ingest::start(move |_| {
        // A full Collector's 503 has no Retry-After. It answers 500 to what it means to be final.
        let n = answers.fetch_add(1, Relaxed);
        Answer::status([503, 429, 502, 504, 401, 404, 500, 204][(n as usize).min(7)])
    })
    .unwrap();
    let client = open(dir.path(), &base(&receiver), &[("max_batch_size", "4")]);
    names(10).iter().for_each(|name| client.enqueue(&item(name)).unwrap());
    client.flush(PATIENCE).unwrap();
    assert_all_delivered(&client, 10);
    assert_eq!(times(&receiver.requests()[7..]).len(), 10);
}

#[test]
fn no_client_delivers_what_has_another_form() {
    let (dir, receiver) = (TempDir::new("otlp-forms"), ingest());
    let (url, spool) = (base(&receiver), spool(&dir));
    leave(&dir, &url, &names(3), &[]);
    let any = [("adopt", "any"), ("adopt_interval_ms", "10")];
    // JSON that anybody may deliver is not for a receiver of OTLP, and its traces are not for one of logs.
    let offline = testkit::client::open_offline(&spool, &[]);
    enqueue(&offline, 0..2);
    drop(offline);
    let json = testkit::client::open(&spool, &receiver.url(), &any);
    let logs = open(&spool, &url, &[&any[..], &[("signal", "logs")]].concat());
    eventually("the JSON is delivered", || json.stats().unwrap().delivered == 2);
    logs.flush(PATIENCE).unwrap();
    let bodies = receiver.requests();
    assert_eq!(bodies.iter().flat_map(items_of).count(), 2);
    assert!(bodies.iter().all(|request| request.path != "/v1/logs" && request.path != "/v1/traces"));
    drop((json, logs));
    let traces = open(&spool, &url, &any);
    eventually("the spans are delivered", || traces.stats().unwrap().delivered == 3);
    assert_eq!(times(receiver.requests().iter().filter(|it| it.path == "/v1/traces")).len(), 3);
    assert_eq!(rejected(&spool).len(), 0);
}

#[test]
fn an_exporter_of_the_programs_own_gets_json() {
    // A program's own exporter is handed JSON, whatever the setting says.
    struct Nowhere;
    impl spanspool::TracingExporter for Nowhere {
        fn export(&self, _: &spanspool::Batch, _: Option<std::time::Instant>) -> spanspool::Outcome {
            spanspool::Outcome::Accepted { status: 200 }
        }
    }
    let dir = TempDir::new("otlp-own");
    let config = super::otlp_config(dir.path(), "http://127.0.0.1:9", &[]);
    let client = BatchTraceProcessor::with_exporter(config, Arc::new(Nowhere)).unwrap();
    assert!(client.enqueue(&item("a")).is_err());
    client.enqueue(b"{}").unwrap();
    client.shutdown(Duration::from_secs(60)).unwrap();
}

#[test]
fn the_program_drains_what_goes_to_receivers() {
    let (dir, receiver) = (TempDir::new("otlp-drain"), ingest());
    leave(&dir, &base(&receiver), &names(5), &[]);
    let run = |path: &Path| {
        let args = ["drain", "--spool-dir", path.to_str().unwrap(), "--timeout-ms", "60000", "--json"];
        let mut command = testkit::cli::spanspool(&args);
        command.env("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic%20c3Bhbg==");
        testkit::cli::Ended::from(command.output().unwrap())
    };
    let ended = run(&spool(&dir)).with(0).json();
    assert_eq!((ended["delivered"].as_u64(), ended["partially_rejected"].as_u64()), (Some(5), Some(0)));
    let requests = receiver.requests();
    assert_eq!(times(&requests).len(), 5);
    assert_eq!(the_header(&requests[0], "authorization"), "Basic c3Bhbg==");
}
