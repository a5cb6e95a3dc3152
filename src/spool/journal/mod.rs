//! Journal: the newest items, in a preallocated file that is mapped into memory as a ring.
//!
//! Design constraints:
//! - What `append` wrote survives the death of the process at any instruction: it is in the page cache.
//! - `append` makes no system call unless it must wake a thread or wait for room.
//! - Many threads append at once. Each reserves its record under a short lock, copies outside of it, and commits with
//!   one store.
//! - Ring space is used again only after the header that released it is on stable storage. So whatever header a power
//!   cut leaves, the records from its head on are still there.
//!
//! One thread at a time reads (see `Queue`). Any thread may append, sync and read the header counters.

mod append;
mod carve;
mod clock;
mod damage;
pub(super) mod destination;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
mod header;
mod lane_clock;
#[cfg_attr(all(loom, test), path = "map_model.rs")]
mod map;
#[cfg(all(loom, test))]
mod models;
mod prefault;
mod primitives;
mod read;
mod record;
mod release;
mod renew;
mod resize;
mod sync;
mod view;

use std::fs::File;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

pub(crate) use append::{Appended, Refusal};
pub(crate) use carve::{CarvedJournal, other_version};
pub(crate) use clock::{now_unix_ms, random};
use damage::Damage;
pub(crate) use header::HeaderCounter;
use lane_clock::LaneClock;
pub(crate) use lane_clock::lane_ms;
use map::{HEADER_BYTES, Map};
use prefault::Prefault;
use primitives::{AtomicU64, Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard};
pub(crate) use read::{Read, Record};
use sync::Synced;
pub(crate) use view::{JournalView, Records, ViewedRecord};

use crate::config::Destination;
use crate::error::{Error, Result};
use crate::os::kept::Kept;
use crate::os::lock::Unpoison;
use crate::spool::checkpoint::{Checkpoint, LogPosition};
use crate::spool::held_path::{Access, HeldPath};

/// The journal of a lane that this process owns.
pub(crate) struct Journal {
    path: HeldPath,
    file: RwLock<Kept<File>>,
    map: Map,
    salt: u64,
    tail: Mutex<Tail>,
    room: Condvar,
    /// Position before which the ring may be overwritten.
    released: AtomicU64,
    /// The checkpoint's cursor, for callers: decoding a checkpoint takes longer than the rest of an enqueue.
    cursor: AtomicU64,
    synced: Synced,
    /// The sequence of a checkpoint that is on stable storage.
    durable_checkpoint: AtomicU64,
    /// Records before this position are from an earlier life: a power cut may have left them not whole.
    unchecked_before: u64,
    /// The synced tail that it was opened with: its seq is certain.
    anchor: LogPosition,
    damage: Damage,
    prefault: Prefault,
    clock: LaneClock,
}

/// The writing end.
struct Tail {
    at: LogPosition,
    closed: bool,
    /// Why no item that is accepted would be durable.
    refused: Option<Error>,
    /// Callers that wait for room.
    waiting: usize,
    /// The longest record that they wait with, in bytes.
    awaited_bytes: u64,
    wake: WakeAt,
}

/// When an append must wake a thread.
#[derive(Debug, Default)]
struct WakeAt {
    /// The tail's seq that delivery waits for.
    delivery_seq: Option<u64>,
    /// The tail's ring position that the committer waits for.
    committer_pos: Option<u64>,
}

impl Journal {
    /// Makes the journal file `path` of `bytes` bytes in all (rounded down to what a ring can have).
    ///
    /// `prewrite` also writes it once, which makes the first lap of `durability=power` as fast as the others.
    pub(crate) fn create(path: &HeldPath, bytes: u64, prewrite: bool, goes_to: &Destination) -> Result<Self> {
        let ring_bytes = ring_bytes_for(bytes);
        let file_bytes = HEADER_BYTES + ring_bytes;
        let whole = || -> std::io::Result<Map> {
            let file = path.open_file(Access::Create)?;
            map::preallocate(&file, file_bytes)?;
            if prewrite {
                map::write_zeros(&file, file_bytes)?;
            }
            let map = Map::new(&file, ring_bytes, true)?;
            header::initialise(
                &map,
                now_unix_ms(),
                clock::random(),
                header::lane_word(&path.path()),
                goes_to,
            );
            file.sync_all()?;
            Ok(map)
        };
        let map =
            whole().map_err(|e| Error::io(format!("make the journal {path} of {file_bytes} bytes"), e))?;
        Self::recover(path, map)
    }

    /// Opens the journal file `path` and recovers what was committed to it.
    pub(crate) fn open(path: &HeldPath) -> Result<Self> {
        let map = view::map_file(path, true)?;
        Self::recover(path, map)
    }

    fn recover(path: &HeldPath, map: Map) -> Result<Self> {
        let file = path.open_file(Access::Write).map_err(|e| Error::io(format!("open {path}"), e))?;
        let checkpoint = header::load_checkpoint(&map).unwrap_or_default();
        let salt = header::salt(&map);
        let known = if checkpoint.tail.pos > checkpoint.head.pos { checkpoint.tail } else { checkpoint.head };
        let (mut at, gaps) = view::recover_tail(&map, salt, known, checkpoint.head.pos);
        if at.seq < checkpoint.cursor {
            // What was settled was accepted, whatever a power cut took of it: its seqs are not used again.
            (at.seq, at.bytes) = (checkpoint.cursor, checkpoint.settled_bytes);
        }
        // The head of a process that was killed need not be on stable storage.
        let released = map.header_word(HeaderCounter::Released as usize).load(Relaxed);
        let released = released.max(at.pos.saturating_sub(map.ring_bytes())).min(checkpoint.head.pos);
        let journal = Self {
            path: path.clone(),
            file: RwLock::new(Kept::new(file)),
            salt,
            tail: Mutex::new(Tail {
                at,
                closed: false,
                refused: None,
                waiting: 0,
                awaited_bytes: 0,
                wake: WakeAt::default(),
            }),
            room: Condvar::new(),
            released: AtomicU64::new(released),
            cursor: AtomicU64::new(checkpoint.cursor),
            synced: Synced::new(checkpoint.head.pos),
            // Whether the last one of an earlier life is is not known.
            durable_checkpoint: AtomicU64::new(u64::MAX),
            unchecked_before: at.pos,
            anchor: checkpoint.tail,
            damage: Damage::new(gaps),
            prefault: Prefault::default(),
            clock: LaneClock::open(|counter| map.header_word(counter as usize).load(Relaxed)),
            map,
        };
        journal.publish_tail(&at);
        journal.note_clock();
        Ok(journal)
    }

