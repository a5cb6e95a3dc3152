//! Latencies: how long each of many calls took.

use std::time::Instant;

/// Sorted nanoseconds.
#[derive(Default)]
pub struct Latencies(Vec<u32>);

impl Latencies {
    /// Takes the time of `call` for each of `calls` numbers; none may fail. Reading the clock, about 20 ns, is in each.
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

    /// These and those of `other`.
    pub fn join(&mut self, other: Self) {
        self.0.extend(other.0);
        self.0.sort_unstable();
    }

    /// The nanoseconds that the share `part` of the calls took at most: 0.5 is the median.
    ///
    /// The clock may tick in steps of 10 ns, where most calls of a kind have one of two values: between these it is
    /// interpolated, as for any figures that come in classes.
    pub fn at(&self, part: f64) -> f64 {
        let index = ((self.0.len() as f64 * part) as usize).min(self.0.len().saturating_sub(1));
        let Some(value) = self.0.get(index) else { return f64::NAN };
        let first = self.0.partition_point(|other| other < value);
        let behind = self.0.partition_point(|other| other <= value);
        let step = first.checked_sub(1).map_or(0, |before| value - self.0[before]);
        let place = (index - first) as f64 / (behind - first) as f64;
        f64::from(*value) + f64::from(step) * (place - 0.5)
    }
}

/// The median of what the rounds gave.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
