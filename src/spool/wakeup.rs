//! Wakeup: wakes threads that wait, without losing a wake-up that comes before the wait.

use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Instant;

use crate::os::lock::Unpoison;

/// Counts how often it was raised; each waiter remembers how far it has seen.
#[derive(Default)]
pub(crate) struct Wakeup {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    raised: u64,
    waiting: usize,
}

impl Wakeup {
    pub(crate) fn raise(&self) {
        let mut state = self.lock();
        state.raised += 1;
        let heard = state.waiting > 0;
        drop(state);
        // A wake-up is a system call, also when nobody is there to hear it.
        if heard {
            self.changed.notify_all();
        }
    }

    /// How often it was raised so far: what a later `wait` is to have seen.
    pub(crate) fn seen(&self) -> u64 {
        self.lock().raised
    }

    /// Waits until it was raised more often than `seen`, or `deadline`.
    pub(crate) fn wait(&self, seen: u64, deadline: Option<Instant>) {
        let mut state = self.lock();
        state.waiting += 1;
        while state.raised == seen {
            let Some(deadline) = deadline else {
                state = self.changed.wait(state).unpoisoned();
                continue;
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.changed.wait_timeout(state, left).unpoisoned().0;
        }
        state.waiting -= 1;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unpoisoned()
    }
}
