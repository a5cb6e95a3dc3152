//! Oversize: the slot through which an item that is too long for the ring reaches the committer.

use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

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
    /// The committer has it, and nobody waits for it any more.
    GivenUp,
    /// It is in the spool. Whether that survives a power cut is not known yet.
    Stored,
    /// For the caller.
    Done(Result<()>),
    /// The committer has ended.
    Closed,
}

/// How long it may take to bring an item of `bytes` bytes to stable storage: a disk that is slower does not keep up.
fn writing_time(bytes: u64) -> Duration {
    Duration::from_secs(1) + Duration::from_millis(bytes >> 13)
}

impl OversizeSlot {
    /// Hands `batch` to the committer, which `wake` wakes, and waits for the outcome. `None`: the slot is closed.
    ///
    /// It waits until `deadline`, and once the committer has begun for `writing_time` more.
    ///
    /// After `Full` the item is not stored and will not be.
    pub(super) fn store(&self, batch: Batch, deadline: Instant, wake: impl Fn()) -> Option<Result<()>> {
        let bytes = batch.items_bytes();
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
            let is_taken = mine.is_none() && !matches!(*state, Oversize::Waiting(_));
            let deadline = if is_taken { deadline + writing_time(bytes) } else { deadline };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Some(Err(self.leave(&mut state, mine.is_none(), bytes)));
            }
            state = self.changed.wait_timeout(state, left).unpoisoned().0;
        }
    }

    /// At the deadline of a caller, whose item is in the slot if `is_mine` says so.
    fn leave(&self, state: &mut Oversize, is_mine: bool, bytes: u64) -> Error {
        let left = match state {
            Oversize::Waiting(_) if is_mine => Oversize::Free,
            Oversize::Working if is_mine => Oversize::GivenUp,
            Oversize::Stored if is_mine => {
                *state = Oversize::GivenUp;
                let what = format!("an item of {bytes} bytes is stored, but not yet safe from a power cut");
                return Error::new(ErrorKind::Io, what);
            }
            _ => {
                return Error::new(
                    ErrorKind::Full,
                    format!("others wait to store items of more than {bytes} bytes"),
                );
            }
        };
        *state = left;
        self.changed.notify_all();
        let what = format!("an item of {bytes} bytes could not be stored in time: the disk does not keep up");
        Error::new(ErrorKind::Full, what)
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

    /// Whether the caller still waits for the batch that `take` gave. From here on it is stored.
    pub(crate) fn begin_storing(&self) -> bool {
        let mut state = self.lock();
        let is_awaited = matches!(*state, Oversize::Working);
        if is_awaited {
            *state = Oversize::Stored;
        }
        is_awaited
    }

    /// Tells the caller what became of the batch that `take` gave.
    pub(crate) fn finish(&self, outcome: Result<()>) {
        let mut state = self.lock();
        *state = if matches!(*state, Oversize::GivenUp) { Oversize::Free } else { Oversize::Done(outcome) };
        drop(state);
        self.changed.notify_all();
    }

    /// After a panic of the committer: lets the caller of a batch that was taken and not finished go.
    pub(crate) fn give_up(&self) {
        if matches!(*self.lock(), Oversize::Working | Oversize::Stored | Oversize::GivenUp) {
            self.finish(Err(Error::new(ErrorKind::Internal, "the item was given up in a panic")));
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
