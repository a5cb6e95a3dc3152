//! Queue: the reading side of a lane: hands out batches in order and settles them.
//!
//! ```text
//!   settled    │ handed out │ in segments        │ in the journal
//!   ───────────┼────────────┼────────────────────┼───────────────▶ seq
//!           cursor        next               head.seq           tail
//! ```
//! `next` may also lie after `head.seq`: then segments hold nothing that is still to be handed out.

pub(super) mod batching;
mod next;
mod overflow;
mod reading;
mod reopen;

use std::collections::BTreeMap;

use crate::error::{Error, ErrorKind};
use crate::spool::checkpoint::{Checkpoint, LogPosition, Tally};
use crate::spool::format::stored_batch::StoredBatch;
use crate::spool::journal::{HeaderCounter, Journal, Read};
use crate::spool::queue::batching::{BatchLimits, Stop};
pub(crate) use crate::spool::queue::next::{Due, Next};
pub(crate) use crate::spool::queue::overflow::Dropped;
pub(crate) use crate::spool::queue::reading::ReadFailure;
use crate::spool::segments::Segments;
use crate::spool::segments::reading::Reading;

/// Items that take one part of so many of the journal are sent before they are old enough.
const CROWDED_SHARE: u64 = 4;

/// The state of the reading side. Its owner keeps it under one lock.
pub(crate) struct Queue {
    lane: String,
    checkpoint: Checkpoint,
    segments: Segments,
    /// The next item to hand out.
    next: u64,
    /// Where that item is in the journal, or the journal's head when it is in a segment.
    ring: LogPosition,
    /// Up to where the journal is settled, once a batch from it was.
    settled_ring: Option<LogPosition>,
    /// Batches in flight, by their first item.
    out: BTreeMap<u64, Out>,
    /// Batches that were dropped while they were in flight: first item and how many.
    dropped_out: BTreeMap<u64, u64>,
    spilling: Spilling,
    regroup: Regroup,
    /// Somebody waits for all items before each of these seqs.
    bounds: Vec<u64>,
    /// The lowest seq that somebody waits for the cursor to reach.
    target: Option<u64>,
    /// Items that left the rejected store and do not count as rejected yet, because their batch is not settled.
    evicted: u64,
}

/// Which of the journal's items the committer is moving into a segment. Nobody else makes batches of them meanwhile.
#[derive(Debug)]
enum Spilling {
    Nothing,
    /// Batches that end before these seqs, in order.
    Batches(Vec<u64>),
    /// All items of the journal, in batches that end before these seqs as far as they are made, and an oversize item after
    /// them.
    Everything(Vec<u64>),
}

impl Spilling {
    fn covers(&self, seq: u64) -> bool {
        match self {
            Self::Nothing => false,
            Self::Batches(ends) => ends.last().is_some_and(|end| seq < *end),
            Self::Everything(_) => true,
        }
    }
}

/// Whether the journal's items are to be sorted into batches of one key name, by way of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Regroup {
    NotNeeded,
    Wanted,
    /// No segment can be written now: batches end where the key name changes.
    Impossible,
}

/// A batch that was handed out.
struct Out {
    end: u64,
    /// Bytes of JSON before its end in the lane's whole life, when known.
    bytes_end: Option<u64>,
    /// The log position after it, when it came from the journal.
    ring_end: Option<LogPosition>,
    settled: Option<Tally>,
}

impl Queue {
    /// The queue as `checkpoint` left it.
    pub(crate) fn open(
        lane: &str,
        segments: Segments,
        journal: &Journal,
        mut checkpoint: Checkpoint,
    ) -> Self {
        if checkpoint.head.seq < checkpoint.cursor {
            reopen::pass_settled(journal, &mut checkpoint);
        }
        Self {
            lane: lane.to_owned(),
            segments,
            next: checkpoint.cursor,
            ring: checkpoint.head,
            settled_ring: None,
            out: BTreeMap::new(),
            dropped_out: BTreeMap::new(),
            spilling: Spilling::Nothing,
            regroup: Regroup::NotNeeded,
            bounds: Vec::new(),
            target: None,
            evicted: 0,
            checkpoint,
        }
    }

