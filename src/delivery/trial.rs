//! Trial: whether the items or the endpoint are at fault when the ingest refuses, and what to ask it next.
//!
//! A refusal (400, 422) of a whole batch is no proof against its items: a wrong path or a proxy refuses everything, and
//! then nothing may be given up. The rules:
//!
//! - A batch is **unproven** when items of it were refused alone and nothing of it was accepted.
//! - When anything is accepted, by any thread, the **endpoint accepts**. From then on what it refuses is bad, and
//!   unproven batches go back to be sent to their end.
//! - While batches are unproven, a batch that was not tried yet is asked for: it may be the **confirming** one.
//! - When as many as allowed are unproven, the endpoint is held responsible: hold, then try the oldest again, with one
//!   item each. Bad items may come in a row, so each hold allows one more batch.
//!
//! Pure: it knows no thread, clock or disk. The delivery loop asks [`Trial::next`] and reports to the [`Job`].

use std::collections::VecDeque;

use super::job::{BadItem, Job};

/// Batches that are tried before refusals of all their items are put down to the endpoint, and after each hold.
const FIRST_TRIED: usize = 2;
/// No further batch is tried once those that are unproven have so many bytes of items: they are in memory.
const MAX_UNPROVEN_BYTES: usize = 16 << 20;

/// The batches of one delivery thread, and what is known of the endpoint.
pub(super) struct Trial {
    /// To be sent; the first is under way.
    waiting: VecDeque<Job>,
    unproven: Vec<Job>,
    /// Something was accepted since the last hold.
    endpoint_accepts: bool,
    /// How many batches may be unproven before the endpoint is held responsible.
    max_unproven: usize,
}

/// What to do next.
pub(super) enum Next<'a> {
    /// Send the job's next part, and tell the job what became of it.
    Send(&'a mut Job),
    /// Record what became of the batch: no part is left, or the rest is not to be sent.
    Settle(Job),
    /// Add a batch that was not tried yet, or hold when there is none.
    Confirm,
    /// Everything is refused: wait, then call [`Trial::begin_again`].
    Hold,
    /// Nothing is left.
    Done,
}

impl Trial {
    pub(super) fn new(jobs: impl IntoIterator<Item = Job>) -> Self {
        Self {
            waiting: jobs.into_iter().collect(),
            unproven: Vec::new(),
            endpoint_accepts: false,
            max_unproven: FIRST_TRIED,
        }
    }

    /// Adds the batch that [`Next::Confirm`] asked for.
    pub(super) fn add(&mut self, job: Job) {
        self.waiting.push_back(job);
    }

    /// What to do now. `accepted`: since the trial began, the endpoint accepted something of the client's own lane,
    /// whichever thread sent it.
    pub(super) fn next(&mut self, accepted: bool) -> Next<'_> {
        while let Some(job) = self.waiting.pop_front() {
            if job.is_unproven() && !self.endpoint_accepts {
                self.unproven.push(job);
                self.learn(accepted);
            } else if job.is_done() {
                self.learn(job.delivered > 0);
                return Next::Settle(job);
            } else {
                self.waiting.push_front(job);
                break;
            }
        }
        match self.waiting.front_mut() {
            Some(job) => Next::Send(job),
            None if self.unproven.is_empty() => Next::Done,
            None if self.unproven.len() < self.max_unproven => Next::Confirm,
            None => Next::Hold,
        }
    }

    /// An item that speaks for the hold.
    pub(super) fn bad_item(&self) -> Option<&BadItem> {
        self.unproven.iter().flat_map(|job| &job.bad_items).next()
    }

    /// After a hold: the oldest batches are tried again, and one that was not tried yet if all is still refused.
    pub(super) fn begin_again(&mut self) {
        let bytes: usize = self.unproven.iter().map(|job| job.stored.batch.joined().len()).sum();
        self.max_unproven = self.unproven.len() + usize::from(bytes < MAX_UNPROVEN_BYTES);
        self.unproven = self.unproven.drain(..).map(Job::restart).collect();
        self.unproven.sort_by_key(|job| job.stored.batch.first());
        self.waiting.extend(self.unproven.drain(..FIRST_TRIED.min(self.unproven.len())));
        self.endpoint_accepts = false;
    }

    fn learn(&mut self, accepts: bool) {
        self.endpoint_accepts |= accepts;
        if self.endpoint_accepts {
            self.waiting.extend(self.unproven.drain(..));
        }
    }
}

#[cfg(test)]
mod tests;
