//! The scripted ingest behaves as told, so that other tests may believe what it shows.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use testkit::ingest::{Answer, Fault, Ingest, items_of};

const PATIENCE: Duration = Duration::from_secs(20);

fn connect(ingest: &Ingest) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", ingest.port())).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn post(mut stream: &TcpStream, headers: &str, body: &[u8]) {
    let head = format!("POST /in HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
    stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
}

/// Reads up to the empty line and the `length` bytes after it.
fn answer(mut stream: &TcpStream, length: usize) -> String {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        text.push(byte[0]);
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    String::from_utf8([text, body].concat()).unwrap()
}

fn faulty(fault: Fault) -> Ingest {
    Ingest::start(move |_| Answer::status(200).fault(fault.clone())).unwrap()
}

#[test]
fn one_connection_carries_several_requests() {
    let ingest =
        Ingest::start(|r| Answer::status(202).header("X-Path", &r.path).body(r.body.clone())).unwrap();
    let stream = connect(&ingest);
    for body in [&b"first"[..], b"", b"third"] {
        post(&stream, "X-Team: a b \r\n", body);
        let text = answer(&stream, body.len());
        assert!(text.starts_with("HTTP/1.1 202 "), "{text}");
        assert!(text.contains("\r\nX-Path: /in\r\n"), "{text}");
        assert!(text.as_bytes().ends_with(body), "{text}");
    }
    let requests = ingest.requests();
    assert_eq!(requests.iter().map(|r| &r.body[..]).collect::<Vec<_>>(), [&b"first"[..], b"", b"third"]);
    assert_eq!(requests[0].method, "POST");
    assert_eq!(requests[0].header("x-team"), Some("a b"));
    assert!(requests[0].arrived <= requests[2].arrived);
}

#[test]
fn requests_may_come_in_pieces_or_back_to_back() {
    let ingest = Ingest::start(|r| Answer::status(200).body(r.body.clone())).unwrap();
    let mut stream = connect(&ingest);
    let bytes =
        b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcPOST / HTTP/1.1\r\nContent-Length: 1\r\n\r\nd";
    stream.set_nodelay(true).unwrap();
    for piece in bytes[..30].chunks(1).chain([&bytes[30..]]) {
        stream.write_all(piece).unwrap();
    }
    assert!(answer(&stream, 3).ends_with("\r\n\r\nabc"));
    assert!(answer(&stream, 1).ends_with("\r\n\r\nd"));
}

