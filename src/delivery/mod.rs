//! Delivery: the loop that joins spool and exporter: take a batch, send it, settle it by the outcome.
//!
//! ```text
//!            ┌──────────────── Accepted: settle ───────────────┐
//!   take ─▶ gate ─▶ export ─┼─ Retry: shut the gate (backoff) ─┤
//!            ▲              ├─ Hold: shut the gate (probe) ────┤
//!            │              ├─ TooLarge, Refused: halve ───────┤
//!            │              └─ NoKey: set aside ──────────▶ settle
//!            └─────────────────────────────────────────────────┘
//! ```
//! `trial` says which part of which batch is next, and whether items or endpoint are at fault when everything is
//! refused.

mod gate;
mod job;
mod trial;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gate::{Gate, Why};
use job::{Job, Refusal};
use trial::{Next, Trial};

use crate::batch::Batch;
use crate::config::{Config, Level, Log};
use crate::export::{Backoff, Outcome, TracingExporter};
use crate::os::lock::Unpoison;
use crate::spool::{ExportState, HeaderCounter, Lane, NO_KEY, Rejection, StoredBatch, Take, now_unix_ms};

/// How long after the rejected store failed it is tried again.
const STORE_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How much of an answer the reason of a hold quotes.
const MAX_QUOTE_CHARS: usize = 200;

/// The delivery of one lane, run by as many threads as `max_in_flight` allows.
pub(crate) struct Delivery {
    lane: Arc<Lane>,
    /// The client's own lane. What is accepted of it proves that the endpoint accepts items.
    own: Arc<Lane>,
    exporter: Arc<dyn TracingExporter>,
    gate: Gate,
    max_retries: u32,
    stopped: AtomicBool,
    deadline: Mutex<Option<Instant>>,
    log: Log,
}

/// The batches that a delivery thread has taken from the lane and not settled yet.
#[derive(Default)]
pub(crate) struct InFlight(Vec<Arc<StoredBatch>>);

impl InFlight {
    fn add(&mut self, stored: Box<StoredBatch>) -> Arc<StoredBatch> {
        let stored = Arc::from(stored);
        self.0.push(Arc::clone(&stored));
        stored
    }

    fn remove(&mut self, settled: &Arc<StoredBatch>) {
        self.0.retain(|stored| !Arc::ptr_eq(stored, settled));
    }
}

impl Delivery {
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

    /// A delivery thread's life, until `stop`. What a panic left in `in_flight` is sent again.
    pub(crate) fn run(&self, in_flight: &mut InFlight) {
        loop {
            // Before the look at `stopped`: a stop between the two must wake the wait below.
            let seen = self.lane.delivery_wakeup().seen();
            if self.is_stopped() {
                return;
            }
            if !in_flight.0.is_empty() {
                self.deliver(in_flight);
                continue;
            }
            match self.lane.take_batch() {
                Take::Batch(stored) => {
                    in_flight.add(stored);
                }
                Take::Wait(until) => self.lane.delivery_wakeup().wait(seen, until),
            }
        }
    }

    /// Makes the next request at once, without waiting for backoff or hold to end.
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

