//! Put off: what is known of refused items that went to the end of the queue, so that they are not sent again.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard};

use super::job::{BadItem, Job, Known};
use crate::batch::Batch;
use crate::os::lock::Unpoison;

/// The items by key name and content: their seqs change when items are sorted by key. A restart forgets them; then they
/// are sent again.
#[derive(Default)]
pub(super) struct PutOff {
    known: Mutex<HashMap<u64, Known>>,
    hasher: RandomState,
}

impl PutOff {
    /// Remembers the items that were refused alone.
    pub(super) fn remember(&self, items: &[BadItem]) {
        let mut known = self.lock();
        known.extend(items.iter().map(|bad| (self.name_of(&bad.item), Known::of(bad))));
    }

    /// Forgets what is in the rejected store now.
    pub(super) fn forget(&self, item: &Batch) {
        let mut known = self.lock();
        if !known.is_empty() {
            known.remove(&self.name_of(item));
        }
    }

    /// Takes the items that are known out of what is to be sent of `job`, which is new.
    pub(super) fn withhold(&self, job: &mut Job) {
        let known = self.lock();
        if known.is_empty() {
            return;
        }
        let stored = job.stored.clone();
        for at in 0..stored.batch.len() {
            let item = stored.batch.slice(at..at + 1);
            if let Some(why) = known.get(&self.name_of(&item)) {
                job.withhold(at, item, why);
            }
        }
    }

    fn name_of(&self, item: &Batch) -> u64 {
        self.hasher.hash_one((item.key_name(), item.joined()))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Known>> {
        self.known.lock().unpoisoned()
    }
}
