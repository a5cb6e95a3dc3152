//! Wire: HTTP/1.1 requests read from a socket and answers written to it.
//!
//! The last byte of a request stays in the kernel's buffer until its answer is known. Closing a socket with unread
//! bytes resets the connection (RFC 9293, 3.6), and safe code has no other way to ask for that.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;

use super::message::{Answer, Request};

const MAX_HEAD_BYTES: usize = 64 << 10;
const MAX_BODY_BYTES: u64 = 1 << 30;

/// Waits for the first byte of a request without reading it; false at the end of the connection.
pub fn wait_for_byte(stream: &TcpStream) -> io::Result<bool> {
    Ok(stream.peek(&mut [0])? > 0)
}

/// Reads all of a request from the connection of that number; its last byte is only peeked at. The inner error is what
/// to refuse the request with.
pub fn read(stream: &TcpStream, connection: u64) -> io::Result<Result<Request, Answer>> {
    let Some(head) = read_head(stream)? else {
        return Ok(Err(Answer::status(431)));
    };
    let Some(mut request) = parse_head(&head, connection) else {
        return Ok(Err(Answer::status(400)));
    };
    if request.header("transfer-encoding").is_some() {
        return Ok(Err(Answer::status(411)));
    }
    let length = match request.header("content-length").map(str::parse::<u64>) {
        None => 0,
        Some(Ok(length)) if length <= MAX_BODY_BYTES => length,
        Some(Ok(_)) => return Ok(Err(Answer::status(413))),
        Some(Err(_)) => return Ok(Err(Answer::status(400))),
    };
    if length > 0 {
        take_last_byte(stream)?;
        if request.header("expect").is_some_and(|e| e.eq_ignore_ascii_case("100-continue")) {
            (&*stream).write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        read_body(stream, length, &mut request.body)?;
    }
    if request.header("content-encoding").is_some_and(|e| e.eq_ignore_ascii_case("gzip")) {
        let mut plain = Vec::new();
        if GzDecoder::new(&*request.body).take(MAX_BODY_BYTES).read_to_end(&mut plain).is_err() {
            return Ok(Err(Answer::status(400).body("the body is not gzip")));
        }
        request.body = plain;
    }
    request.arrived = Instant::now();
    Ok(Ok(request))
}

/// The head and its empty line, whose last byte stays unread; `None` when it is too long.
fn read_head(stream: &TcpStream) -> io::Result<Option<Vec<u8>>> {
    let mut head = Vec::new();
    let mut chunk = [0; 4096];
    while head.len() <= MAX_HEAD_BYTES {
        let peeked = stream.peek(&mut chunk)?;
        if peeked == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let before = head.len();
        head.extend_from_slice(chunk.get(..peeked).unwrap_or_default());
        if let Some(start) = head.windows(4).position(|w| w == b"\r\n\r\n") {
            head.truncate(start + 4);
            skip(stream, (head.len() - before).saturating_sub(1) as u64)?;
            return Ok(Some(head));
        }
        skip(stream, peeked as u64)?;
    }
    Ok(None)
}

fn parse_head(head: &[u8], connection: u64) -> Option<Request> {
    let mut lines = std::str::from_utf8(head).ok()?.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, path, version) = (first.next()?, first.next()?, first.next()?);
    let mut headers = Vec::new();
    for line in lines.take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':')?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    if version == "HTTP/1.0" {
        headers.push(("connection".into(), "close".into()));
    }
    version.starts_with("HTTP/1.").then(|| Request {
        connection,
        method: method.into(),
        path: path.into(),
        headers,
        body: Vec::new(),
        arrived: Instant::now(),
    })
}

/// Reads `length` bytes, of which the last stays in the kernel's buffer. `length` is at least 1.
fn read_body(stream: &TcpStream, length: u64, body: &mut Vec<u8>) -> io::Result<()> {
    let read = stream.take(length - 1).read_to_end(body)?;
    let mut last = [0];
    if (read as u64) < length - 1 || stream.peek(&mut last)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    body.extend_from_slice(&last);
    Ok(())
}

/// Reads and discards `count` bytes.
pub fn skip(stream: &TcpStream, count: u64) -> io::Result<()> {
    io::copy(&mut stream.take(count), &mut io::sink()).map(drop)
}

/// Reads the byte that [`read`] left.
pub fn take_last_byte(stream: &TcpStream) -> io::Result<()> {
    skip(stream, 1)
}

/// Whether the client wants to send more requests on this connection.
pub fn keeps_alive(request: &Request) -> bool {
    !request.header("connection").is_some_and(|c| c.eq_ignore_ascii_case("close"))
}

/// Writes `answer` in one piece.
pub fn write(stream: &TcpStream, answer: &Answer, keep: bool) -> io::Result<()> {
    let mut text =
        format!("HTTP/1.1 {} Scripted\r\ncontent-length: {}\r\n", answer.status, answer.body.len());
    for (name, value) in &answer.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str(if keep { "\r\n" } else { "connection: close\r\n\r\n" });
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(&answer.body);
    (&*stream).write_all(&bytes)
}

/// Answers a request that was not read to its end, and closes. It reads on for a while: a reset would destroy the
/// answer.
pub fn refuse(stream: &TcpStream, answer: &Answer) -> io::Result<()> {
    write(stream, answer, false)?;
    stream.shutdown(Shutdown::Write)?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    io::copy(&mut stream.take(MAX_BODY_BYTES), &mut io::sink()).map(drop)
}
