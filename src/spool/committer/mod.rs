//! Committer: the thread that brings the journal to stable storage and moves it into segments.

pub(super) mod spill;

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::batch::Batch;
use crate::config::{Durability, Level, Overflow};
use crate::error::{Error, ErrorKind, Result};
use crate::item::Item;
use crate::os::lock::Unpoison;
use crate::spool::committer::spill::{Plan, SPILL_BYTES, Writer};
use crate::spool::format::stored_batch::StoredBatch;
use crate::spool::fs;
use crate::spool::journal::now_unix_ms;
use crate::spool::lane::{Lane, shut_down};
use crate::spool::queue::ALL;
use crate::spool::segments::writer::{self, SLED_SEGMENT_BYTES};

/// How long after a failed write to the disk it is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// A new segment takes this much disk before anything is in it, and may have this much in reserve.
const SEGMENT_OVERHEAD_BYTES: u64 = 2 * SLED_SEGMENT_BYTES as u64;

/// Where a caller leaves an item that is too long for the ring, and finds the outcome.
#[derive(Default)]
pub(super) struct BypassSlot {
    state: Mutex<Bypass>,
    changed: Condvar,
}

#[derive(Default)]
enum Bypass {
    #[default]
    Free,
    Waiting(Batch),
    Working,
    Done(Result<()>),
    Closed,
}

impl Lane {
    /// The committer's life: until `stop` says so. After a panic it begins again.
    pub(crate) fn run_committer(&self, stop: impl Fn() -> bool) {
        self.undo_half_done();
        let mut writer = Writer::default();
        let mut last_sync = Instant::now();
        let mut retry_at: Option<Instant> = None;
        while !stop() {
            let seen = self.commit.seen();
            let mut moved = false;
            if retry_at.is_none_or(|at| at <= Instant::now()) {
                let outcome = self.renew_journal().and_then(|()| self.make_room(&mut writer));
                self.log_trouble(&outcome, retry_at.is_some());
                retry_at = outcome.is_err().then(|| Instant::now() + RETRY_AFTER);
                moved = outcome.unwrap_or(false);
            }
            self.serve_bypass(&mut writer);
            let sync_is_due = last_sync.elapsed() >= self.settings.sync_interval && !self.clean.load(Relaxed);
            if sync_is_due && !self.journal.has_failed() {
                last_sync = Instant::now();
                self.log_failure(self.sync_all());
            }
            if !self.journal.has_failed() {
                self.log_failure(self.remove_passed(&mut writer, false));
            }
            if !moved {
                self.read_ahead(seen);
                self.rest(seen, last_sync + self.settings.sync_interval, retry_at);
            }
        }
        self.wind_up(&mut writer);
    }

    /// Undoes what a panic left half done: a move of items, segments that nobody writes any more, a caller's wait.
    fn undo_half_done(&self) {
        let mut queue = self.lock_queue();
        queue.segments.retire_all();
        if queue.moving_to.is_some() {
            queue.not_moved(&self.journal);
        }
        drop(queue);
        self.settled.notify_all();
        self.clean.store(false, Relaxed);
        self.drain.raise();
        let mut state = self.bypass.state.lock().unpoisoned();
        if matches!(*state, Bypass::Working) {
            *state = Bypass::Done(Err(Error::new(ErrorKind::Internal, "the item was given up in a panic")));
            self.bypass.changed.notify_all();
        }
    }

