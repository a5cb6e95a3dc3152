//! Pace: how soon one request may follow another at an endpoint that has failed.
//!
//! All clients that an outage kept waiting come back when it ends, each with a backlog. So a client starts slowly, the more
//! so the longer it waited: it knows neither how many others wait nor what the ingest can take. Each answer makes it a
//! little faster, a refusal makes it slower, and after a refusal it takes longer to trust the ingest again. The figures
//! are those that let 100,000 clients of `fleet/` back without knocking the ingest down again.
//!
//! Apart from an outage, a failure among accepted requests halves the rate and each answer doubles it, until it is not
//! limited.
//!
//! Pure: time is passed in.

use std::time::{Duration, Instant};

/// After an outage the first requests are as far apart as the wait before, squared, over this: 3.75 s after a wait of 30 s,
/// and nothing to speak of after one of a second.
const CAUTION: Duration = Duration::from_secs(240);
/// A longer wait does not make a client slower.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// By so much each answer raises the rate after an outage.
const RISE: f64 = 0.04;
/// A refusal after an outage makes requests as many times as far apart.
const FALL: f64 = 1.6;
/// After a refusal each answer in a row raises the rate by one more of so many parts, up to `STEEPEST`.
const TRUST: f64 = 32.0;
const STEEPEST: f64 = 0.08;
/// A client that is slower than the slow start rises faster than others, up to as many times, and one that is faster
/// rises more slowly.
const LEAD: f64 = 4.0;
/// Time between requests at most, however many fail while others are accepted.
const SLOWEST: Duration = Duration::from_secs(1);
/// Below this the rate is not limited.
const NEGLIGIBLE: Duration = Duration::from_millis(2);
/// A longer time between two answers is idle: it says nothing about the rate.
const IDLE: Duration = Duration::from_millis(125);
/// What the usual time between answers changes by with each answer.
const WEIGHT: u32 = 8;

/// The rate at which requests may be made.
pub(super) struct Pace {
    /// Time between two requests, on average.
    spacing: Duration,
    /// Usual time between two answers.
    usual: Duration,
    last_answer: Option<Instant>,
    /// When the endpoint answered first after the last outage.
    well_since: Option<Instant>,
    phase: Phase,
    max_delay: Duration,
}

/// What is known of the endpoint.
#[derive(Clone, Copy, PartialEq)]
enum Phase {
    /// No outage is felt any more.
    Free,
    /// Nothing was refused since the outage.
    Returning,
    /// Something was, and so many requests in a row were answered since.
    Crowded(u32),
}

impl Pace {
    /// The pace before an endpoint that is probed every `max_delay`.
    pub(super) fn new(max_delay: Duration) -> Self {
        Self {
            spacing: Duration::ZERO,
            usual: Duration::ZERO,
            last_answer: None,
            well_since: None,
            phase: Phase::Free,
            max_delay,
        }
    }

    /// When a request may follow the one that was made at `last`; `None`: at once. `turn`, 0.5 to 1.5, keeps those apart
    /// that would come together each time.
    pub(super) fn next(&self, last: Option<Instant>, turn: f64) -> Option<Instant> {
        if self.spacing.is_zero() {
            None
        } else {
            Some(last? + self.spacing.mul_f64(turn).min(self.max_delay))
        }
    }

    /// Time between two requests, on average.
    pub(super) fn spacing(&self) -> Duration {
        self.spacing
    }

    /// A request was answered: the endpoint is well.
    pub(super) fn answered(&mut self, now: Instant) {
        let before = self.last_answer.replace(now);
        let gap = before.map_or(IDLE, |before| now.saturating_duration_since(before).min(IDLE));
        self.usual = self.usual * (WEIGHT - 1) / WEIGHT + gap / WEIGHT;
        self.well_since.get_or_insert(now);
        let rise = match &mut self.phase {
            Phase::Free => 1.0,
            Phase::Returning => RISE,
            Phase::Crowded(answered) => {
                *answered = answered.saturating_add(1);
                let trust = (f64::from(*answered) / TRUST).min(STEEPEST);
                let slow = slow_start(self.max_delay).as_secs_f64();
                trust * (self.spacing.as_secs_f64() / slow).clamp(1.0 / LEAD, LEAD)
            }
        };
        self.set(self.spacing.div_f64(1.0 + rise));
        if self.spacing.is_zero() {
            self.phase = Phase::Free;
        }
    }

    /// A request failed, and others are accepted.
    pub(super) fn failed(&mut self) {
        self.set((self.spacing.max(self.usual) * 2).min(SLOWEST.max(self.spacing)));
    }

