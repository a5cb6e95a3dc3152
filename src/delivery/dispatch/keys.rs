//! Keys: what the ingest says to a key concerns the batches that are sent with it, of whatever lane.
//!
//! The gate before a key is shared by all lanes. The batches that wait at it are their lane's.

use std::time::Instant;

use super::{Dispatch, SetAside, key_refused};
use crate::delivery::gate::{News, Permit, Reply};
use crate::delivery::job::Job;
use crate::delivery::key_gates::KeyPermit;

/// Whether a hold with this status is that of the job's key.
pub(super) fn is_of_key(job: &Job, status: u16) -> bool {
    matches!(status, 401 | 403) || status == 429 && !job.key_name().is_empty()
}

impl Dispatch {
    /// The batch can't be sent for want of a key that may be sent, as was found when the gates had been woken `wakes` times.
    /// Nothing was asked of the endpoint.
    pub(in crate::delivery) fn hold_key(&mut self, job: Job, reason: String, wakes: u64, now: Instant) {
        let news = {
            let mut keys = self.passage.keys();
            if keys.wakes() != wakes {
                drop(keys);
                // There may be a key by now.
                return self.put(job, now);
            }
            let gate = &mut keys.put_up(job.key_name()).gate;
            gate.close(gate.epoch(), reason, now)
        };
        self.note(Some(job.key_name().to_owned()), news);
        self.put_before_key(job);
        self.passage.note_change();
    }

    /// The answer with which the job is set aside, since its key is refused; `None`: it waits at its key's gate, if that
    /// is shut.
    pub(super) fn key_refusal(&self, job: &Job, now: Instant) -> Option<(u16, String)> {
        self.passage.keys().get(job.key_name())?.refusal(now).cloned()
    }

    /// Whether the job's key may not be sent with now.
    pub(super) fn is_key_shut(&self, job: &Job, now: Instant) -> bool {
        self.passage.keys().wait(job.key_name(), now).is_some()
    }

    /// Lets a request with the job's key begin.
    pub(super) fn enter_key(&self, job: &Job, now: Instant) -> KeyPermit {
        self.passage.keys().enter(job.key_name(), now)
    }

    /// A batch that waited for its key and may probe it.
    pub(super) fn candidate_of_key(&mut self, now: Instant) -> Option<Job> {
        let keys = self.passage.keys();
        let due = |(name, _): &(&String, &mut _)| keys.wait(name, now).is_none();
        let (_, job) = self.at_keys.iter_mut().filter(due).find_map(|(_, jobs)| jobs.pop_first())?;
        self.key_bytes -= job.bytes();
        Some(job)
    }

    /// When a batch that waits for its key may be sent at the latest.
    pub(super) fn due_of_keys(&self, now: Instant) -> Option<Instant> {
        let keys = self.passage.keys();
        let waiting = self.at_keys.iter().filter(|(_, jobs)| !jobs.is_empty());
        waiting.filter_map(|(name, _)| keys.wait(name, now)).min()
    }

    /// The ingest refuses the key, or forbids it to try again. Gives the batch back if it is to be set aside.
    pub(super) fn refused_key(
        &mut self,
        job: Job,
        permit: Permit,
        key_permit: KeyPermit,
        (status, reason): (u16, String),
        now: Instant,
    ) -> Option<SetAside> {
        self.answer(permit, Reply::Refused, now);
        let is_set_aside = status != 429 && !job.key_name().is_empty();
        let news = {
            let mut keys = self.passage.keys();
            if keys.were_woken(&key_permit) {
                drop(keys);
                // There may be another key by now.
                self.put(job, now);
                return None;
            }
            let news = keys.failed(job.key_name(), key_permit, Reply::Hold(reason.clone()), now);
            if is_set_aside {
                keys.put_up(job.key_name()).refused = Some((status, reason.clone()));
            }
            news
        };
        self.note_key(&job, news);
        if !is_set_aside {
            self.put_before_key(job);
            return None;
        }
        self.release_keys(now);
        Some(key_refused(job, status, reason))
    }

    /// The ingest answered a request with the job's key.
    pub(super) fn key_answered(&mut self, job: &Job, permit: KeyPermit, now: Instant) {
        let Some(permit) = permit.permit else { return };
        let (news, is_open) = {
            let mut keys = self.passage.keys();
            let Some(key) = keys.get_mut(job.key_name()) else { return };
            let news = key.gate.answer(permit, Reply::Accepted, now);
            let is_open = key.gate.is_open();
            if is_open {
                keys.take_down(job.key_name());
            }
            (news, is_open)
        };
        if is_open {
            self.passage.note_change();
        }
        self.release_keys(now);
        self.note(Some(job.key_name().to_owned()), news);
    }

    /// The ingest put off the job's key.
    pub(super) fn key_failed(&mut self, job: &Job, permit: KeyPermit, reply: Reply, now: Instant) {
        let news = self.passage.keys().failed(job.key_name(), permit, reply, now);
        self.note_key(job, news);
    }

    /// The gate before the job's key has changed.
    fn note_key(&mut self, job: &Job, news: Option<News>) {
        self.at_keys.entry(job.key_name().to_owned()).or_default();
        self.note(Some(job.key_name().to_owned()), news);
        self.has_changed = true;
        self.passage.note_change();
    }

    pub(super) fn put_before_key(&mut self, job: Job) {
        self.in_hand.remove(&job.first());
        self.trial.acquit(job.first());
        self.key_bytes += job.bytes();
        self.at_keys.entry(job.key_name().to_owned()).or_default().insert(job.first(), job);
    }

    /// Lets the batches go on that wait at no gate any more, or whose key is refused. Another lane may have found it out.
    pub(super) fn release_keys(&mut self, now: Instant) {
        let mut released = Vec::new();
        {
            let keys = self.passage.keys();
            self.at_keys.retain(|name, jobs| {
                let key = keys.get(name);
                if key.is_none_or(|key| key.refusal(now).is_some()) {
                    released.extend(std::mem::take(jobs).into_values());
                }
                key.is_some()
            });
        }
        self.has_changed |= !released.is_empty();
        for job in released {
            self.key_bytes -= job.bytes();
            self.put(job, now);
        }
    }
}
