//! Dispatch: which batch of a lane is sent next, and when.
//!
//! ```text
//!   take ─▶ look ─▶ begin ─▶ (the request) ─▶ report ─▶ done ─▶ settle
//!             ▲       │                         │
//!             │       ▼                         ▼
//!             └── ready, or waiting: for its key, for its turn after answers of 500, unproven
//! ```
//! All delivery threads of a lane share one, under a lock, and hold it only to ask what to do next and to report. It has
//! the lane's passage through the gates that all lanes share, the batches that wait for their key, and the trial.
//! Batches that wait for their own key or their own turn let others pass, within a limit of memory.
//!
//! Pure: it knows no thread, clock or disk. `accepted` is how many requests the endpoint has accepted.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::allowance::Ticket;
use super::gate::{Permit, Reply};
use super::job::{Aside, Job, Refusal};
use super::key_gates::KeyPermit;
use super::outlet::Gates;
use super::trial::Trial;
use super::turns::Stream;
use crate::export::{Backoff, Outcome};
use crate::spool::{KEY_REFUSED, StoredBatch};
use keys::is_of_key;
use passage::Passage;
pub(super) use shown::{Note, Status};
use unstored::Unstored;

/// Batches that wait for something of their own, not for the endpoint, take at most so much memory.
const MAX_WAITING_BYTES: usize = 16 << 20;
/// After so many answers of 500 in a row other batches are tried first.
const ERRORS_BEFORE_YIELD: u32 = 2;
/// So many failures other than by 500 are put down to the endpoint. Each further one counts like an answer of 500.
const FAILURES_BEFORE_DOUBT: u32 = 6;

/// The batches of a lane that are on their way, and what they wait for.
pub(super) struct Dispatch {
    passage: Passage,
    /// The batches that wait at their key's gate, by the keys' names. A key is here as long as the lane has to do with it.
    at_keys: BTreeMap<String, BTreeMap<u64, Job>>,
    trial: Trial,
    /// To be sent, by their first item.
    ready: BTreeMap<u64, Job>,
    /// To be sent at a time of their own.
    delayed: BTreeMap<u64, Job>,
    /// To be settled.
    done: VecDeque<Job>,
    /// Refused, and not in the rejected store yet.
    unstored: Unstored,
    /// The batches that threads work on, and whether a request of it is under way.
    in_hand: BTreeMap<u64, bool>,
    /// Threads that ask the lane for a batch.
    taking: usize,
    /// What batches that wait for their key take.
    key_bytes: usize,
    /// The longest body that was accepted.
    most_accepted_bytes: usize,
    notes: Vec<Note>,
    /// Threads that wait may have something to do now.
    has_changed: bool,
    /// How often it was woken.
    wakes: u64,
    limits: Limits,
}

/// What the settings say.
pub(super) struct Limits {
    pub(super) backoff: Backoff,
    pub(super) max_delay: Duration,
    pub(super) max_retries: u32,
    pub(super) max_in_flight: usize,
    /// Items may be cut between their records, and are where one has more bytes than this. `None`: they are whole.
    pub(super) most_piece_bytes: Option<usize>,
}

/// What a thread is to do.
pub(super) enum Task {
    /// Look whether the batch can be sent at all, then [`Dispatch::begin`] or [`Dispatch::finish`].
    Look(Job),
    /// Record what became of the batch.
    Settle(Job),
    /// Ask the lane for a batch, then [`Dispatch::took`] or [`Dispatch::took_nothing`]. `beyond`: although as many as
    /// may be are in flight.
    Take { beyond: bool },
    /// Nothing before this time, if one is given.
    Wait(Option<Instant>),
}

/// What is to be done with a batch that was looked at.
pub(super) enum Begin {
    /// Send its next part.
    Send(Sending),
    /// Its key is refused.
    SetAside(SetAside),
    /// It waits.
    Wait,
}

/// A request under way.
pub(super) struct Sending {
    pub(super) job: Job,
    permit: Permit,
    key_permit: KeyPermit,
    ticket: Ticket,
}

