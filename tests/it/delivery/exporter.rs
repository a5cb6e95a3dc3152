//! What `BackendSpanExporter` sends, and what it makes of every kind of answer.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use spanspool::{BackendSpanExporter, Batch, Config, Outcome, TracingExporter};
use testkit::client::{the_header, wait_for_requests};
use testkit::ingest::{Answer, Fault, Ingest, Request};
use testkit::script::{kept, raw, scripted};
use testkit::tls::{fixture, start_tls};
use testkit::wait::{PATIENCE, eventually};

fn config(url: &str, settings: &[(&str, &str)]) -> Config {
    let mut config = Config::new();
    config.set("endpoint", url).unwrap();
    for (key, value) in settings {
        config.set(key, value).unwrap();
    }
    config
}

pub(super) fn exporter(url: &str, settings: &[(&str, &str)]) -> BackendSpanExporter {
    BackendSpanExporter::new(&config(url, settings)).unwrap()
}

const ITEMS: [&str; 2] = [r#"{ "object":"trace", "id":"trace_1" }"#, r#"{"object":"trace.span","x":1e-07}"#];
const BODY: &str = r#"{"data":[{ "object":"trace", "id":"trace_1" },{"object":"trace.span","x":1e-07}]}"#;

fn batch(key_name: &str) -> Batch {
    let mut batch = Batch::new("lane", 7, key_name);
    for item in ITEMS {
        batch.push(item.as_bytes());
    }
    batch
}

/// What becomes of a batch when the ingest does this.
fn outcome_of(answer: Answer) -> Outcome {
    let ingest = scripted(vec![answer]);
    let outcome = exporter(&ingest.url(), &[]).export(&batch(""), None);
    assert_eq!(the_request(&ingest).body, BODY.as_bytes());
    outcome
}

/// An ingest that takes everything.
fn taking() -> Ingest {
    scripted(Vec::new())
}

/// The one request since the last call.
#[track_caller]
fn the_request(ingest: &Ingest) -> Request {
    let mut requests = ingest.take_requests();
    assert_eq!(requests.len(), 1, "{requests:?}");
    requests.remove(0)
}

/// Silence for longer than a test.
fn silence() -> Answer {
    Answer::status(200).fault(Fault::Hang(Duration::from_secs(3600)))
}

/// This head, then body bytes until the client has enough.
fn endless(head: &str) -> Answer {
    Answer::status(200).fault(Fault::Endless(head.into(), vec![b'x'; 1024]))
}

/// Runs the calling test in a process of its own with these variables and none of those the exporter reads.
/// In the parent it gives false once the child has passed.
pub(super) fn in_child(variables: &[(&str, &str)]) -> bool {
    const MARK: &str = "SPANSPOOL_TEST_CHILD";
    if std::env::var_os(MARK).is_some() {
        return true;
    }
    let test = thread::current().name().unwrap().to_owned();
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", &test, "--nocapture"]).env(MARK, "1");
    for name in [
        "OPENAI_API_KEY",
        "OPENAI_ORG_ID",
        "OPENAI_PROJECT_ID",
        "ALL_PROXY",
        "HTTPS_PROXY",
        "HTTP_PROXY",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
    ] {
        child.env_remove(name).env_remove(name.to_ascii_lowercase());
    }
    let output = child.envs(variables.iter().copied()).output().unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    false
}

#[test]
fn a_request_is_what_the_ingest_takes() {
    let ingest = taking();
    let settings =
        [("api_key", "sk-1"), ("organization", "org-1"), ("project", "proj-1"), ("header.X-Team", "a b")];
    let outcome = exporter(&ingest.url(), &settings).export(&batch(""), None);
    assert_eq!(outcome, Outcome::Accepted { status: 200 });

    let request = the_request(&ingest);
    assert_eq!((&*request.method, &*request.path), ("POST", "/v1/traces/ingest"));
    assert_eq!(String::from_utf8(request.body.clone()).unwrap(), BODY);
    let mut names: Vec<&str> = request.headers.iter().map(|(name, _)| &**name).collect();
    names.sort_unstable();
    let expected = "accept authorization content-length content-type host idempotency-key openai-beta \
                    openai-organization openai-project user-agent x-team";
    assert_eq!(names.join(" "), expected);
    for (name, value) in [
        ("authorization", "Bearer sk-1"),
        ("content-type", "application/json"),
        ("openai-beta", "traces=v1"),
        ("openai-organization", "org-1"),
        ("openai-project", "proj-1"),
        ("x-team", "a b"),
        ("idempotency-key", "lane-7-2-23c0c805"),
        ("user-agent", concat!("spanspool/", env!("CARGO_PKG_VERSION"))),
        ("content-length", &BODY.len().to_string()),
    ] {
        assert_eq!(the_header(&request, name), value);
    }
}

#[test]
fn a_users_header_takes_the_place_of_ours() {
    let ingest = taking();
    let settings = [("header.openai-beta", "traces=v2"), ("header.User-Agent", "mine/1")];
    exporter(&ingest.url(), &settings).export(&batch(""), None);
    let request = the_request(&ingest);
    assert_eq!(the_header(&request, "openai-beta"), "traces=v2");
    assert_eq!(the_header(&request, "user-agent"), "mine/1");
}

#[test]
fn the_status_decides_the_outcome() {
    for status in [200, 202, 204] {
        assert_eq!(outcome_of(Answer::status(status)), Outcome::Accepted { status });
    }
    for status in [408, 409, 425, 429, 500, 502, 503, 504] {
        let reason = format!("HTTP {status}: why");
        assert_eq!(
            outcome_of(Answer::status(status).body("why")),
            Outcome::Retry { status, after: None, reason }
        );
    }
    for status in [401, 403, 404, 405, 410] {
        let reason = format!("HTTP {status}: why");
        assert_eq!(outcome_of(Answer::status(status).body("why")), Outcome::Hold { status, reason });
    }
    for status in [400, 413, 422] {
        let answer = match outcome_of(Answer::status(status).body(b"\xff\x00why")) {
            Outcome::TooLarge(answer) if status == 413 => answer,
            Outcome::Refused(answer) if status != 413 => answer,
            other => panic!("{other:?}"),
        };
        assert_eq!((answer.status, answer.body), (status, b"\xff\x00why".to_vec()));
    }
    let forbidden = outcome_of(Answer::status(503).header("x-should-retry", "false"));
    assert_eq!(forbidden, Outcome::Hold { status: 503, reason: "HTTP 503".into() });
}

#[test]
fn the_wait_the_ingest_asks_for_is_passed_on() {
    let after = |headers: &[(&str, &str)]| {
        let answer =
            headers.iter().fold(Answer::status(503), |answer, (name, value)| answer.header(name, value));
        match outcome_of(answer) {
            Outcome::Retry { status: 503, after, .. } => after,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(after(&[("Retry-After", "120")]), Some(Duration::from_secs(120)));
    assert_eq!(
        after(&[("Retry-After", "120"), ("Retry-After-Ms", "1500")]),
        Some(Duration::from_millis(1500))
    );
    assert_eq!(after(&[("Retry-After", "Sun, 06 Nov 1994 08:49:37 GMT")]), Some(Duration::ZERO));
    let day = Duration::from_secs(86_400);
    assert_eq!(after(&[("Retry-After", "Fri, 31 Dec 9999 23:59:59 GMT")]), Some(day), "no longer than a day");
}

#[test]
fn a_redirect_is_not_followed() {
    let elsewhere = taking();
    for status in [301, 302, 303, 307, 308] {
        let outcome = outcome_of(Answer::status(status).header("Location", &elsewhere.url()).body("gone"));
        assert_eq!(outcome, Outcome::Hold { status, reason: format!("HTTP {status}: gone") });
    }
    assert!(elsewhere.requests().is_empty());
}

#[test]
fn a_connection_serves_many_requests_whatever_the_answers() {
    let answers = [200, 503, 401, 400, 413, 302].map(|status| Answer::status(status).body([b'x'; 50_000]));
    let ingest = scripted(answers.into());
    let exporter = exporter(&ingest.url(), &[]);
    for _ in 0..7 {
        exporter.export(&batch(""), None);
        assert_eq!(the_request(&ingest).connection, 0);
    }
}

#[test]
fn a_connection_the_ingest_has_closed_is_replaced() {
    let ingest = scripted(vec![Answer::status(200).header("Connection", "close")]);
    let exporter = exporter(&ingest.url(), &[]);
    for connection in 0..2 {
        assert_eq!(exporter.export(&batch(""), None), Outcome::Accepted { status: 200 });
        assert_eq!(the_request(&ingest).connection, connection);
    }
}

#[test]
fn a_body_without_end_does_not_hold_up_its_status() {
    for head in ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"] {
        assert_eq!(outcome_of(endless(head)), Outcome::Accepted { status: 200 });
    }
    let Outcome::Refused(answer) = outcome_of(endless("HTTP/1.1 400 X\r\n\r\n")) else { panic!() };
    assert_eq!(answer.body, [b'x'; spanspool::Answer::MAX_BYTES]);
}

#[test]
fn a_body_that_breaks_off_or_stalls_does_not_change_its_status() {
    let ingest = scripted(vec![
        kept("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"),
        kept("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno chunk\r\n"),
    ]);
    let exporter = exporter(&ingest.url(), &[]);
    for connection in 0..2 {
        assert_eq!(exporter.export(&batch(""), None), Outcome::Accepted { status: 200 });
        assert_eq!(the_request(&ingest).connection, connection, "a stalled connection is not used again");
    }
}

#[test]
fn no_answer_or_a_broken_one_is_worth_another_try() {
    let long_head = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    for answer in [
        Answer::status(200).fault(Fault::CloseWithoutAnswer),
        raw("SSH-2.0-OpenSSH\r\n\r\n"),
        kept("HTTP/1.1 abc\r\n\r\n"),
        kept("HTTP/1.1 101 Switching Protocols\r\n\r\n"),
        kept("HTTP/1.1 999 X\r\nContent-Length: 0\r\n\r\n"),
        kept(long_head),
    ] {
        let outcome = outcome_of(answer);
        assert!(matches!(outcome, Outcome::Retry { status: 0, after: None, .. }), "{outcome:?}");
    }
    let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for url in [format!("http://{unused}/"), "http://nowhere.invalid/".into()] {
        let outcome = exporter(&url, &[]).export(&batch(""), None);
        let Outcome::Retry { status: 0, reason, .. } = outcome else { panic!("{outcome:?}") };
        assert!(!reason.is_empty());
    }
}

#[test]
fn the_deadline_and_the_request_timeout_end_a_request() {
    let ingest = scripted(vec![silence(), silence()]);
    let (done, outcomes) = channel();
    let url = ingest.url();
    thread::spawn(move || {
        let patient = exporter(&url, &[("request_timeout_ms", "86400000")]);
        done.send(patient.export(&batch(""), Some(Instant::now() + Duration::from_millis(200)))).unwrap();
        done.send(patient.export(&batch(""), Some(Instant::now()))).unwrap();
        let hasty = exporter(&url, &[("request_timeout_ms", "200")]);
        done.send(hasty.export(&batch(""), None)).unwrap();
    });
    for _ in 0..3 {
        let outcome = outcomes.recv_timeout(PATIENCE).unwrap();
        let Outcome::Retry { status: 0, reason, .. } = outcome else { panic!("{outcome:?}") };
        assert!(reason.contains("timeout"), "{reason}");
    }
}

#[test]
fn shutdown_ends_what_is_in_flight_and_all_that_comes_after() {
    let ingest = scripted(vec![silence()]);
    let exporter = Arc::new(exporter(&ingest.url(), &[("request_timeout_ms", "86400000")]));
    let (done, outcomes) = channel();
    let sending = exporter.clone();
    thread::spawn(move || {
        for _ in 0..2 {
            done.send(sending.export(&batch(""), None)).unwrap();
        }
    });
    wait_for_requests(&ingest, 1);
    exporter.shutdown();
    for _ in 0..2 {
        let outcome = outcomes.recv_timeout(PATIENCE).unwrap();
        assert!(matches!(outcome, Outcome::Retry { status: 0, .. }), "{outcome:?}");
    }
    assert_eq!(ingest.requests().len(), 1);
}

#[test]
fn shutdown_ends_a_connection_that_is_being_made() {
    // Once its backlog is full, a listener drops connection requests: it neither refuses nor accepts them.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(500)).ok();
    let _backlog: Vec<TcpStream> = std::iter::from_fn(connect).collect();
    let limits = [("request_timeout_ms", "86400000"), ("connect_timeout_ms", "86400000")];
    let exporter = Arc::new(exporter(&format!("http://{address}/"), &limits));
    let (done, outcomes) = channel();
    let sending = exporter.clone();
    thread::spawn(move || done.send(sending.export(&batch(""), None)).unwrap());
    // A connection that the other end does not know is in this state.
    let port = format!(":{:04X} 02 ", address.port());
    eventually("it is being made", || fs::read_to_string("/proc/net/tcp").unwrap().contains(&port));
    exporter.shutdown();
    let outcome = outcomes.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(outcome, Outcome::Retry { status: 0, .. }), "{outcome:?}");
}

#[test]
fn a_body_may_be_compressed() {
    let ingest = taking();
    let mut batch = Batch::new("lane", 0, "");
    let item = ITEMS[0].repeat(100);
    batch.push(item.as_bytes());
    exporter(&ingest.url(), &[("request_compression", "gzip")]).export(&batch, None);
    let request = the_request(&ingest);
    assert_eq!(the_header(&request, "content-encoding"), "gzip");
    assert_eq!(String::from_utf8(request.body.clone()).unwrap(), format!(r#"{{"data":[{item}]}}"#));
    let sent: usize = the_header(&request, "content-length").parse().unwrap();
    assert!(sent < request.body.len() / 2, "{sent} bytes of {}", request.body.len());
}

#[test]
fn keys_go_by_their_names_and_can_be_replaced() {
    let ingest = taking();
    let exporter = exporter(&ingest.url(), &[("api_key", "sk-1")]);
    let sent = |name: &str| {
        assert_eq!(exporter.export(&batch(name), None), Outcome::Accepted { status: 200 });
        the_header(&the_request(&ingest), "authorization").to_owned()
    };
    assert_eq!(exporter.export(&batch("team"), None), Outcome::NoKey);
    exporter.set_named_key("team", "sk-team");
    assert_eq!(sent("team"), "Bearer sk-team");
    assert_eq!(sent(""), "Bearer sk-1");
    exporter.set_api_key("sk-2");
    exporter.set_api_key("bad\r\nkey");
    assert_eq!(sent(""), "Bearer sk-2");
}

#[test]
fn without_a_key_the_openai_endpoint_is_not_asked_and_a_custom_one_is() {
    if !in_child(&[]) {
        return;
    }
    let outcome = BackendSpanExporter::new(&Config::new()).unwrap().export(&batch(""), None);
    let Outcome::Hold { status: 0, reason } = outcome else { panic!("{outcome:?}") };
    assert!(reason.contains("no API key"), "{reason}");

    let ingest = taking();
    assert_eq!(exporter(&ingest.url(), &[]).export(&batch(""), None), Outcome::Accepted { status: 200 });
    assert_eq!(the_request(&ingest).header("authorization"), None);
}

#[test]
fn the_environment_is_read_once_and_a_proxy_is_not_asked_for_this_machine() {
    let variables = [("OPENAI_API_KEY", "sk-env"), ("OPENAI_ORG_ID", ""), ("OPENAI_PROJECT_ID", "proj-env")];
    if !in_child(&[&variables[..], &[("ALL_PROXY", "http://127.0.0.1:9")]].concat()) {
        return;
    }
    let ingest = taking();
    assert_eq!(exporter(&ingest.url(), &[]).export(&batch(""), None), Outcome::Accepted { status: 200 });
    let request = the_request(&ingest);
    assert_eq!(the_header(&request, "authorization"), "Bearer sk-env");
    assert_eq!(request.header("openai-organization"), None);
    assert_eq!(the_header(&request, "openai-project"), "proj-env");

    let away = exporter("https://ingest.invalid/", &[]).export(&batch(""), None);
    let Outcome::Retry { reason, .. } = away else { panic!("{away:?}") };
    assert!(reason.contains("refused") && reason.ends_with("(through the proxy 127.0.0.1:9)"), "{reason}");
}

#[test]
fn a_variable_that_can_not_be_used_is_waited_for() {
    if !in_child(&[("OPENAI_PROJECT_ID", "a\nb"), ("https_proxy", "socks5://me:secret@127.0.0.1:1")]) {
        return;
    }
    let held = |url: &str, settings: &[(&str, &str)]| {
        let outcome = exporter(url, settings).export(&batch(""), None);
        let Outcome::Hold { status: 0, reason } = outcome else { panic!("{outcome:?}") };
        assert!(!reason.contains("secret"), "{reason}");
        reason
    };
    assert!(held("http://127.0.0.1/", &[]).contains("OPENAI_PROJECT_ID"));
    assert!(held("https://ingest.example/", &[("project", "p")]).contains("https_proxy"));
    // The proxy is for https only.
    let ingest = taking();
    let outcome = exporter(&ingest.url(), &[("project", "p")]).export(&batch(""), None);
    assert_eq!(outcome, Outcome::Accepted { status: 200 });
}

#[test]
fn a_variable_with_space_around_it_is_trimmed() {
    if !in_child(&[("OPENAI_API_KEY", " sk-env\n"), ("OPENAI_PROJECT_ID", "\t")]) {
        return;
    }
    let ingest = taking();
    assert_eq!(exporter(&ingest.url(), &[]).export(&batch(""), None), Outcome::Accepted { status: 200 });
    let request = the_request(&ingest);
    assert_eq!(the_header(&request, "authorization"), "Bearer sk-env");
    assert_eq!(request.header("openai-project"), None);
}

#[test]
fn no_header_of_the_user_is_in_what_is_kept_of_an_answer() {
    let ingest = Ingest::start(|request| {
        let said: Vec<_> = ["authorization", "x-api-key", "x-tenant"]
            .iter()
            .map(|name| request.header(name).unwrap().to_owned())
            .collect();
        let status = if String::from_utf8_lossy(&request.body).contains("held") { 404 } else { 400 };
        Answer::status(status).body(format!("no: {}\u{202e}\u{1b}[2J", said.join(" ")))
    })
    .unwrap();
    let settings = [("api_key", "sk-1"), ("header.X-Api-Key", "api-secret"), ("header.X-Tenant", "tenant-7")];
    let exporter = exporter(&ingest.url(), &settings);
    let Outcome::Refused(answer) = exporter.export(&batch(""), None) else { panic!() };
    let body = String::from_utf8(answer.body).unwrap();
    assert!(body.starts_with("no: Bearer **** ********** ********"), "{body}");
}

#[test]
fn no_error_repeats_a_password() {
    let mut config = Config::new();
    for url in
        ["http://me:secret@ingest.example/", "ftp://me:secret@ingest.example/", "http://x/?key=secret#"]
    {
        let error = config.set("endpoint", url).err().unwrap();
        assert!(!error.message().contains("secret"), "{error}");
    }
    let error = config.set("header.Proxy-Authorization", "Basic secret").err().unwrap();
    assert!(!error.message().contains("secret"), "{error}");
}

#[test]
fn a_key_is_not_sent_over_plain_http_to_another_machine() {
    let exporter = exporter("http://ingest.invalid/", &[("api_key", "sk-1")]);
    let outcome = exporter.export(&batch(""), None);
    let Outcome::Hold { status: 0, reason } = outcome else { panic!("{outcome:?}") };
    assert!(reason.contains("plain http") && !reason.contains("sk-1"), "{reason}");
}

#[test]
fn a_ca_file_makes_its_own_roots_trusted() {
    let ingest = taking();
    let url = start_tls(&ingest, &["server"]);
    let outcome = exporter(&url, &[]).export(&batch(""), None);
    let Outcome::Hold { status: 0, reason } = outcome else { panic!("{outcome:?}") };
    assert!(reason.contains("certificate"), "{reason}");

    let ca_file = fixture("ca.pem");
    let settings = [("ca_file", ca_file.to_str().unwrap()), ("api_key", "sk-1")];
    let trusting = exporter(&url, &settings);
    for _ in 0..2 {
        assert_eq!(trusting.export(&batch(""), None), Outcome::Accepted { status: 200 });
        let request = the_request(&ingest);
        assert_eq!(request.connection, 1, "the first connection was not trusted, the second is kept");
        assert_eq!(request.body, BODY.as_bytes());
    }
    let deadline = Some(Instant::now() + Duration::from_secs(50));
    assert_eq!(trusting.export(&batch(""), deadline), Outcome::Accepted { status: 200 });
    assert_eq!(the_request(&ingest).connection, 1, "a request with a deadline shares the connections");
}

/// Answers the head of every request, and closes with the body unread.
pub(super) fn hasty_ingest(answer: &'static str) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (sender, heads) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                head.push(byte[0]);
            }
            sender.send(String::from_utf8(head).unwrap()).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    (url, heads)
}

#[test]
fn an_answer_given_before_the_body_was_sent_is_heard_at_the_next_try() {
    // More than the buffers between the two ends hold.
    let mut large = Batch::new("lane", 0, "");
    large.push(&vec![b'1'; 64 << 20]);
    let (url, heads) = hasty_ingest("HTTP/1.1 413 X\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig");
    let asking = exporter(&url, &[]);
    let outcome = asking.export(&large, None);
    assert!(matches!(outcome, Outcome::Retry { status: 0, .. }), "{outcome:?}");
    assert!(!heads.recv_timeout(PATIENCE).unwrap().contains("100-continue"));
    let Outcome::TooLarge(answer) = asking.export(&large, None) else { panic!("not heard") };
    assert_eq!((answer.status, &answer.body[..]), (413, &b"big"[..]));
    assert!(heads.recv_timeout(PATIENCE).unwrap().contains("expect: 100-continue"));
}

#[test]
fn a_kept_connection_that_is_found_dead_costs_no_attempt() {
    let ingest = testkit::ingest::Ingest::start(|_| testkit::ingest::Answer::status(200)).unwrap();
    let exporter = exporter(&ingest.url(), &[("max_in_flight", "4")]);
    let mut batch = Batch::new("lane", 0, "");
    batch.push(b"{}");
    // Each of four threads has a connection of its own, and all are kept.
    let together = std::sync::Barrier::new(4);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                together.wait();
                assert_eq!(exporter.export(&batch, None), Outcome::Accepted { status: 200 });
            });
        }
    });
    // The ingest resets what comes over them, as one that was restarted does.
    ingest.reset_unread(1);
    let before = ingest.requests().len();
    assert_eq!(exporter.export(&batch, None), Outcome::Accepted { status: 200 });
    assert_eq!(ingest.requests().len(), before + 1);
    // On a fresh connection it is a failed attempt.
    ingest.stop();
    let down = exporter.export(&batch, None);
    assert!(matches!(down, Outcome::Retry { status: 0, .. }), "{down:?}");
}

#[test]
fn an_ingest_that_does_not_like_to_be_asked_is_not_asked_again() {
    let mut large = Batch::new("lane", 0, "");
    large.push(&vec![b'1'; 64 << 20]);
    let (url, heads) = hasty_ingest("HTTP/1.1 417 X\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    let asking = exporter(&url, &[]);
    for asks in [false, true, false] {
        asking.export(&large, None);
        assert_eq!(heads.recv_timeout(PATIENCE).unwrap().contains("100-continue"), asks);
    }
}
