//! Budget: what a client may upload by `max_bytes_per_s`: a token bucket.
//!
//! A backlog saves up for each of its requests. New items go as long as there is no debt, and may make one: they never
//! wait for what a backlog has taken.
//!
//! Pure: time is passed in.

use std::time::{Duration, Instant};

/// How much may be saved up, in seconds, if that is more than a batch.
const MOST_SAVED_S: f64 = 1.0;

/// A token bucket of bytes.
pub(super) struct Budget {
    per_s: f64,
    most: f64,
    /// What is left, or owed, at `at`.
    left: f64,
    at: Instant,
}

impl Budget {
    /// A budget of `per_s` bytes a second for batches of `batch_bytes` at most. It is empty at first.
    pub(super) fn new(per_s: u64, batch_bytes: usize, now: Instant) -> Self {
        let per_s = per_s as f64;
        Self { per_s, most: (per_s * MOST_SAVED_S).max(batch_bytes as f64), left: 0.0, at: now }
    }

    /// How long a request of `bytes` has to wait; `None`: it may begin.
    pub(super) fn wait(&self, is_new: bool, bytes: u64, now: Instant) -> Option<Duration> {
        let needed = if is_new { 0.0 } else { (bytes as f64).min(self.most) };
        let missing = needed - self.left_at(now);
        // A day at most: durations have a limit, too.
        (missing > 0.0).then(|| Duration::from_secs_f64((missing / self.per_s).clamp(0.001, 86_400.0)))
    }

    pub(super) fn take(&mut self, bytes: u64, now: Instant) {
        self.left = self.left_at(now) - bytes as f64;
        self.at = now;
    }

    /// A request that had taken so many bytes has used so many.
    pub(super) fn correct(&mut self, taken: u64, used: u64) {
        self.left += taken as f64 - used as f64;
    }

    fn left_at(&self, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(self.at);
        (self.left + self.per_s * passed.as_secs_f64()).min(self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many bytes requests of `bytes` upload in `seconds`.
    fn uploaded(is_new: bool, bytes: u64, per_s: u64, seconds: u64) -> u64 {
        let (start, mut sum) = (Instant::now(), 0);
        let (mut budget, mut now) = (Budget::new(per_s, 1000, start), start);
        while now < start + Duration::from_secs(seconds) {
            match budget.wait(is_new, bytes, now) {
                Some(wait) => now += wait,
                None => {
                    budget.take(bytes, now);
                    sum += bytes;
                }
            }
        }
        sum
    }

    #[test]
    fn no_more_is_uploaded_than_so_many_bytes_a_second_and_one_request() {
        for is_new in [true, false] {
            for bytes in [1, 100, 900, 5000] {
                let sum = uploaded(is_new, bytes, 500, 100);
                assert!(
                    (49_000..=50_500 + bytes).contains(&sum),
                    "{sum} in requests of {bytes}, new {is_new}"
                );
            }
        }
    }

    #[test]
    fn new_items_do_not_wait_for_what_a_backlog_has_taken() {
        let now = Instant::now();
        let mut budget = Budget::new(100, 1000, now);
        let later = now + Duration::from_secs(10);
        assert_eq!(budget.wait(false, 1000, later), None);
        assert!(budget.wait(false, 1000, later - Duration::from_secs(1)).is_some());
        budget.take(1000, later);
        assert_eq!(budget.wait(true, 1000, later), None);
        assert!(budget.wait(false, 1, later).is_some());
        budget.take(300, later);
        assert_eq!(budget.wait(true, 1, later), Some(Duration::from_secs(3)));
        budget.correct(300, 0);
        assert_eq!(budget.wait(true, 1, later), None);
    }
}
