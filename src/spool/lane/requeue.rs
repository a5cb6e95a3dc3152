//! Requeue: rejected items that go back on their way.

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{AcqRel, Release};

use crate::config::Validation;
use crate::error::Result;
use crate::item::Item;
use crate::os::lock::Unpoison;
use crate::spool::journal::HeaderCounter;
use crate::spool::lane::Lane;

/// Who puts rejected items back, and whether there may be any to put back.
#[derive(Default)]
pub(super) struct Requeue {
    /// Held by the thread that puts items back: two at once would put back the same ones.
    alone: Mutex<()>,
    /// Items may be in the rejected store for want of a key that is known by now.
    late_key: AtomicBool,
}

impl Lane {
    /// Puts rejected items back on their way as new items: the groups whose reason is `wanted`. Those that are
    /// just being set aside wait for the next time.
    ///
    /// `Full`, `Io`, `ShutDown`: some were moved, the others stay where they are.
    pub(crate) fn requeue(&self, wanted: impl Fn(&str) -> bool) -> Result<()> {
        let _alone = self.requeue.alone.lock().unpoisoned();
        let (journal, rejected) = (self.stores.journal(), self.stores.rejected());
        let cursor = journal.checkpoint().cursor;
        for group in rejected.groups()?.iter().filter(|group| wanted(&group.reason)) {
            if !group.is_settled(cursor) {
                // A death before that would send its batch again, besides what went back on its way.
                self.note_late_key();
                continue;
            }
            let mut moved = Vec::new();
            let outcome: Result<()> = group.items.iter().try_for_each(|(seq, json)| {
                self.enqueue(&Item::check(json, &group.key_name, usize::MAX, Validation::None)?)?;
                moved.push(*seq);
                Ok(())
            });
            // The store's copies go only when the new ones can't get lost any more.
            self.sync()?;
            let removed = rejected.remove(&moved)?;
            journal.add_counter(HeaderCounter::Requeued, removed);
            outcome?;
        }
        Ok(())
    }

    /// Notes that a key is known by now that some rejected items may want.
    pub(crate) fn note_late_key(&self) {
        self.requeue.late_key.store(true, Release);
    }

    /// Whether there was such a note since the last call.
    pub(crate) fn take_late_key(&self) -> bool {
        self.requeue.late_key.swap(false, AcqRel)
    }
}