    pub(crate) fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    pub(crate) fn segments_mut(&mut self) -> &mut Segments {
        &mut self.segments
    }

    /// Whether segments wait to be removed.
    pub(crate) fn has_passed_segments(&self) -> bool {
        self.segments.first_is_passed(self.checkpoint.cursor, self.checkpoint.head.seq)
    }

    /// Whether the committer should read ahead of what is handed out.
    pub(crate) fn wants_readahead(&self) -> bool {
        self.segments.wants_readahead(self.next, self.checkpoint.head.seq)
    }

    /// What to read ahead of what is handed out.
    pub(crate) fn to_read(&self) -> Option<Reading> {
        self.segments.to_read(self.next, self.checkpoint.head.seq)
    }

    pub(crate) fn keep_read(&mut self, stored: Box<StoredBatch>) {
        self.segments.keep_read(stored, self.next);
    }

    /// Sorting by key puts no later item before those that are before `seq` now, until [`Queue::let_pass`].
    pub(crate) fn keep_before(&mut self, seq: u64) {
        self.bounds.push(seq);
    }

    /// Ends what one call of [`Queue::keep_before`] began.
    pub(crate) fn let_pass(&mut self, seq: u64) {
        if let Some(at) = self.bounds.iter().position(|bound| *bound == seq) {
            self.bounds.swap_remove(at);
        }
    }

    /// The seqs that sorting by key may put no item across.
    pub(crate) fn bounds(&self) -> &[u64] {
        &self.bounds
    }

    /// Notes that somebody waits for the cursor to reach `seq`.
    pub(crate) fn await_cursor(&mut self, seq: u64) {
        self.target = Some(self.target.map_or(seq, |target| target.min(seq)));
    }

    /// Forgets what somebody waits for once the cursor has reached it, and returns whether it has. Who waits for more
    /// says so again.
    pub(crate) fn forget_reached_target(&mut self) -> bool {
        self.target.take_if(|target| *target <= self.checkpoint.cursor).is_some()
    }

    /// The next item to hand out.
    pub(crate) fn next_seq(&self) -> u64 {
        self.next
    }

    /// The next batch to send; it stays handed out until it is settled.
    pub(crate) fn next(&mut self, journal: &Journal, limits: BatchLimits, due: Due) -> Next {
        loop {
            if due.window.is_some_and(|window| self.out.len() >= window) {
                return Next::Window;
            }
            let (stored, ring_end) = if self.next < self.checkpoint.head.seq {
                match self.segments.take_read(self.next) {
                    Some(stored) => (*stored, None),
                    None => {
                        let reading = self.segments.begin_reading(self.next, self.checkpoint.head.seq);
                        return reading.map_or(Next::Reading, |reading| Next::Read(reading.into()));
                    }
                }
            } else {
                match self.next_from_journal(journal, limits, due) {
                    Ok(found) => found,
                    Err(next) => return next,
                }
            };
            let end = stored.end();
            if due.expired_before_ms.is_some_and(|time| stored.newest_unix_ms < time) {
                let expired = Tally { dropped_expired: end - self.next, ..Tally::default() };
                self.hand_out(journal, &stored, ring_end);
                self.settle(journal, stored.batch.first(), expired);
                continue;
            }
            let ring = ring_end.map(|end| self.ring.pos..end.pos);
            self.hand_out(journal, &stored, ring_end);
            return Next::Batch(Box::new(stored), ring);
        }
    }

