//! Batching: which of the journal's next items make a batch.

use std::collections::BTreeMap;

use crate::batch::Batch;
use crate::spool::checkpoint::LogPosition;
use crate::spool::format::stored_batch::StoredBatch;
use crate::spool::journal::{Journal, Read, Record};

/// The bounds of a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchLimits {
    pub(crate) items: usize,
    pub(crate) body_bytes: usize,
}

/// A run of records of one key name, as long as a batch may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    pub(crate) items: u64,
    /// The log position after the last of them.
    pub(crate) end: LogPosition,
    pub(crate) oldest_unix_ms: u64,
    pub(crate) newest_unix_ms: u64,
    pub(crate) stop: Stop,
}

/// Why a run ends where it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It was handed out before: it stays as it is.
    Persisted,
    /// No further item fits.
    Full,
    /// The next item has another key name.
    OtherKey,
    /// There is no further item yet.
    Tail,
    /// The next item is being written.
    Unfinished,
    /// The next item is damaged.
    Damaged,
}

/// Calls `each` with the records from `at` on until it returns false; says why there were no more.
fn each_record<'a>(
    journal: &'a Journal,
    mut at: LogPosition,
    mut each: impl FnMut(&Record<'a>) -> bool,
) -> Stop {
    let end_pos = journal.end_pos();
    loop {
        match journal.read_before(end_pos, at) {
            Read::Record(record) => {
                if !each(&record) {
                    return Stop::Full;
                }
                at = record.end;
            }
            Read::Unfinished => return Stop::Unfinished,
            Read::Damaged(_) => return Stop::Damaged,
            Read::End => return Stop::Tail,
        }
    }
}

/// The run at `at`; `None` when no record is there.
pub(crate) fn run(journal: &Journal, at: LogPosition, limits: BatchLimits) -> Option<Run> {
    let mut run: Option<Run> = None;
    let mut key_name = "";
    let mut persisted = None;
    let mut body_bytes = Batch::FRAME_BYTES;
    let mut other_key = false;
    let stop = each_record(journal, at, |record| {
        let Some(so_far) = &mut run else {
            key_name = record.key_name;
            persisted = record.batch_items;
            body_bytes += record.json.len();
            run = Some(Run {
                items: 1,
                end: record.end,
                oldest_unix_ms: record.accepted_unix_ms,
                newest_unix_ms: record.accepted_unix_ms,
                stop: Stop::Tail,
            });
            return persisted != Some(1) && limits.items > 1;
        };
        if persisted.is_some() {
            // The mark is outside the record's check: a damaged one must not mix keys or batches.
            if record.key_name != key_name || record.batch_items.is_some() {
                return false;
            }
        } else {
            body_bytes += 1 + record.json.len();
            other_key = record.key_name != key_name;
            if other_key || body_bytes > limits.body_bytes {
                return false;
            }
        }
        so_far.items += 1;
        so_far.end = record.end;
        so_far.newest_unix_ms = record.accepted_unix_ms;
        so_far.items != persisted.unwrap_or(limits.items as u64)
    });
    let mut run = run?;
    run.stop = match stop {
        _ if persisted.is_some() => Stop::Persisted,
        _ if other_key => Stop::OtherKey,
        stop => stop,
    };
    Some(run)
}

/// Persists in the journal that the run at `at` is a batch, and copies it out.
pub(crate) fn take_run(journal: &Journal, lane: &str, at: LogPosition, run: &Run) -> StoredBatch {
    each_record(journal, at, |record| {
        journal.mark_batch(record, run.items);
        false
    });
    copy_run(journal, lane, at, run)
}

/// Copies the run at `at` out as a batch that nobody saw yet: the next time it may become another one.
pub(crate) fn copy_run(journal: &Journal, lane: &str, at: LogPosition, run: &Run) -> StoredBatch {
    let mut batch: Option<Batch> = None;
    each_record(journal, at, |record| {
        let batch = batch.get_or_insert_with(|| {
            let bytes = run.end.bytes - at.bytes;
            Batch::with_capacity(lane, at.seq, record.key_name, run.items as usize, bytes as usize)
        });
        batch.push(record.json);
        batch.len() as u64 != run.items
    });
    StoredBatch {
        batch: batch.unwrap_or_else(|| Batch::new(lane, at.seq, "")),
        bytes_before: at.bytes,
        oldest_unix_ms: run.oldest_unix_ms,
        newest_unix_ms: run.newest_unix_ms,
    }
}

/// Copies the records from `at` to `end`, none of them in a batch yet, out as batches of one key name each.
///
/// Items get new seqs, batch by batch: the order within a key name stays.
pub(crate) fn regroup(
    journal: &Journal,
    lane: &str,
    at: LogPosition,
    end: LogPosition,
    limits: BatchLimits,
) -> Vec<StoredBatch> {
    let mut groups: BTreeMap<&str, Vec<StoredBatch>> = BTreeMap::new();
    let mut order = Vec::new();
    each_record(journal, at, |record| {
        let group = groups.entry(record.key_name).or_insert_with(|| {
            order.push(record.key_name);
            Vec::new()
        });
        let fits = |stored: &StoredBatch| {
            let bytes = stored.batch.body().len() + 1 + record.json.len();
            stored.batch.len() < limits.items && bytes <= limits.body_bytes
        };
        if !group.last().is_some_and(fits) {
            group.push(StoredBatch {
                batch: Batch::new(lane, 0, record.key_name),
                bytes_before: 0,
                oldest_unix_ms: record.accepted_unix_ms,
                newest_unix_ms: record.accepted_unix_ms,
            });
        }
        if let Some(stored) = group.last_mut() {
            stored.batch.push(record.json);
            stored.newest_unix_ms = record.accepted_unix_ms;
        }
        record.end.seq < end.seq
    });
    let (mut next, mut bytes) = (at.seq, at.bytes);
    let mut batches = Vec::new();
    for mut stored in order.into_iter().filter_map(|name| groups.remove(name)).flatten() {
        stored.batch.renumber(next);
        stored.bytes_before = bytes;
        (next, bytes) = (stored.end(), stored.bytes_end());
        batches.push(stored);
    }
    batches
}
