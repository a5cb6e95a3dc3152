//! Ours: when a client of spanspool sends: the library's own gate, pace and backoff, in virtual time.

use std::time::{Duration, Instant};

use super::gate::{self, Gate, Reply};
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
}

impl Settings {
    /// The library's defaults.
    pub const DEFAULT: Self = Self { base_delay: 1_000, max_delay: 30_000, jitter: 0.1, max_in_flight: 1 };
}

/// The gate before the endpoint, as `src/delivery/dispatch` uses it for one key.
pub struct Ours {
    gate: Gate,
    epoch: Epoch,
    /// The delays of a batch that fails while others are accepted.
    backoff: Backoff,
    accepted: u64,
}

/// The right to make one request, and how many the ingest had accepted when it began.
pub struct Permit(gate::Permit, u64);

impl Ours {
    /// An open gate.
    pub fn new(settings: &Settings, epoch: Epoch) -> Self {
        let max_delay = Duration::from_millis(settings.max_delay);
        let backoff = Backoff::new(Duration::from_millis(settings.base_delay), max_delay, settings.jitter);
        Self { gate: Gate::new(backoff.another(), max_delay), epoch, backoff, accepted: 0 }
    }

    /// Until when no request may begin; `None`: one may.
    pub fn wait(&self, now: Ms) -> Option<Ms> {
        self.gate.wait(self.epoch.instant(now)).map(|until| self.epoch.ms(until))
    }

    /// Lets a request begin, unless it must wait.
    pub fn enter(&mut self, now: Ms) -> Option<Permit> {
        let permit = self.gate.enter(self.epoch.instant(now)).ok()?;
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