    /// Waits for the next thing to do.
    fn rest(&self, seen: u64, sync_at: Instant, retry_at: Option<Instant>) {
        let clean = self.clean.load(Relaxed);
        let room = self.journal.ring_bytes() / 2;
        let used = self.journal.used_bytes();
        let until_room = if used < room { room - used } else { self.journal.ring_bytes() / 8 };
        let before = self.journal.end_pos();
        let wake_in = if clean {
            1
        } else {
            let until_faults = self.journal.prefault().saturating_sub(before);
            if until_faults > 0 { until_room.min(until_faults) } else { until_room }
        };
        let tail = self.journal.set_wake(|wake| wake.committer_pos = before + wake_in).pos;
        if tail < before + wake_in {
            let failed = self.journal.has_failed();
            let sync_at = (!clean && !failed).then_some(sync_at);
            // A journal that has failed is made anew at once, the first time.
            let retry_at = retry_at.or_else(|| failed.then(Instant::now));
            self.commit.wait(seen, [sync_at, retry_at].into_iter().flatten().min());
        }
        if self.journal.tail().pos > before {
            self.clean.store(false, Relaxed);
        }
    }

    /// Brings the journal and its checkpoint to stable storage.
    fn sync_all(&self) -> Result<()> {
        self.clean.store(true, Relaxed);
        let tail = self.journal.tail();
        self.journal.sync_to(tail.pos)?;
        self.journal.restart_prefault();
        self.lock_queue().synced(&self.journal, tail);
        self.journal.release()
    }

    /// When the journal could not be synced, goes on in a fresh file: that one can.
    fn renew_journal(&self) -> Result<()> {
        if self.journal.has_failed() {
            self.journal.renew(|| self.lock_queue())?;
            self.log.line(Level::Info, format_args!("lane {}: the journal goes on in a fresh file", self.id));
        }
        Ok(())
    }

    /// Takes one step toward a ring that is at least half free and sorted. Returns whether there was one to take.
    fn make_room(&self, writer: &mut Writer) -> Result<bool> {
        let crowded = || self.journal.used_bytes() >= self.journal.ring_bytes() / 2;
        if !crowded() && !self.lock_queue().wants_regroup() {
            return Ok(false);
        }
        self.journal.release()?;
        if !crowded() && !self.lock_queue().wants_regroup() {
            return Ok(false);
        }
        let wanted = self.room_wanted.swap(false, Relaxed) | self.journal.is_awaited();
        let moved = self.spill(writer, None, wanted)?;
        if !moved && wanted && self.settings.overflow == Overflow::DropOldest {
            let dropped = self.drop_oldest();
            self.journal.release()?;
            return Ok(dropped > 0);
        }
        Ok(moved)
    }

    /// Moves the oldest items of the journal into a segment, and `extra` behind all that the journal holds.
    /// Returns whether anything moved: `false` when the spool is full. `wanted`: somebody waits for the room.
    fn spill(&self, writer: &mut Writer, extra: Option<&mut Batch>, wanted: bool) -> Result<bool> {
        let plan = self.plan_spill(extra.is_some());
        let bypassed = extra.as_ref().map(|batch| batch.items_bytes());
        let stored = self.values_of(&plan, extra).and_then(|values| {
            self.keep_damaged();
            self.store(writer, &values, wanted)
        });
        let mut queue = self.lock_queue();
        if let Some((first, segment)) = writer.current() {
            queue.segments.publish(first, segment);
        }
        match &stored {
            Ok(true) => {
                queue.moved(&self.journal, plan.end);
                if let Some(json_bytes) = bypassed {
                    self.journal.count_oversize(json_bytes);
                    queue.bypassed(&self.journal, json_bytes);
                }
            }
            _ => queue.not_moved(&self.journal),
        }
        drop(queue);
        self.settled.notify_all();
        self.count_disk();
        self.drain.raise();
        if matches!(stored, Ok(true)) {
            let released = self.journal.release().or_else(|_| self.renew_journal());
            if self.settings.durability == Durability::Power {
                // Until then a power cut could take what is in the segment.
                released?;
            }
        }
        stored
    }

