//! Policy: when a client may send: spanspool's, and what others have published, each with the same durable queue.
//!
//! The others give a request up after some time and drop what it carried. Here nothing is dropped: only the times are
//! theirs. Each has one request under way.

use crate::delivery::{Epoch, Ours, Permit as OurPermit, Settings};
use crate::events::Ms;
use crate::export::random::Random;
use crate::ingest::Said;

/// Whose policy.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Kind {
    /// spanspool's.
    Ours,
    /// spanspool 0.1: backoff from 1 to 30 s, Retry-After to the second, then full speed.
    Before,
    /// OTLP exporters: 5 to 30 s, × 1.5, half of it random to either side; after a minute the next batch's turn.
    Otlp,
    /// OpenAI Agents SDK: 1 s, 2 s, then the next batch's turn; a 503's Retry-After does not count.
    AgentsSdk,
    /// Exponential backoff with full jitter: a random time up to 1, 2, 4, … 30 s.
    FullJitter,
    /// gRPC (proposal A6): 1 to 30 s, a fifth random; no retry while half of ten tokens are gone.
    Grpc,
    /// Adaptive throttling (Site Reliability Engineering, chapter 21), K = 2, a try each second.
    Adaptive,
}

impl Kind {
    /// All, ours first.
    pub const ALL: [Self; 7] =
        [Self::Ours, Self::Before, Self::Otlp, Self::AgentsSdk, Self::FullJitter, Self::Grpc, Self::Adaptive];

    /// What the tables call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ours => "spanspool",
            Self::Before => "spanspool 0.1",
            Self::Otlp => "OTLP exporters",
            Self::AgentsSdk => "Agents SDK",
            Self::FullJitter => "full jitter",
            Self::Grpc => "gRPC throttling",
            Self::Adaptive => "SRE adaptive",
        }
    }
}

/// A client's.
pub enum Policy {
    /// spanspool's.
    Ours(Box<Ours>),
    /// Another one's.
    Other(Box<Other>),
}

/// The right to make one request.
pub struct Permit(Option<OurPermit>);

impl Policy {
    /// One that has not failed yet.
    pub fn new(kind: Kind, settings: &Settings, epoch: Epoch) -> Self {
        match kind {
            Kind::Ours => Self::Ours(Box::new(Ours::new(settings, epoch))),
            kind => Self::Other(Box::new(Other::new(kind))),
        }
    }

    /// A process that starts again: the one before it waited so long. Only ours reads that in the spool.
    pub fn remember_outage(&mut self, time: Ms) {
        if let Self::Ours(ours) = self {
            ours.remember_outage(time);
        }
    }

    /// Until when no request may begin; `None`: one may.
    pub fn wait(&self, now: Ms) -> Option<Ms> {
        match self {
            Self::Ours(ours) => ours.wait(now),
            Self::Other(other) => Some(other.until).filter(|until| now < *until),
        }
    }

    /// Lets a request of so many bytes begin, unless it must wait.
    pub fn enter(&mut self, bytes: u64, now: Ms) -> Option<Permit> {
        match self {
            Self::Ours(ours) => ours.enter(bytes, now).map(|permit| Permit(Some(permit))),
            Self::Other(other) => other.enter(now).then_some(Permit(None)),
        }
    }

    /// What came of a request, the `attempts`th of its batch. Returns until when that batch waits by itself.
    pub fn answer(&mut self, permit: Permit, said: Said, attempts: u32, now: Ms) -> Ms {
        match (self, permit) {
            (Self::Ours(ours), Permit(Some(permit))) => ours.answer(permit, said, attempts, now),
            (Self::Other(other), _) => {
                other.answer(said, now);
                0
            }
            (Self::Ours(_), Permit(None)) => 0,
        }
    }
}

/// What the others remember.
pub struct Other {
    kind: Kind,
    /// No request before then.
    until: Ms,
    /// In a row.
    failures: u32,
    first_failure: Ms,
    /// gRPC's tokens.
    tokens: f64,
    /// Requests and accepted ones of the last two minutes, about.
    requests: f64,
    accepts: f64,
    forgot_at: Ms,
    random: Random,
}

/// Tokens of a client that has not failed.
const TOKENS: f64 = 10.0;
/// The time over which adaptive throttling counts.
const WINDOW: f64 = 120_000.0;

impl Other {
    fn new(kind: Kind) -> Self {
        Self {
            kind,
            until: 0,
            failures: 0,
            first_failure: 0,
            tokens: TOKENS,
            requests: 0.0,
            accepts: 0.0,
            forgot_at: 0,
            random: Random::seeded(),
        }
    }

    fn enter(&mut self, now: Ms) -> bool {
        if now < self.until {
            return false;
        }
        if self.kind != Kind::Adaptive {
            return true;
        }
        let kept = (-((now - self.forgot_at) as f64) / WINDOW).exp();
        (self.requests, self.accepts, self.forgot_at) = (self.requests * kept, self.accepts * kept, now);
        let rejected = (self.requests - 2.0 * self.accepts) / (self.requests + 1.0);
        self.requests += 1.0;
        let passes = self.random.fraction() >= rejected;
        if !passes {
            self.until = now + self.around(1_000.0, 0.1);
        }
        passes
    }

    fn answer(&mut self, said: Said, now: Ms) {
        if said == Said::Accepted {
            (self.failures, self.accepts) = (0, self.accepts + 1.0);
            self.tokens = (self.tokens + 0.1).min(TOKENS);
            return;
        }
        self.tokens = (self.tokens - 1.0).max(0.0);
        if self.failures == 0 {
            self.first_failure = now;
        }
        self.failures += 1;
        let asked = if let Said::Refused(Some(after)) = said { after } else { 0 };
        let doubled = 1_000.0 * f64::from(1_u32 << (self.failures - 1).min(5));
        let wait = match self.kind {
            Kind::Ours | Kind::Before => {
                asked.max((doubled.min(30_000.0) * (1.0 + 0.1 * self.random.fraction())) as Ms)
            }
            Kind::Otlp if now - self.first_failure >= 60_000 => {
                self.failures = 0;
                asked
            }
            Kind::Otlp => {
                let delay = 5_000.0 * 1.5_f64.powi(self.failures as i32 - 1);
                asked.max(self.around(delay.min(30_000.0), 0.5))
            }
            Kind::AgentsSdk if self.failures == 3 => {
                self.failures = 0;
                0
            }
            Kind::AgentsSdk => (doubled * (1.0 + 0.1 * self.random.fraction())) as Ms,
            Kind::FullJitter => asked.max((doubled.min(30_000.0) * self.random.fraction()) as Ms),
            // The call fails; the next one is made when the next batch is due.
            Kind::Grpc if self.tokens <= TOKENS / 2.0 || self.failures >= 5 => {
                self.failures = 0;
                asked.max(5_000)
            }
            Kind::Grpc => asked.max(self.around(doubled.min(30_000.0), 0.2)),
            Kind::Adaptive => asked.max(self.around(1_000.0, 0.1)),
        };
        self.until = now + wait;
    }

    /// `ms`, give or take a random share of it, at most `share`.
    fn around(&mut self, ms: f64, share: f64) -> Ms {
        (ms * (1.0 - share + 2.0 * share * self.random.fraction())) as Ms
    }
}