impl Sending {
    /// Notes how many bytes it has uploaded.
    pub(super) fn uploaded(&mut self, bytes: u64) {
        self.ticket.used = Some(bytes);
    }
}

/// A batch that goes into the rejected store.
pub(super) struct SetAside {
    pub(super) job: Job,
    pub(super) status: u16,
    pub(super) reason: String,
    pub(super) answer: String,
}

impl SetAside {
    /// The batch with what the rejected store is to say of it.
    pub(super) fn into_job(self) -> Job {
        let Self { mut job, status, reason, answer } = self;
        job.leave(Aside { status, reason, answer });
        job
    }
}

impl Dispatch {
    /// The dispatch of a lane that is delivered through `gates`.
    pub(super) fn new(limits: Limits, gates: Gates) -> Self {
        Self {
            passage: Passage::new(gates),
            at_keys: BTreeMap::new(),
            trial: Trial::default(),
            ready: BTreeMap::new(),
            delayed: BTreeMap::new(),
            done: VecDeque::new(),
            unstored: Unstored::default(),
            in_hand: BTreeMap::new(),
            taking: 0,
            key_bytes: 0,
            most_accepted_bytes: 0,
            notes: Vec::new(),
            has_changed: false,
            wakes: 0,
            limits,
        }
    }

    /// What to do now.
    pub(super) fn next(&mut self, now: Instant, accepted: u64) -> Task {
        if let Some(task) = self.due_task(now, accepted) {
            return task;
        }
        if self.may_take(now) {
            self.taking += 1;
            return Task::Take { beyond: self.has_waiting() };
        }
        self.without_another(now, accepted)
    }

    /// Adds the batch that a thread took; it is to be looked at.
    pub(super) fn took(&mut self, stored: Arc<StoredBatch>) -> Job {
        self.give_up_taking();
        self.in_hand.insert(stored.batch.first(), false);
        Job::new(stored, self.limits.most_piece_bytes)
    }

    /// There is no batch to take. While the lane was asked, something else may have become due.
    pub(super) fn took_nothing(&mut self, now: Instant, accepted: u64) -> Task {
        self.give_up_taking();
        self.due_task(now, accepted).unwrap_or_else(|| self.without_another(now, accepted))
    }

    /// A thread asks the lane for a batch no more.
    pub(super) fn give_up_taking(&mut self) {
        self.taking = self.taking.saturating_sub(1);
    }

    /// Lets a request with the next part of `job` begin, if none of its gates is shut.
    pub(super) fn begin(&mut self, mut job: Job, now: Instant, accepted: u64) -> Begin {
        if self.trial.is_in_doubt() && self.trial.suspect().is_none() {
            job = self.trial.test(job);
        }
        let first = job.first();
        if self.trial.suspect().is_some_and(|suspect| suspect != first) {
            self.put(job, now);
            return Begin::Wait;
        }
        if let Some((status, answer)) = self.key_refusal(&job, now) {
            return Begin::SetAside(key_refused(job, status, answer));
        }
        if self.is_key_shut(&job, now) {
            self.put_before_key(job);
            return Begin::Wait;
        }
        let bytes = job.part().body().len() as u64;
        let Ok((permit, ticket)) = self.passage.enter(bytes, !self.ready.is_empty(), now) else {
            self.put(job, now);
            return Begin::Wait;
        };
        let key_permit = self.enter_key(&job, now);
        job.since.get_or_insert(accepted);
        (job.begun_at, job.doubt_epoch) = (accepted, self.passage.epoch());
        self.in_hand.insert(first, true);
        Begin::Send(Sending { job, permit, key_permit, ticket })
    }

    /// A batch of which nothing is left to send.
    pub(super) fn take_done(&mut self) -> Option<Job> {
        self.done.pop_front()
    }

    /// A thread is done with the batch `first`, which is to be settled.
    pub(super) fn finish(&mut self, first: u64) {
        self.in_hand.remove(&first);
        self.trial.acquit(first);
        // Who waits for the test of this batch goes on.
        self.has_changed |= self.trial.is_in_doubt();
    }