    /// Which items a sweep moves; nobody else forms batches of them until it is over. `all`: everything that was taken
    /// before now.
    fn plan_spill(&self, all: bool) -> Plan {
        let mut queue = self.lock_queue();
        let head = queue.checkpoint().head;
        let plan = |max_bytes| Plan::new(&self.journal, head, self.settings.limits, max_bytes);
        if !all {
            let plan = plan(SPILL_BYTES.min(self.journal.ring_bytes() / 4));
            queue.moving_to = Some(plan.end.seq);
            return plan;
        }
        queue.moving_to = Some(ALL);
        drop(queue);
        // A thread's earlier items may stand behind one that another thread is still writing.
        self.journal.await_committed(head.pos, self.journal.end_pos());
        plan(u64::MAX)
    }

    /// The batches of `plan`, and `extra` behind them, as they will be stored, each with its number.
    fn values_of(&self, plan: &Plan, extra: Option<&mut Batch>) -> Result<Vec<(u64, Vec<u8>)>> {
        let mut values = Vec::new();
        let mut keep = |stored: StoredBatch| {
            values.push((stored.batch.first(), stored.encode()?));
            self.journal.prefault();
            Ok(())
        };
        plan.batches(&self.journal, &self.id, self.settings.limits, &mut keep)?;
        if let Some(batch) = extra {
            batch.renumber(plan.end.seq);
            let now = now_unix_ms();
            keep(StoredBatch {
                batch: batch.clone(),
                bytes_before: plan.end.bytes,
                oldest_unix_ms: now,
                newest_unix_ms: now,
            })?;
        }
        Ok(values)
    }

    /// Writes `values` durably into the segment being written. `false`: they would pass a limit.
    fn store(&self, writer: &mut Writer, values: &[(u64, Vec<u8>)], wanted: bool) -> Result<bool> {
        let Some((first, _)) = values.first() else { return Ok(false) };
        let bytes: u64 = values.iter().map(|(_, value)| value.len() as u64).sum();
        if !self.has_room_for(bytes, writer, wanted) {
            return Ok(false);
        }
        let before = writer.current().map(|(first, _)| first);
        if writer.must_roll(bytes) {
            writer.close(&mut self.lock_queue().segments);
        }
        let path = |first| self.lock_queue().segments.path(first);
        writer.append(values, path).inspect_err(|_| self.give_up_segment(before, *first))?;
        Ok(true)
    }

    /// After a failed append: the segment of `before` keeps what it has; one made for `first` has nothing.
    fn give_up_segment(&self, before: Option<u64>, first: u64) {
        let mut queue = self.lock_queue();
        if let Some(before) = before {
            queue.segments.retire(before);
        }
        if !queue.segments.contains(first) {
            drop(fs::remove(&queue.segments.path(first)));
        }
    }

    /// Whether `bytes` more fit under `max_spool_bytes`; `drop_oldest` lets whole segments go for
    /// them, but only when somebody wants the room.
    fn has_room_for(&self, bytes: u64, writer: &mut Writer, wanted: bool) -> bool {
        loop {
            let overhead =
                if writer.must_roll(bytes) { SEGMENT_OVERHEAD_BYTES } else { SLED_SEGMENT_BYTES as u64 };
            let fits =
                self.count_disk() + bytes + overhead <= self.settings.max_spool_bytes && writer::is_usable();
            self.set_full(!fits);
            if fits || !wanted || self.settings.overflow == Overflow::Reject {
                return fits;
            }
            let mut queue = self.lock_queue();
            writer.close(&mut queue.segments);
            if queue.segments.is_empty() {
                return false;
            }
            queue.drop_oldest(&self.journal, self.settings.limits);
            self.after_settling(queue);
            if self.remove_passed(writer, false).is_err() {
                // The journal is made anew first.
                return false;
            }
        }
    }

