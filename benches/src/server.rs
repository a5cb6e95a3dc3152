//! Server: an ingest that answers 200 to every request, at once or after a delay, unless it is to fail. It runs in a
//! process of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::Result;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const FAILURE: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";

/// How a server answers. By default it accepts everything at once.
#[derive(Default, Clone, Copy)]
pub struct Manners {
    /// Time before each answer.
    pub delay_ms: u64,
    /// One request of so many fails; 0: none.
    pub fails_one_in: u64,
    /// All requests fail for so long after the first one.
    pub down_ms: u64,
}

/// What a server's connections have in common.
struct Service {
    manners: Manners,
    requests: AtomicU64,
    first: OnceLock<Instant>,
}

impl Service {
    fn fails(&self) -> bool {
        let Manners { fails_one_in, down_ms, .. } = self.manners;
        let is_down = self.first.get_or_init(Instant::now).elapsed() < Duration::from_millis(down_ms);
        let request = self.requests.fetch_add(1, Relaxed);
        is_down || fails_one_in > 0 && request % fails_one_in == fails_one_in - 1
    }
}

/// A server. It is killed when this value is dropped.
pub struct Server {
    process: Child,
    /// The port it listens on.
    pub port: u64,
}

impl Server {
    /// Starts one with these manners.
    pub fn start(manners: Manners) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let Manners { delay_ms, fails_one_in, down_ms } = manners;
        command.arg("serve").args([delay_ms, fails_one_in, down_ms].map(|number| number.to_string()));
        command.stdout(Stdio::piped());
        let mut process = command.spawn()?;
        let out = process.stdout.take().ok_or("the server has no output")?;
        let mut port = String::new();
        BufReader::new(out).read_line(&mut port)?;
        Ok(Self { process, port: port.trim().parse()? })
    }

    /// The URL to post to.
    pub fn url(&self) -> String {
        url(self.port)
    }
}

/// The URL to post to for the server at `port`.
pub fn url(port: u64) -> String {
    format!("http://127.0.0.1:{port}/v1/traces/ingest")
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Prints the port and serves until it is killed.
pub fn serve(manners: Manners) -> Result<()> {
    let service = Arc::new(Service { manners, requests: AtomicU64::new(0), first: OnceLock::new() });
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?.port());
    for stream in listener.incoming() {
        let stream = stream?;
        let service = service.clone();
        std::thread::spawn(move || answer_all(stream, &service));
    }
    Ok(())
}

fn answer_all(stream: TcpStream, service: &Service) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::with_capacity(256 << 10, stream.try_clone()?);
    let mut writer = stream;
    let mut line = String::new();
    loop {
        let mut body_bytes = 0;
        loop {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let (name, value) = line.split_once(':').unwrap_or((line.trim(), ""));
            if name.is_empty() {
                break;
            }
            if name.eq_ignore_ascii_case("content-length") {
                body_bytes = value.trim().parse().unwrap_or(0);
            }
        }
        std::io::copy(&mut reader.by_ref().take(body_bytes), &mut std::io::sink())?;
        if service.manners.delay_ms > 0 {
            std::thread::sleep(Duration::from_millis(service.manners.delay_ms));
        }
        writer.write_all(if service.fails() { FAILURE } else { ANSWER })?;
    }
}
