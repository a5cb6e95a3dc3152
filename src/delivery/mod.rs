//! Delivery: the loop that joins spool and exporter: take a batch, send it, settle it by the outcome.
//!
//! ```text
//!            ┌───────────────── Accepted: settle ────────────────┐
//!   take ─▶ gate ─▶ export ─┼─ Retry: shut the gate (backoff) ───┤
//!            ▲              ├─ Hold: shut the gate (probe) ──────┤
//!            │              ├─ TooLarge, Refused: halve ─────────┤
//!            │              └─ NoKey, a refused key: set aside ──▶ settle
//!            └───────────────────────────────────────────────────┘
//! ```
//! `dispatch` says which part of which batch is next and when, by the gates of `gate` and the `trial` of refusals.

mod allowance;
mod budget;
mod dispatch;
mod gate;
mod job;
mod key_gates;
mod outlet;
mod pace;
mod part;
mod put_off;
mod settle;
mod trial;
mod turns;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use dispatch::{Begin, Dispatch, Note, Sending, Status, Task};
use gate::Why;
use job::Job;
pub(crate) use outlet::Outlet;
use put_off::PutOff;
pub(crate) use turns::Stream;

use crate::batch::Batch;
use crate::config::{Config, Level, Log};
use crate::export::{Outcome, quote};
use crate::os::lock::Unpoison;
use crate::spool::{ExportState, HeaderCounter, Lane, StoredBatch, Take, now_unix_ms};

/// The delivery of one lane, run by as many threads as `max_in_flight` allows.
pub(crate) struct Delivery {
    lane: Arc<Lane>,
    outlet: Arc<Outlet>,
    dispatch: Mutex<Dispatch>,
    put_off: PutOff,
    stopped: AtomicBool,
    deadline: Mutex<Option<Instant>>,
    log: Log,
}

/// A batch that a thread works on. One that a panic takes from it is sent again.
struct InHand<'a> {
    delivery: &'a Delivery,
    stored: Option<Arc<StoredBatch>>,
    /// How often the delivery was woken when the thread got it.
    wakes: u64,
}

impl InHand<'_> {
    /// The batch is where it belongs.
    fn placed(mut self) {
        self.stored = None;
    }
}

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        if let Some(stored) = self.stored.take() {
            // No more than that: after a panic of what shows and tells it, that would panic again.
            self.delivery.dispatch.lock().unpoisoned().recover(stored);
            self.delivery.lane.delivery_wakeup().raise();
        }
    }
}

/// A thread asks the lane for a batch. A panic ends that.
struct Taking<'a>(Option<&'a Delivery>);

impl Taking<'_> {
    /// The dispatch knows what came of it.
    fn ended(mut self) {
        self.0 = None;
    }
}

impl Drop for Taking<'_> {
    fn drop(&mut self) {
        if let Some(delivery) = self.0 {
            delivery.dispatch.lock().unpoisoned().give_up_taking();
        }
    }
}

impl Delivery {
    /// The delivery of `lane`, which has the client's new items if `is_new` says so.
    pub(crate) fn new(lane: Arc<Lane>, is_new: bool, outlet: Arc<Outlet>, config: &Config) -> Self {
        outlet.add(&lane);
        let signal = outlet.exporter().destination().signal();
        let mut dispatch = Dispatch::new(outlet::limits(config, signal), outlet.gates().clone());
        if let Some(time) = lane.outage_before() {
            outlet.gates().endpoint().remember_outage(time);
        }
        if !is_new {
            dispatch.set_stream(Stream::Backlog(lane.id().to_owned()));
        }
        Self {
            lane,
            outlet,
            dispatch: Mutex::new(dispatch),
            put_off: PutOff::default(),
            stopped: AtomicBool::new(false),
            deadline: Mutex::new(None),
            log: config.log.clone(),
        }
    }

    /// A delivery thread's life, until `stop`.
    pub(crate) fn run(&self) {
        self.tidy();
        loop {
            // Before the look at `stopped`: a stop between the two must wake the wait below.
            let seen = self.lane.delivery_wakeup().seen();
            if self.is_stopped() {
                return self.settle_done();
            }
            let mut task = self.change(|dispatch, now| dispatch.next(now, self.outlet.accepted()));
            let mut until = None;
            if let Task::Take { beyond } = task {
                (task, until) = self.take(beyond);
            }
            match task {
                Task::Look(job) => self.deliver(job),
                Task::Settle(job) => {
                    let in_hand = self.in_hand(&job.stored);
                    self.settle(job, in_hand);
                }
                Task::Wait(time) => {
                    let until = until.into_iter().chain(time).min();
                    self.lane.delivery_wakeup().wait(seen, until);
                }
                Task::Take { .. } => {}
            }
        }
    }

