//! Round: one pass over all lanes of a spool in search of orphans, which several threads share.

use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{AcqRel, Acquire};

use crate::error::Error;
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
    pub(super) orphans: usize,
    /// Lanes that nobody owns and that can't be gone on with.
    pub(super) unusable: Vec<String>,
    /// Why it ended early.
    pub(super) error: Option<Error>,
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

    pub(super) fn found_orphan(&self) {
        self.found.lock().unpoisoned().orphans += 1;
    }

    pub(super) fn found_unusable(&self, name: String) {
        self.found.lock().unpoisoned().unusable.push(name);
    }

    /// Whether one more thread may join. It is counted as one that has.
    pub(super) fn may_join(&self) -> bool {
        let more = |threads| (threads < MOST_THREADS).then_some(threads + 1);
        let has_names = self.names.lock().unpoisoned().len() > 0;
        has_names && self.threads.fetch_update(AcqRel, Acquire, more).is_ok()
    }

    /// Nothing more is looked at in this round.
    pub(super) fn give_up(&self, why: Error) {
        *self.names.lock().unpoisoned() = Vec::new().into_iter();
        self.found.lock().unpoisoned().error.get_or_insert(why);
    }

    /// What was found, once all threads have ended.
    pub(super) fn take_found(&self) -> Found {
        std::mem::take(&mut self.found.lock().unpoisoned())
    }
}
