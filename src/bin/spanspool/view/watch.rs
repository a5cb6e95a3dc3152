//! Watch: the lanes as they are now, and how the sums of their counters moved in the last minutes.

use std::collections::VecDeque;
use std::path::Path;

use serde_json::{Value, json};
use spanspool::{Destination, LaneStatus, SpoolView, UnreadableLane};

use super::record::clip;
use crate::cli::clock::now_unix_ms;
use crate::cli::ledger::totals;

/// The time between two looks.
pub const INTERVAL_MS: u64 = 1000;
/// Looks that are remembered: ten minutes.
const MOST_POINTS: usize = 600;

#[derive(Default)]
pub struct Watch {
    time_ms: u64,
    lanes: Vec<LaneStatus>,
    unreadable: Vec<UnreadableLane>,
    /// Why the spool can't be looked at, if it can't.
    trouble: Option<String>,
    /// Time, and accepted, delivered and pending items of all lanes.
    history: VecDeque<[u64; 4]>,
}

/// What is seen at one look.
type Look = (Vec<LaneStatus>, Vec<UnreadableLane>);

/// Looks at the spool in `dir`, which is opened each time: lanes may come where there was none.
pub fn look(dir: &Path) -> spanspool::Result<Look> {
    let view = SpoolView::open(dir)?;
    Ok((view.lanes()?, view.unreadable()?))
}

impl Watch {
    pub fn note(&mut self, seen: spanspool::Result<Look>) {
        self.time_ms = now_unix_ms();
        match seen {
            Ok((lanes, unreadable)) => {
                (self.lanes, self.unreadable, self.trouble) = (lanes, unreadable, None)
            }
            Err(error) => self.trouble = Some(error.message().to_owned()),
        }
        let sum = totals(&self.lanes);
        self.history.push_back([self.time_ms, sum.accepted, sum.delivered, sum.pending]);
        if self.history.len() > MOST_POINTS {
            self.history.pop_front();
        }
    }

    pub fn lanes(&self) -> &[LaneStatus] {
        &self.lanes
    }

    pub fn unreadable(&self) -> &[UnreadableLane] {
        &self.unreadable
    }

    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// The fields of `api/now` that tell of lanes.
    pub fn to_json(&self) -> Value {
        let unreadable = self.unreadable.iter().map(
            |lane| json!({ "id": lane.id, "reason": clip(lane.reason.clone()), "damaged": lane.damaged }),
        );
        json!({
            "time_ms": self.time_ms,
            "lanes": self.lanes.iter().map(of_lane).collect::<Vec<_>>(),
            "unreadable": unreadable.collect::<Vec<_>>(),
            "history": { "interval_ms": INTERVAL_MS, "points": self.history },
        })
    }
}

fn of_lane(lane: &LaneStatus) -> Value {
    let stats = &lane.stats;
    json!({
        "id": lane.id,
        "owner_pid": lane.owner_pid,
        "exporter": exporter(&lane.destination),
        "signal": lane.destination.signal().map(|signal| signal.name()),
        "endpoint": lane.destination.endpoint(),
        "export_state": stats.state().name(),
        "reason": clip(lane.reason.clone()),
        "next_attempt_ms": lane.next_attempt_unix_ms,
        "disk_bytes": stats.disk_bytes,
        "oldest_pending_age_ms": stats.oldest_pending_age_ms,
        "pending_bytes": stats.pending_bytes,
        "ledger": {
            "accepted": stats.accepted,
            "delivered": stats.delivered,
            "rejected": stats.rejected,
            "dropped_overflow": stats.dropped_overflow,
            "dropped_expired": stats.dropped_expired,
            "dropped_corrupt": stats.dropped_corrupt,
            "pending": stats.pending,
        },
        "requests": {
            "batches_sent": stats.batches_sent,
            "retries": stats.retries,
            "last_http_status": stats.last_http_status,
        },
    })
}

/// Empty: any client may deliver the items.
fn exporter(destination: &Destination) -> &str {
    if destination.is_anybody() {
        return "";
    }
    destination.as_str().split(' ').next().unwrap_or_default()
}
