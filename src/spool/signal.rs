//! Signal: wakes threads that wait, without losing a wake-up that comes before the wait.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Instant;

/// Counts how often it was raised; each waiter remembers how far it has seen.
#[derive(Default)]
pub(crate) struct Signal {
    raised: Mutex<u64>,
    changed: Condvar,
}

impl Signal {
    pub(crate) fn raise(&self) {
        *self.raised.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.changed.notify_all();
    }

    /// How often it was raised so far: what a later `wait` is to have seen.
    pub(crate) fn seen(&self) -> u64 {
        *self.raised.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it was raised more often than `seen`, or `deadline`.
    pub(crate) fn wait(&self, seen: u64, deadline: Option<Instant>) {
        let mut raised = self.raised.lock().unwrap_or_else(PoisonError::into_inner);
        while *raised == seen {
            let Some(deadline) = deadline else {
                raised = self.changed.wait(raised).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            raised = self.changed.wait_timeout(raised, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
