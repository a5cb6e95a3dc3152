//! Kin: the lanes that one client owns with `order=newest_first`: backlogs, the oldest first, and the lane of its new items.
//!
//! They are one to the outside: their counters add up, and they keep to one client's limits together. What is dropped for
//! new items is the oldest backlog first.

use std::sync::{Arc, Mutex, MutexGuard, Weak};

use crate::os::lock::Unpoison;
use crate::spool::journal::HeaderCounter;
use crate::spool::lane::Lane;
use crate::spool::stats::Stats;

/// The lanes of one client.
#[derive(Default)]
pub(crate) struct Kin {
    /// No other lock is taken while this one is held.
    lanes: Mutex<Vec<Weak<Lane>>>,
    /// Held while items move from the ledger of one lane to that of another: the first lock of all.
    ledger: Mutex<()>,
}

impl Kin {
    /// Adds the lane of the newest items.
    pub(crate) fn add(self: &Arc<Self>, lane: &Arc<Lane>) {
        drop(lane.kin.set(self.clone()));
        self.lanes.lock().unpoisoned().push(Arc::downgrade(lane));
    }

    /// Forgets a lane that is gone, or that could not be used.
    pub(crate) fn remove(&self, lane: &Arc<Lane>) {
        self.lanes.lock().unpoisoned().retain(|it| !std::ptr::eq(it.as_ptr(), Arc::as_ptr(lane)));
    }

    /// The counters of all lanes together.
    pub(crate) fn stats(&self) -> Stats {
        let _ledger = self.lock_ledger();
        self.lanes().iter().map(|lane| lane.stats()).reduce(Stats::and).unwrap_or_default()
    }

    pub(super) fn lock_ledger(&self) -> MutexGuard<'_, ()> {
        self.ledger.lock().unpoisoned()
    }

    fn lanes(&self) -> Vec<Arc<Lane>> {
        self.lanes.lock().unpoisoned().iter().filter_map(Weak::upgrade).collect()
    }

    /// The lanes other than `lane`.
    fn beside(&self, lane: &Lane) -> Vec<Arc<Lane>> {
        let mut lanes = self.lanes();
        lanes.retain(|it| !std::ptr::eq(Arc::as_ptr(it), lane));
        lanes
    }

    /// The lanes that are older than `lane`, the oldest first.
    fn before(&self, lane: &Lane) -> Vec<Arc<Lane>> {
        let mut lanes = self.lanes();
        let end = lanes.iter().position(|it| std::ptr::eq(Arc::as_ptr(it), lane)).unwrap_or(0);
        lanes.truncate(end);
        lanes
    }
}

impl Lane {
    /// What this lane may take on disk: what the others of the client leave of `max_spool_bytes`, and without the room
    /// that is kept for the next lane.
    pub(in crate::spool) fn max_spool_bytes(&self) -> u64 {
        let beside = self.beside();
        let is_alone_of_several = self.kin.get().is_some() && beside.is_empty();
        let kept = if is_alone_of_several { self.settings.next_lane_bytes } else { 0 };
        self.settings.max_spool_bytes.saturating_sub(disk_bytes(&beside) + kept)
    }

    /// Whether `max_spool_bytes` has room for another lane.
    pub(crate) fn has_room_for_next(&self) -> bool {
        self.count_disk_with_kin() + self.settings.next_lane_bytes <= self.settings.max_spool_bytes
    }

    /// Counts what this lane takes on disk, and adds what the client's others take.
    pub(in crate::spool) fn count_disk_with_kin(&self) -> u64 {
        self.stores.count_disk();
        self.disk_bytes_with_kin()
    }

    /// What the client's lanes take on disk, as it was counted last.
    pub(super) fn disk_bytes_with_kin(&self) -> u64 {
        self.counter(HeaderCounter::DiskBytes) + disk_bytes(&self.beside())
    }

    /// How many items the client's other lanes have pending.
    pub(super) fn pending_beside(&self) -> u64 {
        self.beside().iter().map(|lane| lane.tail_seq().saturating_sub(lane.stores.journal().cursor())).sum()
    }

    /// Drops the oldest batch of the oldest backlog that has one, if `is_wanted` says so. `false`: there is none.
    pub(super) fn drop_from_backlog(&self, is_wanted: &dyn Fn() -> bool) -> bool {
        self.before().iter().any(|lane| lane.stats().pending > 0 && lane.drop_own_oldest(is_wanted))
    }

    /// The oldest backlog whose oldest items are in a segment: dropping these makes room on the disk.
    pub(in crate::spool) fn backlog_in_segments(&self) -> Option<Arc<Lane>> {
        self.before().into_iter().find(|lane| {
            let checkpoint = lane.stores.journal().checkpoint();
            checkpoint.cursor < checkpoint.head.seq
        })
    }

    /// The client's other lanes.
    fn beside(&self) -> Vec<Arc<Self>> {
        self.kin.get().map(|kin| kin.beside(self)).unwrap_or_default()
    }

    /// The client's lanes that are older than this one, the oldest first.
    fn before(&self) -> Vec<Arc<Self>> {
        self.kin.get().map(|kin| kin.before(self)).unwrap_or_default()
    }

    /// Runs `work`, which moves items from one ledger to another, so that no sum over the client's lanes is read meanwhile.
    pub(super) fn with_ledger(&self, work: impl FnOnce()) {
        let _ledger = self.kin.get().map(|kin| kin.lock_ledger());
        work();
    }
}

/// What lanes take on disk, as it was counted last.
fn disk_bytes(lanes: &[Arc<Lane>]) -> u64 {
    lanes.iter().map(|lane| lane.counter(HeaderCounter::DiskBytes)).sum()
}
