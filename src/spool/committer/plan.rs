//! Plan: which of the journal's oldest items a spill moves, and as which batches.

use crate::error::Result;
use crate::spool::checkpoint::LogPosition;
use crate::spool::format::stored_batch::StoredBatch;
use crate::spool::journal::{Journal, Read};
use crate::spool::queue::batching::{self, BatchLimits, Run, Stop};

/// Batches to be made of the journal's items, in order.
pub(crate) struct Plan {
    parts: Vec<Part>,
    /// The log position after them.
    pub(crate) end: LogPosition,
}

enum Part {
    /// The batch that begins here.
    Run(LogPosition, Run),
    /// Items of several key names, sorted into batches of one each.
    Mixed(Vec<StoredBatch>),
}

impl Plan {
    /// Divides the journal's items from `head` on into batches, at most `max_bytes` of ring or one batch more. Of items that
    /// are sorted, those before each of `bounds` stay before the others.
    pub(crate) fn new(
        journal: &Journal,
        lane: &str,
        head: LogPosition,
        limits: BatchLimits,
        max_bytes: Option<u64>,
        bounds: &[u64],
    ) -> Self {
        let mut plan = Self { parts: Vec::new(), end: head };
        while is_within(head, plan.end, max_bytes) {
            let at = plan.end;
            let Some(run) = batching::run(journal, at, limits) else {
                // The seq of a damaged item is left out: its absence is counted when the seqs around it are read.
                let Read::Damaged(end) = journal.read(at) else { break };
                plan.end = end;
                continue;
            };
            if run.stop == Stop::OtherKey {
                let bound = bounds.iter().copied().filter(|bound| *bound > at.seq).min().unwrap_or(u64::MAX);
                plan.end = unbatched_end(journal, at, limits, max_bytes, bound);
                plan.parts.push(Part::Mixed(batching::regroup(journal, lane, at, plan.end, limits)));
            } else {
                plan.end = run.end;
                plan.parts.push(Part::Run(at, run));
            }
        }
        plan
    }

    /// The seqs after each batch, in order.
    pub(crate) fn ends(&self) -> Vec<u64> {
        let mut ends = Vec::new();
        for part in &self.parts {
            match part {
                Part::Run(_, run) => ends.push(run.end.seq),
                Part::Mixed(batches) => ends.extend(batches.iter().map(StoredBatch::end)),
            }
        }
        ends
    }

    /// Copies the batches out of the journal, and calls `each` with one after the other.
    pub(crate) fn batches(
        &mut self,
        journal: &Journal,
        lane: &str,
        mut each: impl FnMut(StoredBatch) -> Result<()>,
    ) -> Result<()> {
        self.parts.drain(..).try_for_each(|part| match part {
            Part::Run(at, run) => each(batching::copy_run(journal, lane, at, &run)),
            Part::Mixed(batches) => batches.into_iter().try_for_each(&mut each),
        })
    }
}

/// The end of the items from `at` on that are before the seq `bound` and belong to no batch yet.
fn unbatched_end(
    journal: &Journal,
    at: LogPosition,
    limits: BatchLimits,
    max_bytes: Option<u64>,
    bound: u64,
) -> LogPosition {
    let mut end = at;
    while is_within(at, end, max_bytes) && end.seq < bound {
        let left = usize::try_from(bound - end.seq).unwrap_or(usize::MAX);
        let limits = BatchLimits { items: limits.items.min(left), ..limits };
        match batching::run(journal, end, limits) {
            Some(run) if run.stop != Stop::Persisted => end = run.end,
            _ => break,
        }
    }
    end
}

fn is_within(from: LogPosition, to: LogPosition, max_bytes: Option<u64>) -> bool {
    max_bytes.is_none_or(|max| to.pos - from.pos < max)
}
