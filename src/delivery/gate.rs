//! Gate: whether a request may be made now: open, or shut by a backoff or a hold until some time.

use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::export::Backoff;
use crate::os::lock::Unpoison;

/// One gate for all drain threads: when the ingest is down, one of them tries and the others wait for it.
pub(super) struct Gate {
    state: Mutex<State>,
    changed: Condvar,
    /// Time between probes while on hold.
    probe_after: Duration,
}

struct State {
    /// Until when it is shut.
    shut_until: Option<Instant>,
    /// Why it was shut last, as long as nothing was accepted since: the same again is no news.
    told: Option<Why>,
    backoff: Backoff,
}

/// Why the gate is shut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Why {
    Backoff(String),
    Hold(String),
}

impl Gate {
    pub(super) fn new(backoff: Backoff, probe_after: Duration) -> Self {
        Self {
            state: Mutex::new(State { shut_until: None, told: None, backoff }),
            changed: Condvar::new(),
            probe_after,
        }
    }

    /// Waits until a request may be made; `false` when `stopped` says so. The thread that is let through a
    /// shut gate probes for all.
    pub(super) fn pass(&self, stopped: impl Fn() -> bool) -> bool {
        let mut state = self.lock();
        loop {
            if stopped() {
                return false;
            }
            let Some(until) = state.shut_until else { return true };
            let now = Instant::now();
            if until <= now {
                state.shut_until = Some(now + self.probe_after);
                return true;
            }
            let wait = until - now;
            state = self.changed.wait_timeout(state, wait).unpoisoned().0;
        }
    }

    /// Opens the gate: the ingest answers. When it `accepted` something, says whether that is news.
    pub(super) fn open(&self, accepted: bool) -> bool {
        let mut state = self.lock();
        state.backoff.reset();
        if state.shut_until.take().is_some() {
            self.changed.notify_all();
        }
        accepted && state.told.take().is_some()
    }

    /// Shuts the gate after a failure, for at least `at_least`. Returns until when, and whether that is news.
    pub(super) fn shut(&self, why: Why, at_least: Option<Duration>) -> (Instant, bool) {
        let mut state = self.lock();
        let wait = match why {
            Why::Backoff(_) => state.backoff.next().max(at_least.unwrap_or_default()),
            Why::Hold(_) => self.probe_after,
        };
        let until = Instant::now() + wait;
        state.shut_until = Some(until);
        let news = state.told.as_ref() != Some(&why);
        state.told = Some(why);
        (until, news)
    }

    /// Lets the next request through at once; the threads look whether they are stopped.
    pub(super) fn wake(&self) {
        if let Some(until) = &mut self.lock().shut_until {
            *until = Instant::now();
        }
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unpoisoned()
    }
}
