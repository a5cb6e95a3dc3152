//! Allowance: what the program and its settings let a client send, whatever the ingest says: whether it is paused, how
//! many bytes a second, and with `order=newest_first` whose turn it is.
//!
//! Pure: time is passed in.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::budget::Budget;
use super::turns::{Stream, Turns};
use crate::config::{Config, Order};
use crate::os::lock::Unpoison;

/// Who waits for its turn, which it is told, looks again after so long in any case.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// The same for the end of a pause.
const WHILE_PAUSED: Duration = Duration::from_secs(3600);

/// What a client may send. The default allows everything.
#[derive(Default)]
pub(super) struct Allowance {
    is_paused: bool,
    budget: Option<Budget>,
    turns: Option<Turns>,
    /// A stream must wait for its turn.
    is_awaited: bool,
    /// The turn has become another's since a stream was told to wait.
    has_changed: bool,
}

/// Why nothing may be sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Obstacle {
    Paused,
    /// `max_bytes_per_s` is used up until then.
    Budget(Instant),
    /// It is another stream's turn, or as many requests are under way as may be.
    Turn,
}

impl Obstacle {
    /// When to look again.
    pub(super) fn until(self, now: Instant) -> Instant {
        match self {
            Self::Budget(until) => until,
            Self::Turn => now + LOOK_AGAIN,
            Self::Paused => now + WHILE_PAUSED,
        }
    }
}

impl Allowance {
    pub(super) fn new(config: &Config, now: Instant) -> Self {
        let has_budget = config.max_bytes_per_s > 0;
        let has_turns = config.order == Order::NewestFirst;
        Self {
            is_paused: false,
            budget: has_budget.then(|| Budget::new(config.max_bytes_per_s, config.max_batch_bytes, now)),
            turns: has_turns.then(|| Turns::new(config.backlog_share, config.max_in_flight)),
            is_awaited: false,
            has_changed: false,
        }
    }

    /// Sets whether nothing may be sent at all; returns whether that was otherwise.
    pub(super) fn set_paused(&mut self, is_paused: bool) -> bool {
        std::mem::replace(&mut self.is_paused, is_paused) != is_paused
    }

    /// What is in the way of a request of `stream` with `bytes` bytes.
    pub(super) fn obstacle(&self, stream: &Stream, bytes: u64, now: Instant) -> Option<Obstacle> {
        if self.is_paused {
            return Some(Obstacle::Paused);
        }
        let is_new = *stream == Stream::New;
        let wait = self.budget.as_ref().and_then(|budget| budget.wait(is_new, bytes, now));
        if let Some(wait) = wait {
            return Some(Obstacle::Budget(now + wait));
        }
        let may_begin = self.turns.as_ref().is_none_or(|turns| turns.may_begin(stream, now));
        (!may_begin).then_some(Obstacle::Turn)
    }

    /// Lets a request begin, or says what is in the way. `has_more`: the stream has another one to make.
    fn enter(&mut self, stream: &Stream, bytes: u64, has_more: bool, now: Instant) -> Result<(), Obstacle> {
        if let Some(obstacle) = self.obstacle(stream, bytes, now) {
            match obstacle {
                Obstacle::Turn => self.note_turn(stream, now),
                // The turn is the others' meanwhile.
                Obstacle::Paused | Obstacle::Budget(_) => self.note_idle(stream),
            }
            return Err(obstacle);
        }
        self.budget.iter_mut().for_each(|budget| budget.take(bytes, now));
        if let Some(turns) = &mut self.turns {
            turns.begin(stream, has_more, now);
            self.tell();
        }
        Ok(())
    }

    /// `stream` waits on, for its turn if nothing else is in its way.
    pub(super) fn note_waiting(&mut self, stream: &Stream, bytes: u64, now: Instant) {
        if self.obstacle(stream, bytes, now) == Some(Obstacle::Turn) {
            self.note_turn(stream, now);
        }
    }

    /// `stream` waits for its turn.
    fn note_turn(&mut self, stream: &Stream, now: Instant) {
        self.turns.iter_mut().for_each(|turns| turns.note_waiting(stream, now));
        self.is_awaited = true;
    }

    /// `stream` has nothing to send now.
    pub(super) fn note_idle(&mut self, stream: &Stream) {
        if self.turns.as_mut().is_some_and(|turns| turns.note_idle(stream)) {
            self.tell();
        }
    }

    /// A request has ended that was allowed `allowed` bytes and took `used`.
    fn leave(&mut self, stream: &Stream, allowed: u64, used: u64, now: Instant) {
        if let Some(budget) = &mut self.budget {
            budget.correct(allowed, used);
        }
        if let Some(turns) = &mut self.turns {
            turns.end(stream, now);
            self.tell();
        }
    }

    fn tell(&mut self) {
        self.has_changed |= std::mem::take(&mut self.is_awaited);
    }

    /// Whether those who wait for their turn are to look again.
    pub(super) fn take_change(&mut self) -> bool {
        std::mem::take(&mut self.has_changed)
    }
}

/// A request that was let begin. Dropping it ends that.
pub(super) struct Ticket {
    allowance: Arc<Mutex<Allowance>>,
    stream: Stream,
    allowed: u64,
    /// What it uploaded; nothing is known of one that was broken off.
    pub(super) used: Option<u64>,
    /// When it ended, or began if it was broken off.
    pub(super) at: Instant,
}

impl Ticket {
    /// Lets a request of `stream` begin, or says what is in the way.
    pub(super) fn take(
        allowance: &Arc<Mutex<Allowance>>,
        stream: &Stream,
        bytes: u64,
        has_more: bool,
        now: Instant,
    ) -> Result<Self, Obstacle> {
        allowance.lock().unpoisoned().enter(stream, bytes, has_more, now)?;
        Ok(Self { allowance: allowance.clone(), stream: stream.clone(), allowed: bytes, used: None, at: now })
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let used = self.used.unwrap_or(self.allowed);
        // The clock is not read here: where a panic ends the request, another one would end the process.
        self.allowance.lock().unpoisoned().leave(&self.stream, self.allowed, used, self.at);
    }
}
