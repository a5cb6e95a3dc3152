//! Drain: the loop that joins spool and exporter: take a batch, send it, settle it by the outcome.
//!
//! ```text
//!            ┌──────────────── Accepted: settle ───────────────┐
//!   take ─▶ gate ─▶ export ─┼─ Retry: shut the gate (backoff) ─┤
//!            ▲              ├─ Hold: shut the gate (probe) ────┤
//!            │              ├─ TooLarge, Refused: halve ───────┤
//!            │              └─ NoKey: set aside ──────────▶ settle
//!            └─────────────────────────────────────────────────┘
//! ```

mod gate;
mod job;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gate::{Gate, Why};
use job::Job;

use crate::batch::Batch;
use crate::config::{Config, Level, Log};
use crate::export::{Backoff, Outcome, TracingExporter};
use crate::os::lock::Unpoison;
use crate::spool::{HeaderCounter, Lane, Rejection, StoredBatch, Take, now_unix_ms};

/// Begins the reason of items that were set aside for want of the key whose name follows.
pub(crate) const NO_KEY: &str = "no_key:";
const REFUSED: &str = "refused";
const TOO_LARGE: &str = "too_large";
/// Batches that are tried before refusals of all their items are put down to the endpoint. Bad items may come in a row, so after
/// each hold there is one more.
const WITNESSES: usize = 2;
/// No more batches are tried once those that wait have so many bytes of items: they are in memory.
const MOST_SUSPECT_BYTES: usize = 16 << 20;
/// How long after the rejected store failed it is tried again.
const STORE_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What `export_state` in the stats means.
#[derive(Debug, Clone, Copy)]
enum State {
    Idle = 0,
    Sending = 1,
    Backoff = 2,
    Hold = 3,
}

/// The drain loop of one lane, run by as many threads as `max_in_flight` allows.
pub(crate) struct Drain {
    lane: Arc<Lane>,
    /// The client's own lane: what is accepted of that proves that the endpoint takes items.
    own: Arc<Lane>,
    exporter: Arc<dyn TracingExporter>,
    gate: Gate,
    max_retries: u32,
    stopped: AtomicBool,
    deadline: Mutex<Option<Instant>>,
    log: Log,
}

/// The batches that a drain thread has taken and that are not settled yet.
#[derive(Default)]
pub(crate) struct Taken(Vec<Arc<StoredBatch>>);

/// How sending a job ended.
enum End {
    /// Every item was accepted or refused alone.
    Sent,
    /// Nothing was accepted: is it the items or the endpoint?
    Suspect,
    /// The client stops; what is not settled stays in the lane.
    Stopped,
}

impl Drain {
    pub(crate) fn new(
        lane: Arc<Lane>,
        own: Arc<Lane>,
        exporter: Arc<dyn TracingExporter>,
        config: &Config,
    ) -> Self {
        let backoff = Backoff::new(config.base_delay, config.max_delay, config.jitter);
        Self {
            lane,
            own,
            exporter,
            gate: Gate::new(backoff, config.max_delay),
            max_retries: config.max_retries,
            stopped: AtomicBool::new(false),
            deadline: Mutex::new(None),
            log: config.log.clone(),
        }
    }

    /// A drain thread's life: until `stop`. What a panic left in `taken` is sent anew.
    pub(crate) fn run(&self, taken: &mut Taken) {
        while !self.is_stopped() {
            if !taken.0.is_empty() {
                self.deliver(taken);
                continue;
            }
            let seen = self.lane.delivery_wakeup().seen();
            match self.lane.take_batch() {
                Take::Batch(stored) => taken.0.push(stored.into()),
                Take::Wait(until) => self.lane.delivery_wakeup().wait(seen, until),
            }
        }
    }

    /// Tries at once, whatever backoff or hold says.
    pub(crate) fn wake(&self) {
        self.gate.wake();
        self.lane.delivery_wakeup().raise();
    }

    /// Requests that begin from now on must end by `deadline`.
    pub(crate) fn end_by(&self, deadline: Instant) {
        *self.deadline.lock().unpoisoned() = Some(deadline);
    }

    fn deadline(&self) -> Option<Instant> {
        *self.deadline.lock().unpoisoned()
    }

