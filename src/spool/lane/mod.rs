//! Lane: the folder that one live process owns: its lock, journal, segments and rejected store.

pub(super) mod directory;
pub(super) mod handout;
pub(super) mod lock;
pub(super) mod settings;

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::config::{Durability, Level, Log, Overflow, Validation};
use crate::error::{Error, ErrorKind, Result};
use crate::item::Item;
use crate::os::lock::Unpoison;
use crate::spool::checkpoint::Tally;
use crate::spool::fs;
use crate::spool::journal::{HeaderCounter, Journal, Read, Refusal};
use crate::spool::lane::directory::REMOVING;
use crate::spool::lane::lock::LaneLock;
use crate::spool::lane::settings::LaneSettings;
use crate::spool::queue::Queue;
use crate::spool::segments::writer;
use crate::spool::segments::{Passed, Segments};
use crate::spool::set_aside::quarantine::Quarantine;
use crate::spool::set_aside::rejected::RejectedStore;
use crate::spool::stats::Stats;
use crate::spool::wakeup::Wakeup;

/// A lane that this process owns.
///
/// Any thread enqueues; the committer thread (see `committer`) moves and syncs; drain threads take batches.
pub(crate) struct Lane {
    pub(super) id: String,
    pub(super) dir: PathBuf,
    pub(super) journal: Journal,
    pub(super) queue: Mutex<Queue>,
    pub(super) rejected: RejectedStore,
    pub(super) quarantine: Quarantine,
    pub(super) settings: LaneSettings,
    pub(super) log: Log,
    /// Work for the drain threads: a batch is due, or may be.
    pub(crate) drain: Wakeup,
    /// Work for the committer.
    pub(super) commit: Wakeup,
    /// An item was settled, or items were moved: with the queue's lock.
    pub(super) settled: Condvar,
    /// Items before this number are to be sent without delay.
    pub(super) forced_before: AtomicU64,
    /// Segments are as large as they may be: a full ring means a full spool.
    pub(super) full: AtomicBool,
    /// An enqueue waits for room in the ring.
    pub(super) room_wanted: AtomicBool,
    /// The committer has nothing to bring to stable storage.
    pub(super) clean: AtomicBool,
    ended: AtomicBool,
    /// Items may be in the rejected store for want of a key that is known by now.
    late_key: AtomicBool,
    /// Held by whoever puts rejected items back on their way: two at once would put the same ones back.
    requeueing: Mutex<()>,
    pub(super) bypass: crate::spool::committer::BypassSlot,
    /// Held until the end: whoever can lock it owns the lane.
    lock: Mutex<Option<LaneLock>>,
}

/// The longest wait for folders to be removed.
const TIDY_TIMEOUT: Duration = Duration::from_secs(1);
/// The part of `max_spool_bytes` that damaged files may take.
const QUARANTINE_SHARE: u64 = 8;

impl Lane {
    /// Makes the lane's journal under another name first, so that a half made one never counts.
    pub(super) fn create_journal(lane: &Path, settings: &LaneSettings) -> Result<()> {
        let path = lane.join("journal");
        let fresh = Journal::path_of_new(&path);
        Journal::create(&fresh, settings.journal_bytes, settings.durability == Durability::Power)?;
        fs::rename(&fresh, &path)
    }