    /// A panic took the batch from a thread: all of it is to be sent again.
    pub(super) fn recover(&mut self, stored: Arc<StoredBatch>) {
        self.in_hand.remove(&stored.batch.first());
        let first = stored.batch.first();
        self.ready.insert(first, Job::new(stored, self.limits.most_piece_bytes));
        self.has_changed = true;
    }

    /// The next request may begin at once, as far as the endpoint's gate lets it.
    pub(super) fn wake(&mut self) {
        self.wakes += 1;
        self.delayed.values_mut().for_each(|job| job.not_before = None);
        self.has_changed = true;
    }

    /// What came of the request. Gives the batch back when it is to be set aside.
    pub(super) fn report(
        &mut self,
        sending: Sending,
        outcome: Outcome,
        now: Instant,
        accepted: u64,
    ) -> Option<SetAside> {
        let Sending { mut job, permit, key_permit, ticket } = sending;
        self.passage.leave(ticket, now);
        self.in_hand.insert(job.first(), false);
        let tried_at = std::mem::replace(&mut job.tried_at, accepted);
        match outcome {
            Outcome::Accepted { .. } | Outcome::PartlyAccepted { .. } => {
                self.answer(permit, Reply::Accepted, now);
                self.key_answered(&job, key_permit, now);
                self.most_accepted_bytes = self.most_accepted_bytes.max(job.part().body().len());
                job.accepted();
                self.end_doubt(now);
                self.put(job, now);
            }
            Outcome::TooLarge(answer) => {
                self.key_answered(&job, key_permit, now);
                let refusal = self.refusal_of_size(&job);
                self.refused(job, permit, refusal, answer, now, accepted);
            }
            Outcome::Refused(answer) => {
                self.key_answered(&job, key_permit, now);
                self.refused(job, permit, Refusal::Content, answer, now, accepted);
            }
            Outcome::Retry { status, after, reason } => {
                return self.retry(
                    job,
                    (permit, key_permit),
                    (status, after, reason),
                    now,
                    (accepted, tried_at),
                );
            }
            Outcome::Hold { status, reason } if is_of_key(&job, status) => {
                return self.refused_key(job, permit, key_permit, (status, reason), now);
            }
            Outcome::Hold { reason, .. } => {
                self.answer(permit, Reply::Hold(reason), now);
                self.put(job, now);
            }
            Outcome::NoKey => return Some(no_key(job)),
        }
        None
    }

    /// Sets whose items the lane's are.
    pub(super) fn set_stream(&mut self, stream: Stream) {
        self.passage.set_stream(stream);
    }

    /// How often it was woken: a key that was refused before may be another one by now.
    pub(super) fn wakes(&self) -> u64 {
        self.wakes
    }

    /// What is to be done now with a batch that is there.
    fn due_task(&mut self, now: Instant, accepted: u64) -> Option<Task> {
        if self.trial.is_settled_by(accepted) {
            self.end_doubt(now);
        }
        self.end_delays(now);
        self.release_keys(now);
        if let Some(job) = self.take_done().or_else(|| self.unstored.take_due(now)) {
            self.in_hand.insert(job.first(), false);
            return Some(Task::Settle(job));
        }
        if !self.is_passable(now) {
            return None;
        }
        let job = self.candidate(now)?;
        Some(self.look(job))
    }

    /// Whether the endpoint's gate lets a request pass.
    fn is_passable(&self, now: Instant) -> bool {
        self.passage.wait(now).is_none()
    }

    /// The batch to look at next, if the endpoint's gate lets it pass.
    fn candidate(&mut self, now: Instant) -> Option<Job> {
        if let Some(suspect) = self.trial.suspect() {
            if let Some(job) = self.ready.remove(&suspect) {
                return Some(job);
            }
            if self.in_hand.contains_key(&suspect) {
                return None;
            }
            self.trial.acquit(suspect);
        }
        let job = self.ready.pop_first().map(|(_, job)| job).or_else(|| self.candidate_of_key(now))?;
        Some(self.trial.test(job))
    }

