//! Ledger: the counters of lanes, added up, and the equation that they must fulfil.

use spanspool::{LaneStatus, Stats};

use crate::cli::human::count;

/// All lanes as one: sums, but the greatest age and state, and the last status that any lane knows.
pub fn totals<'a>(lanes: impl IntoIterator<Item = &'a LaneStatus>) -> Stats {
    lanes.into_iter().fold(Stats::default(), |sum, LaneStatus { stats, .. }| Stats {
        accepted: sum.accepted.saturating_add(stats.accepted),
        delivered: sum.delivered.saturating_add(stats.delivered),
        rejected: sum.rejected.saturating_add(stats.rejected),
        dropped_overflow: sum.dropped_overflow.saturating_add(stats.dropped_overflow),
        dropped_expired: sum.dropped_expired.saturating_add(stats.dropped_expired),
        dropped_corrupt: sum.dropped_corrupt.saturating_add(stats.dropped_corrupt),
        pending: sum.pending.saturating_add(stats.pending),
        pending_bytes: sum.pending_bytes.saturating_add(stats.pending_bytes),
        disk_bytes: sum.disk_bytes.saturating_add(stats.disk_bytes),
        oldest_pending_age_ms: sum.oldest_pending_age_ms.max(stats.oldest_pending_age_ms),
        batches_sent: sum.batches_sent.saturating_add(stats.batches_sent),
        retries: sum.retries.saturating_add(stats.retries),
        export_state: sum.export_state.max(stats.export_state),
        last_http_status: match stats.last_http_status {
            0 => sum.last_http_status,
            status => status,
        },
        lanes_adopted: sum.lanes_adopted.saturating_add(stats.lanes_adopted),
        partially_rejected: sum.partially_rejected.saturating_add(stats.partially_rejected),
        held_batches: sum.held_batches.saturating_add(stats.held_batches),
    })
}

pub fn dropped(stats: &Stats) -> u64 {
    stats.dropped_overflow + stats.dropped_expired + stats.dropped_corrupt
}

/// Whether every accepted item is accounted for.
pub fn balances(stats: &Stats) -> bool {
    stats.accepted == stats.delivered + stats.pending + stats.rejected + dropped(stats)
}

/// The ledger as an equation.
pub fn equation(stats: &Stats) -> String {
    format!(
        "accepted {} {} delivered {} + pending {} + rejected {} + dropped {}",
        count(stats.accepted),
        if balances(stats) { "=" } else { "is not" },
        count(stats.delivered),
        count(stats.pending),
        count(stats.rejected),
        count(dropped(stats))
    )
}

#[cfg(test)]
mod tests {
    use spanspool::Destination;

    use super::*;

    fn lane(id: &str, stats: Stats) -> LaneStatus {
        let destination = Destination::anybody();
        LaneStatus {
            id: id.into(),
            destination,
            owner_pid: None,
            stats,
            reason: String::new(),
            next_attempt_unix_ms: 0,
        }
    }

    #[test]
    fn totals_add_up_but_keep_the_greatest_age_and_state_and_the_last_status() {
        let busy = Stats {
            accepted: 5,
            delivered: 2,
            pending: 3,
            oldest_pending_age_ms: 90,
            export_state: 3,
            last_http_status: 401,
            ..Stats::default()
        };
        let quiet = Stats {
            accepted: 7,
            delivered: 7,
            oldest_pending_age_ms: 10,
            export_state: 1,
            ..Stats::default()
        };
        let sum = totals(&[lane("a", busy), lane("b", quiet)]);
        assert_eq!((sum.accepted, sum.delivered, sum.pending), (12, 9, 3));
        assert_eq!((sum.oldest_pending_age_ms, sum.export_state, sum.last_http_status), (90, 3, 401));
    }

    #[test]
    fn an_equation_that_does_not_hold_says_so() {
        let mut stats = Stats { accepted: 2, delivered: 1, dropped_expired: 1, ..Stats::default() };
        assert_eq!(equation(&stats), "accepted 2 = delivered 1 + pending 0 + rejected 0 + dropped 1");
        stats.accepted = 3;
        assert!(equation(&stats).starts_with("accepted 3 is not delivered 1"));
    }
}
