//! `spanspool view`: what a browser is given, and what nobody is.

mod items;
mod living;
mod long;
mod picture;
mod safety;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use serde_json::Value;
use testkit::cli::spanspool;
use testkit::host::Host;
use testkit::wait::{PATIENCE, until};

/// A running viewer, killed when dropped.
struct Viewer {
    host: Host,
    port: u16,
    token: String,
}

/// An answer.
struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Viewer {
    fn of(spool: &Path) -> Self {
        Self::run(spanspool(&[]).args(arguments(spool)))
    }

    /// `command` runs the viewer, whatever surrounds it.
    fn run(command: &mut Command) -> Self {
        let host = Host::run(command);
        let address = host.line();
        let (port, token) = address.strip_prefix("http://127.0.0.1:").unwrap().split_once('/').unwrap();
        Self { port: port.parse().unwrap(), token: token.strip_suffix('/').unwrap().to_owned(), host }
    }

    /// What is at `path` below the token.
    fn get(&self, path: &str) -> Reply {
        let host = format!("127.0.0.1:{}", self.port);
        self.ask("GET", &format!("/{}/{path}", self.token), &[("Host", &host)])
    }

    /// The JSON at `path`, which is there.
    #[track_caller]
    fn json(&self, path: &str) -> Value {
        let reply = self.get(path);
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        assert_eq!(reply.header("content-type"), Some("application/json"));
        serde_json::from_slice(&reply.body).unwrap()
    }

    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = format!("{method} {path} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        Reply::of(&bytes)
    }

    /// `api/now` once everything is loaded.
    #[track_caller]
    fn loaded(&self) -> Value {
        until(Instant::now() + PATIENCE, "the traces are loaded", || {
            Some(self.json("api/now")).filter(|now| now["loading"]["done"] == true)
        })
    }

    /// The list of traces once it is as `is_it` wants it.
    #[track_caller]
    fn traces_when(&self, what: &str, is_it: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        until(Instant::now() + PATIENCE, what, || Some(self.traces("")).filter(|traces| is_it(traces)))
    }

    /// The first page of traces that `query` asks for.
    #[track_caller]
    fn traces(&self, query: &str) -> Vec<Value> {
        self.json(&format!("api/traces?{query}"))["traces"].as_array().unwrap().clone()
    }

    /// The spans of a trace in the list.
    #[track_caller]
    fn spans_of(&self, trace: &Value) -> Vec<Value> {
        let key = trace["key"].as_str().unwrap();
        self.json(&format!("api/trace?key={key}"))["spans"].as_array().unwrap().clone()
    }

    fn span(&self, row: &Value) -> Reply {
        self.get(&format!("api/span?ref={}", row["ref"].as_str().unwrap()))
    }
}

impl Reply {
    fn of(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|it| it == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines.map(|line| line.split_once(": ").unwrap());
        let headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
        Self { status, headers, body: bytes[end + 4..].to_vec() }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(it, _)| it == name).map(|(_, value)| value.as_str())
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

fn arguments(spool: &Path) -> [String; 3] {
    ["view".into(), "--spool-dir".into(), spool.to_str().unwrap().into()]
}

/// An item of the Agents SDK: a span of the trace `trace` that begins at second `start` and takes one.
fn agents_span(trace: &str, span: &str, parent: Option<&str>, start: u32) -> String {
    serde_json::json!({
        "object": "trace.span",
        "id": span,
        "trace_id": trace,
        "parent_id": parent,
        "started_at": format!("2026-11-22T10:{:02}:{:02}+00:00", start / 60, start % 60),
        "ended_at": format!("2026-11-22T10:{:02}:{:02}+00:00", (start + 1) / 60, (start + 1) % 60),
        "span_data": { "type": "function", "name": format!("step {span}"), "input": "in", "output": "out" },
        "error": null,
    })
    .to_string()
}

/// The item that names a trace.
fn agents_trace(trace: &str, workflow: &str) -> String {
    serde_json::json!({ "object": "trace", "id": trace, "workflow_name": workflow, "group_id": "group", "metadata": null })
        .to_string()
}
