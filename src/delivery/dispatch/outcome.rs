//! Outcome: what an answer of the ingest does to the gates, the trial and the batch.

use std::time::{Duration, Instant};

use super::{Dispatch, ERRORS_BEFORE_YIELD, FAILURES_BEFORE_DOUBT, SetAside};
use crate::delivery::gate::{Permit, Reply};
use crate::delivery::job::{Job, Refusal};
use crate::delivery::key_gates::KeyPermit;
use crate::export::{Answer, quote};

/// The permits of a request: the endpoint's, and its key's.
pub(super) type Permits = (Permit, KeyPermit);

/// Why a request is to be made again: status, how long the ingest asks to wait, reason.
pub(super) type Failure = (u16, Option<Duration>, String);

impl Dispatch {
    /// The part was refused with `answer`.
    pub(super) fn refused(
        &mut self,
        mut job: Job,
        permit: Permit,
        refusal: Refusal,
        answer: Answer,
        now: Instant,
        accepted: u64,
    ) {
        self.answer(permit, Reply::Refused, now);
        job.refused(refusal, answer);
        if refusal.is_doubtful() && !job.is_proven(accepted) {
            self.in_hand.remove(&job.first());
            let sent_on = self.trial.refused(job, accepted);
            // Others wait now, or have one more to test.
            self.has_changed = true;
            if let Some(job) = sent_on {
                self.put(job, now);
            } else if self.trial.is_exhausted() {
                self.hold(now, accepted);
            }
        } else {
            self.put(job, now);
        }
    }

    /// What an answer of 413 to the next part says.
    pub(super) fn refusal_of_size(&self, job: &Job) -> Refusal {
        let is_longest = job.part().body().len() > self.most_accepted_bytes && self.most_accepted_bytes > 0;
        if job.is_divisible() || is_longest { Refusal::Size } else { Refusal::UnlikelySize }
    }

    /// Everything is refused: nothing of this lane is sent until it is time to probe.
    pub(super) fn hold(&mut self, now: Instant, accepted: u64) {
        let bad = self.trial.bad_item();
        let (status, said) =
            bad.map_or((0, String::new()), |bad| (bad.answer.status, quote(&bad.answer.body)));
        let reason = format!("every item is refused with {status}{said}");
        let news = self.passage.hold(self.trial.epoch(), reason, now);
        self.note(None, news);
        self.trial.hold(accepted).into_iter().for_each(|job| self.put(job, now));
        self.has_changed = true;
    }

    /// The request is to be made again. Gives the batch back when that was tried often enough.
    pub(super) fn retry(
        &mut self,
        mut job: Job,
        (permit, key_permit): Permits,
        (status, after, reason): Failure,
        now: Instant,
        (accepted, tried_at): (u64, u64),
    ) -> Option<SetAside> {
        job.attempts += 1;
        let is_of_key = !job.key_name().is_empty() && (status == 429 || status == 503 && after.is_some());
        let others_accepted = accepted > tried_at;
        // It asks for no pause, and others were accepted meanwhile: an ingest that fails now and then.
        let is_alone = after.is_none() && status != 429 && accepted > job.begun_at && self.passage.is_open();
        let errors = match status {
            500 => job.erred(job.is_proven(accepted)),
            // The ingest itself is there, and says neither that it is the batch nor when to come back.
            408 | 409 | 425 | 501.. if status != 503 && after.is_none() => {
                Some(job.attempts.saturating_sub(FAILURES_BEFORE_DOUBT))
            }
            _ => Some(0),
        };
        let is_given_up = self.limits.max_retries > 0 && job.attempts >= self.limits.max_retries;
        let set_aside = is_given_up.then(|| (status, reason.clone()));
        match errors {
            None if !is_given_up => {
                let answer = Answer { status, body: reason.into_bytes() };
                self.refused(job, permit, Refusal::Content, answer, now, accepted);
                return None;
            }
            Some(1..) if others_accepted => drop(permit),
            _ if is_of_key => {
                // The endpoint answers 429. Whether another key fares better than with 503 is to be probed.
                match status {
                    429 => self.answer(permit, Reply::Refused, now),
                    _ => drop(permit),
                }
                self.key_failed(&job, key_permit, Reply::Retry { reason, after }, now);
                if set_aside.is_none() {
                    self.put_before_key(job);
                    return None;
                }
            }
            _ if is_alone => self.passage.failed_alone(permit),
            _ => self.answer(permit, Reply::Retry { reason, after }, now),
        }
        if let Some((status, answer)) = set_aside {
            return Some(SetAside { job, status, reason: "max_retries".into(), answer });
        }
        job.not_before = match self.own_delay(errors, others_accepted, now) {
            None if is_alone => Some(now + self.limits.backoff.after(job.attempts)),
            delay => delay,
        };
        self.put(job, now);
        None
    }

    /// Until when a batch waits that was answered with errors so often, whatever the gate says.
    fn own_delay(&self, errors: Option<u32>, others_accepted: bool, now: Instant) -> Option<Instant> {
        let errors = errors?;
        let until = self.passage.wait(now);
        match (others_accepted && errors > 0, until) {
            (true, _) => Some(now + self.limits.backoff.after(errors)),
            // Twice as long as the gate is shut: the next probe is another batch, if there is one.
            (false, Some(until)) if errors >= ERRORS_BEFORE_YIELD => Some(until + (until - now)),
            _ => None,
        }
    }

    pub(super) fn answer(&mut self, permit: Permit, reply: Reply, now: Instant) {
        let news = self.passage.answer(permit, reply, now);
        self.note(None, news);
    }
}
