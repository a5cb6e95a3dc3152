//! Trial: whether the items or the endpoint are at fault when the ingest refuses, and what to ask it next.
//!
//! A refusal (400, 422) of a whole batch is no proof against its items: a wrong path or a proxy refuses everything, and
//! then nothing may be given up. The rules:
//!
//! - A batch is **unproven** when items of it were refused alone, and nothing was accepted since it was sent first.
//! - While there is doubt, one batch at a time is tested: the **suspect**. All other batches wait.
//! - When anything is accepted, of whatever batch, doubt ends. What was refused is bad, and all go back to be sent to
//!   their end.
//! - When as many batches as allowed are found unproven, the endpoint is held responsible: hold. After it a few are
//!   tested again with two requests each: the batch whole, and one item of it alone. They are the oldest one, another
//!   one in turn, and one that was not tested yet, because bad items may come in a row.
//!
//! Pure: it knows no thread, clock or disk.

use super::job::{BadItem, Job};

/// Batches that are tested before refusals of all their items are put down to the endpoint.
const FIRST_TESTED: usize = 2;

/// What is known of the endpoint.
#[derive(Default)]
pub(super) struct Trial {
    doubt: Option<Doubt>,
    /// Sorted by their first item.
    unproven: Vec<Job>,
    /// Holds so far.
    holds: usize,
}

struct Doubt {
    /// The first item of the batch under test.
    suspect: Option<u64>,
    /// How many more may be found unproven before the endpoint is held responsible.
    left: usize,
    /// Requests that were accepted when doubt, or the last hold, began.
    since: u64,
    /// The gate of doubt's epoch when what was refused last was sent.
    epoch: u64,
    /// After a hold batches are tested with few requests.
    is_after_hold: bool,
}

impl Trial {
    pub(super) fn is_in_doubt(&self) -> bool {
        self.doubt.is_some()
    }

    /// Whether the endpoint has accepted something since doubt began: it has accepted `accepted` requests.
    pub(super) fn is_settled_by(&self, accepted: u64) -> bool {
        self.doubt.as_ref().is_some_and(|doubt| accepted > doubt.since)
    }

    /// The batch under test.
    pub(super) fn suspect(&self) -> Option<u64> {
        self.doubt.as_ref()?.suspect
    }

    /// Makes `job` the batch under test.
    pub(super) fn test(&mut self, job: Job) -> Job {
        let Some(doubt) = &mut self.doubt else { return job };
        doubt.suspect = Some(job.first());
        if doubt.is_after_hold && job.is_untouched() { job.probe() } else { job }
    }

    /// The batch under test is not to be tested any more.
    pub(super) fn acquit(&mut self, first: u64) {
        if let Some(doubt) = &mut self.doubt {
            doubt.suspect.take_if(|suspect| *suspect == first);
        }
    }

    /// Something of `job` was refused, and nothing was accepted since it was sent. Gives it back if it is to be sent on,
    /// and all of it again if another batch is under test.
    pub(super) fn refused(&mut self, job: Job, accepted: u64) -> Option<Job> {
        let (first, epoch) = (job.first(), job.doubt_epoch);
        let doubt = self.doubt.get_or_insert(Doubt {
            suspect: Some(first),
            left: FIRST_TESTED,
            since: accepted,
            epoch,
            is_after_hold: false,
        });
        doubt.epoch = epoch;
        if *doubt.suspect.get_or_insert(first) != first {
            return Some(job.restart());
        }
        if !job.is_unproven() {
            return Some(job);
        }
        doubt.suspect = None;
        doubt.left = doubt.left.saturating_sub(1);
        let at = self.unproven.partition_point(|other| other.first() < first);
        self.unproven.insert(at, job);
        None
    }

    /// Whether the endpoint is to be held responsible now.
    pub(super) fn is_exhausted(&self) -> bool {
        self.doubt.as_ref().is_some_and(|doubt| doubt.left == 0)
    }

    /// The gate of doubt's epoch when what was refused last was sent.
    pub(super) fn epoch(&self) -> u64 {
        self.doubt.as_ref().map_or(0, |doubt| doubt.epoch)
    }

    /// An item that speaks for the hold.
    pub(super) fn bad_item(&self) -> Option<&BadItem> {
        self.unproven.iter().rev().flat_map(|job| &job.bad_items).next()
    }

    /// The endpoint is held responsible. Returns what is to be tested after the hold.
    pub(super) fn hold(&mut self, accepted: u64) -> Vec<Job> {
        self.unproven = self.unproven.drain(..).map(Job::probe).collect();
        self.unproven.iter_mut().for_each(|job| job.since = Some(accepted));
        let mut tested = Vec::new();
        if !self.unproven.is_empty() {
            tested.push(self.unproven.remove(0));
        }
        if !self.unproven.is_empty() {
            tested.push(self.unproven.remove(self.holds % self.unproven.len()));
        }
        self.holds += 1;
        let (left, since, epoch) = (tested.len() + 1, accepted, self.epoch());
        self.doubt = Some(Doubt { suspect: None, left, since, epoch, is_after_hold: true });
        tested
    }

    /// Doubt is over. Returns what was found unproven.
    pub(super) fn end(&mut self) -> Vec<Job> {
        self.doubt = None;
        self.holds = 0;
        std::mem::take(&mut self.unproven)
    }

    /// Memory that the unproven batches take.
    pub(super) fn bytes(&self) -> usize {
        self.unproven.iter().map(Job::bytes).sum()
    }
}
