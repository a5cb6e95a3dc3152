//! A client with nothing to do does nothing: its threads sleep, have names, and leave signals to the program.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

use testkit::ingest::{Answer, Ingest};
use testkit::{TempDir, caller, compile_c, have, tool};

/// How long the sleepers are watched. Here time itself is what is measured.
const WATCHED: Duration = Duration::from_secs(10);
/// No more than one wake-up a second.
const MAX_WAKEUPS: u64 = 10;

/// A process in `tests/c/idle.c`, ready. Dropping it kills it.
struct Idle(Child);

/// What the kernel says of a thread.
struct ThreadStatus {
    name: String,
    switches: u64,
    blocked_signals: u64,
}

impl Idle {
    fn start(program: &PathBuf, arguments: &[&str], dir: &TempDir, name: &str, url: &str) -> Self {
        let mut command = caller(program);
        command.args(arguments);
        command.arg(format!("spool_dir={}", dir.join(name).display())).arg(format!("endpoint={url}"));
        command.args(["schedule_delay_ms=10", "base_delay_ms=3600000", "max_delay_ms=3600000"]);
        let mut idle = Self(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap());
        let mut line = String::new();
        BufReader::new(idle.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "{name}");
        idle
    }

    fn threads(&self) -> Vec<ThreadStatus> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.0.id())).unwrap();
        tasks
            .map(|task| {
                ThreadStatus::parse(&fs::read_to_string(task.unwrap().path().join("status")).unwrap())
            })
            .collect()
    }

    fn switches(&self) -> u64 {
        self.threads().iter().map(|thread| thread.switches).sum()
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl ThreadStatus {
    fn parse(status: &str) -> Self {
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim();
        Self {
            name: field("Name:").into(),
            switches: field("voluntary_ctxt_switches:").parse().unwrap(),
            blocked_signals: u64::from_str_radix(field("SigBlk:"), 16).unwrap(),
        }
    }
}

fn compiled(dir: &TempDir) -> Option<PathBuf> {
    have(&tool("CC", "cc"), "--version", "idle").then(|| compile_c("tests/c/idle.c", dir.path()))
}

#[test]
fn idle_client_does_not_wake_up() {
    let dir = TempDir::new("idle");
    let Some(program) = compiled(&dir) else { return };
    let up = Ingest::start(|_| Answer::status(200)).unwrap();
    let busy = Ingest::start(|_| Answer::status(503)).unwrap();
    let start = |name: &str, arguments: &[&str], ingest: &Ingest| {
        Idle::start(&program, arguments, &dir, name, &ingest.url())
    };
    let sleepers = [
        ("before any item", start("new", &["0", "0"], &up)),
        ("after deliveries", start("delivered", &["0", "1000"], &up)),
        ("in a long backoff", start("backoff", &["2", "100"], &busy)),
    ];
    // The control: one that asks for its counters all the time is seen to.
    let restless = start("restless", &["restless", "10"], &up);

    let count = || Vec::from_iter(sleepers.iter().map(|(_, idle)| idle.switches()));
    let (before, restless_before) = (count(), restless.switches());
    thread::sleep(WATCHED);
    let (after, restless_after) = (count(), restless.switches());
    for ((when, _), (before, after)) in sleepers.iter().zip(before.iter().zip(&after)) {
        assert!(after - before <= MAX_WAKEUPS, "{when}: {} wake-ups in {WATCHED:?}", after - before);
    }
    assert!(restless_after - restless_before > 10 * MAX_WAKEUPS, "the control woke up too rarely");
    assert_eq!(up.requests().iter().flat_map(testkit::ingest::items_of).count(), 1010);
    assert_eq!(busy.requests().len(), 1);
}

#[test]
fn threads_have_names_and_take_no_signals() {
    /// All that can be blocked: not SIGKILL, SIGSTOP and the two that glibc keeps for itself.
    const ALL_SIGNALS: u64 = !(1 << 8 | 1 << 18 | 1 << 31 | 1 << 32);
    let dir = TempDir::new("idle");
    let Some(program) = compiled(&dir) else { return };
    let up = Ingest::start(|_| Answer::status(200)).unwrap();
    let idle = Idle::start(&program, &["0", "100", "max_in_flight=3"], &dir, "spool", &up.url());
    let threads = idle.threads();
    let (ours, host): (Vec<_>, Vec<_>) = threads.iter().partition(|t| t.name.starts_with("spanspool-"));
    assert_eq!(host.iter().map(|t| (&*t.name, t.blocked_signals)).collect::<Vec<_>>(), [("idle", 0)]);
    assert_eq!(ours.len(), 5, "a committer, three that deliver, one that adopts");
    for thread in ours {
        assert_eq!(thread.blocked_signals & ALL_SIGNALS, ALL_SIGNALS, "{}", thread.name);
    }
}
