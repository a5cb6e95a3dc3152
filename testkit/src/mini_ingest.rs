//! Mini ingest: a loopback HTTP server that answers by script and keeps what it was sent.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::wait::PATIENCE;

/// What the ingest does with a request once it has read it.
pub enum Reply {
    /// Sends these bytes and keeps the connection.
    Bytes(Vec<u8>),
    /// Sends the head, then body bytes until the client has enough.
    Endless(&'static str),
    /// Closes the connection.
    Close,
    /// Says nothing until the client goes away.
    Silence,
}

/// A request as it came.
pub struct Request {
    /// Counts the connections from 0.
    pub connection: usize,
    /// The request line and the header lines.
    pub head: Vec<String>,
    pub body: Vec<u8>,
}

impl Request {
    /// The values of a header.
    pub fn header(&self, name: &str) -> Vec<&str> {
        let lines = self.head.iter().skip(1).filter_map(|line| line.split_once(": "));
        lines.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v).collect()
    }
}

pub struct MiniIngest {
    pub port: u16,
    requests: Receiver<Request>,
}

impl MiniIngest {
    /// Answers the first requests by `script` and all later ones with 200.
    pub fn start(script: Vec<Reply>) -> Self {
        Self::start_with(script, Ok)
    }

    /// Wraps every connection, in TLS say; one that fails to be wrapped is closed.
    pub fn start_with<S, W>(script: Vec<Reply>, wrap: W) -> Self
    where
        S: Read + Write,
        W: Fn(TcpStream) -> std::io::Result<S> + Send + Sync + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, requests) = channel();
        let script = Arc::new(Mutex::new(script.into_iter()));
        let wrap = Arc::new(wrap);
        thread::spawn(move || {
            for (connection, stream) in listener.incoming().enumerate() {
                let (script, sender, wrap) = (script.clone(), sender.clone(), wrap.clone());
                thread::spawn(move || {
                    let Ok(mut stream) = wrap(stream.unwrap()) else { return };
                    let next = || script.lock().unwrap().next().unwrap_or_else(ok);
                    serve(connection, &mut stream, &next, &sender);
                });
            }
        });
        Self { port, requests }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/v1/traces/ingest", self.port)
    }

    /// The next request; it was read whole.
    pub fn request(&self) -> Request {
        self.requests.recv_timeout(PATIENCE).unwrap()
    }

    /// Whether every request that came was taken with [`MiniIngest::request`].
    pub fn is_quiet(&self) -> bool {
        self.requests.try_recv().is_err()
    }
}

pub fn ok() -> Reply {
    answer(200, &[], b"{}")
}

/// An answer with a status, header lines and a body.
pub fn answer(status: u16, headers: &[&str], body: &[u8]) -> Reply {
    let mut bytes = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n", body.len());
    for header in headers {
        bytes += header;
        bytes += "\r\n";
    }
    bytes += "\r\n";
    Reply::Bytes([bytes.as_bytes(), body].concat())
}

fn serve(
    connection: usize,
    stream: &mut (impl Read + Write),
    next: &dyn Fn() -> Reply,
    sender: &Sender<Request>,
) {
    while let Some(request) = read_request(connection, stream) {
        let reply = next();
        if sender.send(request).is_err() {
            return;
        }
        match reply {
            Reply::Bytes(bytes) => {
                if stream.write_all(&bytes).and_then(|()| stream.flush()).is_err() {
                    return;
                }
            }
            Reply::Endless(head) => {
                let _ = stream.write_all(head.as_bytes());
                while stream.write_all(&[b'x'; 1024]).is_ok() {}
                return;
            }
            Reply::Close => return,
            Reply::Silence => {
                let _ = stream.read(&mut [0]);
                return;
            }
        }
    }
}

fn read_request(connection: usize, stream: &mut impl Read) -> Option<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let head: Vec<String> = head.trim_end().split("\r\n").map(str::to_owned).collect();
    let mut request = Request { connection, head, body: Vec::new() };
    let length = request.header("content-length").first().map_or(0, |n| n.parse().unwrap());
    request.body.resize(length, 0);
    stream.read_exact(&mut request.body).ok()?;
    Some(request)
}
