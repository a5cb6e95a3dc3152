//! Scenario: a fleet, an outage and an ingest.

use crate::client::{ITEM_BYTES, Making, Order};
use crate::delivery::Settings;
use crate::events::Ms;
use crate::ingest::{Down, Manners, RetryAfter};
use crate::measure::Second;
use crate::policy::Kind;

/// So much of an outage is simulated; what was made before then waits from the beginning.
const SIMULATED: Ms = 300_000;

/// How the clients of a fleet come to fail.
#[derive(Clone, Copy, PartialEq)]
pub enum Start {
    /// The ingest went down for all of them in the same instant.
    AtOnce,
    /// They have been failing for different times: over as much as `max_delay_ms` and more.
    Staggered,
    /// All of them were started again when the ingest came back.
    Restarted,
}

/// A fleet, an outage and an ingest.
#[derive(Clone)]
pub struct Scenario {
    /// What the tables call it.
    pub name: &'static str,
    /// Clients.
    pub clients: u32,
    /// How long the outage lasted.
    pub outage: Ms,
    /// How the clients come to fail.
    pub start: Start,
    /// Items that each client makes in a second.
    pub items_per_s: f64,
    /// `max_batch_size`.
    pub batch: u32,
    /// `schedule_delay_ms`.
    pub schedule_delay: Ms,
    /// The settings of the gate.
    pub settings: Settings,
    /// In which order they send.
    pub order: Order,
    /// Which share of them has another policy.
    pub others: (f64, Kind),
    /// What receives.
    pub ingest: Manners,
    /// From which number all that is random follows.
    pub seed: u64,
}

impl Scenario {
    /// The one that the others differ from in one thing each: 100,000 clients with the default settings, ten minutes of
    /// outage, four items a second of each, twice the capacity that their requests need.
    pub fn usual() -> Self {
        Self {
            name: "usual",
            clients: 100_000,
            outage: 600_000,
            start: Start::AtOnce,
            items_per_s: 4.0,
            batch: 128,
            schedule_delay: 5_000,
            settings: Settings::DEFAULT,
            order: Order::OldestFirst,
            others: (0.0, Kind::Before),
            ingest: Manners {
                capacity: 40_000.0,
                cold: 0.5,
                warms_in: 20_000,
                longest_wait: 500,
                refusal: 0.1,
                handshake: 0.2,
                keeps_alive: 60_000,
                retry_after: RetryAfter::Absent,
                down: Down::Unavailable,
                lost: 0.0,
                round_trip: 50,
                timeout: 60_000,
            },
            seed: 16,
        }
    }

