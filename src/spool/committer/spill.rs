//! Spill: moving the journal's oldest items into a segment, so that the ring has room for new ones.

use crate::batch::Batch;
use crate::config::{Durability, Overflow};
use crate::error::{Error, ErrorKind, Result};
use crate::spool::committer::Committer;
use crate::spool::committer::plan::Plan;
use crate::spool::format::stored_batch::StoredBatch;
use crate::spool::journal::now_unix_ms;
use crate::spool::segments::writer::{self, SLED_SEGMENT_BYTES};

/// Bytes of ring that one spill moves at most: bounds memory and how long a sync waits.
const SPILL_BYTES: u64 = 4 << 20;
/// A new segment takes this much disk before anything is in it, and may have this much in reserve.
const SEGMENT_OVERHEAD_BYTES: u64 = 2 * SLED_SEGMENT_BYTES as u64;

impl Committer<'_> {
    /// Takes one step toward a ring that is at least half free and sorted by key name. Returns whether there was one to
    /// take.
    pub(super) fn make_room(&mut self) -> Result<bool> {
        let (lane, journal) = (self.lane, self.stores.journal());
        let is_due =
            || journal.used_bytes() >= journal.ring_bytes() / 2 || self.stores.lock_queue().wants_regroup();
        if !is_due() {
            return Ok(false);
        }
        journal.release()?;
        if !is_due() {
            return Ok(false);
        }
        let wanted = lane.mover().take_room_request() | journal.is_awaited();
        let moved = self.spill(None, wanted)?;
        if !moved && wanted && lane.settings().overflow == Overflow::DropOldest {
            let dropped = lane.drop_oldest();
            journal.release()?;
            return Ok(dropped > 0);
        }
        Ok(moved)
    }

    /// Stores the oversize item that a caller waits with, if one does.
    pub(super) fn store_oversize(&mut self) {
        let slot = self.lane.oversize();
        let Some(mut batch) = slot.take() else { return };
        let outcome = match self.spill(Some(&mut batch), true) {
            Ok(true) => Ok(()),
            Ok(false) => {
                let (bytes, why) = (batch.joined().len(), self.lane.takes_on_disk());
                Err(Error::new(ErrorKind::Full, format!("no room for an item of {bytes} bytes: {why}")))
            }
            Err(error) => Err(error),
        };
        slot.finish(outcome);
    }

    /// Moves the oldest items of the journal into a segment; with an oversize item all of them, and that item after
    /// them. Returns whether anything moved: `false` when the spool is full. `wanted`: somebody waits for the room.
    fn spill(&mut self, oversize: Option<&mut Batch>, wanted: bool) -> Result<bool> {
        let (lane, stores, journal) = (self.lane, self.stores, self.stores.journal());
        let oversize_bytes = oversize.as_ref().map(|batch| batch.items_bytes());
        let plan = if oversize.is_some() { self.plan_everything() } else { self.plan_oldest() };
        let stored = self.encode(&plan, oversize).and_then(|values| {
            stores.keep_damaged();
            self.append(&values, wanted)
        });
        let mut queue = stores.lock_queue();
        if let Some((first, segment)) = self.writer.current() {
            queue.segments_mut().publish(first, segment);
        }
        match &stored {
            Ok(true) => {
                queue.spilled(journal, plan.end);
                if let Some(json_bytes) = oversize_bytes {
                    journal.count_oversize(json_bytes);
                    queue.count_oversize(journal, json_bytes);
                }
            }
            _ => queue.give_up_spill(journal),
        }
        drop(queue);
        stores.announce_change();
        stores.count_disk();
        lane.hand_out().wake();
        if matches!(stored, Ok(true)) {
            let released = journal.release().or_else(|_| self.renew_journal());
            if lane.settings().durability == Durability::Power {
                // Until then a power cut could take what is in the segment.
                released?;
            }
        }
        stored
    }

    /// The next part of the journal. Nobody else makes batches of it until the spill is over.
    fn plan_oldest(&self) -> Plan {
        let journal = self.stores.journal();
        let mut queue = self.stores.lock_queue();
        let max_bytes = SPILL_BYTES.min(journal.ring_bytes() / 4);
        let plan = Plan::new(journal, queue.checkpoint().head, self.lane.settings().limits, Some(max_bytes));
        queue.begin_spill(plan.end.seq);
        plan
    }

    /// Everything that was accepted before now. Nobody else makes batches of it until the spill is over.
    fn plan_everything(&self) -> Plan {
        let journal = self.stores.journal();
        let mut queue = self.stores.lock_queue();
        let head = queue.checkpoint().head;
        queue.begin_oversize_spill();
        drop(queue);
        // A thread's earlier items may stand after one that another thread is still writing.
        journal.await_committed(head.pos, journal.end_pos());
        Plan::new(journal, head, self.lane.settings().limits, None)
    }

    /// The batches of `plan`, and the oversize item after them, as they will be stored, each with its first seq.
    fn encode(&self, plan: &Plan, oversize: Option<&mut Batch>) -> Result<Vec<(u64, Vec<u8>)>> {
        let journal = self.stores.journal();
        let mut values = Vec::new();
        let mut keep = |stored: &StoredBatch| {
            values.push((stored.batch.first(), stored.encode()?));
            journal.prefault();
            Ok(())
        };
        plan.batches(journal, self.lane.id(), self.lane.settings().limits, |stored| keep(&stored))?;
        if let Some(batch) = oversize {
            batch.renumber(plan.end.seq);
            let now = now_unix_ms();
            // Lent, not copied: it is long.
            let mut stored = StoredBatch {
                batch: std::mem::replace(batch, Batch::new("", 0, "")),
                bytes_before: plan.end.bytes,
                oldest_unix_ms: now,
                newest_unix_ms: now,
            };
            let kept = keep(&stored);
            std::mem::swap(batch, &mut stored.batch);
            kept?;
        }
        Ok(values)
    }

    /// Writes `values` durably into the segment being written. `false`: they would pass a limit.
    fn append(&mut self, values: &[(u64, Vec<u8>)], wanted: bool) -> Result<bool> {
        let Some((first, _)) = values.first() else { return Ok(false) };
        let bytes: u64 = values.iter().map(|(_, value)| value.len() as u64).sum();
        if !self.has_room_for(bytes, wanted) {
            return Ok(false);
        }
        let stores = self.stores;
        let before = self.writer.current().map(|(first, _)| first);
        if self.writer.must_roll(bytes) {
            self.writer.close(stores.lock_queue().segments_mut());
        }
        let path = |first| stores.lock_queue().segments_mut().path(first);
        let appended = self.writer.append(values, path);
        appended.inspect_err(|_| self.give_up_segment(before, *first))?;
        Ok(true)
    }

    /// After a failed append: the segment of `before` keeps what it has; one made for `first` has nothing.
    fn give_up_segment(&self, before: Option<u64>, first: u64) {
        let mut queue = self.stores.lock_queue();
        let segments = queue.segments_mut();
        if let Some(before) = before {
            segments.retire(before);
        }
        if !segments.contains(first) {
            drop(segments.path(first).remove());
        }
    }

    /// Whether `bytes` more fit under `max_spool_bytes`; `drop_oldest` lets whole segments go for
    /// them, but only when somebody wants the room.
    fn has_room_for(&mut self, bytes: u64, wanted: bool) -> bool {
        let (lane, stores) = (self.lane, self.stores);
        let settings = lane.settings();
        loop {
            let overhead =
                if self.writer.must_roll(bytes) { SEGMENT_OVERHEAD_BYTES } else { SLED_SEGMENT_BYTES as u64 };
            let fits = lane.disk_bytes_for_segments() + bytes + overhead <= settings.max_spool_bytes
                && writer::claim_sled();
            lane.mover().set_full(!fits);
            if fits || !wanted || settings.overflow == Overflow::Reject {
                return fits;
            }
            let mut queue = stores.lock_queue();
            self.writer.close(queue.segments_mut());
            if queue.segments_mut().is_empty() {
                return false;
            }
            queue.drop_oldest(stores.journal(), settings.limits);
            lane.announce_settled(queue);
            if self.remove_passed(false).is_err() {
                // The journal is made anew first.
                return false;
            }
        }
    }
}
