//! Oversize: the slot through which an item that is too long for the ring reaches the committer.

use std::sync::{Condvar, Mutex, MutexGuard};

use crate::batch::Batch;
use crate::error::{Error, ErrorKind, Result};
use crate::os::lock::Unpoison;

/// Where a caller leaves an oversize item, as a batch of its own, and finds the outcome. One item at a time.
#[derive(Default)]
pub(crate) struct OversizeSlot {
    state: Mutex<Oversize>,
    changed: Condvar,
}

#[derive(Default)]
enum Oversize {
    #[default]
    Free,
    /// For the committer.
    Waiting(Batch),
    /// The committer has it.
    Working,
    /// For the caller.
    Done(Result<()>),
    /// The committer has ended.
    Closed,
}

impl OversizeSlot {
    /// Hands `batch` to the committer, which `wake` wakes, and waits for the outcome. `None`: the slot is closed.
    pub(super) fn store(&self, batch: Batch, wake: impl Fn()) -> Option<Result<()>> {
        let mut state = self.lock();
        let mut mine = Some(batch);
        loop {
            match (&mut *state, mine.take()) {
                (Oversize::Closed, _) => return None,
                (Oversize::Free, Some(batch)) => {
                    *state = Oversize::Waiting(batch);
                    wake();
                }
                (Oversize::Done(_), None) => {
                    let done = std::mem::replace(&mut *state, Oversize::Free);
                    self.changed.notify_all();
                    return if let Oversize::Done(outcome) = done { Some(outcome) } else { None };
                }
                (_, unsent) => mine = unsent,
            }
            state = self.changed.wait(state).unpoisoned();
        }
    }

    /// The batch that waits, if one does. `finish` is due for it.
    pub(crate) fn take(&self) -> Option<Batch> {
        let mut state = self.lock();
        match std::mem::replace(&mut *state, Oversize::Working) {
            Oversize::Waiting(batch) => Some(batch),
            other => {
                *state = other;
                None
            }
        }
    }

    /// Tells the caller what became of the batch that `take` gave.
    pub(crate) fn finish(&self, outcome: Result<()>) {
        *self.lock() = Oversize::Done(outcome);
        self.changed.notify_all();
    }

    /// After a panic of the committer: lets the caller of a batch that was taken and not finished go.
    pub(crate) fn give_up(&self) {
        let mut state = self.lock();
        if matches!(*state, Oversize::Working) {
            *state = Oversize::Done(Err(Error::new(ErrorKind::Internal, "the item was given up in a panic")));
            self.changed.notify_all();
        }
    }

    /// Takes no item from now on.
    pub(crate) fn close(&self) {
        *self.lock() = Oversize::Closed;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Oversize> {
        self.state.lock().unpoisoned()
    }
}
