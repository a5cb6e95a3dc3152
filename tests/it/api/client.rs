//! The client as a Rust program sees it: typed traces, exporters of its own, the end of a client, secrets.

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use spanspool::model::{AgentData, FunctionData};
use spanspool::{
    Batch, BatchTraceProcessor, Error, ErrorKind, Outcome, Span, SpanError, SpoolView, Trace,
    TracingExporter, TracingProcessor,
};
use testkit::TempDir;
use testkit::client::{
    HOLD, NEVER_MS, arrived, assert_all_delivered, assert_ledger, config, enqueue, item, open, open_offline,
    rejected, wait_for_state,
};
use testkit::ingest::{Answer, Ingest, items_of};
use testkit::wait::{PATIENCE, eventually};

#[test]
fn typed_traces_and_spans_arrive_as_their_json() {
    let dir = TempDir::new("api");
    let ingest = Ingest::start(|_| Answer::status(200)).unwrap();
    let processor: Box<dyn TracingProcessor> = Box::new(open(&dir.join("spool"), &ingest.url(), &[]));
    let trace = Trace::new("order");
    processor.on_trace_start(&trace).unwrap();
    let mut parent = Span::new(&trace.id, AgentData::new("clerk"));
    processor.on_span_start(&parent).unwrap();
    let mut child = parent.child(FunctionData::new("look_up"));
    processor.on_span_start(&child).unwrap();
    child.error = Some(SpanError::new("no such order"));
    child.finish();
    processor.on_span_end(&child).unwrap();
    parent.finish();
    processor.on_span_end(&parent).unwrap();
    processor.on_trace_end(&trace).unwrap();
    processor.force_flush().unwrap();
    let expected =
        [trace.to_json(), child.to_json(), parent.to_json()].map(|json| String::from_utf8(json).unwrap());
    assert_eq!(ingest.requests().iter().flat_map(items_of).collect::<Vec<_>>(), expected);
    processor.shutdown(PATIENCE).unwrap();
    assert_eq!(processor.on_trace_start(&trace).unwrap_err().kind(), ErrorKind::ShutDown);
    assert_eq!(processor.on_trace_end(&trace).unwrap_err().kind(), ErrorKind::ShutDown);
    assert_eq!(processor.force_flush().unwrap_err().kind(), ErrorKind::ShutDown);
}

/// An exporter that does as `plan` says with the nth attempt and keeps what it accepted.
struct Planned {
    plan: fn(usize) -> Outcome,
    attempts: AtomicUsize,
    accepted: Mutex<Vec<Vec<u8>>>,
    ids: Mutex<Vec<String>>,
}

impl Planned {
    fn new(plan: fn(usize) -> Outcome) -> Arc<Self> {
        Arc::new(Self {
            plan,
            attempts: AtomicUsize::new(0),
            accepted: Mutex::default(),
            ids: Mutex::default(),
        })
    }

    fn has(&self, numbers: impl IntoIterator<Item = u64>) -> bool {
        self.accepted.lock().unwrap().iter().cloned().eq(numbers.into_iter().map(|n| item(n).into_bytes()))
    }
}

impl TracingExporter for Planned {
    fn export(&self, batch: &Batch, _deadline: Option<Instant>) -> Outcome {
        self.ids.lock().unwrap().push(batch.id());
        let outcome = (self.plan)(self.attempts.fetch_add(1, Relaxed));
        if matches!(outcome, Outcome::Accepted { .. }) {
            self.accepted.lock().unwrap().extend(batch.items().map(<[u8]>::to_vec));
        }
        outcome
    }
}

fn open_with(dir: &TempDir, exporter: Arc<Planned>, settings: &[(&str, &str)]) -> BatchTraceProcessor {
    let config = config(&dir.join("spool"), "http://127.0.0.1:9/", settings);
    BatchTraceProcessor::with_exporter(config, exporter).unwrap()
}

const ACCEPTED: Outcome = Outcome::Accepted { status: 0 };

