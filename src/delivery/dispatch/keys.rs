//! Keys: what the ingest says to a key concerns the batches that are sent with it, of whatever lane.
//!
//! The gate before a key is shared by all lanes. The batches that wait at it are their lane's.

use std::time::Instant;

use super::{Dispatch, SetAside, key_refused};
use crate::delivery::gate::{Permit, Reply};
use crate::delivery::job::Job;

impl Dispatch {
    /// The batch can't be sent for want of a key that may be sent. Nothing was asked of the endpoint.
    pub(in crate::delivery) fn hold_key(&mut self, job: Job, reason: String, now: Instant) {
        let news = {
            let mut keys = self.passage.keys();
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

    /// Lets a request with the job's key begin; `None`: there is no gate to pass.
    pub(super) fn enter_key(&self, job: &Job, now: Instant) -> Option<Permit> {
        self.passage.keys().get_mut(job.key_name())?.gate.enter(now).ok()
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

    /// The ingest refuses the key. Gives the batch back if it is a named one.
    pub(super) fn refused_key(
        &mut self,
        job: Job,
        permit: Permit,
        key_permit: Option<Permit>,
        (status, reason): (u16, String),
        now: Instant,
    ) -> Option<SetAside> {
        let before_wake = self.passage.is_before_wake(&permit);
        self.answer(permit, Reply::Refused, now);
        if before_wake {
            // There may be another key by now.
            self.put(job, now);
            return None;
        }
        self.key_failed(&job, key_permit, false, Reply::Hold(reason.clone()), now);
        if job.key_name().is_empty() {
            self.put_before_key(job);
            return None;
        }
        self.passage.keys().put_up(job.key_name()).refused = Some((status, reason.clone()));
        self.release_keys(now);
        Some(key_refused(job, status, reason))
    }

    /// The ingest answered a request with the job's key.
    pub(super) fn key_answered(&mut self, job: &Job, permit: Option<Permit>, now: Instant) {
        let Some(permit) = permit else { return };
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

    pub(super) fn key_failed(
        &mut self,
        job: &Job,
        permit: Option<Permit>,
        before_wake: bool,
        reply: Reply,
        now: Instant,
    ) {
        let news = {
            let mut keys = self.passage.keys();
            let is_new = keys.get(job.key_name()).is_none();
            let gate = &mut keys.put_up(job.key_name()).gate;
            let permit = match permit {
                Some(permit) => Some(permit),
                // As if it had begun at the gate that is put up only now.
                None if is_new => gate.enter(now).ok(),
                None => Some(gate.early(now)),
            };
            if is_new && before_wake {
                gate.wake(now);
            }
            permit.and_then(|permit| gate.answer(permit, reply, now))
        };
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
