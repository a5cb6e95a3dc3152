//! Threads: the background threads of one job, counted, so that their end can be waited for with a limit.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::fork;

/// How long threads that were told to end are waited for. A connection being made is the one thing that can't
/// be interrupted: a thread that makes one ends by itself, a little later.
const STOP_GRACE: Duration = Duration::from_millis(500);

/// Threads that were started together.
#[derive(Default)]
pub(crate) struct Threads(Arc<Count>);

#[derive(Default)]
struct Count {
    running: Mutex<usize>,
    ended: Condvar,
}

impl Threads {
    /// Starts a thread named `spanspool-<role>`.
    pub(crate) fn spawn(&self, role: &str, work: impl FnOnce() + Send + 'static) -> Result<()> {
        let count = self.0.clone();
        count.change(|running| *running += 1);
        let started = fork::spawn(role, move || {
            work();
            count.change(|running| *running -= 1);
        });
        started.map(drop).map_err(|e| {
            self.0.change(|running| *running -= 1);
            Error::io("start a thread", &e)
        })
    }

    /// Waits until at most `left` threads run; `false` when that takes too long.
    pub(crate) fn wait_for(&self, left: usize) -> bool {
        let running = self.0.running.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = self.0.ended.wait_timeout_while(running, STOP_GRACE, |running| *running > left);
        *outcome.unwrap_or_else(PoisonError::into_inner).0 <= left
    }
}

impl Count {
    fn change(&self, change: impl FnOnce(&mut usize)) {
        change(&mut self.running.lock().unwrap_or_else(PoisonError::into_inner));
        self.ended.notify_all();
    }
}
