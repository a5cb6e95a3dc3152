//! Stores: what a lane keeps on disk, and the queue's lock.

use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::config::{Level, Log};
use crate::error::Result;
use crate::os::lock::Unpoison;
use crate::spool::journal::{HeaderCounter, Journal};
use crate::spool::queue::Queue;
use crate::spool::segments::Passed;
use crate::spool::set_aside::quarantine::Quarantine;
use crate::spool::set_aside::rejected::{RejectedStore, Room};
use crate::spool::set_aside::rejected_files::RejectedFiles;

/// A lane's folders take as much on the usual file systems.
pub(super) const FOLDERS_BYTES: u64 = 16 << 10;

/// The journal, the segments (which the queue has), the rejected store and the quarantine of a lane.
pub(crate) struct Stores {
    journal: Journal,
    /// A thread that holds several locks of a lane has taken them in this order:
    ///
    /// 1. the look through other lanes' stores (`Elsewhere`),
    /// 2. the requeue's lock (`Requeue`),
    /// 3. the queue,
    /// 4. the turn to sync the journal,
    /// 5. the journal's tail,
    /// 6. one of: the journal's file, its list of damage, the scan of a segment, the trees of the open segment.
    ///
    /// The index of the rejected store is locked with the requeue's lock at most.
    ///
    /// No other lock is taken while a wakeup's is held. The oversize slot's lock is held together with a wakeup's only.
    queue: Mutex<Queue>,
    /// The cursor or the head has moved, segments are gone, or the lane has ended. Goes with the queue's lock.
    queue_changed: Condvar,
    rejected: RejectedStore,
    quarantine: Quarantine,
    log: Log,
}

impl Stores {
    pub(super) fn new(
        journal: Journal,
        queue: Queue,
        rejected: RejectedStore,
        quarantine: Quarantine,
        log: &Log,
    ) -> Self {
        Self {
            journal,
            queue: Mutex::new(queue),
            queue_changed: Condvar::new(),
            rejected,
            quarantine,
            log: log.clone(),
        }
    }

    pub(crate) fn journal(&self) -> &Journal {
        &self.journal
    }

    pub(crate) fn rejected(&self) -> &RejectedStore {
        &self.rejected
    }

    pub(crate) fn quarantine(&self) -> &Quarantine {
        &self.quarantine
    }

    pub(crate) fn lock_queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unpoisoned()
    }

    /// Wakes all that wait for a change of the queue. The caller has let its lock go.
    pub(crate) fn announce_change(&self) {
        self.queue_changed.notify_all();
    }

    /// Waits for a change of the queue; `None` at `deadline`.
    pub(super) fn wait_for_change<'a>(
        &self,
        queue: MutexGuard<'a, Queue>,
        deadline: Option<Instant>,
    ) -> Option<MutexGuard<'a, Queue>> {
        match deadline.map(|d| d.saturating_duration_since(Instant::now())) {
            Some(left) if left.is_zero() => None,
            Some(left) => Some(self.queue_changed.wait_timeout(queue, left).unpoisoned().0),
            None => Some(self.queue_changed.wait(queue).unpoisoned()),
        }
    }

    /// Waits until no segment is left that nobody needs. Gives up at `deadline`, and when nothing changes for
    /// `patience`.
    pub(super) fn wait_tidied(&self, deadline: Option<Instant>, patience: Duration) {
        let mut queue = self.lock_queue();
        while queue.has_passed_segments() {
            let left =
                deadline.map_or(patience, |d| d.saturating_duration_since(Instant::now()).min(patience));
            let (guard, waited) = self.queue_changed.wait_timeout(queue, left).unpoisoned();
            queue = guard;
            if waited.timed_out() {
                return;
            }
        }
    }

    /// Counts the bytes on disk again.
    pub(crate) fn count_disk(&self) -> u64 {
        let bytes = self.disk_bytes_but_rejected() + self.rejected.disk_bytes();
        self.journal.set_counter(HeaderCounter::DiskBytes, bytes);
        bytes
    }

    /// Bytes on disk without the rejected store.
    pub(crate) fn disk_bytes_but_rejected(&self) -> u64 {
        let segments = self.lock_queue().segments_mut().disk_bytes();
        FOLDERS_BYTES + self.journal.file_bytes() + segments + self.quarantine.disk_bytes()
    }

    /// Removes a segment that nobody needs. One that lost items is kept in quarantine.
    pub(crate) fn discard(&self, segment: &Passed) -> Result<()> {
        if !segment.damaged {
            return segment.path.remove();
        }
        let name = format!("{}-segment-{}", self.rejected.files().lane(), segment.first);
        let kept = self.quarantine.keep(&segment.path, &name)?;
        self.log.line(Level::Warn, format_args!("the damaged segment {} is kept", kept));
        Ok(())
    }

    /// Keeps the bytes of the journal that were found damaged: the ring will be used again.
    pub(crate) fn keep_damaged(&self) {
        for (pos, bytes) in self.journal.take_damaged() {
            let name = format!("{}-journal-{pos}", self.rejected.files().lane());
            if let Err(error) = self.quarantine.keep_bytes(&bytes, &name) {
                self.log.line(Level::Warn, format_args!("{error}"));
            }
        }
    }

    /// Moves the groups of another lane's rejected store into this one's, and what is damaged there into quarantine.
    ///
    /// Returns how many items moved, and how many older ones had to leave for them. Neither is counted yet.
    pub(super) fn take_rejected(&self, from: &RejectedFiles, room: Room) -> Result<(u64, u64)> {
        for first in from.damaged()? {
            self.quarantine.keep(&from.path(first), &format!("{}-rejected-{first}", from.lane()))?;
        }
        self.rejected.adopt(from, room)
    }
}
