//! Gate: whether a request may be made now.
//!
//! ```text
//!            retry, hold          due: one request passes
//!   Open ───────────────▶ Shut ───────────────────────────▶ Probing
//!     ▲                    ▲                                │    │
//!     │                    └─── retry, hold; due if dropped ┘    │
//!     └──────────────────── accepted, refused ───────────────────┘
//! ```
//! Each request that passes takes a [`Permit`] of the gate's epoch along, and gives it back with what the ingest said. An
//! epoch ends when the gate shuts, when a probe passes and when the gate is woken. So what the ingest says to a request
//! that began in an earlier epoch neither opens the gate nor shuts it once more: requests that fail together are one
//! failure. Only a wait that the ingest asks for counts whenever it comes. An open gate keeps to a [`Pace`].
//!
//! Pure: time is passed in.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::{Duration, Instant};

use super::pace::Pace;
use crate::export::Backoff;

/// While a wait runs that the ingest asked for, waking the gate lets one request through in this time.
const WOKEN_AFTER: Duration = Duration::from_secs(1);

/// The gate before an endpoint, or before one key.
pub(super) struct Gate {
    state: State,
    epoch: u64,
    /// The epoch that began when it was woken last.
    woken: u64,
    /// The ingest asked for no request before then.
    asked_until: Option<Instant>,
    last_entry: Option<Instant>,
    /// The epoch of a probe that was dropped without an answer.
    dropped: Arc<AtomicU64>,
    /// Why it was shut last, as long as nothing was accepted since: the same reason again is no news.
    reported: Option<Why>,
    backoff: Backoff,
    pace: Pace,
    /// Which part of the pace the next request waits for.
    turn: f64,
    /// Time between probes.
    probe_after: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Open,
    /// No request before `until`.
    Shut {
        until: Instant,
        why: Why,
    },
    /// One request probes for all. Another one does if it has no answer at `due`.
    Probing {
        epoch: u64,
        due: Instant,
        why: Why,
    },
}

/// Why the gate is shut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Why {
    Backoff(String),
    Hold(String),
}

/// The right to make one request. Dropped without an answer, it makes a gate due that waits for it.
#[derive(Debug)]
#[must_use]
pub(super) struct Permit {
    epoch: u64,
    entered: Instant,
    dropped: Option<Arc<AtomicU64>>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(dropped) = &self.dropped {
            dropped.fetch_max(self.epoch, Release);
        }
    }
}

/// What the ingest said to a request.
#[derive(Debug)]
pub(super) enum Reply {
    Accepted,
    /// The items are refused: the endpoint answers.
    Refused,
    /// It failed, and the ingest asks to wait so long before the next one.
    Retry {
        reason: String,
        after: Option<Duration>,
    },
    Hold(String),
}

/// What became of the gate, when that is news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    Opened,
    Shut,
}

impl Gate {
    pub(super) fn new(backoff: Backoff, probe_after: Duration) -> Self {
        Self {
            state: State::Open,
            epoch: 1,
            woken: 0,
            asked_until: None,
            last_entry: None,
            dropped: Arc::default(),
            reported: None,
            backoff,
            pace: Pace::new(probe_after),
            turn: 1.0,
            probe_after,
        }
    }

    /// The same gate, whose epochs come after `epoch`: permits of a gate that stood here before are of no epoch of it.
    pub(super) fn after(self, epoch: u64) -> Self {
        Self { epoch: epoch + 1, ..self }
    }

    /// A process before this one waited so long in vain, and others may have. What this one hears itself counts more.
    pub(super) fn remember_outage(&mut self, time: Duration) {
        self.pace.remember(time);
    }

    /// Until when no request may pass; `None`: one may.
    pub(super) fn wait(&self, now: Instant) -> Option<Instant> {
        match &self.state {
            State::Shut { until, .. } => Some(*until),
            State::Probing { epoch, .. } if self.dropped.load(Acquire) == *epoch => None,
            State::Probing { due, .. } => Some(*due),
            State::Open => self.pace.next(self.last_entry, self.turn),
        }
        .filter(|until| now < *until)
    }

    /// Lets a request pass, or says until when to wait. Whatever passes a shut gate probes for all.
    pub(super) fn enter(&mut self, now: Instant) -> Result<Permit, Instant> {
        if let Some(until) = self.wait(now) {
            return Err(until);
        }
        self.state = match std::mem::replace(&mut self.state, State::Open) {
            State::Open => State::Open,
            State::Shut { why, .. } => {
                self.epoch += 1;
                State::Probing { epoch: self.epoch, due: now + self.probe_after, why }
            }
            State::Probing { epoch, why, .. } => {
                // A dropped probe's epoch is over. The answer of one that only takes long still counts.
                self.epoch += u64::from(self.dropped.load(Acquire) == epoch);
                State::Probing { epoch: self.epoch, due: now + self.probe_after, why }
            }
        };
        self.last_entry = Some(now);
        self.turn = self.backoff.turn();
        Ok(Permit { epoch: self.epoch, entered: now, dropped: Some(self.dropped.clone()) })
    }

