//! Collector: the program of tests/collector on a port of its own, which writes what it takes to files.

use std::env;
use std::fs::{self, File};
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::sync::atomic::AtomicU16;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use serde_json::{Value, json};
use testkit::wait::{PATIENCE, until};
use testkit::{TempDir, run, succeed, target_tmp};

use super::arrivals::Arrivals;
use crate::abi::long::go::{go_env, go_with_modules, have_go, have_modules};

const FOLDER: &str = "tests/collector";

/// The Collector's program, built once. `None` if `test` is to be skipped, which it then has said.
pub fn built(test: &str) -> Option<PathBuf> {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    if !is_asked_for(test) || !have_go(test) || !have_modules(FOLDER, test) {
        return None;
    }
    let build = || {
        let program = target_tmp().join("collector");
        let mut build = go_with_modules(FOLDER, "build");
        build.args(["-ldflags=-s -w", "-o"]).arg(&program).arg(".");
        succeed(build.env("CGO_ENABLED", "0").env("GOPROXY", go_env("GOPROXY")));
        program
    };
    Some(BUILT.get_or_init(build).clone())
}

/// Whether tests with a Collector are to run. If not, that is said for `test`.
pub fn is_asked_for(test: &str) -> bool {
    let is_asked_for = env::var("SPANSPOOL_COLLECTOR").as_deref() == Ok("1");
    if !is_asked_for {
        // No error with CI=true either.
        let said =
            format!("SKIPPED {test}: SPANSPOOL_COLLECTOR=1 asks for it, and for 1.7 GB of Go modules\n");
        io::stderr().write_all(said.as_bytes()).unwrap();
    }
    is_asked_for
}

/// A Collector that may be down, killed when dropped.
pub struct Collector {
    program: PathBuf,
    dir: TempDir,
    port: u16,
    http: Value,
    exporter: Exporter,
    starts: usize,
    running: Option<Child>,
}

/// What becomes of what a Collector takes.
enum Exporter {
    /// It is written to a file, a request a line.
    File,
    /// It is passed on to the receiver with this URL from a queue of one request.
    Forward(String),
}

impl Collector {
    /// One that is down.
    pub fn new(program: &Path) -> Self {
        Self::with_http(program, json!({}))
    }

    /// One that is down, with settings for its HTTP server.
    pub fn with_http(program: &Path, http: Value) -> Self {
        let dir = TempDir::new("collector");
        let (program, port) = (program.to_path_buf(), free_port());
        Self { program, dir, port, http, exporter: Exporter::File, starts: 0, running: None }
    }

    /// One that is down, and passes on what it takes to `url`.
    pub fn forwarding(program: &Path, url: String) -> Self {
        let mut collector = Self::new(program);
        collector.exporter = Exporter::Forward(url);
        collector
    }

    pub fn url(&self) -> String {
        let scheme = if self.http.get("tls").is_some() { "https" } else { "http" };
        format!("{scheme}://localhost:{}", self.port)
    }

    /// Starts it, and waits until it listens.
    pub fn start(&mut self) {
        assert!(self.running.is_none());
        self.starts += 1;
        let config = self.dir.write("config.json", self.config().to_string());
        let log = self.dir.join("log");
        let mut command = Command::new(&self.program);
        command.args(["--config", &config]).stderr(File::create(&log).unwrap());
        let mut child = command.spawn().unwrap();
        until(Instant::now() + PATIENCE, "the Collector listens", || {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("the Collector: {status}\n{}", fs::read_to_string(&log).unwrap());
            }
            TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok()
        });
        self.running = Some(child);
    }

    /// Kills it with SIGKILL: what it has not written and answered, it never took.
    pub fn kill(&mut self) {
        run::kill(&mut self.running.take().unwrap());
    }

    /// What it has taken so far, in all its lives.
    pub fn arrivals(&self) -> Arrivals {
        Arrivals::read((1..=self.starts).map(|start| self.file(start)))
    }

    /// A file for each start: the last line of one that was killed may be torn.
    fn file(&self, start: usize) -> PathBuf {
        self.dir.join(&format!("taken-{start}"))
    }

    fn config(&self) -> Value {
        let mut http = self.http.clone();
        http["endpoint"] = format!("127.0.0.1:{}", self.port).into();
        let (name, exporter) = match &self.exporter {
            // With a rotation, each request is with the kernel before it is answered. Without, it is in a buffer.
            Exporter::File => {
                ("file", json!({"path": self.file(self.starts), "rotation": {"max_megabytes": 10_000}}))
            }
            Exporter::Forward(url) => (
                "otlp_http",
                json!({
                    "endpoint": url,
                    "sending_queue": {"queue_size": 1, "num_consumers": 1, "sizer": "requests"},
                    "retry_on_failure":
                        {"initial_interval": "50ms", "max_interval": "100ms", "max_elapsed_time": "0s"},
                }),
            ),
        };
        let pipeline = json!({"receivers": ["otlp"], "exporters": [name]});
        json!({
            "receivers": {"otlp": {"protocols": {"http": http}}},
            "exporters": {name: exporter},
            "service": {
                "telemetry": {"metrics": {"level": "none"}, "logs": {"level": "warn"}},
                "pipelines": {"traces": pipeline, "logs": pipeline, "metrics": pipeline},
            },
        })
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        if let Some(mut child) = self.running.take() {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A port that nothing listens on, below those that the kernel gives to clients: one that tries to reach a Collector
/// that is down could otherwise be given that very port, and be connected to itself.
pub fn free_port() -> u16 {
    static COUNT: AtomicU16 = AtomicU16::new(0);
    let first = std::process::id() as u16 % 1_000 * 8;
    let mut ports = std::iter::repeat_with(|| 20_000 + (first + COUNT.fetch_add(1, Relaxed)) % 8_000);
    ports.find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok()).unwrap()
}
