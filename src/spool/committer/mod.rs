//! Committer: the thread that brings the journal to stable storage and moves it into segments.

mod overflow;
mod plan;
mod rolling;
mod spill;

use std::time::{Duration, Instant};

use crate::config::Level;
use crate::error::Result;
use crate::spool::committer::overflow::Overflow;
use crate::spool::committer::rolling::RollingWriter;
use crate::spool::lane::Lane;
use crate::spool::lane::stores::Stores;
use crate::spool::segments::reading::Found;

/// How long after a failed write to the disk it is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How often a full spool is looked at: another process may have made room.
const LOOK_AFTER: Duration = Duration::from_millis(500);

/// A lane's committer, and what it knows from one turn of its loop to the next.
pub(crate) struct Committer<'a> {
    lane: &'a Lane,
    stores: &'a Stores,
    writer: RollingWriter,
    last_sync: Instant,
    /// Where the last sync began: what comes after it in the journal is left to the next.
    synced_pos: u64,
    /// While the disk refuses writes: when to try again.
    retry_at: Option<Instant>,
    /// Why it refuses them, as it was last logged.
    trouble: String,
    overflow: Overflow,
    /// When a full spool was last looked at.
    looked_at: Instant,
}

impl<'a> Committer<'a> {
    pub(crate) fn new(lane: &'a Lane) -> Self {
        let stores = lane.stores();
        Self {
            lane,
            stores,
            writer: RollingWriter::new(lane.settings().grain, overflow::segment_bytes(lane.settings())),
            last_sync: Instant::now(),
            synced_pos: 0,
            retry_at: None,
            trouble: String::new(),
            overflow: Overflow::default(),
            looked_at: Instant::now(),
        }
    }

    /// The committer's life: until `stop` says so. After a panic another one begins where this one was.
    pub(crate) fn run(mut self, stop: impl Fn() -> bool) {
        self.undo_half_done();
        loop {
            // Before the look at `stop`: a stop between the two must wake the wait of the turn.
            let seen = self.lane.mover().seen();
            if stop() {
                break;
            }
            self.turn(seen);
        }
        self.wind_up();
    }

    /// Does what is due, then waits until the mover was woken more often than `seen`.
    fn turn(&mut self, seen: u64) {
        let journal = self.stores.journal();
        self.look_for_room();
        let released = self.release_for_waiting();
        self.log_failure(released);
        let mut moved = false;
        if self.retry_at.is_none_or(|at| at <= Instant::now()) {
            let outcome = self.renew_journal().and_then(|()| self.make_room());
            self.log_trouble(&outcome);
            self.overflow.note(&outcome);
            self.retry_at = outcome.is_err().then(|| Instant::now() + RETRY_AFTER);
            moved = outcome.unwrap_or(false);
        }
        moved = moved || self.drop_for_room();
        self.store_oversize();
        let sync_is_due = self.last_sync.elapsed() >= self.sync_interval() && !self.is_clean();
        if sync_is_due && !journal.has_failed() {
            self.last_sync = Instant::now();
            let synced = self.sync_all();
            self.log_failure(synced);
            // After the sync: so it is seen where everything went that was accepted before.
            let outcome = self.hold_ground();
            self.log_failure(outcome);
        }
        if !journal.has_failed() {
            let outcome = self.remove_passed(false);
            self.log_failure(outcome);
        }
        if !moved {
            self.read_ahead(seen);
            self.look_into_rejected(seen);
            self.rest(seen);
        }
    }

    /// Gives callers that wait the room of what is settled, also while the disk refuses writes that take more of it.
    fn release_for_waiting(&self) -> Result<()> {
        let journal = self.stores.journal();
        let is_due = journal.can_release() && journal.is_awaited() && !journal.has_failed();
        if is_due { journal.release() } else { Ok(()) }
    }

    /// Counts what a full spool takes, now and then: another process may have taken rejected items out.
    fn look_for_room(&mut self) {
        if self.lane.mover().is_full() && self.looked_at.elapsed() >= LOOK_AFTER {
            self.looked_at = Instant::now();
            self.stores.count_disk();
        }
    }

    fn sync_interval(&self) -> Duration {
        self.lane.settings().sync_interval
    }

    /// Undoes what a panic left half done: a spill, segments that nobody writes any more, a caller's wait.
    fn undo_half_done(&self) {
        let mut queue = self.stores.lock_queue();
        queue.segments_mut().retire_all();
        if queue.is_spilling() {
            queue.give_up_spill(self.stores.journal());
        }
        drop(queue);
        self.stores.announce_change();
        self.lane.mover().set_clean(false);
        self.lane.hand_out().wake();
        self.lane.oversize().give_up();
    }

    /// Waits for the next thing to do.
    fn rest(&self, seen: u64) {
        let (mover, journal) = (self.lane.mover(), self.stores.journal());
        let clean = self.is_clean();
        let room = journal.ring_bytes() / 2;
        let used = journal.used_bytes();
        let until_room = if used < room { room - used } else { journal.ring_bytes() / 8 };
        let wake_at = if clean {
            self.synced_pos + 1
        } else {
            let end = journal.end_pos();
            let until_faults = journal.prefault().saturating_sub(end);
            end + if until_faults > 0 { until_room.min(until_faults) } else { until_room }
        };
        if journal.wake_committer_at(wake_at).pos < wake_at {
            let failed = journal.has_failed();
            let sync_at = (!clean && !failed).then(|| self.last_sync + self.sync_interval());
            // A journal that has failed is recreated at once, the first time.
            let retry_at = self.retry_at.or_else(|| failed.then(Instant::now));
            let look_at = mover.is_full().then(|| self.looked_at + LOOK_AFTER);
            mover.wait(seen, [sync_at, retry_at, look_at].into_iter().flatten().min());
        }
    }