    pub(super) fn open(
        id: &str,
        dir: &Path,
        lock: LaneLock,
        settings: &LaneSettings,
        log: &Log,
    ) -> Result<Self> {
        let journal = open_journal(dir, settings)?;
        let checkpoint = journal.checkpoint();
        let (segments, passed) =
            Segments::open(id, &dir.join("segments"), checkpoint.cursor, checkpoint.head.seq)?;
        let rejected = RejectedStore::new(id, dir.join("rejected"));
        rejected.tidy(checkpoint.cursor)?;
        journal.set_counter(HeaderCounter::OwnerPid, std::process::id().into());
        let lane = Self {
            id: id.to_owned(),
            dir: dir.to_path_buf(),
            queue: Mutex::new(Queue::open(id, segments, &journal, checkpoint)),
            journal,
            rejected,
            quarantine: Quarantine::new(dir, settings.max_spool_bytes / QUARANTINE_SHARE),
            settings: settings.clone(),
            log: log.clone(),
            drain: Wakeup::default(),
            commit: Wakeup::default(),
            settled: Condvar::new(),
            forced_before: AtomicU64::new(0),
            full: AtomicBool::new(false),
            room_wanted: AtomicBool::new(false),
            clean: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            late_key: AtomicBool::new(false),
            requeueing: Mutex::new(()),
            bypass: Default::default(),
            lock: Mutex::new(Some(lock)),
        };
        if !passed.is_empty() {
            // The dead owner may have settled their items just before: a power cut must not leave a cursor before them.
            lane.journal.release()?;
        }
        for segment in passed {
            lane.discard(&segment)?;
        }
        if lane.journal.counter(HeaderCounter::DiskBytes) == 0 {
            // Of a new lane. What an older one takes was counted by its last owner, until this one has to know.
            lane.journal.set_counter(HeaderCounter::DiskBytes, lane.journal.file_bytes());
        }
        Ok(lane)
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Stores `item` so that it survives what `durability` says.
    pub(crate) fn enqueue(&self, item: &Item<'_>) -> Result<()> {
        let len = item.key_name().len() + item.json().len();
        if !self.journal.takes(len) {
            return self.enqueue_bypass(item);
        }
        let mut deadline = None;
        loop {
            let refusal = match self.journal.append(item, self.max_seq()) {
                Ok(appended) => {
                    if appended.wake_committer {
                        self.commit.raise();
                    }
                    if appended.wake_drain {
                        self.drain.raise();
                    }
                    return match self.settings.durability {
                        Durability::Process => Ok(()),
                        Durability::Power => self.sync_to(appended.end_pos),
                    };
                }
                Err(refusal) => refusal,
            };
            match (refusal, self.settings.overflow) {
                (Refusal::Closed, _) => return Err(shut_down()),
                (Refusal::QueueFull, Overflow::DropOldest) if self.drop_oldest() > 0 => {}
                (Refusal::QueueFull, _) => return Err(self.queue_full()),
                (Refusal::RingFull, Overflow::Reject)
                    if self.full.load(Acquire) && !self.journal.can_release() =>
                {
                    return Err(self.spool_full());
                }
                (Refusal::RingFull, _) => {
                    let deadline =
                        *deadline.get_or_insert_with(|| Instant::now() + self.settings.enqueue_timeout);
                    self.room_wanted.store(true, Relaxed);
                    self.commit.raise();
                    if !self.journal.wait_for_room(len, deadline) {
                        return Err(self.spool_full());
                    }
                }
            }
        }
    }

    pub(super) fn queue_full(&self) -> Error {
        let max = self.settings.max_queue_size;
        Error::new(ErrorKind::Full, format!("max_queue_size={max} items are pending in lane {}", self.id))
    }

    fn spool_full(&self) -> Error {
        let max = self.settings.max_spool_bytes;
        let why = if !writer::is_usable() {
            format!(
                "the journal of lane {} is full, and a process can't use segments whose parent did",
                self.id
            )
        } else if self.full.load(Acquire) {
            format!("lane {} has reached max_spool_bytes={max}", self.id)
        } else {
            format!("the journal of lane {} is full and the disk does not keep up", self.id)
        };
        Error::new(ErrorKind::Full, why)
    }

    /// The number of items at which the queue is full.
    pub(super) fn max_seq(&self) -> u64 {
        match self.settings.max_queue_size {
            0 => u64::MAX,
            size => self.journal.checkpoint().cursor + size,
        }
    }

    pub(super) fn drop_oldest(&self) -> u64 {
        let mut queue = self.lock_queue();
        let dropped = queue.drop_oldest(&self.journal, self.settings.limits);
        self.after_settling(queue);
        dropped
    }

    /// Wakes whoever waits for the cursor, which has moved.
    pub(super) fn after_settling(&self, mut queue: MutexGuard<'_, Queue>) {
        let (awaited, passed) = (queue.takes_awaited(), queue.has_passed_segments());
        drop(queue);
        if awaited {
            self.settled.notify_all();
        }
        let wanted = self.clean.swap(false, Relaxed) || self.full.load(Relaxed);
        if wanted || passed {
            self.commit.raise();
        }
    }

    /// Waits until the segments that are not needed any more are gone, or `deadline`.
    pub(crate) fn wait_tidied(&self, deadline: Option<Instant>) {
        let mut queue = self.lock_queue();
        while queue.has_passed_segments() {
            let left = deadline
                .map_or(TIDY_TIMEOUT, |d| d.saturating_duration_since(Instant::now()).min(TIDY_TIMEOUT));
            let (guard, waited) = self.settled.wait_timeout(queue, left).unpoisoned();
            queue = guard;
            if waited.timed_out() {
                return;
            }
        }
    }

    /// The number behind the newest item.
    pub(crate) fn tail_seq(&self) -> u64 {
        self.journal.tail().seq
    }

    /// Asks that everything taken so far is sent without delay; returns the number behind it.
    pub(crate) fn force(&self, deadline: Option<Instant>) -> u64 {
        let mut queue = self.lock_queue();
        // Until that is over the newest items do not have their numbers yet.
        while queue.is_bypassed() && !self.ended.load(Acquire) {
            let Some(guard) = self.wait_for_change(queue, deadline) else { break };
            queue = guard;
        }
        let seq = self.tail_seq();
        self.forced_before.fetch_max(seq, Relaxed);
        self.drain.raise();
        seq
    }

    /// Waits until all items before `number` are settled, the lane has ended, or `deadline`.
    pub(crate) fn wait_settled(&self, seq: u64, deadline: Option<Instant>) -> bool {
        let mut queue = self.lock_queue();
        loop {
            if queue.checkpoint().cursor >= seq {
                return true;
            }
            if self.ended.load(Acquire) {
                return false;
            }
            queue.await_cursor(seq);
            let Some(guard) = self.wait_for_change(queue, deadline) else { return false };
            queue = guard;
        }
    }

    /// Waits for `settled`; `None` at `deadline`.
    fn wait_for_change<'a>(
        &self,
        queue: MutexGuard<'a, Queue>,
        deadline: Option<Instant>,
    ) -> Option<MutexGuard<'a, Queue>> {
        match deadline.map(|d| d.saturating_duration_since(Instant::now())) {
            Some(left) if left.is_zero() => None,
            Some(left) => Some(self.settled.wait_timeout(queue, left).unpoisoned().0),
            None => Some(self.settled.wait(queue).unpoisoned()),
        }
    }

    /// Brings everything taken so far to stable storage.
    pub(crate) fn sync(&self) -> Result<()> {
        self.sync_to(self.journal.tail().pos)
    }

    fn sync_to(&self, end_pos: u64) -> Result<()> {
        // The committer makes the next ones succeed.
        self.journal.sync_to(end_pos).inspect_err(|_| self.commit.raise())
    }

    /// The counters, as one consistent picture.
    pub(crate) fn stats(&self) -> Stats {
        Stats::read(
            &self.journal.checkpoint(),
            |counter| self.journal.counter(counter),
            || match self.journal.read(self.journal.checkpoint().head) {
                Read::Record(record) => record.accepted_unix_ms,
                _ => 0,
            },
        )
    }

    pub(crate) fn counter(&self, counter: HeaderCounter) -> u64 {
        self.journal.counter(counter)
    }

    pub(crate) fn set_counter(&self, counter: HeaderCounter, value: u64) {
        self.journal.set_counter(counter, value);
    }

    pub(crate) fn add_counter(&self, counter: HeaderCounter, more: u64) {
        self.journal.add_counter(counter, more);
    }

    pub(crate) fn set_reason(&self, reason: &str) {
        self.journal.set_reason(reason);
    }

    /// Counts a lane that was adopted.
    pub(crate) fn count_adopted(&self) {
        self.journal.add_counter(HeaderCounter::LanesAdopted, 1);
    }

    /// Puts rejected items back on their way as new items: the groups whose reason is `wanted`. Those that are
    /// just being set aside wait for the next time.
    ///
    /// `Full`, `Io`, `ShutDown`: some were moved, the others stay where they are.
    pub(crate) fn requeue(&self, wanted: impl Fn(&str) -> bool) -> Result<()> {
        let _alone = self.requeueing.lock().unpoisoned();
        let cursor = self.journal.checkpoint().cursor;
        for group in self.rejected.groups()?.iter().filter(|group| wanted(&group.reason)) {
            if !group.is_settled(cursor) {
                // A death before that would make its batch be sent again, besides what went back on its way.
                self.note_late_key();
                continue;
            }
            let mut moved = Vec::new();
            let outcome: Result<()> = group.items.iter().try_for_each(|(seq, json)| {
                self.enqueue(&Item::check(json, &group.key_name, usize::MAX, Validation::None)?)?;
                moved.push(*seq);
                Ok(())
            });
            // The store's copies go only when the new ones can't get lost any more.
            self.sync()?;
            let removed = self.rejected.remove(&moved)?;
            self.journal.add_counter(HeaderCounter::Requeued, removed);
            outcome?;
        }
        Ok(())
    }

    /// Remembers that a key is known by now that some rejected items may want.
    pub(crate) fn note_late_key(&self) {
        self.late_key.store(true, Release);
    }

    /// Whether there was such a note since the last call.
    pub(crate) fn takes_late_key(&self) -> bool {
        self.late_key.swap(false, AcqRel)
    }

    /// Takes over the ledger and the rejected items of `drained`, a lane without pending items, and removes it.
    pub(crate) fn absorb(&self, drained: &Lane) -> Result<()> {
        // A power cut must not put rejected items back on their way there while they are here.
        drained.journal.release()?;
        // Until the ledger is taken over, below, the items count as rejected where they were.
        let (_, evicted) = self.take_rejected(&drained.rejected)?;
        self.quarantine.take_over(&drained.dir)?;
        // Two stores to memory, one behind the other: a death in the disk's work below changes no sum over all lanes.
        let tally = drained.stats().tally();
        self.lock_queue().adopted(&self.journal, tally);
        drained.lock_queue().absorbed(&drained.journal);
        if evicted > 0 {
            self.lock_queue().recount_evicted(&self.journal, evicted);
        }
        // A power cut must not take the ledger of a lane that is gone.
        self.journal.release()?;
        let gone = drained.dir.with_extension(REMOVING);
        fs::rename(&drained.dir, &gone)?;
        // Another process that sweeps up may be removing it too; what is left is swept up next time.
        if let Err(error) = fs::remove(&gone) {
            self.log.line(Level::Debug, format_args!("{error}"));
        }
        self.count_disk();
        Ok(())
    }

    /// Moves the groups of another lane's store into this one's, and what is damaged there into quarantine.
    ///
    /// Returns how many items moved, and how many older ones had to leave for them; neither is counted yet.
    pub(super) fn take_rejected(&self, from: &RejectedStore) -> Result<(u64, u64)> {
        for first in from.damaged()? {
            self.quarantine.keep(&from.path(first), &format!("{}-rejected-{first}", from.lane()))?;
        }
        let outcome = self.rejected.adopt(from, self.settings.max_rejected_bytes)?;
        self.note_late_key();
        Ok(outcome)
    }

    /// Counts items of a lane that this one takes over.
    pub(super) fn count_adopted_items(&self, tally: Tally) {
        self.lock_queue().adopted(&self.journal, tally);
    }

    /// Removes a segment that nobody needs; one of which items were lost is kept in quarantine.
    pub(super) fn discard(&self, segment: &Passed) -> Result<()> {
        if !segment.damaged {
            return fs::remove(&segment.path);
        }
        let name = format!("{}-segment-{}", self.id, segment.first);
        let kept = self.quarantine.keep(&segment.path, &name)?;
        self.log.line(Level::Warn, format_args!("the damaged segment {} is kept", kept.display()));
        Ok(())
    }

    /// Keeps the bytes of the journal that were found damaged: the ring will be used again.
    pub(super) fn keep_damaged(&self) {
        for (pos, bytes) in self.journal.take_damaged() {
            if let Err(error) = self.quarantine.keep_bytes(&bytes, &format!("{}-journal-{pos}", self.id)) {
                self.log.line(Level::Warn, format_args!("{error}"));
            }
        }
    }

    /// Makes the committer look whether it is to stop.
    pub(crate) fn wake_committer(&self) {
        self.commit.raise();
    }

    /// Nothing will be settled any more: nobody waits for it in vain.
    pub(crate) fn end(&self) {
        self.ended.store(true, Release);
        drop(self.lock_queue());
        self.settled.notify_all();
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Acquire)
    }

    /// Lets the lane go: another process or client may take it over. No thread may work for it any more.
    pub(crate) fn unlock(&self) {
        drop(self.lock.lock().unpoisoned().take());
    }

    /// Takes no item any more.
    pub(crate) fn close(&self) {
        self.journal.close();
    }

    /// Counts the bytes on disk anew.
    pub(super) fn count_disk(&self) -> u64 {
        let bytes = self.journal.file_bytes()
            + self.lock_queue().segments.disk_bytes()
            + self.rejected.disk_bytes()
            + self.quarantine.disk_bytes();
        self.journal.set_counter(HeaderCounter::DiskBytes, bytes);
        bytes
    }

    pub(super) fn set_full(&self, full: bool) {
        self.full.store(full, Release);
    }

    pub(super) fn lock_queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unpoisoned()
    }
}

pub(crate) fn shut_down() -> Error {
    Error::new(ErrorKind::ShutDown, "the client was shut down")
}

/// Whether the lane in `dir` ever had a journal.
pub(super) fn was_in_use(dir: &Path) -> bool {
    ["segments", "rejected"].iter().any(|part| dir.join(part).exists())
}

/// Opens the lane's journal. A lane without one is begun anew, unless it was in use: without a journal nobody knows
/// which of its items were delivered.
fn open_journal(lane: &Path, settings: &LaneSettings) -> Result<Journal> {
    let path = lane.join("journal");
    // What a crash left of one that was being made.
    fs::remove_file(&Journal::path_of_new(&path))?;
    if !path.exists() {
        if was_in_use(lane) {
            return Err(Error::new(ErrorKind::Corrupt, format!("{} is missing", path.display())));
        }
        Lane::create_journal(lane, settings)?;
    }
    Journal::open(&path)
}
