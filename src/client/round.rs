//! Round: one pass over all lanes of a spool in search of orphans, which several threads share.

use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{AcqRel, Acquire};

use crate::os::lock::Unpoison;

/// Lanes of dead processes that are delivered at once, at most.
const MOST_THREADS: usize = 4;

/// What is left to look at, and what was found.
pub(super) struct Round {
    names: Mutex<std::vec::IntoIter<String>>,
    threads: AtomicUsize,
    found: Mutex<Found>,
}

/// What a round found.
#[derive(Default)]
pub(super) struct Found {
    /// Another round has something to do: an orphan is done with, or had to wait.
    pub(super) is_worth_another: bool,
    /// Lanes that nobody owns and that can't be gone on with.
    pub(super) unusable: Vec<String>,
}

impl Round {
    /// A round over the lanes with these names, which the calling thread begins.
    pub(super) fn new(names: Vec<String>) -> Self {
        Self { names: Mutex::new(names.into_iter()), threads: AtomicUsize::new(1), found: Mutex::default() }
    }

    /// The next lane to look at.
    pub(super) fn next(&self) -> Option<String> {
        self.names.lock().unpoisoned().next()
    }

    /// Whether there are lanes that nobody has looked at.
    pub(super) fn has_more(&self) -> bool {
        self.names.lock().unpoisoned().len() > 0
    }

    /// Another round has something to do.
    pub(super) fn is_worth_another(&self) {
        self.found.lock().unpoisoned().is_worth_another = true;
    }

    pub(super) fn found_unusable(&self, name: String) {
        self.found.lock().unpoisoned().unusable.push(name);
    }

    /// Whether one more thread may join. It is counted as one that has.
    pub(super) fn may_join(&self) -> bool {
        let more = |threads| (threads < MOST_THREADS).then_some(threads + 1);
        self.has_more() && self.threads.fetch_update(AcqRel, Acquire, more).is_ok()
    }

    /// What was found, once all threads have ended.
    pub(super) fn take_found(&self) -> Found {
        std::mem::take(&mut self.found.lock().unpoisoned())
    }
}
