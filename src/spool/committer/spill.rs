//! Spill: moving the journal's oldest items into a segment, so that the ring has room for new ones.

use crate::batch::Batch;
use crate::config::Durability;
use crate::error::{Error, ErrorKind, Result};
use crate::os::memory;
use crate::spool::committer::Committer;
use crate::spool::committer::overflow::bytes_of;
use crate::spool::committer::plan::Plan;
use crate::spool::format::stored_batch::StoredBatch;
use crate::spool::segments::writer::MAX_SLED_SEGMENT_BYTES;

/// Bytes of ring that one spill moves at most: bounds memory and how long a sync waits.
const SPILL_BYTES: u64 = 4 << 20;

impl Committer<'_> {
    /// Takes one step toward a ring that is at least half free and sorted by key name. Returns whether there was one to
    /// take.
    pub(super) fn make_room(&mut self) -> Result<bool> {
        let journal = self.stores.journal();
        let is_due =
            || journal.used_bytes() >= journal.ring_bytes() / 2 || self.stores.lock_queue().wants_regroup();
        if !is_due() {
            return Ok(false);
        }
        if journal.can_release() {
            journal.release()?;
        }
        if !is_due() {
            return Ok(false);
        }
        // Compressing what can't be stored would be in vain.
        if self.is_short_of_room() {
            return Ok(false);
        }
        Ok(self.spill(None)? || self.begin_to_drop())
    }

    /// Stores the oversize item that a caller waits with, if one does.
    pub(super) fn store_oversize(&mut self) {
        let slot = self.lane.oversize();
        let Some(batch) = slot.take() else { return };
        let bytes = batch.joined().len();
        let outcome = match self.spill(Some(batch)) {
            Ok(true) => Ok(()),
            Ok(false) => {
                let why = self.lane.takes_on_disk();
                Err(Error::new(ErrorKind::Full, format!("no room for an item of {bytes} bytes: {why}")))
            }
            Err(error) => Err(error),
        };
        slot.finish(outcome);
    }

    /// Moves the oldest items of the journal into a segment; with an oversize item all of them, and that item after
    /// them. Returns whether anything moved: `false` when the spool is full.
    fn spill(&mut self, oversize: Option<Batch>) -> Result<bool> {
        let (lane, stores, journal) = (self.lane, self.stores, self.stores.journal());
        let oversize_bytes = oversize.as_ref().map(|batch| batch.items_bytes());
        let mut plan = if oversize.is_some() { self.plan_everything() } else { self.plan_oldest() };
        let may_drop = oversize.is_some() || self.overflow.is_tight() && journal.is_awaited();
        let mut values = Vec::new();
        let appended = self.encode(&mut plan, oversize, &mut values).and_then(|()| {
            stores.keep_damaged();
            self.append(&mut values, may_drop, oversize_bytes.is_some())
        });
        let moved = matches!(appended, Ok(true));
        let mut queue = stores.lock_queue();
        if let Some((first, segment)) = self.writer.current() {
            let written = if moved { &values[..] } else { &[] };
            queue.segments_mut().publish(first, segment, written);
        }
        if moved {
            queue.spilled(journal, plan.end);
            if let Some(json_bytes) = oversize_bytes {
                journal.count_oversize(json_bytes);
                queue.count_oversize(journal, json_bytes);
            }
        } else {
            queue.give_up_spill(journal);
        }
        drop(queue);
        stores.announce_change();
        stores.count_disk();
        lane.hand_out().wake();
        if moved {
            let released = journal.release().or_else(|_| self.renew_journal());
            if lane.settings().durability == Durability::Power {
                // Until then a power cut could take what is in the segment.
                released?;
            }
        }
        appended
    }

    /// The next part of the journal. Nobody else makes batches of it until the spill is over.
    fn plan_oldest(&self) -> Plan {
        let (lane, journal) = (self.lane, self.stores.journal());
        let max_bytes = self.overflow.spill_bytes(SPILL_BYTES.min(journal.ring_bytes() / 4));
        let mut queue = self.stores.lock_queue();
        let head = queue.checkpoint().head;
        let plan =
            Plan::new(journal, lane.id(), head, lane.settings().limits, Some(max_bytes), queue.bounds());
        queue.begin_spill(plan.ends());
        plan
    }

    /// Everything that was accepted before now. Nobody else makes batches of it until the spill is over.
    fn plan_everything(&self) -> Plan {
        let (lane, journal) = (self.lane, self.stores.journal());
        let mut queue = self.stores.lock_queue();
        let head = queue.checkpoint().head;
        queue.begin_oversize_spill(Vec::new());
        let bounds = queue.bounds().to_vec();
        drop(queue);
        // A thread's earlier items may stand after one that another thread is still writing.
        journal.await_committed(head.pos, journal.end_pos());
        let plan = Plan::new(journal, lane.id(), head, lane.settings().limits, None, &bounds);
        self.stores.lock_queue().begin_oversize_spill(plan.ends());
        plan
    }

    /// Adds the batches of `plan` to `values`, and the oversize item after them, as they will be stored, each with its first
    /// seq.
    fn encode(
        &self,
        plan: &mut Plan,
        oversize: Option<Batch>,
        values: &mut Vec<(u64, Vec<u8>)>,
    ) -> Result<()> {
        let journal = self.stores.journal();
        let ring_bytes = plan.end.pos.saturating_sub(journal.checkpoint().head.pos);
        let oversize_bytes = oversize.as_ref().map_or(0, |batch| batch.items_bytes());
        // An oversize item is there once already.
        memory::ensure(
            format_args!("write a segment of lane {}", self.lane.id()),
            (3 * ring_bytes + 2 * oversize_bytes) as usize + 2 * MAX_SLED_SEGMENT_BYTES as usize,
        )?;
        let mut keep = |stored: StoredBatch| {
            values.push((stored.batch.first(), stored.encode()?));
            journal.prefault();
            Ok(())
        };
        plan.batches(journal, self.lane.id(), &mut keep)?;
        let Some(mut batch) = oversize else { return Ok(()) };
        batch.renumber(plan.end.seq);
        let now = journal.now_ms();
        let bytes_before = plan.end.bytes;
        keep(StoredBatch { batch, bytes_before, oldest_unix_ms: now, newest_unix_ms: now })
    }

    /// Writes `values` durably into the segment being written; those that had to be dropped for the others are taken out.
    /// Returns whether anything was written: nothing is when they would pass a limit.
    ///
    /// With an oversize item, whose caller may have left meanwhile: then they count as not written. On a full disk
    /// segments are dropped for it.
    fn append(
        &mut self,
        values: &mut Vec<(u64, Vec<u8>)>,
        may_drop: bool,
        is_oversize: bool,
    ) -> Result<bool> {
        let fits = values.is_empty() || self.fit(values, may_drop);
        self.overflow.note_refusal(!fits);
        if !fits || values.is_empty() {
            return Ok(false);
        }
        loop {
            match self.append_once(values, is_oversize) {
                Err(error) if is_oversize && error.is_disk_full() && self.drop_segment() => {}
                outcome => return outcome.map(|()| true),
            }
        }
    }

    fn append_once(&mut self, values: &[(u64, Vec<u8>)], is_oversize: bool) -> Result<()> {
        let stores = self.stores;
        let first = stores.lock_queue().checkpoint().head.seq;
        let before = self.writer.current().map(|(first, _)| first);
        if self.writer.must_roll(bytes_of(values)) {
            self.writer.close(stores.lock_queue().segments_mut());
        }
        let path = |first| stores.lock_queue().segments_mut().path(first);
        let mut appended = self.writer.append(first, values, path);
        if is_oversize && appended.is_ok() && !self.lane.oversize().begin_storing() {
            self.writer.close(stores.lock_queue().segments_mut());
            appended = Err(Error::new(ErrorKind::Full, "nobody waits for the item any more"));
        }
        appended.inspect_err(|_| self.give_up_segment(before, first))
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
}
