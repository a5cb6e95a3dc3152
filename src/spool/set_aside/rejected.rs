//! Rejected store: what a lane's owner sets aside, and what it knows of it.
//!
//! The folder is looked through in the background, once: with many rejected items that takes time. What other processes
//! take out later is noticed by the folder's time. No item is settled before the first look, see `tidy`.

use std::io;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard, TryLockError};

use crate::error::{Error, Result};
use crate::os::lock::Unpoison;
use crate::spool::held_path::HeldPath;
use crate::spool::set_aside::index::{Group, Index};
use crate::spool::set_aside::rejected_files::{RejectedFiles, TakenOut};
use crate::spool::set_aside::rejection::{self, ADOPTED_FROM, Rejection, awaited_key};

/// What a file takes on disk is a multiple of this on the usual file systems.
const BLOCK_BYTES: u64 = 4096;

/// The rejected store of a lane that this process owns.
pub(crate) struct RejectedStore {
    files: RejectedFiles,
    /// Items from here on were not settled when the lane was opened.
    unsettled_from: u64,
    index: Mutex<Index>,
    /// Of the index: read without waiting for a disk.
    disk_bytes: AtomicU64,
    held_batches: AtomicU64,
}

/// How much a rejected store may take on disk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    /// Beyond this the oldest make room; the newest stays.
    pub(crate) max_bytes: u64,
    /// What the rest of the lane leaves of `max_spool_bytes`: no group may go beyond it.
    pub(crate) left_bytes: u64,
}

/// What came of setting items aside.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Put {
    /// How many items had to leave, these included if there is no room for them.
    pub(crate) evicted: u64,
    /// They are in the store.
    pub(crate) is_kept: bool,
}

impl RejectedStore {
    /// The store in `dir`, of a lane whose cursor is `cursor`.
    pub(crate) fn new(lane: &str, dir: HeldPath, cursor: u64) -> Self {
        Self {
            files: RejectedFiles::new(lane, dir),
            unsettled_from: cursor,
            index: Mutex::default(),
            disk_bytes: AtomicU64::new(0),
            held_batches: AtomicU64::new(0),
        }
    }

    pub(crate) fn files(&self) -> &RejectedFiles {
        &self.files
    }

    /// Removes what a death left, if that was not done yet: files half written, and items that it kept from being
    /// settled. These are still on their way, and the next answer to them may be another one. So it is done before the
    /// cursor moves.
    pub(crate) fn tidy(&self) -> Result<()> {
        self.listed().map(drop)
    }

    /// Looks into the files that are not known yet, as far as they can be read now.
    pub(crate) fn look_into_files(&self) -> Result<()> {
        let mut index = self.listed()?;
        index.try_again();
        while index.look_into_next(&self.files)? {}
        self.publish(&index);
        Ok(())
    }

    /// The same as long as `go_on` says so and nobody else works on the store, who may wait for a disk.
    pub(crate) fn look_into_files_while(&self, go_on: impl Fn() -> bool) -> Result<()> {
        self.try_lock().into_iter().for_each(|mut index| index.try_again());
        while go_on()
            && let Some(mut index) = self.try_lock()
        {
            self.list(&mut index)?;
            let is_done = !index.look_into_next(&self.files)?;
            self.publish(&index);
            if is_done {
                break;
            }
        }
        Ok(())
    }

    /// Bytes on disk. What other processes took out counts for half a second more.
    pub(crate) fn disk_bytes(&self) -> u64 {
        // While somebody works on the store, what was known before has to do.
        if let Some(mut index) = self.try_lock() {
            let listed = self.list(&mut index);
            let looked =
                listed.and_then(|()| if index.is_old() { index.look_again(&self.files) } else { Ok(()) });
            // What can't be looked at counts as before.
            drop(looked);
            self.publish(&index);
        }
        self.disk_bytes.load(Relaxed)
    }

    /// The batches that wait for their key to be set, as of the last use by this process.
    pub(crate) fn held_batches(&self) -> u64 {
        self.held_batches.load(Relaxed)
    }

    /// Sets `rejection` aside, durably. Setting the same items aside twice is the same as once.
    ///
    /// The first result says what became of these and of older items, whatever the second is.
    pub(crate) fn put(&self, rejection: &Rejection, room: Room) -> (Put, Result<()>) {
        let mut put = Put::default();
        let outcome = self.put_within(rejection, room, &mut put);
        (put, outcome)
    }