    /// A request failed, and the gate is shut for it.
    pub(super) fn refused(&mut self, now: Instant) {
        // The others that waited come within the time between two probes.
        let is_soon =
            self.well_since.is_some_and(|since| now.saturating_duration_since(since) < self.max_delay);
        let least = match self.phase {
            Phase::Free if !is_soon => return self.failed(),
            Phase::Free => slow_start(self.max_delay),
            Phase::Returning | Phase::Crowded(_) => Duration::ZERO,
        };
        self.phase = Phase::Crowded(0);
        self.set(self.spacing.max(self.usual).mul_f64(FALL).max(least));
    }

    /// An outage, in which a probe failed or the endpoint asks for a pause: it is tried again after `wait`. When it is
    /// over, requests begin slowly.
    pub(super) fn start_slowly(&mut self, wait: Duration) {
        self.set(self.spacing.max(slow_start(wait.min(self.max_delay))));
        if !matches!(self.phase, Phase::Crowded(_)) {
            self.phase = Phase::Returning;
            self.well_since = None;
        }
    }

    fn set(&mut self, spacing: Duration) {
        self.spacing = if spacing < NEGLIGIBLE { Duration::ZERO } else { spacing.min(self.max_delay) };
    }
}

/// Time between the first requests after a wait.
fn slow_start(wait: Duration) -> Duration {
    let wait = wait.min(LONGEST_WAIT).as_secs_f64();
    Duration::from_secs_f64(wait * wait / CAUTION.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_DELAY: Duration = Duration::from_secs(30);

    /// How many answers it takes until the rate is not limited, and how long, if each comes at once.
    fn recovery(pace: &mut Pace) -> (u32, Duration) {
        let start = Instant::now();
        let (mut now, mut answers) = (start, 0);
        while let Some(next) = pace.next(Some(now), 1.0) {
            now = next;
            pace.answered(now);
            answers += 1;
        }
        (answers, now - start)
    }

    /// The pace after an outage in which the last wait was `wait`.
    fn after(wait: Duration) -> Pace {
        let mut pace = Pace::new(MAX_DELAY);
        pace.start_slowly(wait);
        pace
    }

    #[test]
    fn after_an_outage_a_client_is_the_slower_the_longer_it_waited() {
        assert_eq!(Pace::new(MAX_DELAY).next(Some(Instant::now()), 1.0), None);
        for (wait, least, most) in [(1, 0.0, 0.1), (4, 0.5, 2.0), (30, 80.0, 110.0), (3600, 80.0, 110.0)] {
            let (_, time) = recovery(&mut after(Duration::from_secs(wait)));
            assert!((least..most).contains(&time.as_secs_f64()), "{time:?} after a wait of {wait} s");
        }
    }

    #[test]
    fn a_refusal_after_an_outage_is_felt_longer_than_the_outage() {
        let mut pace = after(MAX_DELAY);
        let now = Instant::now();
        pace.answered(now);
        let before = pace.spacing();
        pace.refused(now);
        assert!(pace.spacing() > before);
        // The first answers raise the rate by less than they would without it.
        let (_, without) = recovery(&mut after(MAX_DELAY));
        let (_, with) = recovery(&mut pace);
        assert!(with > without, "{with:?}, and {without:?} without a refusal");
        // Others come as late as a probe does.
        pace.refused(now + MAX_DELAY / 2);
        assert!(pace.spacing() >= slow_start(MAX_DELAY));
        let mut later = after(Duration::from_secs(1));
        recovery(&mut later);
        later.refused(now + MAX_DELAY * 2);
        assert!(later.spacing() < Duration::from_millis(300), "{:?}", later.spacing());
    }

    #[test]
    fn however_much_is_refused_the_pace_is_no_slower_than_the_probes() {
        let mut pace = after(MAX_DELAY);
        pace.answered(Instant::now());
        (0..100).for_each(|_| pace.refused(Instant::now()));
        assert_eq!(pace.spacing(), MAX_DELAY);
        let (answers, time) = recovery(&mut pace);
        assert!(answers < 600 && time < MAX_DELAY * 12, "{answers} answers in {time:?}");
    }

    #[test]
    fn a_failure_beside_accepted_requests_halves_the_usual_rate() {
        for usual in [1, 10, 100] {
            let (mut pace, mut now) = (Pace::new(MAX_DELAY), Instant::now());
            for _ in 0..100 {
                now += Duration::from_millis(usual);
                pace.answered(now);
            }
            pace.failed();
            let next = pace.next(Some(now), 1.0).map_or(0, |next| (next - now).as_millis() as u64);
            assert!((usual * 2 - 1..=usual * 2 + 1).contains(&next), "{next} ms, usually {usual}");
            // Half of the requests fail: it gets no faster, and no slower than the slowest.
            for _ in 0..100 {
                pace.failed();
                pace.answered(now + IDLE);
                pace.failed();
            }
            assert_eq!(pace.next(Some(now), 1.0), Some(now + SLOWEST));
            let (answers, time) = recovery(&mut pace);
            assert!(answers <= 10 && time < SLOWEST * 2, "{answers} answers in {time:?}");
        }
    }
}
