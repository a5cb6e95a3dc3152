//! A hostile ingest: whatever it answers, however it breaks off, nothing is lost, the client stays modest, and every
//! item arrives once the ingest behaves.
//!
//! `SPANSPOOL_TRIALS=10000 cargo test --test campaign_ingest -- --nocapture` makes the random part long, and the
//! resets and the flapping half a minute each.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod answers;
mod trial;

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use answers::{OK, WAITS, accepted, garbage, mutated, pieces};
use spanspool::SpoolView;
use testkit::client::Noise;
use testkit::form::Form;
use testkit::ingest::{Answer, Fault, Ingest};
use testkit::script::raw;
use testkit::tls::start_tls;
use testkit::wait::eventually;
use testkit::{TempDir, campaign, compile_shim, have, root, tool};
use trial::{Scene, Way, open};

/// The status of a call whose deadline passed.
const TIMEOUT: &str = "21";
/// Longer than a test.
const NEVER: Duration = Duration::from_secs(3600);
const DAY_MS: u64 = 86_400_000;
const INFORMED: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

fn have_compiler() -> bool {
    have(&tool("CC", "cc"), "--version", "campaign_ingest")
}

/// How often the ingest answers at random; the environment asks for more.
fn trials() -> Option<u64> {
    campaign::number("SPANSPOOL_TRIALS")
}

/// How long resets and flapping go on.
fn storm_time() -> Duration {
    Duration::from_millis(if trials().is_some() { 30_000 } else { 1500 })
}

fn scene(dir: &TempDir, in_flight: usize, settings: &[&str]) -> Scene {
    let mut scene = Scene::new(dir, &Way { in_flight, settings, ..Way::default() });
    scene.trial("first", 10, vec![]);
    scene
}

#[test]
fn every_status_has_the_outcome_that_is_written_down() {
    if !have_compiler() {
        return;
    }
    every_status(Form::Json);
    every_status(Form::Otlp);
}

fn every_status(form: Form) {
    let dir = TempDir::new("hostile");
    let mut scene = Scene::new(&dir, &Way { form, in_flight: 8, ..Way::default() });
    scene.trial("first", 10, vec![]);
    for status in 100..=599 {
        let answer = match status {
            100..=199 => raw(format!("HTTP/1.1 {status} X\r\n\r\n")),
            _ => Answer::status(status).body("why"),
        };
        let requests = scene.trial(&format!("status{status}"), 1, vec![answer]).len();
        // 413 too: more items than this one were taken at once, so it can't be too large.
        let expected = if matches!(status, 200..=299) { 1 } else { 2 };
        assert_eq!(requests, expected, "{status}");
    }
    assert!(scene.rejected().is_empty());
    println!("statuses, {form:?}: {}", scene.figures());
}

#[test]
fn garbage_is_worth_another_try() {
    if !have_compiler() {
        return;
    }
    let (dir, seed) = (TempDir::new("hostile"), campaign::seed("campaign ingest"));
    let mut scene = scene(&dir, 2, &["request_timeout_ms=2000"]);
    for (name, answer) in garbage(&mut Noise::new(seed)) {
        let requests = scene.trial(name, 3, vec![answer.clone(), answer]).len();
        assert_eq!(requests, 3, "{name}, seed {seed}");
    }
    println!("garbage: {}", scene.figures());
}

#[test]
fn odd_answers_that_say_yes_are_believed_and_mislead_no_later_request() {
    if !have_compiler() {
        return;
    }
    let dir = TempDir::new("hostile");
    let mut scene = scene(&dir, 8, &[]);
    for (name, answer) in accepted() {
        let requests = scene.trial(name, 3, vec![answer]).len();
        assert_eq!(requests, 1, "{name}");
        // The connection may be one that the answer has spoilt.
        scene.trial(&format!("after-{name}"), 3, vec![]);
    }
    println!("odd answers: {}", scene.figures());
}

