//! Ours: when a client of spanspool sends and what: the library's own gate, pace, backoff, turns and budget, in virtual time.

use std::time::{Duration, Instant};

use super::budget::Budget;
use super::gate::{self, Gate, Reply};
use super::turns::{Stream, Turns};
use crate::events::Ms;
use crate::export::Backoff;
use crate::ingest::Said;

/// The instant that is millisecond 0.
#[derive(Clone, Copy)]
pub struct Epoch(Instant);

impl Epoch {
    /// Any instant does: only differences count.
    pub fn now() -> Self {
        Self(Instant::now())
    }

    fn instant(self, ms: Ms) -> Instant {
        self.0 + Duration::from_millis(ms)
    }

    /// The first whole millisecond at which `instant` has come.
    fn ms(self, instant: Instant) -> Ms {
        instant.saturating_duration_since(self.0).as_micros().div_ceil(1000) as Ms
    }
}

/// What the settings say.
#[derive(Clone, Copy)]
pub struct Settings {
    /// `base_delay_ms`.
    pub base_delay: Ms,
    /// `max_delay_ms`.
    pub max_delay: Ms,
    /// `jitter`.
    pub jitter: f64,
    /// `max_in_flight`.
    pub max_in_flight: usize,
    /// `max_bytes_per_s`.
    pub max_bytes_per_s: u64,
}

impl Settings {
    /// The library's defaults.
    pub const DEFAULT: Self =
        Self { base_delay: 1_000, max_delay: 30_000, jitter: 0.1, max_in_flight: 1, max_bytes_per_s: 0 };
}

/// The gate before the endpoint, as `src/delivery/dispatch` uses it for one key.
pub struct Ours {
    gate: Gate,
    epoch: Epoch,
    /// The delays of a batch that fails while others are accepted.
    backoff: Backoff,
    budget: Option<Budget>,
    accepted: u64,
}

/// The right to make one request, and how many the ingest had accepted when it began.
pub struct Permit(gate::Permit, u64);

impl Ours {
    /// An open gate.
    pub fn new(settings: &Settings, epoch: Epoch) -> Self {
        let max_delay = Duration::from_millis(settings.max_delay);
        let backoff = Backoff::new(Duration::from_millis(settings.base_delay), max_delay, settings.jitter);
        let has_budget = settings.max_bytes_per_s > 0;
        let budget = has_budget.then(|| Budget::new(settings.max_bytes_per_s, 0, epoch.0));
        Self { gate: Gate::new(backoff.another(), max_delay), epoch, backoff, budget, accepted: 0 }
    }

    /// The process before this one waited so long.
    pub fn remember_outage(&mut self, time: Ms) {
        self.gate.remember_outage(Duration::from_millis(time));
    }

    /// Until when no request may begin; `None`: one may.
    pub fn wait(&self, now: Ms) -> Option<Ms> {
        let instant = self.epoch.instant(now);
        let at_gate = self.gate.wait(instant);
        let of_budget = || Some(instant + self.budget.as_ref()?.wait(true, 0, instant)?);
        at_gate.or_else(of_budget).map(|until| self.epoch.ms(until))
    }

    /// Lets a request of so many bytes begin, unless it must wait.
    pub fn enter(&mut self, bytes: u64, now: Ms) -> Option<Permit> {
        let instant = self.epoch.instant(now);
        let permit = self.gate.enter(instant).ok()?;
        self.budget.iter_mut().for_each(|budget| budget.take(bytes, instant));
        Some(Permit(permit, self.accepted))
    }

    /// What came of a request, the `attempts`th of its batch. Returns until when that batch waits by itself.
    pub fn answer(&mut self, Permit(permit, begun_at): Permit, said: Said, attempts: u32, now: Ms) -> Ms {
        let instant = self.epoch.instant(now);
        let after = match said {
            Said::Accepted => {
                self.accepted += 1;
                self.gate.answer(permit, Reply::Accepted, instant);
                return 0;
            }
            Said::Refused(after) => after.map(Duration::from_millis),
            Said::Nothing => None,
        };
        // As `Dispatch::retry` tells a failure among accepted requests from an outage.
        if after.is_none() && self.accepted > begun_at && self.gate.is_open() {
            self.gate.failed_alone(permit);
            return now + self.backoff.after(attempts).as_millis() as Ms;
        }
        self.gate.answer(permit, Reply::Retry { reason: String::new(), after }, instant);
        0
    }
}

/// Whose turn it is with `order=newest_first`.
pub struct Streams {
    turns: Turns,
    epoch: Epoch,
}

impl Streams {
    /// New items, and a backlog that gets `share` of the requests.
    pub fn new(share: f64, epoch: Epoch) -> Self {
        // How many are under way at once is the client's to say.
        Self { turns: Turns::new(share, usize::MAX), epoch }
    }

    /// Both have a request to make. Whether it is the backlog's turn, which is taken.
    pub fn is_backlogs(&mut self, now: Ms) -> bool {
        let now = self.epoch.instant(now);
        let backlog = Stream::Backlog(String::new());
        self.turns.note_waiting(&Stream::New, now);
        self.turns.note_waiting(&backlog, now);
        let is_backlogs = self.turns.may_begin(&backlog, now);
        let stream = if is_backlogs { backlog } else { Stream::New };
        self.turns.begin(&stream, true, now);
        self.turns.end(&stream, now);
        is_backlogs
    }
}
