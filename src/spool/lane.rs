//! Lane: the folder that one live process owns: its lock, journal, segments and rejected store.

use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::checkpoint::Tally;
use super::dir;
use super::form::BatchLimits;
use super::journal::{Journal, Live, Read, Refusal, now_unix_ms};
use super::ledger::Stats;
use super::queue::Queue;
use super::rejected::RejectedStore;
use super::segment;
use super::segments::Segments;
use super::signal::Signal;
use crate::config::{Config, Durability, Level, Log, Overflow};
use crate::error::{Error, ErrorKind, Result};
use crate::fork::{self, ClosedInChild};
use crate::item::Item;

/// A lane that this process owns.
///
/// Any thread enqueues; the committer thread (see `committer`) moves and syncs; drain threads take batches.
pub(crate) struct Lane {
    pub(super) id: String,
    dir: PathBuf,
    pub(super) journal: Journal,
    pub(super) queue: Mutex<Queue>,
    pub(super) rejected: RejectedStore,
    pub(super) policy: Policy,
    pub(super) log: Log,
    /// Work for the drain threads: a batch is due, or may be.
    pub(crate) drain: Signal,
    /// Work for the committer.
    pub(super) commit: Signal,
    /// An item was settled: with the queue's lock.
    pub(super) settled: Condvar,
    /// Items before this number are to be sent without delay.
    pub(super) forced_before: AtomicU64,
    /// Segments are as large as they may be: a full ring means a full spool.
    pub(super) full: AtomicBool,
    /// The committer has nothing to bring to stable storage.
    pub(super) clean: AtomicBool,
    ended: AtomicBool,
    pub(super) bypass: super::committer::BypassSlot,
    /// Held until the end: whoever can lock it owns the lane.
    lock: Mutex<Option<LaneLock>>,
}

/// The settings that concern the disk.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    pub(crate) limits: BatchLimits,
    pub(crate) schedule_delay_ms: u64,
    /// Pending items that make a batch due at once.
    pub(crate) trigger_items: u64,
    pub(crate) max_queue_size: u64,
    pub(crate) max_spool_bytes: u64,
    pub(crate) max_rejected_bytes: u64,
    pub(crate) overflow: Overflow,
    pub(crate) max_age: Option<Duration>,
    pub(crate) durability: Durability,
    pub(crate) sync_interval: Duration,
    pub(crate) enqueue_timeout: Duration,
    pub(crate) journal_bytes: u64,
}

impl Policy {
    pub(crate) fn new(config: &Config) -> Self {
        let trigger = match config.max_queue_size {
            0 => u64::MAX,
            size => ((size as f64 * config.export_trigger_ratio) as u64).max(1),
        };
        Self {
            limits: BatchLimits { items: config.max_batch_size, body_bytes: config.max_batch_bytes },
            schedule_delay_ms: config.schedule_delay.as_millis() as u64,
            trigger_items: trigger,
            max_queue_size: config.max_queue_size,
            max_spool_bytes: config.max_spool_bytes,
            max_rejected_bytes: config.max_rejected_bytes,
            overflow: config.overflow,
            max_age: config.max_age,
            durability: config.durability,
            sync_interval: config.sync_interval,
            enqueue_timeout: config.enqueue_timeout,
            journal_bytes: config.journal_bytes.min(config.max_spool_bytes / 2),
        }
    }
}

/// The longest wait for folders to be removed.
const TIDY_TIMEOUT: Duration = Duration::from_secs(1);

/// Ends of the names of lanes that are being made, and that are being removed.
const MAKING: &str = ".new";
const REMOVING: &str = ".gone";
/// New lanes that other processes may sweep up by mistake before making one is given up.
const MAKE_ATTEMPTS: usize = 8;

/// The lock that makes a process a lane's owner: let go when dropped, and never held by a child of `fork`.
pub(super) struct LaneLock(Option<(File, ClosedInChild)>);