    /// All that are run.
    pub fn all() -> Vec<Self> {
        let usual = Self::usual;
        let of = |name: &'static str, change: &dyn Fn(&mut Self)| {
            let mut scenario = usual();
            change(&mut scenario);
            Self { name, ..scenario }
        };
        let newest = Order::NewestFirst(0.5);
        vec![
            usual(),
            of("no jitter", &|s| s.settings.jitter = 0.0),
            of("newest first", &|s| s.order = newest),
            of("1,000 clients", &|s| s.clients = 1_000),
            of("10,000 clients", &|s| s.clients = 10_000),
            of("1,000 clients, a small ingest", &|s| (s.clients, s.ingest.capacity) = (1_000, 400.0)),
            of("outage of 1 minute", &|s| s.outage = 60_000),
            of("outage of 1 hour", &|s| s.outage = 3_600_000),
            of("outage of 1 hour, newest first", &|s| (s.outage, s.order) = (3_600_000, newest)),
            of("staggered", &|s| s.start = Start::Staggered),
            of("all restarted", &|s| s.start = Start::Restarted),
            of("busy clients: backlog 2 × live", &|s| (s.items_per_s, s.outage) = (25.6, 120_000)),
            of("busy clients, newest first", &|s| {
                (s.items_per_s, s.outage, s.order) = (25.6, 120_000, newest)
            }),
            of("no balancer: no connection", &|s| s.ingest.down = Down::NoConnection),
            of("silent outage", &|s| (s.ingest.down, s.ingest.timeout) = (Down::Silence, 10_000)),
            of("8 in flight", &|s| s.settings.max_in_flight = 8),
            of("64 KB/s for each client", &|s| s.settings.max_bytes_per_s = 64_000),
            of("a fifth are 0.1", &|s| s.others = (0.2, Kind::Before)),
            of("costly refusals and handshakes", &|s| {
                (s.ingest.refusal, s.ingest.handshake, s.ingest.keeps_alive) = (0.5, 1.0, 5_000)
            }),
            of("a cold ingest", &|s| (s.ingest.cold, s.ingest.warms_in) = (0.1, 60_000)),
            of("a bucket without a queue", &|s| s.ingest.longest_wait = 20),
            of("no refusals, time-outs", &|s| (s.ingest.longest_wait, s.ingest.timeout) = (Ms::MAX, 10_000)),
            of("Retry-After by load", &|s| s.ingest.retry_after = RetryAfter::Estimated),
            of("Retry-After: 5", &|s| s.ingest.retry_after = RetryAfter::Constant(5_000)),
            of("Retry-After: 30", &|s| s.ingest.retry_after = RetryAfter::Constant(30_000)),
            of("1 answer of 100 lost", &|s| s.ingest.lost = 0.01),
        ]
    }

    /// Those in which other policies are compared, with a fifth of the clients and of the capacity.
    pub fn compared() -> Vec<Self> {
        let names = ["usual", "no refusals, time-outs"];
        let mut compared = Self::all();
        compared.retain(|scenario| names.contains(&scenario.name));
        for scenario in &mut compared {
            scenario.clients /= 5;
            scenario.ingest.capacity /= 5.0;
        }
        compared
    }

    /// When the ingest comes back: how much of the outage is simulated.
    pub fn up_at(&self) -> Ms {
        self.outage.min(SIMULATED)
    }

    /// What the clients make.
    pub fn making(&self) -> Making {
        Making {
            gap: 1000.0 / self.items_per_s,
            batch: self.batch,
            schedule_delay: self.schedule_delay,
            since: self.outage - self.up_at(),
        }
    }

    /// When the first request of a client may be made at the latest, after the return.
    pub fn first_contact(&self) -> Ms {
        let probe = self.settings.max_delay as f64 * (1.0 + self.settings.jitter);
        let waits = match (self.start, self.ingest.down, self.ingest.retry_after) {
            (Start::Restarted, ..) => 0.0,
            (_, Down::Unavailable, RetryAfter::Constant(ms)) => (2 * ms) as f64,
            (_, Down::Silence, _) => probe + self.ingest.timeout as f64,
            _ => 0.0,
        };
        if self.start == Start::Restarted { 0 } else { waits.max(probe) as Ms }
    }

    /// When `share` of the backlog is delivered if nothing is refused, after the return: an ingest that works at its
    /// capacity, and clients that come when they came in the run `seconds`, or at once. Before that they can't know.
    pub fn ideal(&self, share: f64, seconds: &[Second]) -> Ms {
        let Manners { capacity, cold, warms_in, handshake, round_trip, .. } = self.ingest;
        let clients = f64::from(self.clients);
        let batch = f64::from(self.batch);
        let backlog = (self.outage as f64 / 1000.0 * self.items_per_s / batch).ceil();
        let live = match self.order {
            Order::OldestFirst => self.items_per_s / batch,
            Order::NewestFirst(_) => (self.items_per_s / batch).max(1000.0 / self.schedule_delay as f64),
        };
        let (mut waits, mut done, mut come) = (0.0, 0.0, 0.0);
        for second in 0..86_400_usize {
            let comes = seconds.get(second).map_or(clients - come, |second| f64::from(second.first));
            (come, waits) = (come + comes, waits + comes * (backlog + handshake));
            let warm = (second as f64 * 1000.0 / warms_in.max(1) as f64).min(1.0);
            let works = (capacity * (cold + (1.0 - cold) * warm) - come * live).min(waits);
            (waits, done) = (waits - works, done + works);
            if done >= clients * (backlog + handshake) * share {
                let alone = backlog * round_trip as f64 / self.settings.max_in_flight as f64;
                let bytes = (backlog * batch) as u64 * ITEM_BYTES;
                let upload = (bytes * 1000).checked_div(self.settings.max_bytes_per_s).unwrap_or(0);
                return (second as Ms + 1) * 1000 + upload.max(alone as Ms);
            }
        }
        Ms::MAX / 1000
    }
}
