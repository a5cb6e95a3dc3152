//! Pace: how soon one request may follow another at an endpoint that has failed.
//!
//! All clients that an outage kept waiting come back when it ends, each with a backlog. None knows how many others
//! there are, or what the endpoint can take. So a client begins slowly, and each answer doubles its rate until it is
//! not limited. A refusal before the others can all have come says that they are too many. Then the client steps aside for
//! a while, and its rate grows little by little. The figures are those with which 100,000 clients of `fleet/` come
//! back.
//!
//! At any other time a failure among accepted requests halves the rate, and each answer doubles it.
//!
//! Pure: time is passed in.

use std::time::{Duration, Instant};

/// After an outage requests are as far apart as the last wait divided by this, 0.94 s after 30 s; the probe's answer is
/// the first that halves it. That keeps clients with many requests in flight from sending all of them before the first
/// refusal is heard.
const SLOW_START: u32 = 32;
/// Those refused in a crowd make requests as many times as far apart as a slow start's: at full speed again at once,
/// they would only be refused once more.
const ASIDE: u32 = 3;
/// A further refusal in a crowd makes requests as many times as far apart. Twice leaves those behind that are refused
/// by chance.
const FALL: f64 = 1.5;
/// With so many answers in a row a crowd is over. Half as many double the refusals.
const TRUST: u32 = 32;
/// Time between requests after an outage at most, and however many fail while others are accepted.
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
    /// The last wait of the last outage. Others that waited as long come within as much time.
    waited: Duration,
    /// When the endpoint answered first after that outage.
    well_since: Option<Instant>,
    /// In a crowd: what each answer takes off the spacing.
    step: Option<Duration>,
    max_delay: Duration,
}

impl Pace {
    /// The pace before an endpoint that is probed every `max_delay`.
    pub(super) fn new(max_delay: Duration) -> Self {
        Self {
            spacing: Duration::ZERO,
            usual: Duration::ZERO,
            last_answer: None,
            waited: Duration::ZERO,
            well_since: None,
            step: None,
            max_delay,
        }
    }

    /// When a request may follow the one that was made at `last`; `None`: at once. `turn`, 0.5 to 1.5, keeps those
    /// apart that would come together each time.
    pub(super) fn next(&self, last: Option<Instant>, turn: f64) -> Option<Instant> {
        if self.spacing.is_zero() { None } else { Some(last? + self.interval(turn)) }
    }

    /// How long a client that was refused in a crowd stays away; `turn` as for [`Pace::next`].
    pub(super) fn pause(&self, turn: f64) -> Duration {
        match self.step {
            Some(_) => self.interval(turn),
            None => Duration::ZERO,
        }
    }

    /// A request was answered: the endpoint is well.
    pub(super) fn answered(&mut self, now: Instant) {
        let before = self.last_answer.replace(now);
        let gap = before.map_or(IDLE, |before| now.saturating_duration_since(before).min(IDLE));
        self.usual = self.usual * (WEIGHT - 1) / WEIGHT + gap / WEIGHT;
        self.well_since.get_or_insert(now);
        self.set(match self.step {
            Some(step) => self.spacing.saturating_sub(step),
            None => self.spacing / 2,
        });
        if self.spacing.is_zero() {
            self.step = None;
        }
    }

    /// A request failed, and others are accepted.
    pub(super) fn failed(&mut self) {
        self.set((self.spacing.max(self.usual) * 2).min(SLOWEST.max(self.spacing)));
    }

    /// A request failed, and the gate is shut for it.
    pub(super) fn refused(&mut self, now: Instant) {
        if self.step.is_none() && !self.others_come(now) {
            return self.failed();
        }
        let least = slow_start(self.waited) * ASIDE;
        self.set(self.spacing.mul_f64(FALL).max(least));
        self.step = Some(self.spacing / TRUST);
    }

    /// An outage, in which a probe failed or the endpoint asks for a pause: it is tried again after `wait`. When it is
    /// over, requests begin slowly.
    pub(super) fn start_slowly(&mut self, wait: Duration) {
        let wait = wait.min(self.max_delay);
        // In a crowd probes are refused, too, but not as often as it takes to wait so long.
        if self.step.is_some() && wait < self.waited {
            return;
        }
        self.step = None;
        self.waited = wait;
        self.well_since = None;
        self.set(slow_start(wait));
    }

    /// Before the first answer: somebody else has waited so long in an outage that may be over.
    pub(super) fn remember(&mut self, time: Duration) {
        if self.last_answer.is_none() && time > self.waited {
            self.start_slowly(time);
        }
    }

    fn interval(&self, turn: f64) -> Duration {
        self.spacing.mul_f64(turn).min(self.max_delay)
    }

    /// Whether clients that waited as long may come for the first time.
    fn others_come(&self, now: Instant) -> bool {
        self.well_since.is_none_or(|since| now.saturating_duration_since(since) < self.waited)
            && !self.waited.is_zero()
    }

