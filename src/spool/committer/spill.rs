//! Spill: moving the journal's oldest items into a segment, so that the ring has room for new ones.

use std::sync::Arc;

use crate::error::Result;
use crate::spool::checkpoint::LogPosition;
use crate::spool::format::stored_batch::StoredBatch;
use crate::spool::fs;
use crate::spool::journal::{Journal, Read};
use crate::spool::queue::batching::{self, BatchLimits, Run, Stop};
use crate::spool::segments::Segments;
use crate::spool::segments::writer::Segment;

/// A segment takes this many bytes of values: sled's memory and opening time grow with its file.
const MAX_SEGMENT_BYTES: u64 = 32 << 20;

/// Records that one sweep moves at most, in bytes of ring: bounds memory and how long a sync waits.
pub(crate) const SPILL_BYTES: u64 = 4 << 20;

/// Which of the journal's items a sweep moves, and as which batches.
pub(crate) struct Plan {
    parts: Vec<Part>,
    /// The point behind them.
    pub(crate) end: LogPosition,
}

enum Part {
    /// The batch at this point.
    Run(LogPosition, Run),
    /// Items of several key names, from here to there.
    Mixed(LogPosition, LogPosition),
}

impl Plan {
    /// Forms batches from the journal's items from `head` on, at most `max_bytes` of ring or one batch more.
    pub(crate) fn new(journal: &Journal, head: LogPosition, limits: BatchLimits, max_bytes: u64) -> Self {
        let mut plan = Self { parts: Vec::new(), end: head };
        while plan.end.pos - head.pos < max_bytes {
            let at = plan.end;
            let Some(run) = batching::run(journal, at, limits) else {
                // The number of a damaged item is left out: its absence is counted when the numbers around it are read.
                let Read::Damaged(end) = journal.read(at) else { break };
                plan.end = end;
                continue;
            };
            if run.stop == Stop::OtherKey {
                plan.end = unbatched_end(journal, at, limits, max_bytes);
                plan.parts.push(Part::Mixed(at, plan.end));
            } else {
                plan.end = run.end;
                plan.parts.push(Part::Run(at, run));
            }
        }
        plan
    }

    /// Copies the batches out of the journal, and calls `each` with one after the other.
    pub(crate) fn batches(
        &self,
        journal: &Journal,
        lane: &str,
        limits: BatchLimits,
        mut each: impl FnMut(StoredBatch) -> Result<()>,
    ) -> Result<()> {
        for part in &self.parts {
            match part {
                Part::Run(at, run) => each(batching::copy_run(journal, lane, *at, run))?,
                Part::Mixed(at, end) => {
                    batching::regroup(journal, lane, *at, *end, limits).into_iter().try_for_each(&mut each)?
                }
            }
        }
        Ok(())
    }
}

/// The end of the items from `at` on that belong to no batch yet.
fn unbatched_end(journal: &Journal, at: LogPosition, limits: BatchLimits, max_bytes: u64) -> LogPosition {
    let mut end = at;
    while end.pos - at.pos < max_bytes {
        match batching::run(journal, end, limits) {
            Some(run) if run.stop != Stop::Persisted => end = run.end,
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
            fs::remove(&dir)?;
            let made = Segment::create(&dir).inspect_err(|_| drop(fs::remove(&dir)))?;
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
