//! Answers: what a hostile ingest says instead of an answer, or with one.

use std::time::Duration;

use testkit::client::Noise;
use testkit::ingest::{Answer, Fault};
use testkit::script::{kept, raw};

/// A good answer that keeps the connection.
pub const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

pub fn pieces(pieces: &[&[u8]], pause_ms: u64, keep: bool) -> Answer {
    let pieces = pieces.iter().map(|piece| piece.to_vec()).collect();
    Answer::status(200).fault(Fault::Pieces { pieces, pause: Duration::from_millis(pause_ms), keep })
}

fn endless(head: &[u8], more: &[u8]) -> Answer {
    Answer::status(200).fault(Fault::Endless(head.to_vec(), more.repeat((16 << 10) / more.len() + 1)))
}

/// Answers that are no HTTP, or broken off in their head: the request is sent again.
pub fn garbage(noise: &mut Noise) -> Vec<(&'static str, Answer)> {
    let random: Vec<u8> = (0..noise.below(4000) + 1).map(|_| noise.below(256) as u8).collect();
    vec![
        ("random", raw(random)),
        ("nul", raw([0; 4096])),
        ("ssh", raw("SSH-2.0-OpenSSH_9.2\r\n\r\n")),
        ("html", raw("<html><body>Welcome to the hotel's network</body></html>\r\n\r\n")),
        ("tls-alert", raw(b"\x15\x03\x01\x00\x02\x02\x46")),
        ("http-2", raw(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00HTTP/2 200\r\n\r\n")),
        ("version-2", raw("HTTP/2.0 200 OK\r\n\r\n")),
        ("no-number", raw("HTTP/1.1 abc\r\n\r\n")),
        ("two-digits", raw("HTTP/1.1 20\r\n\r\n")),
        ("five-digits", raw("HTTP/1.1 20000 OK\r\n\r\n")),
        ("negative", raw("HTTP/1.1 -200 OK\r\n\r\n")),
        ("cut-status", raw("HTTP/1.1 2")),
        ("cut-head", raw("HTTP/1.1 200 OK\r\nContent-Le")),
        ("no-colon", raw("HTTP/1.1 200 OK\r\nnonsense\r\n\r\n")),
        ("nul-header", raw("HTTP/1.1 200 OK\r\nA\0b: c\r\n\r\n")),
        ("switching", kept("HTTP/1.1 101 Switching Protocols\r\n\r\n")),
        ("informed", raw("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n")),
        ("long-header", raw(format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(1 << 20)))),
        ("many-headers", raw(format!("HTTP/1.1 200 OK\r\n{}\r\n", "X-Y: z\r\n".repeat(150_000)))),
        ("endless-header", endless(b"HTTP/1.1 200 OK\r\nX: ", b"x")),
        ("endless-headers", endless(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n")),
        ("endless-lines", endless(b"", b"\r\n")),
        ("endless-100", endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n")),
        ("closed", Answer::status(200).fault(Fault::CloseWithoutAnswer)),
        ("reset", Answer::status(200).fault(Fault::ResetAfterRead)),
    ]
}

/// Answers of an ingest that took the items, but has its own idea of HTTP: they count as delivered.
pub fn accepted() -> Vec<(&'static str, Answer)> {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    vec![
        ("http-1.0", raw("HTTP/1.0 200 OK\r\n\r\nbye")),
        ("http-1.0-kept", kept("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n")),
        (
            "informed",
            kept([b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n", OK].concat()),
        ),
        ("trailers", kept(format!("{chunked}2;x=y\r\nok\r\n0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n"))),
        ("no-chunk", raw(format!("{chunked}zz\r\nok\r\n"))),
        ("huge-chunk", raw(format!("{chunked}ffffffffffffffff\r\nok"))),
        ("body-breaks-off", raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")),
        ("endless-body", endless(b"HTTP/1.1 200 OK\r\n\r\n", b"x")),
        ("endless-chunks", endless(chunked.as_bytes(), b"1\r\nx\r\n")),
        ("length-too-short", kept("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nmuch longer")),
        ("no-content", kept("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello")),
        ("dies-idle", pieces(&[OK], 5, false)),
        ("garbage-behind", kept([OK, b"\x00\xffgarbage"].concat())),
        ("garbage-later", pieces(&[OK, b"HTTP/1.1 2"], 5, true)),
        ("answers-ahead", kept(OK.repeat(5))),
        ("answers-ahead-later", pieces(&[OK, OK, OK], 5, true)),
        ("not-gzip", kept("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok")),
        ("odd-bytes", kept(b"HTTP/1.1 200 \xff\xfe\r\nX: \xff\xfe\r\nContent-Length: 0\r\n\r\n")),
    ]
}

/// Values of Retry-After that nobody can mean. All but the last two count as absent.
pub const WAITS: [&str; 14] = [
    "-1",
    "-99999999999999999999",
    "1e400",
    "-1e400",
    "nan",
    "inf",
    "",
    "0x10",
    "soon",
    "Thu, 01 Jan 1970 00:00:00 GMT",
    "Sun, 06 Nov 1994 08:49:37 GMT",
    "Thu, 32 Foo 99999 99:99:99 GMT",
    "99999999999999999999",
    "Fri, 31 Dec 9999 23:59:59 GMT",
];

/// A good answer with a few bytes changed, cut out, doubled or put in, in pieces, and a connection kept or closed.
pub fn mutated(noise: &mut Noise) -> Answer {
    let whole: [&[u8]; 5] = [
        OK,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 4\r\n\r\nbusy",
        b"HTTP/1.1 401 No\r\nx-should-retry: false\r\nContent-Length: 2\r\n\r\nno",
    ];
    let mut bytes = whole[noise.below(whole.len() as u64) as usize].to_vec();
    for _ in 0..=noise.below(4) {
        let at = noise.below(bytes.len() as u64 + 1) as usize;
        let end = (at + 1 + noise.below(8) as usize).min(bytes.len());
        let digit = b'0' + noise.below(10) as u8;
        let byte = noise.below(256) as u8;
        match noise.below(5) {
            0 if at < bytes.len() => bytes[at] = byte,
            1 => bytes.insert(at, digit),
            2 if at < end => drop(bytes.drain(at..end)),
            3 if at < end => bytes.extend_from_within(at..end),
            _ => bytes.truncate(at.max(1)),
        }
    }
    let middle = noise.below(bytes.len() as u64 + 1) as usize;
    pieces(&[&bytes[..middle], &bytes[middle..]], noise.below(3), noise.below(4) == 0)
}
