//! Mover: the lane's side toward the committer, which moves items into segments and syncs the journal.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::Instant;

use crate::spool::wakeup::Wakeup;

/// What the committer and the threads that it serves tell one another.
#[derive(Default)]
pub(crate) struct Mover {
    /// Work for the committer.
    wakeup: Wakeup,
    /// The lane takes as much disk as it may: a full ring means a full spool.
    full: AtomicBool,
    /// The checkpoint has not changed since the last sync began.
    clean: AtomicBool,
}

impl Mover {
    pub(crate) fn wake(&self) {
        self.wakeup.raise();
    }

    /// What a later `wait` is to have seen.
    pub(crate) fn seen(&self) -> u64 {
        self.wakeup.seen()
    }

    pub(crate) fn wait(&self, seen: u64, deadline: Option<Instant>) {
        self.wakeup.wait(seen, deadline);
    }

    pub(crate) fn is_full(&self) -> bool {
        self.full.load(Acquire)
    }

    pub(crate) fn set_full(&self, full: bool) {
        self.full.store(full, Release);
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.clean.load(Relaxed)
    }

    pub(crate) fn set_clean(&self, clean: bool) {
        self.clean.store(clean, Relaxed);
    }

    /// The checkpoint has changed. Wakes the committer if it does not know yet that there is something to sync, when it
    /// has segments to remove, and when a full spool may have won room.
    pub(super) fn note_settled(&self, has_passed_segments: bool, wins_room: bool) {
        let was_clean = self.clean.swap(false, Relaxed);
        if was_clean || has_passed_segments || wins_room && self.full.load(Relaxed) {
            self.wake();
        }
    }
}
