//! Latencies: how long each of many calls took.

use std::time::Instant;

/// Sorted nanoseconds.
#[derive(Default)]
pub struct Latencies(Vec<u32>);

impl Latencies {
    /// Times `call` for each number below `calls`; none may fail. Each time includes reading the clock, about 20 ns.
    pub fn of<E>(calls: usize, mut call: impl FnMut(usize) -> Result<(), E>) -> Result<Self, E> {
        let mut all = Vec::with_capacity(calls);
        for n in 0..calls {
            let begin = Instant::now();
            let answer = call(n);
            all.push(u32::try_from(begin.elapsed().as_nanos()).unwrap_or(u32::MAX));
            answer?;
        }
        all.sort_unstable();
        Ok(Self(all))
    }

    /// Adds those of `other`.
    pub fn join(&mut self, other: Self) {
        self.0.extend(other.0);
        self.0.sort_unstable();
    }

    /// The quantile `part` in nanoseconds: 0.5 is the median.
    ///
    /// Where the clock ticks in steps of 10 ns, most calls have one of two values. The quantile is interpolated within
    /// its step, as for any grouped data.
    pub fn at(&self, part: f64) -> f64 {
        let index = ((self.0.len() as f64 * part) as usize).min(self.0.len().saturating_sub(1));
        let Some(value) = self.0.get(index) else { return f64::NAN };
        let first = self.0.partition_point(|other| other < value);
        let after = self.0.partition_point(|other| other <= value);
        let step = first.checked_sub(1).map_or(0, |before| value - self.0[before]);
        let place = (index - first) as f64 / (after - first) as f64;
        f64::from(*value) + f64::from(step) * (place - 0.5)
    }
}

/// The median of the rounds; NaN if there are none.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
