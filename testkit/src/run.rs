//! Run: programs until they end, with a deadline: one that hangs is a failed test, and not a test that never ends.

use std::fmt::Write;
use std::fs;
use std::io::Read;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::wait::{PATIENCE, until};

/// Longer than a build or the delivery of a large backlog takes on a slow machine.
pub const LONG: Duration = Duration::from_secs(1800);

/// Runs `command` without input until it ends, for at most `time`, and returns what it said. `what` is for a failure.
#[track_caller]
pub fn output_within(time: Duration, command: &mut Command, what: &str) -> Output {
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = spawned.unwrap_or_else(|e| panic!("cannot run {command:?}: {e}"));
    output_of(&mut child, time, what)
}

/// Waits until `child` ends, for at most `time`, and returns what it said into its pipes.
#[track_caller]
pub fn output_of(child: &mut Child, time: Duration, what: &str) -> Output {
    let stdout = child.stdout.take().map(Said::by).unwrap_or_default();
    let stderr = child.stderr.take().map(Said::by).unwrap_or_default();
    let deadline = Instant::now() + time;
    loop {
        // A pipe ends with the last process that has it: the program itself or a child.
        if stdout.is_whole() && stderr.is_whole() {
            return Output { status: exit(child), stdout: stdout.text(), stderr: stderr.text() };
        }
        if Instant::now() >= deadline {
            let threads = threads(child);
            // It may have ended meanwhile.
            let _ = child.kill();
            let said = [stdout.text(), stderr.text()].concat();
            panic!("{what} did not end within {time:?}\n{threads}{}", String::from_utf8_lossy(&said));
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// Waits until `child` has ended.
#[track_caller]
pub fn exit(child: &mut Child) -> ExitStatus {
    until(Instant::now() + PATIENCE, "a process ends", || child.try_wait().unwrap())
}

/// Kills `child` with SIGKILL and waits until it has ended.
#[track_caller]
pub fn kill(child: &mut Child) -> ExitStatus {
    child.kill().unwrap();
    exit(child)
}

/// What has come out of a pipe so far.
#[derive(Default)]
struct Said {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Said {
    fn by(mut pipe: impl Read + Send + 'static) -> Self {
        let bytes: Arc<Mutex<Vec<u8>>> = Arc::default();
        let into = bytes.clone();
        let reader = thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Some(count) = pipe.read(&mut chunk).ok().filter(|count| *count > 0) {
                into.lock().unwrap().extend_from_slice(&chunk[..count]);
            }
        });
        Self { bytes, reader: Some(reader) }
    }

    fn is_whole(&self) -> bool {
        self.reader.as_ref().is_none_or(JoinHandle::is_finished)
    }

    fn text(&self) -> Vec<u8> {
        self.bytes.lock().unwrap().clone()
    }
}

/// The threads of a process that hangs, each with its system call as the kernel tells it: number and arguments.
fn threads(child: &Child) -> String {
    let mut text = String::new();
    for thread in fs::read_dir(format!("/proc/{}/task", child.id())).into_iter().flatten().flatten() {
        let read = |name| fs::read_to_string(thread.path().join(name)).unwrap_or_default();
        let _ = writeln!(text, "thread {} in {}", read("comm").trim(), read("syscall").trim());
    }
    text
}
