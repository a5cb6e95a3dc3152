//! Unstored: batches whose refused items wait until the rejected store can be written.

use std::collections::BTreeMap;
use std::time::Instant;

use super::Dispatch;
use crate::delivery::job::Job;

/// The batches, and what keeps them.
#[derive(Default)]
pub(super) struct Unstored {
    jobs: BTreeMap<u64, Job>,
    /// Why the store can't be written, and when to try again.
    trouble: Option<(String, Instant)>,
}

impl Unstored {
    /// A batch to try the store with.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Job> {
        let is_due = self.trouble.as_ref().is_none_or(|(_, until)| *until <= now);
        if is_due { self.jobs.pop_first().map(|(_, job)| job) } else { None }
    }

    /// When there is one, if there are any.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        let until = self.trouble.as_ref().map_or(now, |(_, until)| *until);
        (!self.jobs.is_empty()).then_some(until)
    }

    pub(super) fn bytes(&self) -> usize {
        self.jobs.values().map(Job::bytes).sum()
    }
}

impl Dispatch {
    /// The rejected store can't be written before `until`. Returns whether that is news.
    pub(in crate::delivery) fn note_store_trouble(&mut self, why: String, until: Instant) -> bool {
        let before = self.unstored.trouble.replace((why, until));
        let now = self.unstored.trouble.as_ref().map(|(why, _)| why);
        before.as_ref().map(|(why, _)| why) != now
    }

    /// The rejected store was written. Returns whether that is news.
    pub(in crate::delivery) fn end_store_trouble(&mut self) -> bool {
        self.has_changed |= self.has_unstored();
        self.unstored.trouble.take().is_some()
    }

    /// `job` is to be settled once the rejected store can be written. Others go on.
    pub(in crate::delivery) fn wait_for_store(&mut self, job: Job) {
        self.in_hand.remove(&job.first());
        self.trial.acquit(job.first());
        self.has_changed = true;
        self.unstored.jobs.insert(job.first(), job);
    }

    pub(in crate::delivery) fn has_unstored(&self) -> bool {
        !self.unstored.jobs.is_empty()
    }

    /// Why the rejected store can't be written, and when that is tried again.
    pub(in crate::delivery) fn store_trouble(&self) -> Option<(String, Instant)> {
        self.unstored.trouble.clone()
    }
}