    /// Whether nothing is left to sync.
    fn is_clean(&self) -> bool {
        self.lane.mover().is_clean() && self.stores.journal().end_pos() <= self.synced_pos
    }

    /// Brings the journal and its checkpoint to stable storage.
    fn sync_all(&mut self) -> Result<()> {
        let journal = self.stores.journal();
        self.lane.mover().set_clean(true);
        let tail = journal.tail();
        journal.sync_to(tail.pos)?;
        self.synced_pos = tail.pos;
        journal.restart_prefault();
        journal.note_clock();
        self.stores.lock_queue().synced(journal, tail);
        journal.release()
    }

    /// The same when no item will be accepted any more: what is settled needs no place in the ring.
    fn sync_at_end(&mut self) -> Result<()> {
        let journal = self.stores.journal();
        if journal.checkpoint().head.pos < journal.tail().pos {
            return self.sync_all();
        }
        journal.release()
    }

    /// Sees to it that the lane has its place on the disk.
    fn hold_ground(&mut self) -> Result<()> {
        if self.lane.hold_ground()? {
            self.writer.close(self.stores.lock_queue().segments_mut());
        }
        Ok(())
    }

    /// When the journal could not be synced, goes on in a fresh file: that one can.
    fn renew_journal(&mut self) -> Result<()> {
        let journal = self.stores.journal();
        if journal.has_failed() {
            self.hold_ground()?;
            journal.renew(|| self.stores.lock_queue()).inspect_err(|why| {
                if !journal.is_linked() {
                    journal.refuse(why);
                }
            })?;
            let id = self.lane.id();
            self.lane.log().line(Level::Info, format_args!("lane {id}: the journal goes on in a fresh file"));
        }
        Ok(())
    }

    /// Removes the segments that nobody needs; at the end also the one being written.
    fn remove_passed(&mut self, at_end: bool) -> Result<()> {
        let stores = self.stores;
        let mut queue = stores.lock_queue();
        let (cursor, head) = (queue.checkpoint().cursor, queue.checkpoint().head.seq);
        if cursor >= head && (at_end || queue.has_passed_segments()) {
            self.writer.close(queue.segments_mut());
        }
        let passed = queue.segments_mut().passed(cursor, head);
        drop(queue);
        if passed.is_empty() {
            return Ok(());
        }
        // A power cut must not leave a cursor before items that are gone.
        stores.journal().release()?;
        for segment in passed {
            if let Err(error) = stores.discard(&segment) {
                self.lane.log().line(Level::Warn, format_args!("{error}"));
            }
            stores.lock_queue().segments_mut().forget(segment.first);
        }
        stores.announce_change();
        stores.count_disk();
        self.lane.mover().set_full(false);
        self.lane.mover().wake();
        Ok(())
    }

    /// Reads the next batches of the segment that is being delivered, so that they are at hand, until there is
    /// something else to do.
    fn read_ahead(&self, seen: u64) {
        while self.lane.mover().seen() == seen {
            let Some(to_read) = self.stores.lock_queue().to_read() else { return };
            let Found::Batch(stored) = to_read.read() else { return };
            self.stores.lock_queue().keep_read(stored);
        }
    }

    /// Looks through the rejected store, of which little is known at first, until there is something else to do.
    fn look_into_rejected(&self, seen: u64) {
        let outcome = self.stores.rejected().look_into_files_while(|| self.lane.mover().seen() == seen);
        if let Err(error) = outcome {
            self.lane.log().line(Level::Debug, format_args!("{error}"));
        }
    }

    /// The last things to do: nothing is left to the page cache, nothing empty is left on the disk.
    fn wind_up(&mut self) {
        self.store_oversize();
        self.lane.oversize().close();
        let synced = self.renew_journal().and_then(|()| self.sync_at_end());
        self.log_failure(synced);
        let outcome = self.remove_passed(true);
        self.log_failure(outcome);
        self.writer.close(self.stores.lock_queue().segments_mut());
    }

    fn log_failure(&self, outcome: Result<()>) {
        if let Err(error) = outcome {
            self.lane.log().line(Level::Error, format_args!("{error}"));
        }
    }

    /// Logs when trouble with the disk begins, becomes another, and ends.
    fn log_trouble(&mut self, outcome: &Result<bool>) {
        let log = self.lane.log();
        let trouble = outcome.as_ref().err().map(ToString::to_string).unwrap_or_default();
        if trouble == self.trouble {
            return;
        }
        if trouble.is_empty() {
            log.line(Level::Info, format_args!("lane {}: the disk takes items again", self.lane.id()));
        } else {
            log.line(Level::Error, format_args!("{trouble}; trying again"));
        }
        self.trouble = trouble;
    }
}