impl LaneLock {
    /// Locks the lane in `dir`. `None`: another process owns it, or it is gone.
    fn take(dir: &Path) -> Result<Option<Self>> {
        let path = dir.join("lock");
        let failed = |e: std::io::Error| Error::io(format!("lock {}", path.display()), &e);
        fork::exclude(|| {
            let file = match dir::open_private(&path, OpenOptions::new().read(true).write(true).create(true))
            {
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
                other => other.map_err(failed)?,
            };
            match file.try_lock() {
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(e)) => return Err(failed(e)),
                Ok(()) => {}
            }
            // Between open and lock another process may have removed the lane: then the lock is on nothing.
            let held = file.metadata().map_err(failed)?;
            let same = |m: Metadata| (m.dev(), m.ino()) == (held.dev(), held.ino());
            if !std::fs::symlink_metadata(&path).is_ok_and(same) {
                return Ok(None);
            }
            let closed = ClosedInChild::new(vec![file.as_raw_fd()]);
            Ok(Some(Self(Some((file, closed)))))
        })
    }
}

impl Drop for LaneLock {
    fn drop(&mut self) {
        fork::exclude(|| drop(self.0.take()));
    }
}

/// Whether `name` is a lane's; a lane that is being made or removed has another kind of name.
pub(super) fn is_lane(name: &str) -> bool {
    name.len() == 16 && name.bytes().all(|b| b.is_ascii_hexdigit())
}

impl Lane {
    /// The folder of a spool's lanes.
    pub(crate) fn all_in(spool_dir: &Path) -> PathBuf {
        spool_dir.join("lanes")
    }

    /// Takes over the first lane of `spool_dir` that nobody owns, or makes one.
    pub(crate) fn take(spool_dir: &Path, policy: &Policy, log: &Log) -> Result<Self> {
        let lanes = Self::all_in(spool_dir);
        dir::create(&lanes)?;
        match Self::next_orphan(&lanes, policy, log)? {
            Some(lane) => Ok(lane),
            None => Self::make(&lanes, policy, log),
        }
    }

    /// Takes over the first lane in `lanes` that nobody owns. One that can't be used is left as it is.
    pub(crate) fn next_orphan(lanes: &Path, policy: &Policy, log: &Log) -> Result<Option<Self>> {
        for id in dir::names(lanes)?.into_iter().filter(|name| is_lane(name)) {
            let path = lanes.join(&id);
            let opened = check_owner(&path)
                .and_then(|()| LaneLock::take(&path))
                .and_then(|locked| locked.map(|lock| Self::open(&id, &path, lock, policy, log)).transpose());
            match opened {
                Ok(None) => {}
                Ok(lane) => return Ok(lane),
                Err(error) => log.line(Level::Error, format_args!("lane {id} is left as it is: {error}")),
            }
        }
        Ok(None)
    }

    /// Removes what a crash left of lanes that were being made or removed.
    pub(crate) fn sweep_up(lanes: &Path) -> Result<()> {
        for name in
            dir::names(lanes)?.into_iter().filter(|name| name.ends_with(MAKING) || name.ends_with(REMOVING))
        {
            let path = lanes.join(name);
            if let Some(_lock) = LaneLock::take(&path)? {
                dir::remove(&path)?;
            }
        }
        Ok(())
    }

    /// Makes a lane under another name, so that nobody takes it while it is not whole.
    fn make(lanes: &Path, policy: &Policy, log: &Log) -> Result<Self> {
        for _ in 0..MAKE_ATTEMPTS {
            let id = format!("{:08x}{:08x}", now_unix_ms() / 1000, super::journal::random() as u32);
            let fresh = lanes.join(format!("{id}{MAKING}"));
            dir::create(&fresh)?;
            let Some(lock) = LaneLock::take(&fresh)? else { continue };
            let path = lanes.join(&id);
            let made = create_journal(&fresh, policy).and_then(|()| dir::rename(&fresh, &path));
            if let Err(error) = made {
                // What was begun must not stay behind on a disk that is full.
                drop(dir::remove(&fresh));
                return Err(error);
            }
            return Self::open(&id, &path, lock, policy, log);
        }
        Err(Error::new(
            ErrorKind::Locked,
            format!("other processes keep taking new lanes in {}", lanes.display()),
        ))
    }

