//! Pace: how soon one request may follow another at an endpoint that has failed.
//!
//! All clients that an outage kept waiting come back when it ends, each with a backlog. So a client starts slowly: each
//! answer doubles its rate, until it is not limited. A failure among accepted requests halves it (additive increase would
//! take minutes to reach the rate of a fast ingest). Against a well ingest five answers are enough.
//!
//! Pure: time is passed in.

use std::time::{Duration, Instant};

/// Time between requests after an outage, at first. All that it and its halves cost a backlog is 60 ms.
const FIRST: Duration = Duration::from_millis(32);
/// Time between requests at most, however many fail.
const SLOWEST: Duration = Duration::from_secs(1);
/// Below this the rate is not limited.
const NEGLIGIBLE: Duration = Duration::from_millis(2);
/// A longer time between two answers is idle: it says nothing about the rate.
const IDLE: Duration = Duration::from_millis(125);
/// What the usual time between answers changes by with each answer.
const WEIGHT: u32 = 8;

/// The rate at which requests may be made.
#[derive(Default)]
pub(super) struct Pace {
    /// Least time between two requests.
    spacing: Duration,
    /// Usual time between two answers.
    usual: Duration,
    last_answer: Option<Instant>,
}

impl Pace {
    /// When a request may follow the one that was made at `last`; `None`: at once.
    pub(super) fn next(&self, last: Option<Instant>) -> Option<Instant> {
        if self.spacing.is_zero() { None } else { Some(last? + self.spacing) }
    }

    /// A request was answered: the endpoint is well.
    pub(super) fn answered(&mut self, now: Instant) {
        let before = self.last_answer.replace(now);
        let gap = before.map_or(IDLE, |before| now.saturating_duration_since(before).min(IDLE));
        self.usual = self.usual * (WEIGHT - 1) / WEIGHT + gap / WEIGHT;
        self.set(self.spacing / 2);
    }

    /// A request failed, and others are accepted.
    pub(super) fn failed(&mut self) {
        self.set(self.spacing.max(self.usual) * 2);
    }

    /// An outage: when it is over, requests begin slowly.
    pub(super) fn start_slowly(&mut self) {
        self.set(self.spacing.max(FIRST));
    }

    fn set(&mut self, spacing: Duration) {
        self.spacing = if spacing < NEGLIGIBLE { Duration::ZERO } else { spacing.min(SLOWEST) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many answers it takes until the rate is not limited, and how long, if each comes at once.
    fn recovery(pace: &mut Pace) -> (u32, Duration) {
        let start = Instant::now();
        let (mut now, mut answers) = (start, 0);
        while let Some(next) = pace.next(Some(now)) {
            now = next;
            pace.answered(now);
            answers += 1;
        }
        (answers, now - start)
    }

    #[test]
    fn after_an_outage_the_rate_doubles_and_ten_answers_are_enough() {
        let mut pace = Pace::default();
        assert_eq!(pace.next(Some(Instant::now())), None);
        pace.start_slowly();
        let (answers, time) = recovery(&mut pace);
        assert!(answers <= 5 && time < Duration::from_millis(64), "{answers} answers in {time:?}");
        pace.answered(Instant::now());
        for _ in 0..100 {
            pace.failed();
        }
        let (answers, time) = recovery(&mut pace);
        assert!(answers <= 10 && time < SLOWEST * 2, "{answers} answers in {time:?}");
    }

    #[test]
    fn a_failure_beside_accepted_requests_halves_the_usual_rate() {
        for usual in [1, 10, 100] {
            let (mut pace, mut now) = (Pace::default(), Instant::now());
            for _ in 0..100 {
                now += Duration::from_millis(usual);
                pace.answered(now);
            }
            pace.failed();
            let next = pace.next(Some(now)).map_or(0, |next| (next - now).as_millis() as u64);
            assert!((usual * 2 - 1..=usual * 2 + 1).contains(&next), "{next} ms, usually {usual}");
            // Half of the requests fail: it gets no faster, and no slower than the slowest.
            for _ in 0..100 {
                pace.failed();
                pace.answered(now + IDLE);
                pace.failed();
            }
            assert_eq!(pace.next(Some(now)), Some(now + SLOWEST));
        }
    }
}