    /// Refuses appends from now on. Those that have begun are finished as usual.
    pub(crate) fn close(&self) {
        self.lock_tail().closed = true;
        self.room.notify_all();
    }

    /// Accepts no item until the journal is renewed: `why` it would not be durable.
    pub(crate) fn refuse(&self, why: &Error) {
        self.lock_tail().refused = Some(why.clone());
        self.room.notify_all();
    }

    /// Whether the file at the journal's path is still the journal's. At any other path no later process would find it.
    pub(crate) fn is_linked(&self) -> bool {
        self.file().get().is_ok_and(|file| self.path.leads_to(file))
    }

    /// The ring position after the newest record.
    pub(crate) fn end_pos(&self) -> u64 {
        self.map.header_word(HeaderCounter::Tail as usize).load(Acquire)
    }

    /// Position and bytes of what was found damaged since the last call, for keeping elsewhere.
    pub(crate) fn take_damaged(&self) -> Vec<(u64, Vec<u8>)> {
        self.damage.take_unkept()
    }

    /// The log position after the newest record.
    pub(crate) fn tail(&self) -> LogPosition {
        self.lock_tail().at
    }

    /// Lets the append that brings the tail to `seq` wake delivery. Returns the tail: what comes after it wakes.
    pub(crate) fn wake_delivery_at(&self, seq: u64) -> LogPosition {
        let mut tail = self.lock_tail();
        tail.wake.delivery_seq = Some(seq);
        tail.at
    }

    /// Lets the append that brings the tail to ring position `pos` wake the committer. Returns the tail, as above.
    pub(crate) fn wake_committer_at(&self, pos: u64) -> LogPosition {
        let mut tail = self.lock_tail();
        tail.wake.committer_pos = Some(pos);
        tail.at
    }

    /// Bytes of ring that are in use or not yet released.
    pub(crate) fn used_bytes(&self) -> u64 {
        self.tail().pos - self.released.load(Acquire)
    }

    pub(crate) fn ring_bytes(&self) -> u64 {
        self.map.ring_bytes()
    }

    pub(crate) fn file_bytes(&self) -> u64 {
        HEADER_BYTES + self.map.ring_bytes()
    }

    pub(crate) fn checkpoint(&self) -> Checkpoint {
        header::load_checkpoint(&self.map).unwrap_or_default()
    }

    /// Replaces the checkpoint. It survives the process at once and a power cut after the next sync.
    pub(crate) fn store_checkpoint(&self, checkpoint: &Checkpoint) {
        header::store_checkpoint(&self.map, checkpoint);
        self.cursor.store(checkpoint.cursor, Release);
    }

    /// The oldest item that is not settled.
    pub(crate) fn cursor(&self) -> u64 {
        self.cursor.load(Acquire)
    }

    /// The time by the lane's clock, in milliseconds.
    pub(crate) fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// Notes for the next owner what the lane's clock shows, however the wall clock was set meanwhile.
    pub(crate) fn note_clock(&self) {
        self.clock.note().into_iter().for_each(|(counter, value)| self.set_counter(counter, value));
    }

    /// A counter of the header.
    pub(crate) fn counter(&self, counter: HeaderCounter) -> u64 {
        self.map.header_word(counter as usize).load(Relaxed)
    }

    pub(crate) fn set_counter(&self, counter: HeaderCounter, value: u64) {
        self.map.header_word(counter as usize).store(value, Relaxed);
    }

    pub(crate) fn add_counter(&self, counter: HeaderCounter, more: u64) {
        self.map.header_word(counter as usize).fetch_add(more, Relaxed);
    }

    /// Publishes why export waits.
    pub(crate) fn set_reason(&self, reason: &str) {
        header::store_reason(&self.map, reason);
    }

    fn publish_tail(&self, at: &LogPosition) {
        self.map.header_word(HeaderCounter::AcceptedBytes as usize).store(at.bytes, Relaxed);
        self.map.header_word(HeaderCounter::Accepted as usize).store(at.seq, Relaxed);
        self.map.header_word(HeaderCounter::Tail as usize).store(at.pos, Release);
    }

    fn lock_tail(&self) -> MutexGuard<'_, Tail> {
        self.tail.lock().unpoisoned()
    }

    fn file(&self) -> RwLockReadGuard<'_, Kept<File>> {
        self.file.read().unpoisoned()
    }

    fn sync_failed(&self, error: std::io::Error) -> Error {
        Error::io(format!("bring the journal {} to stable storage", self.path), error)
    }
}

/// The ring of a journal file of `bytes` bytes: what the header leaves, in whole 64 KiB, at least one.
fn ring_bytes_for(bytes: u64) -> u64 {
    (bytes.saturating_sub(HEADER_BYTES) / HEADER_BYTES).max(1) * HEADER_BYTES
}
