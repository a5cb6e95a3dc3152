//! Spill: moving the journal's oldest items into a segment, so that the ring has room for new ones.

use std::sync::Arc;

use super::checkpoint::Point;
use super::form::{self, BatchLimits, Stop};
use super::journal::{Journal, Read};
use super::segment::Segment;
use super::segments::Segments;
use super::stored::StoredBatch;
use crate::error::Result;

/// A segment takes this many bytes of values: sled's memory and opening time grow with its file.
const MAX_SEGMENT_BYTES: u64 = 32 << 20;

/// Records that one sweep moves at most, in bytes of ring: bounds memory and how long a sync waits.
pub(crate) const SWEEP_BYTES: u64 = 4 << 20;

/// The batches that a sweep moves, and the point behind them.
pub(crate) struct Sweep {
    pub(crate) batches: Vec<StoredBatch>,
    pub(crate) end: Point,
}

/// Forms batches from the journal's items from `head` on, at most `max_bytes` of ring or one batch more.
pub(crate) fn plan(journal: &Journal, lane: &str, head: Point, limits: BatchLimits, max_bytes: u64) -> Sweep {
    let mut sweep = Sweep { batches: Vec::new(), end: head };
    while sweep.end.pos - head.pos < max_bytes {
        let at = sweep.end;
        let Some(run) = form::run(journal, at, limits) else {
            // The number of a damaged item is left out: its absence is counted when the numbers around it are read.
            let Read::Damaged(end) = journal.read(at) else { break };
            sweep.end = end;
            continue;
        };
        match run.stop {
            Stop::OtherKey => {
                sweep.end = unformed_end(journal, at, limits, max_bytes);
                sweep.batches.extend(form::regroup(journal, lane, at, sweep.end, limits));
            }
            _ => {
                sweep.batches.push(form::copy_run(journal, lane, at, &run));
                sweep.end = run.end;
            }
        }
    }
    sweep
}

/// The end of the items from `at` on that belong to no batch yet.
fn unformed_end(journal: &Journal, at: Point, limits: BatchLimits, max_bytes: u64) -> Point {
    let mut end = at;
    while end.pos - at.pos < max_bytes {
        match form::run(journal, end, limits) {
            Some(run) if run.stop != Stop::Formed => end = run.end,
            _ => break,
        }
    }
    end
}

/// The segment that is being written; only the committer has it.
#[derive(Default)]
pub(crate) struct Writer {
    open: Option<Open>,
}

struct Open {
    first: u64,
    segment: Arc<Segment>,
    bytes: u64,
}

impl Writer {
    /// The segment being written, for `Segments::publish`.
    pub(crate) fn current(&self) -> Option<(u64, &Arc<Segment>)> {
        self.open.as_ref().map(|open| (open.first, &open.segment))
    }

    /// Whether the next `bytes` go into a new segment.
    pub(crate) fn must_roll(&self, bytes: u64) -> bool {
        self.open.as_ref().is_none_or(|open| open.bytes > 0 && open.bytes + bytes > MAX_SEGMENT_BYTES)
    }

    /// Appends `values` durably, in a new segment at `path` when `must_roll` says so.
    ///
    /// After an error the segment is given up: what it held is safe, what was to be added is still in the journal.
    pub(crate) fn append(
        &mut self,
        values: &[(u64, Vec<u8>)],
        path: impl Fn(u64) -> std::path::PathBuf,
    ) -> Result<()> {
        let bytes: u64 = values.iter().map(|(_, value)| value.len() as u64).sum();
        let Some((first, _)) = values.first() else { return Ok(()) };
        if self.must_roll(bytes) {
            self.open = None;
            let dir = path(*first);
            super::dir::remove(&dir)?;
            let made = Segment::create(&dir).inspect_err(|_| drop(super::dir::remove(&dir)))?;
            self.open = Some(Open { first: *first, segment: Arc::new(made), bytes: 0 });
        }
        let Some(open) = &mut self.open else { return Ok(()) };
        let outcome = open.segment.append(values);
        open.bytes += bytes;
        if outcome.is_err() {
            self.open = None;
        }
        outcome
    }

    /// Closes the segment; the next append makes a new one.
    pub(crate) fn close(&mut self, segments: &mut Segments) {
        if let Some(open) = self.open.take() {
            segments.retire(open.first);
        }
    }
}