#[test]
fn exporter_that_panics_costs_an_attempt() {
    let dir = TempDir::new("api");
    let exporter = Planned::new(|attempt| if attempt < 3 { panic!("as planned") } else { ACCEPTED });
    let client = open_with(&dir, exporter.clone(), &[]);
    enqueue(&client, 0..10);
    client.flush(PATIENCE).unwrap();
    assert_all_delivered(&client, 10);
    assert!(exporter.has(0..10));
    assert_eq!(client.stats().unwrap().retries, 3);
    let ids = exporter.ids.lock().unwrap();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[test]
fn exporter_that_holds_is_asked_again_on_wake() {
    let dir = TempDir::new("api");
    let exporter = Planned::new(|attempt| match attempt {
        0 => Outcome::Hold { status: 0, reason: "the gate is closed".into() },
        _ => ACCEPTED,
    });
    let client = open_with(&dir, exporter.clone(), &[("max_delay_ms", NEVER_MS)]);
    enqueue(&client, 0..10);
    wait_for_state(&client, HOLD);
    assert_eq!(testkit::client::lanes(&dir.join("spool"))[0].reason, "the gate is closed");
    client.wake().unwrap();
    eventually("all delivered", || client.stats().unwrap().delivered == 10);
    assert!(exporter.has(0..10));
}

#[test]
fn exporter_without_a_key_for_a_name_sets_items_aside() {
    let dir = TempDir::new("api");
    let exporter = Planned::new(|attempt| if attempt == 0 { Outcome::NoKey } else { ACCEPTED });
    let client = open_with(&dir, exporter.clone(), &[]);
    client.enqueue_as("team", item(0).as_bytes()).unwrap();
    client.flush(PATIENCE).unwrap();
    assert_eq!(rejected(&dir.join("spool"))[0].reason, "no_key:team");
    client.set_named_key("team", "sk-1").unwrap();
    client.flush(PATIENCE).unwrap();
    assert!(exporter.has([0]));
    assert_all_delivered(&client, 1);
}

#[test]
fn dropped_client_leaves_its_items_in_the_spool() {
    let dir = TempDir::new("api");
    let spool = dir.join("spool");
    let exporter = Planned::new(|_| Outcome::Retry { status: 0, after: None, reason: "not now".into() });
    let client = open_with(&dir, exporter, &[]);
    enqueue(&client, 0..100);
    drop(client);
    let mut pending = Vec::new();
    SpoolView::open(&spool)
        .unwrap()
        .pending(&mut |_, json| {
            pending.push(String::from_utf8(json.to_vec()).unwrap());
            true
        })
        .unwrap();
    assert_eq!(pending, Vec::from_iter((0..100).map(item)));
    let ingest = Ingest::start(|_| Answer::status(200)).unwrap();
    let next = open(&spool, &ingest.url(), &[("adopt", "any")]);
    next.flush(PATIENCE).unwrap();
    assert_eq!(arrived(&ingest), Vec::from_iter(0..100));
}

#[test]
fn client_that_was_shut_down_says_so() {
    let dir = TempDir::new("api");
    let client = open_offline(&dir.join("spool"), &[]);
    enqueue(&client, [0]);
    assert_eq!(client.shutdown(Duration::ZERO).unwrap_err().kind(), ErrorKind::Timeout);
    let calls: [(&str, Result<(), Error>); 9] = [
        ("enqueue", client.enqueue(b"{}")),
        ("enqueue_as", client.enqueue_as("team", b"{}")),
        ("flush", client.flush(Duration::ZERO)),
        ("sync", client.sync()),
        ("pause", client.pause()),
        ("wake", client.wake()),
        ("set_api_key", client.set_api_key("sk-1")),
        ("set_named_key", client.set_named_key("team", "sk-1")),
        ("shutdown", client.shutdown(PATIENCE)),
    ];
    for (call, outcome) in calls {
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::ShutDown, "{call}");
    }
    assert_eq!(testkit::client::lanes(&dir.join("spool"))[0].stats.pending, 1);
    assert_eq!(client.stats().unwrap().pending, 1, "the counters are there until the end");
}

