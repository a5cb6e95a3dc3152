//! Report: the lanes of a spool, as one JSON object for programs and as sentences for people.

use std::io::Write;

use serde::Serialize;
use spanspool::{LaneStatus, Stats, UnreadableLane};

use crate::cli::clock::now_unix_ms;
use crate::cli::human::{duration, one_line};
use crate::cli::json;
use crate::cli::ledger::totals;
use crate::cli::outcome::Failure;

/// How much of a lane's reason is shown to people.
pub const SHOWN_CHARS: usize = 300;

/// Writes the object that `status --json` and `drain --json` share.
pub fn write_json(
    lanes: &[LaneStatus],
    unreadable: &[UnreadableLane],
    out: &mut dyn Write,
) -> Result<(), Failure> {
    json::write_line(&Report::of(lanes, unreadable), out)
}

pub fn write_unreadable(unreadable: &[UnreadableLane], out: &mut dyn Write) -> Result<(), Failure> {
    for lane in unreadable {
        writeln!(out, "  lane {} can't be read: {}", lane.id, one_line(lane.reason.as_bytes(), SHOWN_CHARS))?;
    }
    Ok(())
}

/// Why a lane waits and until when, as in `backoff: connection refused, next attempt in 3.0 s`.
pub fn waiting(lane: &LaneStatus) -> String {
    let mut text = lane.stats.state().name().to_owned();
    if !lane.reason.is_empty() {
        text += &format!(": {}", one_line(lane.reason.as_bytes(), SHOWN_CHARS));
    }
    let wait_ms = lane.next_attempt_unix_ms.saturating_sub(now_unix_ms());
    // Less would be shown as 0.0 s.
    if wait_ms >= 100 {
        text += &format!(", next attempt in {}", duration(wait_ms));
    }
    text
}

/// The totals, each lane, and the lanes that can't be read.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten, with = "Counters")]
    totals: Stats,
    lanes: Vec<Lane<'a>>,
    unreadable: Vec<Unreadable<'a>>,
}

#[derive(Serialize)]
struct Lane<'a> {
    id: &'a str,
    destination: &'a str,
    owner_pid: Option<u32>,
    state: &'static str,
    reason: &'a str,
    next_attempt_unix_ms: u64,
    #[serde(flatten, with = "Counters")]
    stats: Stats,
}

#[derive(Serialize)]
struct Unreadable<'a> {
    id: &'a str,
    reason: &'a str,
    damaged: bool,
}

impl<'a> Report<'a> {
    fn of(lanes: &'a [LaneStatus], unreadable: &'a [UnreadableLane]) -> Self {
        let lane = |lane: &'a LaneStatus| Lane {
            id: &lane.id,
            destination: lane.destination.as_str(),
            owner_pid: lane.owner_pid,
            state: lane.stats.state().name(),
            reason: &lane.reason,
            next_attempt_unix_ms: lane.next_attempt_unix_ms,
            stats: lane.stats,
        };
        let unreadable = unreadable.iter().map(|lane| Unreadable {
            id: &lane.id,
            reason: &lane.reason,
            damaged: lane.damaged,
        });
        Self {
            totals: totals(lanes),
            lanes: lanes.iter().map(lane).collect(),
            unreadable: unreadable.collect(),
        }
    }
}

/// The counters under the names and in the order of `spanspool_stats`.
#[derive(Serialize)]
#[serde(remote = "Stats")]
struct Counters {
    accepted: u64,
    delivered: u64,
    rejected: u64,
    dropped_overflow: u64,
    dropped_expired: u64,
    dropped_corrupt: u64,
    pending: u64,
    pending_bytes: u64,
    disk_bytes: u64,
    oldest_pending_age_ms: u64,
    batches_sent: u64,
    retries: u64,
    export_state: u64,
    last_http_status: u64,
    lanes_adopted: u64,
    partially_rejected: u64,
    held_batches: u64,
}

#[cfg(test)]
mod tests {
    use spanspool::Destination;

    use super::*;

    #[test]
    fn json_has_the_totals_in_order_and_then_the_lanes() {
        let stats = Stats { export_state: 2, ..Stats::default() };
        let lane = LaneStatus {
            id: "x".into(),
            destination: Destination::console(),
            owner_pid: None,
            stats,
            reason: String::new(),
            next_attempt_unix_ms: 0,
        };
        let json = serde_json::to_string(&Report::of(&[lane], &[])).unwrap_or_default();
        for part in [
            r#"{"accepted":0,"delivered":0,"rejected":0,"dropped_overflow":0,"#,
            r#""lanes":[{"id":"x","destination":"console","owner_pid":null,"state":"backoff","reason":"","next_attempt_unix_ms":0,"accepted":0,"#,
            r#""export_state":2,"last_http_status":0,"lanes_adopted":0,"partially_rejected":0,"held_batches":0"#,
            r#"}],"unreadable":[]}"#,
        ] {
            assert!(json.contains(part), "no {part} in {json}");
        }
    }
}