    /// Removes the segments that nobody needs; at the end also the one being written.
    fn remove_passed(&self, writer: &mut Writer, at_end: bool) -> Result<()> {
        let mut queue = self.lock_queue();
        let (cursor, head) = (queue.checkpoint().cursor, queue.checkpoint().head.seq);
        if cursor >= head && (at_end || queue.has_passed_segments()) {
            writer.close(&mut queue.segments);
        }
        let passed = queue.segments.passed(cursor, head);
        drop(queue);
        if passed.is_empty() {
            return Ok(());
        }
        // A power cut must not leave a cursor before items that are gone.
        self.journal.release()?;
        for segment in passed {
            if let Err(error) = self.discard(&segment) {
                self.log.line(Level::Warn, format_args!("{error}"));
            }
            self.lock_queue().segments.forget(segment.first);
        }
        self.settled.notify_all();
        self.count_disk();
        self.set_full(false);
        self.commit.raise();
        Ok(())
    }

    /// Reads the next batches of the segment that is being delivered, so that they are at hand, until there is something
    /// else to do.
    fn read_ahead(&self, seen: u64) {
        while self.commit.seen() == seen {
            let Some(to_read) = self.lock_queue().to_read() else { return };
            let Some(stored) = to_read.read(&self.id) else { return };
            self.lock_queue().keep_readahead(stored);
        }
    }

    /// Stores an item that is too long for the ring in a batch of its own; OK means stable storage.
    pub(super) fn enqueue_bypass(&self, item: &Item<'_>) -> Result<()> {
        if self.tail_seq() >= self.max_seq() {
            return Err(self.queue_full());
        }
        let mut batch = Batch::new(&self.id, 0, item.key_name());
        batch.push(item.json());
        let slot = &self.bypass;
        let mut state = slot.state.lock().unpoisoned();
        let mut mine = Some(batch);
        loop {
            match (&mut *state, mine.take()) {
                (Bypass::Closed, _) => return Err(shut_down()),
                (Bypass::Free, Some(batch)) => {
                    *state = Bypass::Waiting(batch);
                    self.commit.raise();
                }
                (Bypass::Done(_), None) => {
                    let done = std::mem::replace(&mut *state, Bypass::Free);
                    slot.changed.notify_all();
                    return if let Bypass::Done(outcome) = done { outcome } else { Err(shut_down()) };
                }
                (_, unsent) => mine = unsent,
            }
            state = slot.changed.wait(state).unpoisoned();
        }
    }

    fn serve_bypass(&self, writer: &mut Writer) {
        let slot = &self.bypass;
        let mut state = slot.state.lock().unpoisoned();
        let Bypass::Waiting(batch) = &mut *state else { return };
        let mut batch = std::mem::replace(batch, Batch::new("", 0, ""));
        *state = Bypass::Working;
        drop(state);
        let outcome = match self.spill(writer, Some(&mut batch), true) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::new(
                ErrorKind::Full,
                format!("lane {} has no room for an item of {} bytes", self.id, batch.joined().len()),
            )),
            Err(error) => Err(error),
        };
        *slot.state.lock().unpoisoned() = Bypass::Done(outcome);
        slot.changed.notify_all();
    }

    /// The last things to do: nothing is left to the page cache, nothing empty is left behind.
    fn wind_up(&self, writer: &mut Writer) {
        self.serve_bypass(writer);
        *self.bypass.state.lock().unpoisoned() = Bypass::Closed;
        self.bypass.changed.notify_all();
        self.log_failure(self.renew_journal().and_then(|()| self.sync_all()));
        self.log_failure(self.remove_passed(writer, true));
        writer.close(&mut self.lock_queue().segments);
    }

    fn log_failure(&self, outcome: Result<()>) {
        if let Err(error) = outcome {
            self.log.line(Level::Error, format_args!("{error}"));
        }
    }

    /// Logs when trouble with the disk begins and when it ends.
    fn log_trouble(&self, outcome: &Result<bool>, was_troubled: bool) {
        match outcome {
            Err(error) if !was_troubled => self.log.line(Level::Error, format_args!("{error}; trying again")),
            Ok(_) if was_troubled => {
                self.log.line(Level::Info, format_args!("lane {}: the disk takes items again", self.id))
            }
            _ => {}
        }
    }
}
