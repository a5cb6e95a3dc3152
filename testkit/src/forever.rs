//! Forever: the C program that enqueues from several threads until it is killed, and what it says it did.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use crate::compile::compile_c;
use crate::run;
use crate::tools::caller;

pub const THREADS: usize = 8;
/// Bytes of a thread's counters in the file.
const COUNTER_BYTES: usize = 64;

/// The compiled program.
pub struct Forever(PathBuf);

impl Forever {
    pub fn compile(out: &Path) -> Self {
        Self(compile_c("tests/c/enqueue_forever.c", out))
    }

    /// Starts it; items have up to `pad` bytes beyond their number.
    pub fn start(&self, counters: &Counters, pad: usize, settings: &[(&str, &str)]) -> Running {
        let mut command: Command = caller(&self.0);
        command.arg(&counters.0).arg(THREADS.to_string()).arg(pad.to_string());
        command.args(settings.iter().map(|(key, value)| format!("{key}={value}")));
        Running(command.spawn().unwrap())
    }
}

/// The running program. Dropping it kills it.
pub struct Running(Child);

impl Running {
    /// Kills it with SIGKILL; it must have been alive.
    pub fn kill(mut self) {
        let status = run::kill(&mut self.0);
        assert_eq!(status.signal(), Some(9), "it ended by itself: {status}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It is gone already after `kill`.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The file in which the program counts, over any number of runs.
pub struct Counters(PathBuf);

/// How far one thread has come, in items.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    pub handed: u64,
    pub acknowledged: u64,
}

impl Counters {
    pub fn new(path: PathBuf) -> Self {
        fs::write(&path, vec![0; THREADS * COUNTER_BYTES]).unwrap();
        Self(path)
    }

    pub fn read(&self) -> Vec<Progress> {
        let bytes = fs::read(&self.0).unwrap();
        let word = |at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap());
        let starts = (0..THREADS).map(|thread| thread * COUNTER_BYTES);
        starts.map(|at| Progress { handed: word(at), acknowledged: word(at + 8) }).collect()
    }

    pub fn acknowledged(&self) -> u64 {
        self.read().iter().map(|progress| progress.acknowledged).sum()
    }
}
