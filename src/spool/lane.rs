//! Lane: the folder that one live process owns: its lock, journal, segments and rejected store.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::dir;
use super::form::BatchLimits;
use super::journal::{Journal, Live, Read, Refusal, now_unix_ms};
use super::ledger::Stats;
use super::queue::Queue;
use super::rejected::RejectedStore;
use super::segments::Segments;
use super::signal::Signal;
use crate::config::{Config, Durability, Log, Overflow};
use crate::error::{Error, ErrorKind, Result};
use crate::item::Item;

/// A lane that this process owns.
///
/// Any thread enqueues; the committer thread (see `committer`) moves and syncs; drain threads take batches.
pub(crate) struct Lane {
    pub(super) id: String,
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
    pub(super) bypass: super::committer::BypassSlot,
    /// Held until the end: whoever can lock it owns the lane.
    lock: Mutex<Option<File>>,
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

/// The folder of a spool's lanes.
pub(crate) fn lanes_dir(spool_dir: &Path) -> PathBuf {
    spool_dir.join("lanes")
}

/// Locks the lane in `dir`, whose lock file is made when `make` says so. `None`: another process owns it.
pub(super) fn lock(dir: &Path, make: bool) -> Result<Option<File>> {
    let path = dir.join("lock");
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(make)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(&path)
        .map_err(|e| Error::io(format!("open {}", path.display()), &e))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(e)) => Err(Error::io(format!("lock {}", path.display()), &e)),
    }
}

impl Lane {
    /// Takes over the first lane of `spool_dir` that nobody owns, or makes one.
    pub(crate) fn take(spool_dir: &Path, policy: &Policy, log: &Log) -> Result<Self> {
        let lanes = lanes_dir(spool_dir);
        dir::create(&lanes)?;
        for id in dir::names(&lanes)? {
            let path = lanes.join(&id);
            let lock = match lock(&path, true) {
                Ok(Some(lock)) => lock,
                Ok(None) => continue,
                Err(error) => {
                    log.line(crate::config::Level::Warn, format_args!("lane {id} is passed over: {error}"));
                    continue;
                }
            };
            match Self::open(&id, &path, lock, policy, log) {
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    log.line(
                        crate::config::Level::Error,
                        format_args!("lane {id} is left as it is: {error}"),
                    );
                }
                outcome => return outcome,
            }
        }
        Self::make(&lanes, policy, log)
    }

    fn make(lanes: &Path, policy: &Policy, log: &Log) -> Result<Self> {
        let id = format!("{:08x}{:08x}", now_unix_ms() / 1000, super::journal::random() as u32);
        let path = lanes.join(&id);
        dir::create(&path)?;
        let made = lock(&path, true).and_then(|lock| {
            let lock = lock.ok_or_else(|| Error::new(ErrorKind::Locked, format!("lane {id} was taken")))?;
            Self::open(&id, &path, lock, policy, log)
        });
        if made.is_err() {
            // What was begun must not stay behind on a disk that is full.
            drop(dir::remove(&path));
        }
        made
    }

    fn open(id: &str, dir: &Path, lock: File, policy: &Policy, log: &Log) -> Result<Self> {
        let journal = open_journal(dir, policy)?;
        let checkpoint = journal.checkpoint();
        let segments = Segments::open(id, &dir.join("segments"), checkpoint.cursor, checkpoint.head.number)?;
        journal.set_live(Live::OwnerPid, std::process::id().into());
        let lane = Self {
            id: id.to_owned(),
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
        let why = if self.full.load(Acquire) {
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

    /// Waits until all items before `number` are settled, `given_up` says so, or `deadline`.
    pub(crate) fn wait_settled(&self, number: u64, deadline: Option<Instant>) -> bool {
        let mut queue = self.lock_queue();
        loop {
            if queue.checkpoint().cursor >= number {
                return true;
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

    /// Makes the committer look whether it is to stop.
    pub(crate) fn wake_committer(&self) {
        self.commit.raise();
    }

    /// Lets the lane go: another process or client may take it over.
    pub(crate) fn unlock(&self) {
        self.journal.set_live(Live::OwnerPid, 0);
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

pub(crate) fn shut_down() -> Error {
    Error::new(ErrorKind::ShutDown, "the client was shut down")
}

/// Opens the lane's journal; makes it under another name first, so that a half made one never counts.
fn open_journal(lane: &Path, policy: &Policy) -> Result<Journal> {
    let path = lane.join("journal");
    if !path.exists() {
        let fresh = lane.join("journal.new");
        match std::fs::remove_file(&fresh) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io(format!("remove {}", fresh.display()), &e));
            }
            _ => {}
        }
        Journal::create(&fresh, policy.journal_bytes, policy.durability == Durability::Power)?;
        std::fs::rename(&fresh, &path).map_err(|e| Error::io(format!("name {}", path.display()), &e))?;
        for dir in [Some(lane), lane.parent(), lane.parent().and_then(Path::parent)].into_iter().flatten() {
            dir::sync(dir)?;
        }
    }
    Journal::open(&path)
}
