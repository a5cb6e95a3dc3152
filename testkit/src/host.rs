//! Host: a process with an open spool that a test commands line by line (tests/c/host.c), and what a spool looks like
//! from outside meanwhile.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cli::spanspool;
use crate::client::PATIENT;
use crate::compile::compile_c;
use crate::form::texts_of;
use crate::ingest::{Answer, Fault, Ingest, Request};
use crate::run;
use crate::scratch::TempDir;
use crate::tools::{caller, succeed};
use crate::wait::PATIENCE;

/// A user without rights, for tests that run as root.
pub const NOBODY: u32 = 65534;

/// A running program, killed when dropped.
pub struct Host {
    pub process: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Host {
    /// Compiles tests/c/host.c into `dir`.
    pub fn compile(dir: &TempDir) -> PathBuf {
        compile_c("tests/c/host.c", dir.path())
    }

    /// Starts a compiled tests/c/host.c with `settings` as KEY=VALUE, and waits until its spool is open.
    pub fn start(program: &Path, settings: &[String]) -> Self {
        let host = Self::run(caller(program).args(settings));
        assert_eq!(host.line(), "ready");
        host
    }

    /// Starts any program that talks in lines.
    pub fn run(command: &mut Command) -> Self {
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let input = process.stdin.take();
        let output = BufReader::new(process.stdout.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { process, input, lines }
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Gives a command and returns the first line of the answer.
    pub fn ask(&mut self, command: &str) -> String {
        self.tell(command);
        self.line()
    }

    pub fn tell(&mut self, command: &str) {
        writeln!(self.input.as_mut().unwrap(), "{command}").unwrap();
    }

    /// The next line of output.
    pub fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).unwrap()
    }

    /// Kills it with SIGKILL.
    pub fn kill(&mut self) {
        run::kill(&mut self.process);
    }

    /// Ends its input: it is to end by itself.
    pub fn end_input(&mut self) {
        drop(self.input.take());
    }

    /// Ends its input, and waits until it ended well.
    pub fn end(&mut self) {
        self.end_input();
        let status = run::exit(&mut self.process);
        assert!(status.success(), "{status}: {:?}", self.lines.try_iter().collect::<Vec<_>>());
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Kills a process that is no child of the test's.
pub fn kill(pid: &str) {
    succeed(Command::new("kill").args(["-9", pid]));
}

/// Settings for a host: `spool_dir`, `endpoint` and [`PATIENT`], then `more`.
pub fn settings(spool: &Path, endpoint: &str, more: &[&str]) -> Vec<String> {
    let patient = format!("{}={}", PATIENT.0, PATIENT.1);
    let own = [format!("spool_dir={}", spool.display()), format!("endpoint={endpoint}"), patient];
    own.into_iter().chain(more.iter().map(|setting| (*setting).to_owned())).collect()
}

/// What `spanspool status --json` says of the spool.
pub fn status(spool: &Path) -> Value {
    let output = succeed(&mut spanspool(&["status", "--json", "--spool-dir", spool.to_str().unwrap()]));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Delivers what is left in `spool` to `endpoint`, wherever it was to go.
pub fn drain(spool: &Path, endpoint: &str) {
    let (spool, endpoint) = (spool.to_str().unwrap(), format!("endpoint={endpoint}"));
    let all = ["--timeout-ms", "60000", "--set=adopt=any", "--set", &endpoint];
    succeed(&mut spanspool(&[&["drain", "--spool-dir", spool], &all[..]].concat()));
}

/// A counter of [`status`] over all lanes.
pub fn total(status: &Value, counter: &str) -> u64 {
    status[counter].as_u64().unwrap()
}

/// Everything below `dir`, itself included.
pub fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut all = vec![dir.to_path_buf()];
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => all.extend(files_below(&entry.path())),
            _ => all.push(entry.path()),
        }
    }
    all
}

/// The names in `spool`'s folder of lanes.
pub fn lane_names(spool: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(spool.join("lanes")).unwrap();
    let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The ids of a request's items.
pub fn ids_of(request: &Request) -> Vec<String> {
    let id = |item: &String| serde_json::from_str::<Value>(item).unwrap()["id"].as_str().unwrap().to_owned();
    texts_of(request).iter().map(id).collect()
}

/// How often each item came to `ingest`.
pub fn arrivals(ingest: &Ingest) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for id in ingest.requests().iter().flat_map(ids_of) {
        *counts.entry(id).or_default() += 1;
    }
    counts
}

/// Asserts that exactly the items NAME-0 … of the given counts came to `ingest`, each once.
#[track_caller]
pub fn assert_each_once(ingest: &Ingest, expected: &[(&str, u64)]) {
    let mut missing: Vec<String> =
        expected.iter().flat_map(|(name, count)| (0..*count).map(move |n| format!("{name}-{n}"))).collect();
    let mut arrived = arrivals(ingest);
    missing.retain(|id| arrived.remove(id) != Some(1));
    assert!(missing.is_empty(), "not once: {:.500}", format!("{} items: {missing:?}", missing.len()));
    assert!(arrived.is_empty(), "unexpected: {:.500}", format!("{} items: {arrived:?}", arrived.len()));
}

/// Waits until `count` different items came to `ingest`.
pub fn wait_for_items(ingest: &Ingest, count: usize) {
    let deadline = Instant::now() + PATIENCE;
    let mut seen = BTreeSet::new();
    let mut requests = 0;
    let all = ingest.wait_until(deadline, |so_far| {
        seen.extend(so_far[requests..].iter().flat_map(ids_of));
        requests = so_far.len();
        seen.len() >= count
    });
    assert!(all, "{} of {count} items came in time", seen.len());
}

/// Items come again only as the same batch, under the same key: an ingest can tell.
#[track_caller]
pub fn assert_same_batches(requests: &[Request]) {
    let mut batches: BTreeMap<&str, &[u8]> = BTreeMap::new();
    let mut homes: HashMap<String, &str> = HashMap::new();
    for request in requests {
        let key = request.header("idempotency-key").unwrap();
        assert_eq!(*batches.entry(key).or_insert(&request.body), request.body, "{key}");
        for id in ids_of(request) {
            assert_eq!(*homes.entry(id.clone()).or_insert(key), key, "item {id} came in two batches");
        }
    }
}

/// An ingest that takes everything.
pub fn accepting() -> Ingest {
    Ingest::start(|_| Answer::status(200)).unwrap()
}

/// An ingest that is down: `Ingest::start_on` makes it come up on its port.
pub fn down() -> Ingest {
    let ingest = accepting();
    ingest.stop();
    ingest
}

/// An ingest that takes a request and never answers it.
pub fn silent() -> Ingest {
    Ingest::start(|_| Answer::status(200).fault(Fault::Hang(Duration::from_secs(600)))).unwrap()
}