    fn set(&mut self, spacing: Duration) {
        self.spacing = if spacing < NEGLIGIBLE { Duration::ZERO } else { spacing.min(self.max_delay) };
    }
}

/// Time between the first requests after a wait.
fn slow_start(wait: Duration) -> Duration {
    (wait / SLOW_START).min(SLOWEST)
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
        pace.answered(Instant::now());
        pace
    }

    #[test]
    fn after_an_outage_the_rate_doubles_and_ten_answers_are_enough() {
        assert_eq!(Pace::new(MAX_DELAY).next(Some(Instant::now()), 1.0), None);
        for (wait, most_ms) in [(1, 50), (2, 100), (30, 1000), (3600, 1000)] {
            let mut pace = after(Duration::from_secs(wait));
            let before = pace.spacing;
            let (answers, time) = recovery(&mut pace);
            assert!(answers < 10, "{answers} answers after a wait of {wait} s");
            assert!(time <= Duration::from_millis(most_ms), "{time:?} after a wait of {wait} s");
            assert!(time >= before * 3 / 2, "{time:?} after a wait of {wait} s");
        }
    }

    #[test]
    fn a_refusal_soon_after_an_outage_sends_a_client_aside_for_a_while() {
        for is_at_full_speed in [false, true] {
            let mut pace = after(MAX_DELAY);
            if is_at_full_speed {
                recovery(&mut pace);
            }
            assert_eq!(pace.pause(1.0), Duration::ZERO);
            pace.refused(Instant::now());
            let spacing = pace.spacing;
            assert_eq!(spacing, MAX_DELAY / SLOW_START * ASIDE);
            assert_eq!(pace.pause(1.0), spacing);
            pace.answered(Instant::now());
            assert!((0.9..1.0).contains(&pace.spacing.div_duration_f64(spacing)), "{:?}", pace.spacing);
            let (answers, time) = recovery(&mut pace);
            assert!(answers < TRUST && time < MAX_DELAY * 7 / 4, "{answers} answers in {time:?}");
            // The crowd is over: a failure costs what it does at any time.
            pace.refused(Instant::now() + MAX_DELAY);
            assert!(pace.spacing <= IDLE * 2 && pace.pause(1.0).is_zero(), "{:?}", pace.spacing);
        }
    }

    #[test]
    fn an_outage_that_is_remembered_counts_until_there_is_an_answer() {
        let mut pace = Pace::new(MAX_DELAY);
        pace.remember(MAX_DELAY * 100);
        pace.remember(MAX_DELAY / 2);
        assert_eq!(pace.next(None, 1.0), None, "the first request is made at once");
        assert_eq!(pace.spacing, slow_start(MAX_DELAY));
        let mut refused = Pace { ..pace };
        refused.refused(Instant::now());
        assert!(refused.pause(1.0) > Duration::ZERO, "others may come as well");
        recovery(&mut pace);
        pace.remember(MAX_DELAY * 100);
        assert_eq!(pace.spacing, Duration::ZERO);
    }

    #[test]
    fn the_longer_a_client_waited_the_longer_a_crowd_is_expected() {
        let now = Instant::now();
        for wait in [MAX_DELAY / 4, MAX_DELAY] {
            for (later, is_crowd) in [(wait / 2, true), (wait * 2, false)] {
                let mut pace = after(wait);
                recovery(&mut pace);
                pace.refused(now + later);
                assert_eq!(pace.pause(1.0) > Duration::ZERO, is_crowd, "{later:?} after a wait of {wait:?}");
            }
        }
        let mut fresh = Pace::new(MAX_DELAY);
        fresh.refused(now);
        assert!(fresh.pause(1.0).is_zero(), "who has not waited expects nobody else");
    }

    #[test]
    fn a_crowd_ends_with_the_next_outage_and_not_with_a_probe_that_it_refuses() {
        let mut pace = after(MAX_DELAY);
        pace.refused(Instant::now());
        let before = pace.spacing;
        pace.start_slowly(MAX_DELAY / 2);
        assert_eq!(pace.spacing, before);
        pace.start_slowly(MAX_DELAY);
        let (answers, time) = recovery(&mut pace);
        assert!(answers <= 10 && time < Duration::from_secs(2), "{answers} answers in {time:?}");
    }

    #[test]
    fn however_much_is_refused_the_pace_is_no_slower_than_the_probes() {
        let mut pace = after(MAX_DELAY);
        (0..100).for_each(|_| pace.refused(Instant::now()));
        assert_eq!((pace.spacing, pace.pause(1.5)), (MAX_DELAY, MAX_DELAY));
        let (answers, _) = recovery(&mut pace);
        assert!(answers <= TRUST + 1, "{answers} answers");
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
