//! Threads: the background threads of one job, counted, so that their end can be waited for with a limit.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use crate::config::{Level, Log};
use crate::error::{Error, Result};
use crate::os::fork;
use crate::os::lock::Unpoison;

/// How long threads that were told to end are waited for. A connection being made is the one thing that can't
/// be interrupted: a thread that makes one ends by itself, a little later.
const STOP_GRACE: Duration = Duration::from_millis(500);

/// The pause after a panic, for one that comes at every turn. Shorter than the wait for a thread's end.
const BEGIN_AGAIN_AFTER: Duration = Duration::from_millis(200);

/// Threads that were started together.
#[derive(Default)]
pub(crate) struct Threads(Arc<Count>);

#[derive(Default)]
struct Count {
    running: Mutex<usize>,
    ended: Condvar,
}

impl Threads {
    /// Starts a thread named `spanspool-<role>`. It ends when `work` comes back.
    ///
    /// A panic does not end it: `log` is told, and `work` begins again. It has to put in order what it left behind.
    pub(crate) fn spawn(
        &self,
        role: &'static str,
        log: &Log,
        mut work: impl FnMut() + Send + 'static,
    ) -> Result<()> {
        let running = Running::new(&self.0);
        let log = log.clone();
        let started = fork::spawn(role, move || {
            let _running = running;
            while let Err(payload) = catch_unwind(AssertUnwindSafe(&mut work)) {
                let error = Error::defect(payload);
                log.line(Level::Error, format_args!("thread spanspool-{role} begins again: {error}"));
                std::thread::sleep(BEGIN_AGAIN_AFTER);
            }
        });
        started.map(drop).map_err(|e| Error::io("start a thread", &e))
    }

    /// Waits until at most `left` threads run; `false` when that takes too long.
    pub(crate) fn wait_for(&self, left: usize) -> bool {
        let running = self.0.running.lock().unpoisoned();
        let outcome = self.0.ended.wait_timeout_while(running, STOP_GRACE, |running| *running > left);
        *outcome.unpoisoned().0 <= left
    }
}

/// A thread that is counted for as long as this is kept.
struct Running(Arc<Count>);

impl Running {
    fn new(count: &Arc<Count>) -> Self {
        count.change(|running| *running += 1);
        Self(count.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.change(|running| *running -= 1);
    }
}

impl Count {
    fn change(&self, change: impl FnOnce(&mut usize)) {
        change(&mut self.running.lock().unpoisoned());
        self.ended.notify_all();
    }
}