#[test]
fn an_answer_may_be_cut_at_any_byte() {
    if !have_compiler() {
        return;
    }
    let dir = TempDir::new("hostile");
    let mut scene = scene(&dir, 2, &[]);
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: y\r\n\r\n";
    for (name, answer) in [("plain", &[INFORMED, OK].concat()[..]), ("chunked", chunked)] {
        for at in 1..answer.len() {
            let cut = pieces(&[&answer[..at], &answer[at..]], 1, true);
            assert_eq!(scene.trial(&format!("{name}{at}"), 1, vec![cut]).len(), 1);
        }
    }
    println!("cuts: {}", scene.figures());
}

#[test]
fn a_slow_ingest_is_given_up_in_its_head_and_not_waited_for_in_its_body() {
    if !have_compiler() {
        return;
    }
    let dir = TempDir::new("hostile");
    let mut scene = scene(&dir, 8, &["request_timeout_ms=500"]);
    let bytes: Vec<&[u8]> = OK.chunks(1).collect();
    let silent = || Answer::status(200).fault(Fault::Hang(NEVER));
    assert_eq!(scene.trial("drip", 3, vec![pieces(&bytes, 100, true), silent()]).len(), 3);
    let mut body: Vec<&[u8]> = vec![b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"];
    body.extend([&b"x"[..]; 100]);
    assert_eq!(scene.trial("body", 3, vec![pieces(&body, 100, true)]).len(), 1);
    println!("slow: {}", scene.figures());
}

#[test]
fn a_wait_that_nobody_can_mean_holds_nothing_up_for_longer_than_two_days() {
    if !have_compiler() {
        return;
    }
    let dir = TempDir::new("hostile");
    let mut scene = scene(&dir, 1, &[]);
    let (absent, long) = WAITS.split_at(WAITS.len() - 2);
    for (n, wait) in absent.iter().enumerate() {
        for (m, name) in ["Retry-After", "retry-after-ms"].into_iter().enumerate() {
            let busy = Answer::status(429).header(name, wait);
            assert_eq!(scene.trial(&format!("wait{n}-{m}"), 1, vec![busy]).len(), 2, "{name}: {wait}");
        }
    }
    for (n, wait) in long.iter().enumerate() {
        scene.hand_over(&format!("long{n}"), 1, vec![Answer::status(503).header("Retry-After", wait); 2]);
        // The gate may open twice for one flush.
        assert_eq!(scene.flush(500), TIMEOUT, "{wait}");
        let lane = SpoolView::open(&scene.spool).unwrap().lanes().unwrap().remove(0);
        let now =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64;
        // A day is believed, and then spread.
        assert!((now..=now + 2 * DAY_MS).contains(&lane.next_attempt_unix_ms), "{wait}: {lane:?}");
        scene.deliver(&format!("long{n}"));
    }
    println!("waits: {}", scene.figures());
}

#[test]
fn a_redirect_takes_neither_items_nor_key_elsewhere() {
    if !have_compiler() {
        return;
    }
    let dir = TempDir::new("hostile");
    let elsewhere = Ingest::start(|_| Answer::status(200)).unwrap();
    let mut scene = scene(&dir, 8, &["api_key=sk-secret"]);
    for status in 300..=308 {
        for (n, location) in
            [&*elsewhere.url(), "/other", "//", "", "\u{7f}", "https://[::1"].iter().enumerate()
        {
            let answer = Answer::status(status).header("Location", location).body("go away");
            let requests = scene.trial(&format!("go{status}-{n}"), 1, vec![answer]);
            let shown: Vec<_> = requests.iter().map(|r| (&*r.path, r.header("authorization"))).collect();
            assert_eq!(shown, [("/v1/traces/ingest", Some("Bearer sk-secret")); 2], "{status} {location}");
        }
    }
    assert!(elsewhere.requests().is_empty(), "{:?}", elsewhere.requests());
    println!("redirects: {}", scene.figures());
}

#[test]
fn resets_and_flapping_cost_attempts_and_no_items() {
    if !have_compiler() {
        return;
    }
    let dir = TempDir::new("hostile");
    let mut scene = scene(&dir, 2, &[]);
    for bytes in [0, 1, 20, 200, 300, 400] {
        scene.ingest.reset_within(3, bytes);
        assert_eq!(scene.trial(&format!("reset{bytes}"), 10, vec![]).len(), 1);
    }

    scene.ingest.reset_within(usize::MAX, 100);
    scene.hand_over("storm", 100, vec![]);
    scene.begin_flush(600000);
    thread::sleep(storm_time());
    scene.ingest.reset_within(0, 0);
    assert_eq!(scene.client.line(), "0");
    scene.deliver("storm");

    let (begin, mut flap) = (Instant::now(), 0);
    while begin.elapsed() < storm_time() {
        scene.hand_over(&format!("flap{flap}"), 10, vec![]);
        scene.begin_flush(50);
        thread::sleep(Duration::from_millis(100));
        scene.restart_ingest();
        scene.client.line();
        flap += 1;
    }
    scene.deliver("flap");
    println!("storms: {}", scene.figures());
}

/// Two clients with a destination each have one spool, and two keys.
#[test]
fn random_answers_lose_nothing() {
    if !have_compiler() {
        return;
    }
    let seed = campaign::seed("campaign ingest");
    let mut noise = Noise::new(seed);
    for in_flight in [1, 2, 8] {
        let dir = TempDir::new("hostile");
        let settings = ["request_timeout_ms=300", "adopt=same", "max_batch_size=2"];
        // At least one of them has items of OTLP.
        let forms = [Form::Otlp, Form::any(&mut noise)];
        let mut scenes = forms.map(|form| {
            Scene::new(&dir, &Way { form, in_flight, two_keys: true, settings: &settings, ..Way::default() })
        });
        for n in 0..trials().unwrap_or(36) / 6 {
            let names = ["one", "two"].map(|which| format!("seed{seed}-{n}-{which}"));
            for (scene, name) in scenes.iter_mut().zip(&names) {
                let answers = (0..=noise.below(3)).map(|_| mutated(&mut noise)).collect();
                scene.hand_over(name, noise.below(4 * in_flight as u64) as usize + 1, answers);
            }
            for (scene, name) in scenes.iter_mut().zip(&names) {
                scene.deliver(name);
            }
        }
        for scene in &scenes {
            println!("random, {in_flight} in flight, {forms:?}: {}; seed {seed}", scene.figures());
        }
    }
}

#[test]
fn control_a_spool_that_vanishes_is_seen_as_loss() {
    if !have_compiler() {
        return;
    }
    let dir = TempDir::new("hostile");
    let mut scene = scene(&dir, 1, &[]);
    scene.hand_over("gone", 7, vec![Answer::status(503); 1000]);
    assert_eq!(scene.flush(50), TIMEOUT);
    scene.client.kill();
    scene.take_requests();
    assert_eq!(scene.lost(), [""; 0], "they came, though they were not taken");
    scene.ingest.stop();
    let lane = testkit::client::lane_dir(&scene.spool);
    scene.client = open(&dir, &scene.spool, &scene.ingest.url(), &Way::default());
    scene.hand_over("gone-too", 7, vec![]);
    scene.client.kill();
    fs::remove_file(lane.join("journal")).unwrap();
    scene.restart_ingest();
    scene.client = open(&dir, &scene.spool, &scene.ingest.url(), &Way::default());
    assert_eq!(scene.flush(60000), "0");
    scene.take_requests();
    assert_eq!(scene.lost().len(), 7, "{:?}", scene.lost());
}

/// Flush and shutdown come back though nothing will ever come of the request, and the next client delivers.
fn comes_back(name: &str, scene: &mut Scene, dir: &TempDir) {
    assert_eq!(scene.flush(100), TIMEOUT, "{name}");
    assert_eq!(scene.client.ask("shutdown 100"), TIMEOUT, "{name}");
    scene.client.end();
    scene.restart_ingest();
    scene.client = open(dir, &scene.spool, &scene.ingest.url(), &Way::default());
    scene.hand_over(&format!("{name}-next"), 1, vec![]);
    scene.deliver(name);
}

const PATIENT: Way = Way {
    form: Form::Json,
    in_flight: 1,
    two_keys: false,
    settings: &["request_timeout_ms=3600000", "connect_timeout_ms=3600000"],
    variables: &[],
};

#[test]
fn flush_and_shutdown_end_by_their_deadline_while_the_ingest_hangs() {
    if !have_compiler() {
        return;
    }
    let never_ms = NEVER.as_millis() as u64;
    for (name, answer) in [
        ("silent", Answer::status(200).fault(Fault::Hang(NEVER))),
        ("stuck", pieces(&[b"HTTP/1.1 2", b"00 OK\r\n\r\n"], never_ms, false)),
        ("informed", pieces(&[&INFORMED.repeat(10), OK], never_ms, false)),
    ] {
        let dir = TempDir::new("hostile");
        let mut scene = Scene::new(&dir, &PATIENT);
        scene.hand_over(name, 3, vec![answer]);
        comes_back(name, &mut scene, &dir);
    }
}

#[test]
fn flush_and_shutdown_end_by_their_deadline_while_nobody_accepts() {
    if !have_compiler() {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // Connections that nobody accepts, until the kernel takes no more and lets the next one wait.
    let connect = |_: &SocketAddr| TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok();
    let waiting: Vec<TcpStream> = std::iter::repeat(address).map_while(|to| connect(&to)).collect();
    assert!(waiting.len() > 1);

    let dir = TempDir::new("hostile");
    let mut scene = Scene::new(&dir, &PATIENT);
    scene.client.end();
    scene.client = open(&dir, &scene.spool, &format!("http://{address}/"), &PATIENT);
    scene.hand_over("unaccepted", 3, vec![]);
    comes_back("unaccepted", &mut scene, &dir);
}

#[test]
fn names_that_are_not_found_for_a_while_or_never_looked_up_cost_no_items() {
    if !have_compiler() {
        return;
    }
    let dir = TempDir::new("hostile");
    let (library, answer) = (compile_shim("tests/c/lookup.c", dir.path()), dir.join("lookup"));
    let variables = [("LD_PRELOAD", library.to_str().unwrap()), ("LOOKUP", answer.to_str().unwrap())];
    fs::write(&answer, "+").unwrap();
    let way = Way { settings: &["request_timeout_ms=1000"], variables: &variables, ..Way::default() };
    let mut scene = Scene::at("ingest.test", &dir, &way);
    // A name is looked up for a connection, so none is kept.
    let closing = || vec![raw("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")];
    scene.trial("found", 3, closing());

    for (name, byte) in [("unknown", "-"), ("stuck", "?")] {
        fs::write(&answer, byte).unwrap();
        let before = scene.stats().retries;
        scene.hand_over(name, 3, closing());
        scene.begin_flush(600000);
        eventually("attempts", || scene.stats().retries >= before + 3);
        assert_eq!(scene.stats().pending, 3, "{name}");
        fs::write(&answer, "+").unwrap();
        assert_eq!(scene.client.line(), "0");
        scene.deliver(name);
    }

    fs::write(&answer, "?").unwrap();
    scene.hand_over("for-ever", 3, vec![]);
    comes_back("for-ever", &mut scene, &dir);
    println!("names: {}", scene.figures());
}

#[test]
fn certificates_that_do_not_fit_get_nothing_and_the_right_one_gets_all() {
    if !have_compiler() {
        return;
    }
    let dir = TempDir::new("hostile");
    let ingest = Ingest::start(|_| Answer::status(200)).unwrap();
    let url = start_tls(&ingest, &["stranger", "elsewhere", "expired", "server"]);
    let ca_file = format!("ca_file={}", root().join("tests/fixtures/tls/ca.pem").display());
    let log = dir.join("log");
    let log_to = format!("log={}", log.display());
    let way = Way { settings: &[&ca_file, &log_to, "api_key=sk-secret"], ..Way::default() };
    let mut client = open(&dir, &dir.join("spool"), &url, &way);
    assert_eq!(client.ask("enqueue item 3"), "0 3");
    assert_eq!(client.ask("flush 60000"), "0");
    assert_eq!(client.ask("stats"), "3 3 0 0 0");
    let connections: Vec<u64> = ingest.take_requests().iter().map(|request| request.connection).collect();
    assert_eq!(connections, [3], "each that does not fit is refused once");
    let log = fs::read_to_string(log).unwrap();
    let told: Vec<&str> = log.lines().filter(|line| line.contains("on hold")).collect();
    assert_eq!(told.len(), 3, "{log}");
    for (line, why) in told.iter().zip(["no trusted root", "not valid for localhost", "expired on"]) {
        assert!(line.contains(why), "{why}: {log}");
    }
    client.end();
}