    /// Takes back the permit of a request that the ingest answered.
    pub(super) fn answer(&mut self, mut permit: Permit, reply: Reply, now: Instant) -> Option<News> {
        permit.dropped = None;
        let current = permit.epoch == self.epoch;
        match reply {
            Reply::Accepted if current => {
                self.pace.answered(now);
                self.open();
                self.reported.take().map(|_| News::Opened)
            }
            Reply::Refused if current => {
                self.pace.answered(now);
                self.open();
                None
            }
            Reply::Accepted | Reply::Refused => None,
            Reply::Retry { reason, after } => {
                let asked = after.map(|after| now + self.backoff.spread(after));
                if self.is_before_wake(&permit) {
                    self.shut_woken(&permit, Why::Backoff(reason), asked, now)
                } else if current {
                    let is_probe = self.is_probing();
                    if !is_probe {
                        self.pace.refused(now);
                    }
                    let wait = self.backoff.next().max(asked.map_or(Duration::ZERO, |asked| asked - now));
                    // One failure may be chance. A probe that fails, or a wait that many were told, is an outage.
                    if is_probe || asked.is_some() {
                        self.pace.start_slowly(wait);
                    }
                    let until = now + wait.max(self.pace.pause(self.backoff.turn()));
                    self.asked_until = asked;
                    self.shut(Why::Backoff(reason), until)
                } else {
                    self.shut_longer(Why::Backoff(reason), asked?)
                }
            }
            Reply::Hold(reason) if current => self.shut(Why::Hold(reason), now + self.probe_after),
            Reply::Hold(_) => None,
        }
    }

    /// A request failed while others are accepted: the gate stays open, but requests follow less closely.
    pub(super) fn failed_alone(&mut self, _permit: Permit) {
        self.pace.failed();
    }

    /// Shuts the gate by what was found out in the epoch `since`, unless it was woken after that.
    pub(super) fn close(&mut self, since: u64, reason: String, now: Instant) -> Option<News> {
        if since < self.woken {
            return None;
        }
        self.shut(Why::Hold(reason), now + self.probe_after)
    }

    /// There is no reason to be shut any more.
    pub(super) fn reopen(&mut self) -> Option<News> {
        self.epoch += 1;
        self.open();
        self.reported.take().map(|_| News::Opened)
    }

    /// Lets the next request pass at once. What is said to requests under way does not shut the gate again.
    ///
    /// While a wait runs that the ingest asked for, this lets no more than one request a second pass.
    pub(super) fn wake(&mut self, now: Instant) {
        self.epoch += 1;
        self.woken = self.epoch;
        let allowed = self.allowed(now);
        self.state = match std::mem::replace(&mut self.state, State::Open) {
            State::Open => State::Open,
            State::Shut { until, why } => State::Shut { until: until.min(allowed), why },
            State::Probing { why, .. } => State::Shut { until: allowed, why },
        };
    }

    /// Whether the request with this permit began before the gate was woken last.
    fn is_before_wake(&self, permit: &Permit) -> bool {
        permit.epoch < self.woken
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The permit of a request that began before all epochs.
    pub(super) fn early(&self, entered: Instant) -> Permit {
        Permit { epoch: 0, entered, dropped: None }
    }

    pub(super) fn is_open(&self) -> bool {
        self.state == State::Open
    }

    pub(super) fn is_probing(&self) -> bool {
        matches!(self.state, State::Probing { .. })
    }

    /// Why it is shut, and until when, unless it is open.
    pub(super) fn why(&self) -> Option<(Why, Instant)> {
        match &self.state {
            State::Open => None,
            State::Shut { until, why } | State::Probing { due: until, why, .. } => {
                Some((why.clone(), *until))
            }
        }
    }

    fn open(&mut self) {
        self.backoff.reset();
        self.asked_until = None;
        self.state = State::Open;
    }

    fn shut(&mut self, why: Why, until: Instant) -> Option<News> {
        self.epoch += 1;
        let is_news = self.reported.as_ref() != Some(&why);
        self.reported = Some(why.clone());
        self.state = State::Shut { until, why };
        is_news.then_some(News::Shut)
    }

    /// Another request of an epoch that is over says how long to wait.
    fn shut_longer(&mut self, why: Why, asked: Instant) -> Option<News> {
        self.asked_until = self.asked_until.max(Some(asked));
        match &self.state {
            State::Shut { until, .. } if *until >= asked => None,
            _ => self.shut(why, asked),
        }
    }

    /// As [`Gate::shut_longer`], after the gate was woken: that lets a request pass, but not any number of them.
    fn shut_woken(
        &mut self,
        permit: &Permit,
        why: Why,
        asked: Option<Instant>,
        now: Instant,
    ) -> Option<News> {
        self.asked_until = self.asked_until.max(Some(asked?));
        let until = self.allowed(now).max(permit.entered + WOKEN_AFTER);
        match &self.state {
            State::Open => self.shut(why, until),
            _ => None,
        }
    }

    /// When a gate that is woken `now` lets a request pass.
    fn allowed(&self, now: Instant) -> Instant {
        match (self.asked_until, self.last_entry) {
            (Some(asked), Some(last)) if now < asked => now.max(last + WOKEN_AFTER),
            _ => now,
        }
    }
}

#[cfg(test)]
mod tests;