    /// Ends the threads after what they are doing.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Release);
        self.wake();
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Acquire)
    }

    /// Sends the batches of `taken` until every item of them is settled.
    ///
    /// When every item is refused, the next batch is a witness, or any that another thread sends meanwhile: if the ingest
    /// takes anything of that, it is the items that are bad; if not, it is the endpoint, and nothing is given up.
    fn deliver(&self, taken: &mut Taken) {
        let accepted_before = self.own.counter(HeaderCounter::BatchesSent);
        let mut waiting: VecDeque<Job> = taken.0.iter().cloned().map(Job::new).collect();
        let mut suspects: Vec<Job> = Vec::new();
        let mut proved = false;
        let mut witnesses = WITNESSES;
        loop {
            let wants_witness = (1..witnesses).contains(&suspects.len());
            let next = waiting.pop_front().or_else(|| wants_witness.then(|| self.witness(taken)).flatten());
            let Some(mut job) = next else {
                if suspects.is_empty() {
                    return;
                }
                self.hold_for(&suspects);
                // The oldest are tried again, and if all is still refused a batch that was not tried yet: every item of it, or
                // good ones in it would come after those behind it.
                let bytes: usize = suspects.iter().map(|job| job.stored.batch.joined().len()).sum();
                witnesses = suspects.len() + usize::from(bytes < MOST_SUSPECT_BYTES);
                suspects = suspects.into_iter().map(Job::restart).collect();
                suspects.sort_by_key(|job| job.stored.batch.first());
                waiting.extend(suspects.drain(..WITNESSES.min(suspects.len())));
                proved = false;
                continue;
            };
            match self.send(&mut job, proved) {
                End::Stopped => return,
                End::Suspect => {
                    proved = self.own.counter(HeaderCounter::BatchesSent) != accepted_before;
                    suspects.push(job);
                }
                End::Sent => {
                    proved |= job.delivered > 0;
                    self.finish(job, taken);
                }
            }
            if proved {
                // Of a suspect not all parts need have been tried.
                waiting.extend(suspects.drain(..));
            }
        }
    }

    /// The batch behind those that are under way, if there is one.
    fn witness(&self, taken: &mut Taken) -> Option<Job> {
        let Take::Batch(stored) = self.lane.take_witness() else { return None };
        let stored = Arc::from(stored);
        taken.0.push(Arc::clone(&stored));
        Some(Job::new(stored))
    }

    /// Sends the parts of `job` until none is left. `proved`: the endpoint takes items, so that what it refuses is bad.
    fn send(&self, job: &mut Job, proved: bool) -> End {
        while !job.is_done() {
            if !self.gate.pass(|| self.is_stopped()) {
                return End::Stopped;
            }
            if self.lane.is_obsolete(&job.stored) {
                return End::Sent;
            }
            self.set_state(State::Sending, "", 0);
            match self.export(&job.part()) {
                Outcome::Accepted { status } => {
                    self.answered(status, true);
                    self.lane.add_counter(HeaderCounter::BatchesSent, 1);
                    job.accepted();
                }
                Outcome::TooLarge(answer) => {
                    self.answered(answer.status, false);
                    job.refused(TOO_LARGE, answer);
                }
                Outcome::Refused(answer) => {
                    self.answered(answer.status, false);
                    job.refused(REFUSED, answer);
                    if !proved && job.is_suspect() {
                        return End::Suspect;
                    }
                }
                _ if self.is_stopped() => return End::Stopped,
                Outcome::Retry { status, after, reason } => {
                    job.attempts += 1;
                    if self.max_retries > 0 && job.attempts >= self.max_retries {
                        return self.set_aside(job, status, "max_retries", &reason);
                    }
                    self.lane.add_counter(HeaderCounter::Retries, 1);
                    self.put_off(status, Why::Backoff(reason), after);
                }
                Outcome::Hold { status, reason } => self.put_off(status, Why::Hold(reason), None),
                Outcome::NoKey => {
                    let reason = format!("{NO_KEY}{}", job.stored.batch.key_name());
                    return self.set_aside(job, 0, &reason, "");
                }
            }
        }
        if !proved && job.is_suspect() { End::Suspect } else { End::Sent }
    }

    /// Sends `part` once. A panic of the exporter, which may be a user's, costs an attempt and not the thread.
    fn export(&self, part: &Batch) -> Outcome {
        let attempt = || self.exporter.export(part, self.deadline());
        catch_unwind(AssertUnwindSafe(attempt)).unwrap_or_else(|_| {
            let reason = "the exporter panicked".to_owned();
            Outcome::Retry { status: 0, after: None, reason }
        })
    }

    /// Settles `job`: offenders go to the rejected store first; what was not tried is obsolete.
    fn finish(&self, mut job: Job, taken: &mut Taken) {
        for offender in std::mem::take(&mut job.offenders) {
            let rejection =
                job.rejection(&offender.item, offender.answer.status, offender.reason, offender.answer.body);
            if !self.store_rejected(&rejection) {
                return;
            }
            job.rejected += 1;
        }
        // Before the cursor moves, so that whoever waited for it does not see a thread still sending.
        self.set_state(State::Idle, "", 0);
        self.lane.settle(&job.stored, job.delivered, job.rejected);
        taken.0.retain(|stored| !Arc::ptr_eq(stored, &job.stored));
        let key_name = job.stored.batch.key_name();
        if job.rejected > 0 && !key_name.is_empty() && self.exporter.has_named_key(key_name) {
            // The key may have come while its items were being set aside, too late for whoever gave it to find them.
            self.lane.note_late_key();
        }
        let level = if job.rejected > 0 { Level::Error } else { Level::Debug };
        let (batch, delivered, rejected) = (&job.stored.batch, job.delivered, job.rejected);
        self.log.line(level, format_args!("batch {batch}: {delivered} items delivered, {rejected} rejected"));
    }

    /// Gives up what is left of `job`, which keeps all of it in the rejected store.
    fn set_aside(&self, job: &mut Job, status: u16, reason: &str, answer: &str) -> End {
        while !job.is_done() {
            if !self.store_rejected(&job.rejection(&job.part(), status, reason, answer.into())) {
                return End::Stopped;
            }
            job.set_aside();
        }
        End::Sent
    }

    /// Puts `rejection` into the rejected store, trying until the disk takes it; `false` when the client stops first.
    fn store_rejected(&self, rejection: &Rejection) -> bool {
        loop {
            let Err(error) = self.lane.set_aside(rejection) else { return true };
            let until = Instant::now() + STORE_AGAIN_AFTER;
            self.log.line(Level::Error, format_args!("{error}; trying again"));
            while Instant::now() < until {
                if self.is_stopped() {
                    return false;
                }
                let seen = self.lane.delivery_wakeup().seen();
                self.lane.delivery_wakeup().wait(seen, Some(until));
            }
        }
    }

    fn hold_for(&self, suspects: &[Job]) {
        let offender = suspects.iter().flat_map(|job| &job.offenders).next();
        let (status, said) = offender.map_or((0, String::new()), |offender| {
            let said = String::from_utf8_lossy(&offender.answer.body);
            (offender.answer.status, said.chars().take(200).collect())
        });
        self.put_off(status, Why::Hold(format!("every item is refused with {status}: {said}")), None);
    }

    /// Shuts the gate, and tells whoever looks.
    fn put_off(&self, status: u16, why: Why, at_least: Option<Duration>) {
        if status != 0 {
            self.lane.set_counter(HeaderCounter::LastHttpStatus, status.into());
        }
        let (state, level, what, reason) = match &why {
            Why::Backoff(reason) => (State::Backoff, Level::Warn, "backoff", reason.clone()),
            Why::Hold(reason) => (State::Hold, Level::Error, "hold", reason.clone()),
        };
        let (until, news) = self.gate.shut(why, at_least);
        let wait_ms = until.saturating_duration_since(Instant::now()).as_millis() as u64;
        self.set_state(state, &reason, now_unix_ms() + wait_ms);
        if news {
            self.log.line(level, format_args!("export of lane {} is on {what}: {reason}", self.lane.id()));
        }
    }

    /// The ingest answers: the gate is open.
    fn answered(&self, status: u16, accepted: bool) {
        self.lane.set_counter(HeaderCounter::LastHttpStatus, status.into());
        if self.gate.open(accepted) {
            self.log.line(Level::Info, format_args!("export of lane {} goes on", self.lane.id()));
        }
    }

    fn set_state(&self, state: State, reason: &str, next_attempt_unix_ms: u64) {
        if !reason.is_empty() {
            self.lane.set_reason(reason);
        }
        self.lane.set_counter(HeaderCounter::NextAttemptUnixMs, next_attempt_unix_ms);
        self.lane.set_counter(HeaderCounter::ExportState, state as u64);
    }
}
