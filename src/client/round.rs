//! Round: one pass over the lanes of a spool in search of orphans, which several threads share.

use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{AcqRel, Acquire};

use crate::os::lock::Unpoison;

/// Lanes of dead processes that are delivered at once, at most.
const MOST_THREADS: usize = 4;

/// What is left to look at, and what was found.
pub(super) struct Round {
    names: Mutex<std::vec::IntoIter<String>>,
    /// How many lanes that are nothing to adopt may still be passed.
    may_pass: AtomicUsize,
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
    /// The first lane that was not looked at.
    pub(super) go_on_from: Option<String>,
}

impl Round {
    /// A round over the lanes with these names, which the calling thread begins. It ends once it has passed `may_pass`
    /// lanes that are nothing to adopt.
    pub(super) fn new(names: Vec<String>, may_pass: usize) -> Self {
        Self {
            names: Mutex::new(names.into_iter()),
            may_pass: AtomicUsize::new(may_pass),
            threads: AtomicUsize::new(1),
            found: Mutex::default(),
        }
    }

    /// The next lane to look at.
    pub(super) fn next(&self) -> Option<String> {
        self.names.lock().unpoisoned().next()
    }

    /// The last lane was nothing to adopt.
    pub(super) fn has_passed(&self) {
        let left = self.may_pass.fetch_update(AcqRel, Acquire, |left| left.checked_sub(1));
        if left.is_ok_and(|left| left == 1) {
            let mut names = self.names.lock().unpoisoned();
            self.found.lock().unpoisoned().go_on_from = names.next();
            *names = Vec::new().into_iter();
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_round_ends_once_it_has_passed_enough_lanes() {
        let round = Round::new(names(&["a", "orphan", "b", "c", "d"]), 2);
        let mut seen = Vec::new();
        while let Some(name) = round.next() {
            if name != "orphan" {
                round.has_passed();
            }
            seen.push(name);
        }
        assert_eq!(seen, ["a", "orphan", "b"]);
        assert!(!round.has_more());
        assert_eq!(round.take_found().go_on_from.as_deref(), Some("c"));
    }

    #[test]
    fn a_round_that_passed_as_many_lanes_as_there_are_begins_anywhere() {
        let round = Round::new(names(&["a", "b"]), 2);
        while round.next().is_some() {
            round.has_passed();
        }
        assert_eq!(round.take_found().go_on_from, None);
    }
}