    /// Tells the threads to end after what they are doing.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Release);
        self.wake();
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Acquire)
    }

    /// Sends the batches of `in_flight` until every item of them is settled, or the client stops. See [`Trial`].
    fn deliver(&self, in_flight: &mut InFlight) {
        let sent_before = self.own.counter(HeaderCounter::BatchesSent);
        let mut trial = Trial::new(in_flight.0.iter().cloned().map(Job::new));
        loop {
            match trial.next(self.own.counter(HeaderCounter::BatchesSent) != sent_before) {
                Next::Send(job) => {
                    if !self.send(job) {
                        return;
                    }
                }
                Next::Settle(job) => self.settle(job, in_flight),
                Next::Confirm => match self.lane.take_confirming() {
                    Take::Batch(stored) => trial.add(Job::new(in_flight.add(stored))),
                    Take::Wait(_) => self.hold(&mut trial),
                },
                Next::Hold => self.hold(&mut trial),
                Next::Done => return,
            }
        }
    }

    /// Sends the next part of `job`; `false` when the client stops.
    fn send(&self, job: &mut Job) -> bool {
        if !self.gate.pass(|| self.is_stopped()) {
            return false;
        }
        if self.lane.is_obsolete(&job.stored) {
            job.drop_rest();
            return true;
        }
        self.set_state(ExportState::Sending, "", 0);
        match self.export(&job.part()) {
            Outcome::Accepted { status } => {
                self.answered(status, true);
                self.lane.add_counter(HeaderCounter::BatchesSent, 1);
                job.accepted();
            }
            Outcome::TooLarge(answer) => {
                self.answered(answer.status, false);
                job.refused(Refusal::Size, answer);
            }
            Outcome::Refused(answer) => {
                self.answered(answer.status, false);
                job.refused(Refusal::Content, answer);
            }
            _ if self.is_stopped() => return false,
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
        true
    }

    /// Sends `part` once. The exporter may be a user's: its panic counts as a failed attempt and does not end the
    /// thread.
    fn export(&self, part: &Batch) -> Outcome {
        let attempt = || self.exporter.export(part, self.deadline());
        catch_unwind(AssertUnwindSafe(attempt)).unwrap_or_else(|_| {
            let reason = "the exporter panicked".to_owned();
            Outcome::Retry { status: 0, after: None, reason }
        })
    }

    /// Records what became of `job`. Its bad items go to the rejected store first. What was not tried is obsolete.
    fn settle(&self, mut job: Job, in_flight: &mut InFlight) {
        for bad in std::mem::take(&mut job.bad_items) {
            let rejection =
                rejection(&job, &bad.item, bad.answer.status, bad.refusal.reason(), bad.answer.body);
            if !self.store_rejected(&rejection) {
                return;
            }
            job.rejected += 1;
        }
        // Before the cursor moves, so that who waited for it does not see a thread still sending.
        self.set_state(ExportState::Idle, "", 0);
        self.lane.settle(&job.stored, job.delivered, job.rejected);
        in_flight.remove(&job.stored);
        let key_name = job.stored.batch.key_name();
        if job.rejected > 0 && !key_name.is_empty() && self.exporter.has_named_key(key_name) {
            // The key may have come while its items were being set aside: too late for the call that set it to find
            // them.
            self.lane.note_late_key();
        }
        let level = if job.rejected > 0 { Level::Error } else { Level::Debug };
        let (batch, delivered, rejected) = (&job.stored.batch, job.delivered, job.rejected);
        self.log.line(level, format_args!("batch {batch}: {delivered} items delivered, {rejected} rejected"));
    }

    /// Puts what is left of `job` into the rejected store; `false` when the client stops first.
    fn set_aside(&self, job: &mut Job, status: u16, reason: &str, answer: &str) -> bool {
        while !job.is_done() {
            if !self.store_rejected(&rejection(job, &job.part(), status, reason, answer.into())) {
                return false;
            }
            job.set_aside();
        }
        true
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

    /// Every item is refused: shuts the gate, and lets `trial` begin again after that.
    fn hold(&self, trial: &mut Trial) {
        let (status, said) = trial.bad_item().map_or((0, String::new()), |bad| {
            let said = String::from_utf8_lossy(&bad.answer.body);
            (bad.answer.status, said.chars().take(MAX_QUOTE_CHARS).collect())
        });
        self.put_off(status, Why::Hold(format!("every item is refused with {status}: {said}")), None);
        trial.begin_again();
    }

    /// Shuts the gate, and shows it in the counters and the log.
    fn put_off(&self, status: u16, why: Why, at_least: Option<Duration>) {
        if status != 0 {
            self.lane.set_counter(HeaderCounter::LastHttpStatus, status.into());
        }
        let (state, level, what, reason) = match &why {
            Why::Backoff(reason) => (ExportState::Backoff, Level::Warn, "backoff", reason.clone()),
            Why::Hold(reason) => (ExportState::Hold, Level::Error, "hold", reason.clone()),
        };
        let (wait, news) = self.gate.shut(why, at_least);
        self.set_state(state, &reason, now_unix_ms() + wait.as_millis() as u64);
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

    fn set_state(&self, state: ExportState, reason: &str, next_attempt_unix_ms: u64) {
        if !reason.is_empty() {
            self.lane.set_reason(reason);
        }
        self.lane.set_counter(HeaderCounter::NextAttemptUnixMs, next_attempt_unix_ms);
        self.lane.set_counter(HeaderCounter::ExportState, state.into());
    }
}

/// What the rejected store is to keep of `items`, which belong to `job`.
fn rejection(job: &Job, items: &Batch, status: u16, reason: &str, answer: Vec<u8>) -> Rejection {
    Rejection {
        batch_id: job.stored.batch.id(),
        status,
        reason: reason.to_owned(),
        answer,
        key_name: items.key_name().to_owned(),
        rejected_unix_ms: now_unix_ms(),
        items: (items.first()..).zip(items.items().map(<[u8]>::to_vec)).collect(),
    }
}