    fn may_take(&self, now: Instant) -> bool {
        if self.waiting_bytes() >= MAX_WAITING_BYTES {
            return false;
        }
        if self.trial.is_in_doubt() {
            return self.trial.suspect().is_none() && self.taking == 0 && self.is_passable(now);
        }
        self.ready.len() + self.in_hand.len() + self.taking < self.limits.max_in_flight
    }

    /// Whether batches wait for something that others need not wait for.
    fn has_waiting(&self) -> bool {
        self.trial.is_in_doubt() || self.key_bytes > 0 || !self.delayed.is_empty() || self.has_unstored()
    }

    fn waiting_bytes(&self) -> usize {
        let delayed = self.delayed.values().map(Job::bytes).sum::<usize>();
        self.key_bytes + self.trial.bytes() + delayed + self.unstored.bytes()
    }

    /// What to do when no other batch can be taken.
    fn without_another(&mut self, now: Instant, accepted: u64) -> Task {
        let is_idle = self.in_hand.is_empty() && self.taking == 0;
        if self.trial.is_in_doubt() {
            if is_idle && self.is_passable(now) {
                self.hold(now, accepted);
            }
        } else if !self.passage.is_open() && self.is_passable(now) {
            // Nothing else is there to probe with.
            if let Some((_, job)) = self.delayed.pop_first() {
                return self.look(job);
            }
        }
        if self.ready.is_empty() {
            self.passage.note_idle();
        } else {
            self.passage.note_waiting(now);
        }
        Task::Wait(self.due(now))
    }

    /// When there is something to do at the latest, as far as that is known.
    fn due(&self, now: Instant) -> Option<Instant> {
        let keys = self.due_of_keys(now);
        let delays = self.delayed.values().filter_map(|job| job.not_before);
        let to_send = self.passage.wait(now).or_else(|| keys.into_iter().chain(delays).min());
        to_send.into_iter().chain(self.unstored.due(now)).min()
    }

    fn look(&mut self, job: Job) -> Task {
        self.in_hand.insert(job.first(), false);
        Task::Look(job)
    }

    /// Puts a batch where it waits for what comes next.
    fn put(&mut self, job: Job, now: Instant) {
        self.in_hand.remove(&job.first());
        if job.is_done() {
            self.trial.acquit(job.first());
            self.done.push_back(job);
        } else if job.not_before.is_some_and(|time| now < time) {
            self.delayed.insert(job.first(), job);
        } else {
            self.ready.insert(job.first(), job);
        }
        // The thread that puts one back takes one.
        self.has_changed |= self.ready.len() + self.done.len() > 1;
    }

    fn end_delays(&mut self, now: Instant) {
        let due = |job: &Job| job.not_before.is_none_or(|time| time <= now);
        while let Some(first) = self.delayed.iter().find(|(_, job)| due(job)).map(|(first, _)| *first)
            && let Some(job) = self.delayed.remove(&first)
        {
            self.ready.insert(first, job);
        }
    }

    fn end_doubt(&mut self, now: Instant) {
        if self.trial.is_in_doubt() {
            self.has_changed = true;
            let news = self.passage.end_hold();
            self.note(None, news);
            self.trial.end().into_iter().for_each(|job| self.put(job, now));
        }
    }
}

/// What is set aside when its key is refused.
fn key_refused(job: Job, status: u16, answer: String) -> SetAside {
    let reason = format!("{KEY_REFUSED}{}", job.key_name());
    SetAside { job, status, reason, answer }
}

/// What is set aside when its key is not known.
pub(super) fn no_key(job: Job) -> SetAside {
    let reason = format!("{}{}", crate::spool::NO_KEY, job.key_name());
    SetAside { job, status: 0, reason, answer: String::new() }
}

mod keys;
mod outcome;
mod passage;
mod shown;
mod unstored;

#[cfg(test)]
mod tests;
