//! Trace: the spans of one trace, in order of their start, as far as they are in the spool still.

use std::cmp::Ordering;

use serde::Serialize;
use serde_json::{Value, json};

use super::{Refusal, refuse};
use crate::view::index::Key;
use crate::view::items::{Ref, Seen};
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
    let index = spool.index();
    let (Some(row), Some(places)) = (index.row(key), index.places(key)) else { return Ok(None) };
    drop(index);
    let view = spool.view().map_err(|error| refuse(500, error.message()))?;
    let (mut spans, mut described_by) = (Vec::new(), None);
    let mut troubles = Vec::new();
    for (lane, seqs) in &places {
        let signal = spool.destination(lane).signal();
        let outcome = spool.items().read(&view, lane, seqs, &mut |seq, state, item| {
            for (span, record) in records(item, signal).into_iter().enumerate() {
                let at = Ref { lane: lane.clone(), seq, span };
                match record.trace_id == row.id {
                    true if record.is_trace => described_by = Some(at.to_string()),
                    true => spans.push(Seen { at, state, record, bytes: item.len() }),
                    false => {}
                }
            }
        });
        if let Err(error) = outcome {
            troubles.push(error.message().to_owned());
        }
    }
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
        "trouble": Some(troubles.join("; ")).filter(|trouble| !trouble.is_empty()),
        "total": spans.len(),
        "spans": rows,
    })))
}

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