    fn open(id: &str, dir: &Path, lock: LaneLock, policy: &Policy, log: &Log) -> Result<Self> {
        let journal = open_journal(dir, policy)?;
        let checkpoint = journal.checkpoint();
        let segments = Segments::open(id, &dir.join("segments"), checkpoint.cursor, checkpoint.head.number)?;
        if !segments.is_empty() && !segment::is_usable() {
            let what = format!("lane {id} has segments, which a process can't use whose parent did");
            return Err(Error::new(ErrorKind::Io, what));
        }
        journal.set_live(Live::OwnerPid, std::process::id().into());
        let lane = Self {
            id: id.to_owned(),
            dir: dir.to_path_buf(),
            queue: Mutex::new(Queue::open(id, segments, checkpoint)),
            journal,
            rejected: RejectedStore::new(id, dir.join("rejected")),
            policy: policy.clone(),
            log: log.clone(),
            drain: Signal::default(),
            commit: Signal::default(),
            settled: Condvar::new(),
            forced_before: AtomicU64::new(0),
            full: AtomicBool::new(false),
            clean: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            bypass: Default::default(),
            lock: Mutex::new(Some(lock)),
        };
        lane.count_disk();
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
            let refusal = match self.journal.append(item, self.max_number()) {
                Ok(appended) => {
                    if appended.wake_committer {
                        self.commit.raise();
                    }
                    if appended.wake_drain {
                        self.drain.raise();
                    }
                    return match self.policy.durability {
                        Durability::Process => Ok(()),
                        Durability::Power => self.journal.sync_to(appended.end_pos),
                    };
                }
                Err(refusal) => refusal,
            };
            match (refusal, self.policy.overflow) {
                (Refusal::Closed, _) => return Err(shut_down()),
                (Refusal::QueueFull, Overflow::DropOldest) if self.drop_oldest() > 0 => {}
                (Refusal::QueueFull, _) => return Err(self.queue_full()),
                (Refusal::RingFull, Overflow::Reject) if self.full.load(Acquire) => {
                    return Err(self.spool_full());
                }
                (Refusal::RingFull, _) => {
                    let deadline =
                        *deadline.get_or_insert_with(|| Instant::now() + self.policy.enqueue_timeout);
                    self.commit.raise();
                    if !self.journal.wait_for_room(len, deadline) {
                        return Err(self.spool_full());
                    }
                }
            }
        }
    }

    pub(super) fn queue_full(&self) -> Error {
        let max = self.policy.max_queue_size;
        Error::new(ErrorKind::Full, format!("max_queue_size={max} items are pending in lane {}", self.id))
    }

    fn spool_full(&self) -> Error {
        let max = self.policy.max_spool_bytes;
        let why = if !segment::is_usable() {
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
    pub(super) fn max_number(&self) -> u64 {
        match self.policy.max_queue_size {
            0 => u64::MAX,
            size => self.journal.checkpoint().cursor + size,
        }
    }

    fn drop_oldest(&self) -> u64 {
        let dropped = self.lock_queue().drop_oldest(&self.journal, self.policy.limits);
        self.after_settling();
        dropped
    }

    /// Wakes whoever waits for the cursor.
    pub(super) fn after_settling(&self) {
        self.settled.notify_all();
        let wanted = self.clean.swap(false, Relaxed) || self.full.load(Relaxed);
        if wanted || self.lock_queue().has_passed_segments() {
            self.commit.raise();
        }
    }

    /// Waits until the segments that are not needed any more are gone, or `deadline`.
    pub(crate) fn wait_tidied(&self, deadline: Option<Instant>) {
        let mut queue = self.lock_queue();
        while queue.has_passed_segments() {
            let left = deadline
                .map_or(TIDY_TIMEOUT, |d| d.saturating_duration_since(Instant::now()).min(TIDY_TIMEOUT));
            let (guard, waited) =
                self.settled.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner);
            queue = guard;
            if waited.timed_out() {
                return;
            }
        }
    }

    /// The number behind the newest item.
    pub(crate) fn tail_number(&self) -> u64 {
        self.journal.tail().number
    }

    /// Asks that everything taken so far is sent without delay; returns the number behind it.
    pub(crate) fn force(&self) -> u64 {
        let number = self.tail_number();
        self.forced_before.fetch_max(number, Relaxed);
        self.drain.raise();
        number
    }

    /// Waits until all items before `number` are settled, the lane has ended, or `deadline`.
    pub(crate) fn wait_settled(&self, number: u64, deadline: Option<Instant>) -> bool {
        let mut queue = self.lock_queue();
        loop {
            if queue.checkpoint().cursor >= number {
                return true;
            }
            if self.ended.load(Acquire) {
                return false;
            }
            queue = match deadline.map(|d| d.saturating_duration_since(Instant::now())) {
                Some(left) if left.is_zero() => return false,
                Some(left) => {
                    self.settled.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.settled.wait(queue).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Brings everything taken so far to stable storage.
    pub(crate) fn sync(&self) -> Result<()> {
        self.journal.sync_to(self.journal.tail().pos)
    }

    /// The counters, as one consistent picture.
    pub(crate) fn stats(&self) -> Stats {
        Stats::read(
            &self.journal.checkpoint(),
            |counter| self.journal.live(counter),
            || match self.journal.read(self.journal.checkpoint().head) {
                Read::Record(record) => record.taken_unix_ms,
                _ => 0,
            },
        )
    }

    pub(crate) fn set_live(&self, counter: Live, value: u64) {
        self.journal.set_live(counter, value);
    }

    pub(crate) fn add_live(&self, counter: Live, more: u64) {
        self.journal.add_live(counter, more);
    }

    pub(crate) fn set_reason(&self, reason: &str) {
        self.journal.set_reason(reason);
    }

    /// Counts a lane that was adopted.
    pub(crate) fn count_adopted(&self) {
        self.journal.add_live(Live::LanesAdopted, 1);
    }

    /// Takes over the ledger and the rejected items of `drained`, a lane without pending items, and removes it.
    pub(crate) fn absorb(&self, drained: &Lane) -> Result<()> {
        for group in drained.rejected.groups()? {
            let numbers: Vec<u64> = group.items.iter().map(|(number, _)| *number).collect();
            let items = numbers.len() as u64;
            let evicted = self.rejected.adopt(group, self.policy.max_rejected_bytes)?;
            self.lock_queue().adopted(&self.journal, Tally { rejected: items, ..Tally::default() });
            self.lock_queue().recount_evicted(&self.journal, evicted);
            drained.rejected.remove(&numbers)?;
            drained.journal.add_live(Live::Requeued, items);
        }
        let gone = drained.dir.with_extension(&REMOVING[1..]);
        dir::rename(&drained.dir, &gone)?;
        self.lock_queue().adopted(&self.journal, drained.stats().tally());
        dir::remove(&gone)?;
        self.count_disk();
        Ok(())
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
        drop(self.lock.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Takes no item any more.
    pub(crate) fn close(&self) {
        self.journal.close();
    }

    /// Counts the bytes on disk anew.
    pub(super) fn count_disk(&self) -> u64 {
        let bytes =
            self.journal.file_bytes() + self.lock_queue().segments.disk_bytes() + self.rejected.disk_bytes();
        self.journal.set_live(Live::DiskBytes, bytes);
        bytes
    }

    pub(super) fn set_full(&self, full: bool) {
        self.full.store(full, Release);
    }

    pub(super) fn lock_queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A lane that another user made, or that a link leads to, is not ours to read or write.
fn check_owner(lane: &Path) -> Result<()> {
    let refused = |why: String| Err(Error::new(ErrorKind::Io, format!("{} {why}", lane.display())));
    match std::fs::symlink_metadata(lane) {
        Err(e) => Err(Error::io(format!("look at {}", lane.display()), &e)),
        Ok(m) if !m.is_dir() => refused("is not a folder; a lane that is a link is not followed".into()),
        Ok(m) if m.uid() != fork::user_id() => {
            refused(format!("belongs to user {}, not to {}", m.uid(), fork::user_id()))
        }
        Ok(_) => Ok(()),
    }
}

pub(crate) fn shut_down() -> Error {
    Error::new(ErrorKind::ShutDown, "the client was shut down")
}

/// Opens the lane's journal. A lane without one is begun anew, unless it has segments: without a journal nobody
/// knows which of their items were delivered.
fn open_journal(lane: &Path, policy: &Policy) -> Result<Journal> {
    let path = lane.join("journal");
    if !path.exists() {
        if !dir::names(&lane.join("segments"))?.is_empty() {
            return Err(Error::new(ErrorKind::Corrupt, format!("{} is missing", path.display())));
        }
        create_journal(lane, policy)?;
    }
    Journal::open(&path)
}

/// Makes the lane's journal under another name first, so that a half made one never counts.
fn create_journal(lane: &Path, policy: &Policy) -> Result<()> {
    let fresh = lane.join("journal.new");
    match std::fs::remove_file(&fresh) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::io(format!("remove {}", fresh.display()), &e));
        }
        _ => {}
    }
    Journal::create(&fresh, policy.journal_bytes, policy.durability == Durability::Power)?;
    dir::rename(&fresh, &lane.join("journal"))
}
