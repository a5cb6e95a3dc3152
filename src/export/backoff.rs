//! Backoff: how long to wait after a failed attempt.

use std::time::Duration;

use super::random::Random;

/// Delays that double from `base` to `max`, each with a random share of itself, at most `jitter`, added. With jitter, the
/// first of the longest is any time from `base` on: clients that an outage befell together are spread over all of it from
/// then on.
#[derive(Debug)]
pub(crate) struct Backoff {
    base: Duration,
    max: Duration,
    jitter: f64,
    delay: Duration,
    /// The delay before.
    last: Duration,
    random: Random,
}

impl Backoff {
    /// `jitter` is 0 to 1.
    pub(crate) fn new(base: Duration, max: Duration, jitter: f64) -> Self {
        let base = base.min(max);
        Self { base, max, jitter, delay: base, last: base, random: Random::seeded() }
    }

    /// The wait before the next attempt.
    pub(crate) fn next(&mut self) -> Duration {
        let is_first_of_longest = self.delay == self.max && self.last < self.max;
        let shortest = if is_first_of_longest && self.jitter > 0.0 { self.base } else { self.delay };
        let longest = self.delay.mul_f64(1.0 + self.jitter);
        self.last = self.delay;
        self.delay = self.delay.saturating_mul(2).min(self.max);
        shortest + (longest - shortest).mul_f64(self.random.fraction())
    }

    /// A wait that the ingest asked for, times a random 1 to 2: not all clients that were told the same come back in the
    /// same second.
    pub(crate) fn spread(&mut self, wait: Duration) -> Duration {
        wait.mul_f64(1.0 + self.random.fraction())
    }

    /// A random 0.5 to 1.5: clients that came together once do not do so each time.
    pub(crate) fn turn(&mut self) -> f64 {
        0.5 + self.random.fraction()
    }

    /// Another one of the same settings, with a jitter of its own.
    pub(crate) fn another(&self) -> Self {
        Self::new(self.base, self.max, self.jitter)
    }

    /// The delay after `failures` failures in a row, without jitter.
    pub(crate) fn after(&self, failures: u32) -> Duration {
        self.base.saturating_mul(1 << failures.saturating_sub(1).min(20)).min(self.max)
    }

    /// Starts again at `base`: an attempt succeeded.
    pub(crate) fn reset(&mut self) {
        (self.delay, self.last) = (self.base, self.base);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Duration = Duration::from_millis(1000);
    const MAX: Duration = Duration::from_millis(5000);

    #[test]
    fn delays_double_up_to_the_longest_and_begin_again_after_a_reset() {
        let mut backoff = Backoff::new(BASE, MAX, 0.0);
        let waits: Vec<u128> = (0..5).map(|_| backoff.next().as_millis()).collect();
        assert_eq!(waits, [1000, 2000, 4000, 5000, 5000]);
        backoff.reset();
        assert_eq!(backoff.next(), BASE);
    }

    #[test]
    fn jitter_adds_a_share_that_differs() {
        let mut backoff = Backoff::new(BASE, BASE, 0.5);
        let waits: Vec<Duration> = (0..1000).map(|_| backoff.next()).collect();
        assert!(waits.iter().all(|w| (BASE..BASE.mul_f64(1.5)).contains(w)));
        assert!(waits.iter().any(|w| *w < BASE.mul_f64(1.1)) && waits.iter().any(|w| *w > BASE.mul_f64(1.4)));
    }

    #[test]
    fn the_first_of_the_longest_delays_is_any_time_within_it() {
        let firsts: Vec<Duration> = (0..1000)
            .map(|_| {
                let mut backoff = Backoff::new(BASE, MAX, 0.1);
                let waits: Vec<Duration> = (0..6).map(|_| backoff.next()).collect();
                let is_long = |wait: &Duration| (MAX..MAX.mul_f64(1.1)).contains(wait);
                assert!(waits[2] < BASE * 5 && waits[4..].iter().all(is_long), "{waits:?}");
                waits[3]
            })
            .collect();
        assert!(firsts.iter().all(|wait| (BASE..MAX.mul_f64(1.1)).contains(wait)));
        for part in 1..5 {
            let count = firsts.iter().filter(|wait| (BASE * part..BASE * (part + 1)).contains(wait)).count();
            assert!((150..350).contains(&count), "{count} waits of {part} s");
        }
    }

    #[test]
    fn a_wait_that_is_asked_for_is_never_cut_and_at_most_doubled() {
        let mut backoff = Backoff::new(BASE, MAX, 0.0);
        let waits: Vec<Duration> = (0..1000).map(|_| backoff.spread(MAX * 10)).collect();
        assert!(waits.iter().all(|w| (MAX * 10..MAX * 20).contains(w)));
        assert!(waits.iter().any(|w| *w < MAX * 11) && waits.iter().any(|w| *w > MAX * 19));
    }

    #[test]
    fn each_backoff_has_jitter_of_its_own() {
        let first = |_| Backoff::new(BASE, MAX, 1.0).next();
        let waits: std::collections::HashSet<Duration> = (0..100).map(first).collect();
        assert!(waits.len() > 90, "{}", waits.len());
    }
}