    fn next_from_journal(
        &mut self,
        journal: &Journal,
        limits: BatchLimits,
        due: Due,
    ) -> std::result::Result<(StoredBatch, Option<LogPosition>), Next> {
        if self.spilling.covers(self.next) {
            return Err(Next::Spilling);
        }
        let Some(run) = batching::run(journal, self.ring, limits) else {
            return Err(match journal.read(self.ring) {
                Read::End => Next::Idle,
                Read::Damaged(end) => {
                    let what = format!("lane {}: item {} is damaged in the journal", self.lane, self.next);
                    self.leave_out(journal, end.seq, Some(end));
                    Next::Lost(Error::new(ErrorKind::Corrupt, what))
                }
                Read::Record(_) | Read::Unfinished => Next::In { ms: 1, enough: u64::MAX },
            });
        };
        // An older release went by the wall clock: after it was set back the age is not known, and the batch is due.
        let age_ms = due.now_ms.checked_sub(run.oldest_unix_ms).unwrap_or(due.delay_ms);
        // A small journal would be full before its items are old enough.
        let (bytes, enough) = (run.end.pos - self.ring.pos, journal.ring_bytes() / CROWDED_SHARE);
        let waited = self.ring.seq < due.forced_before || age_ms >= due.delay_ms || bytes >= enough;
        match run.stop {
            Stop::OtherKey if self.regroup != Regroup::Impossible => {
                self.regroup = Regroup::Wanted;
                return Err(Next::Regroup);
            }
            Stop::Tail | Stop::Unfinished if !waited => {
                let more = ((enough - bytes) * run.items).div_ceil(bytes.max(1));
                return Err(Next::In { ms: due.delay_ms - age_ms, enough: self.next + run.items + more });
            }
            _ => {}
        }
        Ok((batching::take_run(journal, &self.lane, self.ring, &run), Some(run.end)))
    }

    fn hand_out(&mut self, journal: &Journal, stored: &StoredBatch, ring_end: Option<LogPosition>) {
        if self.out.is_empty() && self.checkpoint.settled_bytes != stored.bytes_before {
            // After segments were dropped unread, this is the first batch to say how many bytes went with them.
            self.checkpoint.settled_bytes = stored.bytes_before;
            self.store(journal);
        }
        if ring_end.is_none() {
            journal.set_counter(HeaderCounter::OldestUnixMs, stored.oldest_unix_ms);
        }
        self.next = stored.end();
        self.ring = ring_end.unwrap_or(self.checkpoint.head);
        let out = Out { end: stored.end(), bytes_end: Some(stored.bytes_end()), ring_end, settled: None };
        self.out.insert(stored.batch.first(), out);
    }

    /// Passes over the items from `next` to `end`, which can't be read any more; `ring_end` is the log position after
    /// them, when they are in the journal.
    fn leave_out(&mut self, journal: &Journal, end: u64, ring_end: Option<LogPosition>) {
        let first = self.next;
        let bytes_end = ring_end.map(|end| end.bytes);
        self.out.insert(first, Out { end, bytes_end, ring_end, settled: None });
        self.next = end;
        self.ring = ring_end.unwrap_or(self.ring);
        self.settle(journal, first, Tally { dropped_corrupt: end - first, ..Tally::default() });
    }

    /// Records what became of the batch `first`: survives the process at once.
    pub(crate) fn settle(&mut self, journal: &Journal, first: u64, tally: Tally) {
        if let Some(items) = self.dropped_out.remove(&first) {
            self.checkpoint.tally.dropped_overflow -= items;
            self.checkpoint.tally.add(&tally);
            self.store(journal);
            return;
        }
        if let Some(out) = self.out.get_mut(&first) {
            out.settled = Some(tally);
        }
        while let Some(entry) = self.out.first_entry() {
            let Some(tally) = entry.get().settled else { break };
            let out = entry.remove();
            self.pass(&out, &tally);
        }
        self.store(journal);
    }

    /// Whether batches are settled that the cursor has not come to.
    pub(crate) fn has_settled_ahead(&self) -> bool {
        self.out.values().any(|out| out.settled.is_some())
    }

    /// Moves the cursor over `out`.
    fn pass(&mut self, out: &Out, tally: &Tally) {
        self.checkpoint.cursor = out.end;
        self.checkpoint.tally.add(tally);
        self.checkpoint.settled_bytes = out.bytes_end.unwrap_or(self.checkpoint.settled_bytes);
        self.settled_ring = out.ring_end.or(self.settled_ring);
        if !self.is_spilling() {
            self.move_head(self.checkpoint.head);
        }
    }