    fn put_within(&self, rejection: &Rejection, room: Room, put: &mut Put) -> Result<()> {
        let Some(first) = rejection.first() else { return Ok(()) };
        let bytes = rejection::encode(first, rejection)?;
        // The folder may grow by a block for one more name.
        let needed = (bytes.len() as u64).next_multiple_of(BLOCK_BYTES) + BLOCK_BYTES;
        let items = rejection.items.len() as u64;
        let mut index = self.listed()?;
        let most = room.max_bytes.min(room.left_bytes).saturating_sub(needed);
        let outcome = index.evict(&self.files, most, u64::MAX, &mut put.evicted);
        self.publish(&index);
        outcome?;
        if index.bytes() + needed > room.left_bytes {
            put.evicted += items;
            return Ok(());
        }
        self.files.dir().create()?;
        let bytes = self.files.write(first, &bytes)?;
        let awaited = awaited_key(&rejection.reason).map(str::to_owned);
        index.insert(first, Group { bytes, items, awaited });
        index.measure_folder(&self.files);
        self.publish(&index);
        put.is_kept = true;
        Ok(())
    }

    /// Takes over the groups of another lane's store, durably; their items get seqs that no item of this lane has.
    ///
    /// Each file moves in one step: whenever the process dies, an item is in one of the stores and not in both. What
    /// is damaged stays. Returns how many items moved, and how many older ones had to leave for them.
    ///
    /// `Locked`: another process is taking items out there. `Io`: some moved, and the others can't be read now.
    pub(crate) fn adopt(&self, drained: &RejectedFiles, room: Room) -> Result<(u64, u64)> {
        // A process that takes items out finds them where they were, and counts them before the ledger is taken over.
        let _lock = drained.lock()?;
        let groups = drained.firsts()?;
        if groups.is_empty() {
            return Ok((0, 0));
        }
        let mut index = self.listed()?;
        self.files.dir().create()?;
        let mut fresh = index.end(&self.files)?.max(ADOPTED_FROM);
        let (mut newest, mut moved) = (fresh, 0);
        for first in groups {
            let Some(group) = drained.read(first)? else { continue };
            let (from, to) = (drained.path(first), self.files.path(fresh));
            match from.rename_only(&to) {
                // Somebody may have removed it by hand just now.
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                other => other.map_err(|e| Error::io(format!("rename {from} to {to}"), e))?,
            }
            let (items, awaited) = (group.items.len() as u64, awaited_key(&group.reason).map(str::to_owned));
            index.insert(fresh, Group { bytes: to.bytes_on_disk(), items, awaited });
            newest = fresh;
            moved += items;
            fresh += group.seqs();
        }
        let mut evicted = 0;
        index.evict(&self.files, room.max_bytes.min(room.left_bytes), newest, &mut evicted)?;
        self.publish(&index);
        self.files.sync()?;
        drained.sync()?;
        Ok((moved, evicted))
    }

    /// The groups that wait for a key that is `wanted`.
    pub(crate) fn awaiting(&self, wanted: impl Fn(&str) -> bool) -> Result<Vec<u64>> {
        self.listed()?.look_again(&self.files)?;
        self.look_into_files()?;
        Ok(self.lock().awaiting(wanted))
    }

    /// An error: when it was last tried, a file could not be read.
    pub(crate) fn check_read(&self) -> Result<()> {
        self.lock().check_read()
    }

    /// Notes what was taken out of the files.
    pub(crate) fn note_taken(&self, taken: &TakenOut) {
        let mut index = self.lock();
        index.note_taken(taken, &self.files);
        self.publish(&index);
    }

    /// The index, after the first look through the folder.
    fn listed(&self) -> Result<MutexGuard<'_, Index>> {
        let mut index = self.lock();
        self.list(&mut index)?;
        Ok(index)
    }

    /// Looks through the folder, if that was not done yet.
    fn list(&self, index: &mut Index) -> Result<()> {
        if !index.is_listed() {
            index.list_and_tidy(&self.files, self.unsettled_from)?;
            self.publish(index);
        }
        Ok(())
    }

    fn publish(&self, index: &Index) {
        self.disk_bytes.store(index.bytes(), Relaxed);
        self.held_batches.store(index.held(), Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unpoisoned()
    }

    fn try_lock(&self) -> Option<MutexGuard<'_, Index>> {
        match self.index.try_lock() {
            Ok(index) => Some(index),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}