    /// Asks the lane for a batch. Returns what to do, and when to ask the lane again if it has none.
    fn take(&self, beyond: bool) -> (Task, Option<Instant>) {
        let taking = Taking(Some(self));
        let take = if beyond { self.lane.take_confirming() } else { self.lane.take_batch() };
        let taken = match take {
            Take::Batch(stored) => {
                let stored: Arc<StoredBatch> = stored.into();
                let in_hand = self.in_hand(&stored);
                let mut job = self.change(|dispatch, _| dispatch.took(stored));
                self.put_off.withhold(&mut job);
                in_hand.placed();
                (if job.is_done() { Task::Settle(job) } else { Task::Look(job) }, None)
            }
            Take::Wait(time) => {
                (self.change(|dispatch, now| dispatch.took_nothing(now, self.outlet.accepted())), time)
            }
        };
        taking.ended();
        taken
    }

    /// Makes the next request at once, without waiting for backoff or hold to end.
    pub(crate) fn wake(&self) {
        self.outlet.wake_gates();
        self.wake_lane();
    }

    /// The same for what this lane alone waits for.
    pub(crate) fn wake_lane(&self) {
        self.change(|dispatch, _| dispatch.wake());
        self.lane.delivery_wakeup().raise();
    }

    /// New items go into another lane from now on.
    pub(crate) fn become_backlog(&self) {
        let stream = Stream::Backlog(self.lane.id().to_owned());
        self.change(|dispatch, _| dispatch.set_stream(stream));
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
        self.lane.delivery_wakeup().raise();
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Acquire)
    }

    /// Changes the dispatch, shows in counters and log what came of it, and wakes the threads that it concerns.
    fn change<T>(&self, how: impl FnOnce(&mut Dispatch, Instant) -> T) -> T {
        // First: what panics here has changed nothing yet.
        let now = Instant::now();
        let mut dispatch = self.dispatch.lock().unpoisoned();
        let done = how(&mut dispatch, now);
        self.show(&dispatch, now);
        let (notes, has_changed) = (dispatch.take_notes(), dispatch.take_change());
        let has_gate_changed = dispatch.take_gate_change();
        drop(dispatch);
        if has_gate_changed {
            self.outlet.wake_lanes();
        } else if has_changed {
            self.lane.delivery_wakeup().raise();
        }
        notes.into_iter().for_each(|note| self.tell(note));
        done
    }

    fn in_hand(&self, stored: &Arc<StoredBatch>) -> InHand<'_> {
        let wakes = self.dispatch.lock().unpoisoned().wakes();
        InHand { delivery: self, stored: Some(stored.clone()), wakes }
    }

    /// Sends the next part of `job`, if there is nothing against it.
    fn deliver(&self, mut job: Job) {
        let in_hand = self.in_hand(&job.stored);
        if self.lane.is_obsolete(&job.stored) {
            job.drop_rest();
            return self.settle(job, in_hand);
        }
        let wakes = self.outlet.gates().keys().wakes();
        match self.outlet.exporter().ready(job.key_name()) {
            Ok(()) => {}
            Err(Outcome::NoKey) => return self.set_aside(dispatch::no_key(job), in_hand),
            Err(Outcome::Hold { reason, .. }) => {
                self.change(|dispatch, now| dispatch.hold_key(job, reason, wakes, now));
                return in_hand.placed();
            }
            // No exporter has a reason to say anything else.
            Err(_) => {}
        }
        match self.change(|dispatch, now| dispatch.begin(job, now, self.outlet.accepted())) {
            Begin::Send(sending) => self.send(sending, in_hand),
            Begin::SetAside(aside) => self.set_aside(aside, in_hand),
            Begin::Wait => in_hand.placed(),
        }
    }

    fn send(&self, mut sending: Sending, in_hand: InHand<'_>) {
        let part = sending.job.part();
        let (outcome, uploaded) = self.export(&part);
        let outcome = match outcome {
            Outcome::PartlyAccepted { status, rejected, message } => {
                self.note_partial_success(&part, rejected, &message);
                Outcome::Accepted { status }
            }
            outcome => outcome,
        };
        drop(part);
        sending.uploaded(uploaded);
        match &outcome {
            Outcome::Accepted { .. } => self.outlet.note_accepted(),
            Outcome::TooLarge(_) | Outcome::Refused(_) => {}
            _ if self.is_stopped() => {
                // It was broken off. If it was a probe, another lane may probe now.
                drop(sending);
                self.outlet.wake_lanes();
                return in_hand.placed();
            }
            _ => {}
        }
        if let Some(status) = status_of(&outcome) {
            self.lane.set_counter(HeaderCounter::LastHttpStatus, status.into());
        }
        let is_retry = matches!(outcome, Outcome::Retry { .. });
        let aside =
            self.change(|dispatch, now| dispatch.report(sending, outcome, now, self.outlet.accepted()));
        match aside {
            Some(aside) => self.set_aside(aside, in_hand),
            None => {
                if is_retry {
                    self.lane.add_counter(HeaderCounter::Retries, 1);
                }
                in_hand.placed();
            }
        }
    }

    /// A request was accepted with a word about it.
    fn note_partial_success(&self, part: &Batch, rejected: u64, message: &str) {
        // A request has fewer records than bytes; what a receiver says beyond that must not overflow the counter.
        let rejected = rejected.min(part.items_bytes());
        self.outlet.note_partially_rejected(rejected);
        let said = quote(message.as_bytes());
        let what = match rejected {
            0 => "with a warning".to_owned(),
            _ => format!("but for {rejected} of its records"),
        };
        self.log.line(Level::Warn, format_args!("batch {part} was accepted {what}{said}"));
    }

    /// Sends `part` once, and says how many bytes that took. The exporter may be a user's: its panic counts as a failed
    /// attempt and does not end the thread.
    fn export(&self, part: &Batch) -> (Outcome, u64) {
        let attempt = || self.outlet.exporter().export_counted(part, self.deadline());
        catch_unwind(AssertUnwindSafe(attempt)).unwrap_or_else(|_| {
            let reason = "the exporter panicked".to_owned();
            (Outcome::Retry { status: 0, after: None, reason }, 0)
        })
    }

    /// What keeps batches on the disk.
    fn trouble(&self, dispatch: &Dispatch) -> Option<(ExportState, String, Instant)> {
        let store_trouble = || {
            let (reason, until) = self.store_trouble(dispatch)?;
            Some((ExportState::Hold, reason, until))
        };
        self.lane.read_trouble().or_else(store_trouble)
    }

    /// Shows in the counters what the export does.
    fn show(&self, dispatch: &Dispatch, now: Instant) {
        let mut status = dispatch.status(now);
        if status.state == ExportState::Idle
            && let Some((state, reason, until)) = self.trouble(dispatch)
        {
            status = Status { state, reason, until: Some(until) };
        }
        if !status.reason.is_empty() {
            self.lane.set_reason(&status.reason);
        }
        let next = status
            .until
            .map_or(0, |until| now_unix_ms() + until.saturating_duration_since(now).as_millis() as u64);
        self.lane.set_counter(HeaderCounter::NextAttemptUnixMs, next);
        self.lane.set_counter(HeaderCounter::ExportState, status.state.into());
    }

    fn tell(&self, note: Note) {
        let lane = self.lane.id();
        let of_key = note.key.filter(|name| !name.is_empty()).map(|name| format!(" under the key {name}"));
        let of_key = of_key.unwrap_or_default();
        let (level, what) = match note.why {
            None => {
                self.outlet.note_reopened();
                (Level::Info, "goes on".to_owned())
            }
            Some(Why::Backoff(reason)) => (Level::Warn, format!("is on backoff: {reason}")),
            Some(Why::Hold(reason)) => (Level::Error, format!("is on hold: {reason}")),
        };
        self.log.line(level, format_args!("export of lane {lane}{of_key} {what}"));
    }
}

/// The HTTP status of what the ingest said, if it said anything.
fn status_of(outcome: &Outcome) -> Option<u16> {
    match outcome {
        Outcome::Accepted { status } | Outcome::PartlyAccepted { status, .. } => Some(*status),
        Outcome::Retry { status, .. } | Outcome::Hold { status, .. } => Some(*status).filter(|s| *s != 0),
        Outcome::TooLarge(answer) | Outcome::Refused(answer) => Some(answer.status),
        Outcome::NoKey => None,
    }
}
