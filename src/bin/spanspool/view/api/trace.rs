//! Trace: the spans of one trace, in order of their start, as far as they are in the spool still.

use std::cmp::Ordering;

use serde::Serialize;
use serde_json::{Value, json};
use spanspool::Signal;

use super::{Refusal, refuse};
use crate::view::index::Key;
use crate::view::items::{Ref, Seen, State};
use crate::view::loader::MOST_MOVED;
use crate::view::record::records;
use crate::view::spool::Spool;

/// A span in the waterfall.
#[derive(Serialize)]
struct Row<'a> {
    r#ref: String,
    id: &'a str,
    parent: Option<&'a str>,
    name: &'a str,
    kind: &'a str,
    start_us: Option<i64>,
    end_us: Option<i64>,
    error: Option<&'a str>,
    state: &'static str,
    lane: &'a str,
    service: &'a str,
    bytes: usize,
}

/// The trace `key` with its spans from `offset` on, `limit` at most. `None`: there is no such trace.
pub fn trace(spool: &Spool, key: Key, offset: usize, limit: usize) -> Result<Option<Value>, Refusal> {
    let mut index = spool.index();
    let (Some(row), Some(places)) = (index.row(key), index.places(key)) else { return Ok(None) };
    drop(index);
    let view = spool.view().map_err(|error| refuse(500, error.message()))?;
    let mut found = Found { id: &row.id, spans: Vec::new(), described_by: None, has_strangers: false };
    let mut troubles = Vec::new();
    for (lane, seqs) in &places {
        let signal = spool.destination(lane).signal();
        let before = found.spans.len();
        let mut outcome = spool.items().read(&view, lane, seqs, &mut |seq, state, item| {
            found.add(lane, seq, state, item, signal);
        });
        if std::mem::take(&mut found.has_strangers) {
            found.spans.truncate(before);
            outcome = spool.items().read(&view, lane, &around(seqs), &mut |seq, state, item| {
                found.add(lane, seq, state, item, signal);
            });
            found.has_strangers = false;
        }
        if let Err(error) = outcome {
            troubles.push(error.message().to_owned());
        }
    }
    let Found { mut spans, described_by, .. } = found;
    spans.sort_by(in_order);
    let rows: Vec<Row<'_>> = spans.iter().skip(offset).take(limit).map(Row::of).collect();
    Ok(Some(json!({
        "key": row.key,
        "ref": described_by,
        "id": row.id,
        "name": row.name,
        "service": row.service,
        "start_us": row.start_us,
        "end_us": row.end_us,
        "delivered": row.delivered,
        "gone": row.gone,
        "trouble": Some(troubles.join("; ")).filter(|trouble| !trouble.is_empty()),
        "total": spans.len(),
        "spans": rows,
    })))
}

/// What was read of a trace.
struct Found<'a> {
    id: &'a str,
    spans: Vec<Seen>,
    /// The ref of the item that describes it.
    described_by: Option<String>,
    /// Some item has nothing of the trace.
    has_strangers: bool,
}

impl Found<'_> {
    fn add(&mut self, lane: &str, seq: u64, state: State, item: &[u8], signal: Option<Signal>) {
        let mut is_stranger = true;
        for (span, record) in records(item, signal).into_iter().enumerate() {
            if record.trace_id != self.id {
                continue;
            }
            is_stranger = false;
            let at = Ref { lane: lane.to_owned(), seq, span };
            match record.is_trace {
                true => self.described_by = Some(at.to_string()),
                false => self.spans.push(Seen { at, state, record, bytes: item.len() }),
            }
        }
        self.has_strangers |= is_stranger;
    }
}

/// Items of several key names are sorted when they are moved into a segment, so that their seqs change. They stay within
/// as many as are moved at once.
fn around(seqs: &[u64]) -> Vec<u64> {
    let (first, last) = (seqs.first().copied().unwrap_or(0), seqs.last().copied().unwrap_or(0));
    let end = last.saturating_add(MOST_MOVED).min(first.saturating_add(MOST_SEARCHED));
    (first.saturating_sub(MOST_MOVED)..end).collect()
}

const MOST_SEARCHED: u64 = 1 << 20;

/// By start; those without one come last.
fn in_order(a: &Seen, b: &Seen) -> Ordering {
    let start = |seen: &Seen| seen.record.start_us.unwrap_or(i64::MAX);
    start(a).cmp(&start(b)).then_with(|| a.at.cmp(&b.at))
}

impl<'a> Row<'a> {
    fn of(seen: &'a Seen) -> Self {
        let Seen { at, state, record, bytes } = seen;
        Self {
            r#ref: at.to_string(),
            id: &record.id,
            parent: record.parent.as_deref(),
            name: &record.name,
            kind: &record.kind,
            start_us: record.start_us,
            end_us: record.end_us,
            error: record.error.as_deref(),
            state: state.name(),
            lane: &at.lane,
            service: &record.service,
            bytes: *bytes,
        }
    }
}
