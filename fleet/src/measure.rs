//! Measure: what is counted of a run.

use crate::events::Ms;

/// What happened in one second.
#[derive(Clone, Copy, Default)]
pub struct Second {
    /// Requests made.
    pub offered: u32,
    /// Requests accepted.
    pub accepted: u32,
    /// Requests that failed.
    pub failed: u32,
    /// Accepted although the ingest had taken the same batch already.
    pub duplicates: u32,
    /// Items of the backlog delivered.
    pub drained: u64,
    /// Clients that made their first request.
    pub first: u32,
}

/// A run, from the ingest's return.
pub struct Measured {
    /// By the second.
    pub seconds: Vec<Second>,
    /// Items made during the outage.
    pub backlog: u64,
    /// When 50, 99 and 100 % of these were delivered; `None`: not before the run was broken off.
    pub drained: [Option<Ms>; 3],
    /// How old the newest delivered item was, 50th and 99th percentile of clients and seconds, from the time on when each
    /// may have made a request.
    pub age: [f64; 2],
    /// Jain's index of the items that each client had delivered when half of all were: 1 if all had as much.
    pub fairness: f64,
}

/// The parts of a backlog of which the times are told.
pub const SHARES: [f64; 3] = [0.5, 0.99, 1.0];

impl Measured {
    fn total(&self, of: fn(&Second) -> u32) -> f64 {
        self.seconds.iter().map(|second| f64::from(of(second))).sum()
    }

    /// The most requests in a second, after the first two.
    pub fn peak(&self) -> f64 {
        self.seconds.iter().skip(2).map(|second| f64::from(second.offered)).fold(0.0, f64::max)
    }

    /// Requests that failed for each accepted.
    pub fn refused(&self) -> f64 {
        self.total(|second| second.failed) / self.total(|second| second.accepted)
    }

    /// The share of the accepted requests that the ingest had taken before.
    pub fn duplicates(&self) -> f64 {
        self.total(|second| second.duplicates) / self.total(|second| second.accepted)
    }
}

/// Jain's fairness index.
pub fn fairness(shares: impl Iterator<Item = f64>) -> f64 {
    let (mut count, mut sum, mut squares) = (0.0, 0.0, 0.0);
    for share in shares {
        (count, sum, squares) = (count + 1.0, sum + share, squares + share * share);
    }
    if squares == 0.0 { f64::NAN } else { sum * sum / (count * squares) }
}

/// The value below which `share` of `values` lie.
pub fn percentile(values: &mut [f32], share: f64) -> f64 {
    if values.is_empty() {
        return f64::NAN;
    }
    let at = ((values.len() - 1) as f64 * share) as usize;
    f64::from(*values.select_nth_unstable_by(at, f32::total_cmp).1)
}