#[test]
fn gzip_bodies_are_uncompressed_and_split_into_items() {
    let ingest = Ingest::start(|_| Answer::status(200)).unwrap();
    let stream = connect(&ingest);
    let body = r#"{"data":[{"a": 1.0},{"b":"ü \u0000"}]}"#;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(body.as_bytes()).unwrap();
    post(&stream, "Content-Encoding: gzip\r\n", &gzip.finish().unwrap());
    assert!(answer(&stream, 0).starts_with("HTTP/1.1 200 "));
    let request = ingest.requests().remove(0);
    assert_eq!(request.body, body.as_bytes());
    assert_eq!(items_of(&request), [r#"{"a": 1.0}"#, r#"{"b":"ü \u0000"}"#]);

    post(&stream, "Content-Encoding: gzip\r\n", b"not gzip at all");
    assert!(answer(&stream, 0).starts_with("HTTP/1.1 400 "));
    assert_eq!(ingest.requests().len(), 1);
}

#[test]
fn reset_after_read_records_the_request() {
    let ingest = faulty(Fault::ResetAfterRead);
    for body in [&b"x"[..], &[b'x'; 100_000]] {
        let mut stream = connect(&ingest);
        post(&stream, "", body);
        assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    }
    assert_eq!(ingest.requests().iter().map(|r| r.body.len()).collect::<Vec<_>>(), [1, 100_000]);
}

#[test]
fn unread_reset_records_nothing_and_then_serves_again() {
    let ingest = Ingest::start(|_| Answer::status(200)).unwrap();
    ingest.reset_unread(1);
    let mut stream = connect(&ingest);
    post(&stream, "", b"lost");
    assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    let stream = connect(&ingest);
    post(&stream, "", b"kept");
    assert!(answer(&stream, 0).starts_with("HTTP/1.1 200 "));
    assert_eq!(ingest.requests().iter().map(|r| &r.body[..]).collect::<Vec<_>>(), [b"kept"]);
}

#[test]
fn reset_within_a_request_records_nothing() {
    let ingest = Ingest::start(|_| Answer::status(200)).unwrap();
    ingest.reset_within(1, 30);
    let mut stream = connect(&ingest);
    post(&stream, "", &[b'x'; 100_000]);
    assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert!(ingest.requests().is_empty());
}

#[test]
fn pieces_take_the_place_of_an_answer_and_keep_the_connection_or_not() {
    for keep in [true, false] {
        let pieces = vec![b"HTTP/1.1 200 OK\r".to_vec(), b"\n\r\n".to_vec()];
        let ingest = faulty(Fault::Pieces { pieces, pause: Duration::from_millis(1), keep });
        let mut stream = connect(&ingest);
        for _ in 0..if keep { 2 } else { 1 } {
            post(&stream, "", b"body");
            assert_eq!(answer(&stream, 0), "HTTP/1.1 200 OK\r\n\r\n");
        }
        if !keep {
            assert_eq!(stream.read(&mut [0]).unwrap(), 0);
        }
    }
}

#[test]
fn an_endless_answer_ends_with_the_client() {
    let ingest = faulty(Fault::Endless(b"head ".to_vec(), b"tail ".to_vec()));
    let mut stream = connect(&ingest);
    post(&stream, "", b"body");
    let mut text = vec![0; 1 << 20];
    stream.read_exact(&mut text).unwrap();
    assert!(text.starts_with(b"head tail tail "));
    drop(stream);
    ingest.stop();
}

#[test]
fn requests_that_are_taken_are_not_kept() {
    let ingest = Ingest::start(|_| Answer::status(200)).unwrap();
    let stream = connect(&ingest);
    for body in [&b"first"[..], b"second"] {
        post(&stream, "", body);
        answer(&stream, 0);
        assert_eq!(ingest.take_requests().iter().map(|r| &r.body[..]).collect::<Vec<_>>(), [body]);
    }
    assert!(ingest.requests().is_empty());
}

#[test]
fn other_faults_end_the_connection_in_good_order() {
    let raw = b"HTTP/1.1 2x0 nonsense\r\n\r\n".to_vec();
    let faults = [
        (Fault::CloseWithoutAnswer, Vec::new()),
        (Fault::Hang(Duration::from_millis(1)), Vec::new()),
        (Fault::RawBytes(raw.clone()), raw),
    ];
    for (fault, expected) in faults {
        let ingest = faulty(fault.clone());
        let mut stream = connect(&ingest);
        post(&stream, "", b"body");
        let mut received = Vec::new();
        stream.read_to_end(&mut received).unwrap();
        assert_eq!(received, expected, "{fault:?}");
    }
}

#[test]
fn delayed_answer_comes_no_sooner() {
    let delay = Duration::from_millis(50);
    let ingest = faulty(Fault::DelayBefore(delay));
    let stream = connect(&ingest);
    post(&stream, "", b"body");
    assert!(answer(&stream, 0).starts_with("HTTP/1.1 200 "));
    assert!(ingest.requests()[0].arrived.elapsed() >= delay);
}

#[test]
fn stop_ends_hanging_connections_and_frees_the_port() {
    let ingest = faulty(Fault::Hang(Duration::from_secs(3600)));
    let mut hanging = connect(&ingest);
    let mut idle = connect(&ingest);
    post(&hanging, "", b"body");
    assert!(ingest.wait_until(Instant::now() + PATIENCE, |requests| requests.len() == 1));
    ingest.stop();
    ingest.stop();
    let mut rest = Vec::new();
    assert_eq!(hanging.read_to_end(&mut rest).unwrap(), 0);
    // Whether the idle one was accepted yet decides how it ends, not that it ends.
    assert!(idle.read(&mut [0]).map_or_else(|e| e.kind() == ErrorKind::ConnectionReset, |n| n == 0));
    let refused = TcpStream::connect(("127.0.0.1", ingest.port())).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);

    let back = Ingest::start_on(ingest.port(), |_| Answer::status(200)).unwrap();
    assert_eq!(back.url(), ingest.url());
    let stream = connect(&back);
    post(&stream, "", b"body");
    assert!(answer(&stream, 0).starts_with("HTTP/1.1 200 "));
}

#[test]
fn waiting_ends_at_the_deadline() {
    let ingest = Ingest::start(|_| Answer::status(200)).unwrap();
    assert!(!ingest.wait_until(Instant::now() + Duration::from_millis(5), |requests| !requests.is_empty()));
}

#[test]
fn requests_it_cannot_read_are_refused_and_not_recorded() {
    let ingest = Ingest::start(|_| Answer::status(200)).unwrap();
    let cases = [
        ("nonsense\r\n\r\n".to_owned(), "400"),
        ("POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n".to_owned(), "400"),
        ("POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n".to_owned(), "413"),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(), "411"),
        (format!("POST / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(100_000)), "431"),
    ];
    for (bytes, status) in cases {
        let mut stream = connect(&ingest);
        stream.write_all(bytes.as_bytes()).unwrap();
        let text = answer(&stream, 0);
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{text}");
    }
    assert!(ingest.requests().is_empty());
}