#[test]
fn bad_items_and_names_are_refused_and_not_counted() {
    let dir = TempDir::new("api");
    let client = open_offline(&dir.join("spool"), &[]);
    for bad in [&b""[..], b"[]", b"1", b"{}{}", b"{\"a\":}", b"{\"a\":\"\xff\"}", b"{", b"{} x"] {
        assert_eq!(client.enqueue(bad).unwrap_err().kind(), ErrorKind::InvalidItem, "{bad:?}");
    }
    for name in [String::new(), "x".repeat(256)] {
        assert_eq!(client.enqueue_as(&name, b"{}").unwrap_err().kind(), ErrorKind::InvalidArgument);
    }
    let stats = client.stats().unwrap();
    assert_ledger(&stats);
    assert_eq!(stats.accepted, 0);
}

/// Every file below `dir` with what it holds.
fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else {
            files.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
    files
}

/// Runs a client through delivery, hold, rejection and requeue against an ingest whose refusals have this body, with
/// the request's key for `KEY`; gives all that it left in files and log lines.
fn traces_of_secrets(refusal: &'static str) -> Vec<(String, Vec<u8>)> {
    let dir = TempDir::new("api");
    let spool = dir.join("spool");
    let ingest = Ingest::start(move |request| {
        let text = String::from_utf8_lossy(&request.body).into_owned();
        let key = request.header("authorization").unwrap_or_default();
        let refusal = refusal.replace("KEY", key.trim_start_matches("Bearer "));
        match key {
            "Bearer SECRET-default" => Answer::status(401).body(refusal),
            _ if text.contains(r#""n":3"#) => Answer::status(400).body(refusal),
            _ => Answer::status(200),
        }
    })
    .unwrap();
    let log: Arc<Mutex<Vec<u8>>> = Arc::default();
    let settings =
        [("api_key", "SECRET-default"), ("header.X-Token", "SECRET-header"), ("max_delay_ms", NEVER_MS)];
    let mut config = config(&spool, &ingest.url(), &settings);
    config.set_log({
        let log = log.clone();
        move |_, line| log.lock().unwrap().extend_from_slice(format!("{line}\n").as_bytes())
    });
    let client = BatchTraceProcessor::open(config).unwrap();
    enqueue(&client, 0..5);
    wait_for_state(&client, HOLD);
    let mut left = files(&spool);
    client.set_api_key("SECRET-second").unwrap();
    client.enqueue_as("team", item(10).as_bytes()).unwrap();
    client.flush(PATIENCE).unwrap();
    client.set_named_key("team", "SECRET-team").unwrap();
    client.flush(PATIENCE).unwrap();
    assert!(client.set_api_key("SECRET-bad\n").is_err());
    left.extend(files(&spool));
    client.shutdown(PATIENCE).unwrap();
    assert_eq!(rejected(&spool).len(), 1);
    left.extend(files(&spool));
    left.push(("log".into(), log.lock().unwrap().clone()));
    left
}

/// Where `text` is found.
fn places_of<'a>(text: &str, left: &'a [(String, Vec<u8>)]) -> Vec<&'a str> {
    let has = |bytes: &[u8]| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    left.iter().filter(|(_, bytes)| has(bytes)).map(|(place, _)| place.as_str()).collect()
}

#[test]
fn keys_are_in_no_file_and_no_log_line() {
    let left = traces_of_secrets("no, thank you");
    assert_eq!(places_of("SECRET", &left), Vec::<&str>::new());
    // The control: what may be there is found.
    assert!(places_of("thank you", &left).iter().any(|place| place.contains("journal")));
    assert!(places_of("thank you", &left).contains(&"log"));
    assert!(places_of(r#"{"n":1}"#, &left).iter().any(|place| place.contains("journal")));
}

#[test]
fn keys_that_the_ingest_repeats_are_not_kept_either() {
    let left = traces_of_secrets("KEY is no key of ours");
    assert_eq!(places_of("SECRET", &left), Vec::<&str>::new());
    // The control: the rest of the answer is kept.
    assert!(places_of("is no key of ours", &left).contains(&"log"));
}
