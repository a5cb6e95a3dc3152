//! Server: an ingest that answers 200 to every request, at once or after a delay. It runs in a process of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::Result;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// A server. It is killed when this value is dropped.
pub struct Server {
    process: Child,
    /// The port it listens on.
    pub port: u64,
}

impl Server {
    /// Starts one that waits for `delay_ms` before each answer.
    pub fn start(delay_ms: u64) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["serve", &delay_ms.to_string()]).stdout(Stdio::piped());
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
pub fn serve(delay_ms: u64) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?.port());
    for stream in listener.incoming() {
        let stream = stream?;
        std::thread::spawn(move || answer_all(stream, Duration::from_millis(delay_ms)));
    }
    Ok(())
}

fn answer_all(stream: TcpStream, delay: Duration) -> std::io::Result<()> {
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
        if !delay.is_zero() {
            std::thread::sleep(delay);
        }
        writer.write_all(ANSWER)?;
    }
}