    /// Moves the journal's head to `to`, or as far as the journal is settled, whichever is further.
    fn move_head(&mut self, to: LogPosition) {
        let further = |a: LogPosition, b: LogPosition| if b.seq > a.seq { b } else { a };
        let head = further(self.checkpoint.head, to);
        self.checkpoint.head = self.settled_ring.map_or(head, |settled| further(head, settled));
        if self.checkpoint.cursor >= self.checkpoint.head.seq {
            self.checkpoint.settled_bytes = self.checkpoint.settled_bytes.max(self.checkpoint.head.bytes);
        }
        self.ring = further(self.ring, self.checkpoint.head);
    }

    /// Keeps the journal's items for the committer until `spilled` or `give_up_spill`: the batches that end before `ends`.
    pub(crate) fn begin_spill(&mut self, ends: Vec<u64>) {
        self.spilling = Spilling::Batches(ends);
    }

    /// Keeps all of the journal's items for the committer, which stores an oversize item after them. Their batches end
    /// before `ends`, as far as they are made.
    pub(crate) fn begin_oversize_spill(&mut self, ends: Vec<u64>) {
        self.spilling = Spilling::Everything(ends);
    }

    /// The journal's items up to `end` are in a segment now: they are read from there.
    pub(crate) fn spilled(&mut self, journal: &Journal, end: LogPosition) {
        self.spilling = Spilling::Nothing;
        self.regroup = Regroup::NotNeeded;
        self.move_head(end);
        self.store(journal);
    }

    /// The journal's items stay where they are.
    pub(crate) fn give_up_spill(&mut self, journal: &Journal) {
        self.spilling = Spilling::Nothing;
        if self.regroup == Regroup::Wanted {
            self.regroup = Regroup::Impossible;
        }
        self.move_head(self.checkpoint.head);
        self.store(journal);
    }

    pub(crate) fn is_spilling(&self) -> bool {
        !matches!(self.spilling, Spilling::Nothing)
    }

    /// Whether an oversize item is being stored: it will come before those that are appended meanwhile.
    pub(crate) fn is_storing_oversize(&self) -> bool {
        matches!(self.spilling, Spilling::Everything(_))
    }

    pub(crate) fn wants_regroup(&self) -> bool {
        self.regroup == Regroup::Wanted
    }

    /// Counts an oversize item, which went into a segment and never into the journal.
    pub(crate) fn count_oversize(&mut self, journal: &Journal, json_bytes: u64) {
        let mut head = self.checkpoint.head;
        head.seq += 1;
        head.bytes += json_bytes;
        self.checkpoint.head = head;
        self.ring = head;
        self.store(journal);
    }

    /// Moves items between reasons: an evicted rejected item counts as dropped.
    pub(crate) fn recount_evicted(&mut self, journal: &Journal, items: u64) {
        self.evicted += items;
        self.store(journal);
    }

    /// Moves what was evicted from rejected to dropped, as far as it counts as rejected yet.
    fn count_evicted(&mut self) {
        for tally in [&mut self.checkpoint.tally, &mut self.checkpoint.adopted] {
            let moved = self.evicted.min(tally.rejected);
            tally.rejected -= moved;
            tally.dropped_overflow += moved;
            self.evicted -= moved;
        }
    }

    /// Everything before `tail` is committed and on stable storage.
    pub(crate) fn synced(&mut self, journal: &Journal, tail: LogPosition) {
        self.checkpoint.tail = tail;
        self.store(journal);
    }

    /// Counts items of a lane that was absorbed.
    pub(crate) fn adopted(&mut self, journal: &Journal, tally: Tally) {
        self.checkpoint.adopted.add(&tally);
        self.store(journal);
    }

    /// Forgets what became of the lane's items: the lane that absorbs this one counts them now.
    pub(crate) fn absorbed(&mut self, journal: &Journal) {
        (self.checkpoint.tally, self.checkpoint.adopted) = Default::default();
        self.store(journal);
        journal.set_counter(HeaderCounter::Requeued, 0);
    }

    fn store(&mut self, journal: &Journal) {
        self.count_evicted();
        self.checkpoint.sequence += 1;
        journal.store_checkpoint(&self.checkpoint);
    }
}
