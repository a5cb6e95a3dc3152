//! Ingest: a model of what receives. Work is done one after the other at the capacity's speed; what comes waits for it.
//!
//! What it can't take in time it refuses (503), which costs a part of what taking it would. An ingest without such a limit
//! does all the work, also for requests that were given up.

use crate::events::Ms;
use crate::export::random::Random;

/// What an ingest is like. A request that is taken is one unit of work.
#[derive(Clone)]
pub struct Manners {
    /// Units a second, once it is warm.
    pub capacity: f64,
    /// The share of it that there is just after the outage.
    pub cold: f64,
    /// How long it takes to become warm.
    pub warms_in: Ms,
    /// A request that would wait longer is refused.
    pub longest_wait: Ms,
    /// Units for a refusal.
    pub refusal: f64,
    /// Units for a new connection.
    pub handshake: f64,
    /// After so long without a request a connection is closed.
    pub keeps_alive: Ms,
    /// What a refusal says.
    pub retry_after: RetryAfter,
    /// What is said during the outage.
    pub down: Down,
    /// The share of answers that are lost after the work was done.
    pub lost: f64,
    /// From the request to its answer, with nothing else to do.
    pub round_trip: Ms,
    /// After so long a client gives the request up.
    pub timeout: Ms,
}

/// What a refusal asks for.
#[derive(Clone, Copy, PartialEq)]
pub enum RetryAfter {
    /// Nothing.
    Absent,
    /// Always the same.
    Constant(Ms),
    /// By when what is refused now could be taken, at the rate of refusals of the last second.
    Estimated,
}

/// What an ingest that is down says.
#[derive(Clone, Copy, PartialEq)]
pub enum Down {
    /// Nothing listens.
    NoConnection,
    /// A balancer before it answers 503, as a refusal.
    Unavailable,
    /// Nothing comes back, until the client gives up.
    Silence,
}

/// What a client hears.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Said {
    /// 2xx.
    Accepted,
    /// 503, and how long to wait.
    Refused(Option<Ms>),
    /// Nothing came: no connection, or the answer was lost or too late.
    Nothing,
}

/// What became of a request.
pub struct Answer {
    /// What the client hears.
    pub said: Said,
    /// When.
    pub at: Ms,
    /// The ingest has what the request carried.
    pub is_taken: bool,
}

/// An ingest that is down until `up_at`.
pub struct Ingest {
    manners: Manners,
    up_at: Ms,
    /// Units of work that wait.
    work: f64,
    /// When that was so.
    at: Ms,
    /// Requests refused in the second before last and in this one.
    refused: [f64; 2],
    second: Ms,
    random: Random,
}

impl Ingest {
    /// One that comes up at `up_at`.
    pub fn new(manners: Manners, up_at: Ms, random: Random) -> Self {
        Self { manners, up_at, work: 0.0, at: 0, refused: [0.0; 2], second: 0, random }
    }

    /// Units of work a millisecond at `now`.
    fn speed(&self, now: Ms) -> f64 {
        let Manners { capacity, cold, warms_in, .. } = self.manners;
        let warm = (now.saturating_sub(self.up_at) as f64 / warms_in.max(1) as f64).min(1.0);
        capacity / 1000.0 * (cold + (1.0 - cold) * warm)
    }

    /// A request comes, maybe by a new connection.
    pub fn request(&mut self, now: Ms, is_new_connection: bool) -> Answer {
        let round_trip = self.manners.round_trip;
        if now < self.up_at {
            let (said, after) = match self.manners.down {
                Down::NoConnection => (Said::Nothing, round_trip),
                Down::Unavailable => (Said::Refused(self.asked(0.0)), round_trip),
                Down::Silence => (Said::Nothing, self.manners.timeout),
            };
            return Answer { said, at: now + after, is_taken: false };
        }
        let speed = self.speed(now);
        self.work = (self.work - speed * now.saturating_sub(self.at.max(self.up_at)) as f64).max(0.0);
        self.at = now;
        if is_new_connection {
            self.work += self.manners.handshake;
        }
        let wait = self.work / speed;
        if wait > self.manners.longest_wait as f64 {
            self.work += self.manners.refusal;
            let said = Said::Refused(self.asked_of_crowd(now, speed));
            return Answer { said, at: now + round_trip, is_taken: false };
        }
        self.work += 1.0;
        let takes = round_trip + wait as Ms;
        let is_lost = self.manners.lost > 0.0 && self.random.fraction() < self.manners.lost;
        if takes > self.manners.timeout {
            Answer { said: Said::Nothing, at: now + self.manners.timeout, is_taken: true }
        } else {
            let said = if is_lost { Said::Nothing } else { Said::Accepted };
            Answer { said, at: now + takes, is_taken: true }
        }
    }

    /// What a refusal asks for, where `estimate` is how long it would take to take all that is refused.
    fn asked(&self, estimate: f64) -> Option<Ms> {
        match self.manners.retry_after {
            RetryAfter::Absent => None,
            RetryAfter::Constant(ms) => Some(ms),
            RetryAfter::Estimated => Some((estimate as Ms).div_ceil(1000).max(1) * 1000),
        }
    }

    fn asked_of_crowd(&mut self, now: Ms, speed: f64) -> Option<Ms> {
        let second = now / 1000;
        if second != self.second {
            self.refused = [if second == self.second + 1 { self.refused[1] } else { 0.0 }, 0.0];
            self.second = second;
        }
        self.refused[1] += 1.0;
        self.asked(self.refused[0].max(self.refused[1]) / speed)
    }
}
