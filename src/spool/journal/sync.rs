//! Sync: bringing records to stable storage, callers that arrive together sharing one write (group commit).

use std::io;
use std::ops::Range;
use std::sync::PoisonError;
use std::sync::atomic::Ordering::Acquire;

use super::Journal;
use super::primitives::{Condvar, Mutex, MutexGuard, yield_now};
use super::record::{Frame, State};
use crate::error::{Error, Result};

/// How far the journal is on stable storage.
pub(super) struct Synced {
    state: Mutex<SyncState>,
    done: Condvar,
}

pub(super) struct SyncState {
    /// Everything before this position is on stable storage.
    pub(super) pos: u64,
    /// A caller is syncing for all.
    leading: bool,
    /// The first failure: this file is not synced any more (see `renew`).
    pub(super) failed: Option<Error>,
}

impl Synced {
    pub(super) fn new(pos: u64) -> Self {
        Self { state: Mutex::new(SyncState { pos, leading: false, failed: None }), done: Condvar::new() }
    }

    /// Locks while nobody is syncing.
    pub(super) fn lock_idle(&self) -> MutexGuard<'_, SyncState> {
        let mut state = self.lock();
        while state.leading {
            state = self.wait(state);
        }
        state
    }

    fn wait<'a>(&self, state: MutexGuard<'a, SyncState>) -> MutexGuard<'a, SyncState> {
        self.done.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, SyncState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Journal {
    /// Comes back when everything before `end_pos` is on stable storage.
    pub(crate) fn sync_to(&self, end_pos: u64) -> Result<()> {
        let mut state = self.synced.lock();
        loop {
            if let Some(error) = &state.failed {
                return Err(error.clone());
            }
            if state.pos >= end_pos {
                return Ok(());
            }
            if state.leading {
                state = self.synced.wait(state);
                continue;
            }
            // What was released is safe elsewhere and may have been overwritten.
            let from = state.pos.max(self.released.load(Acquire));
            let mut to = from;
            state = self.sync_alone(state, || {
                to = self.committed_from(from, end_pos);
                self.map.sync_ring(&self.file(), from, to)
            });
            if state.failed.is_none() {
                state.pos = to;
            }
        }
    }

    /// Makes the header durable.
    pub(super) fn sync_header(&self) -> Result<()> {
        self.sync_unless_failed(|| self.map.sync_header(&self.file()))
    }

    /// Makes the records at `range` durable with what was written to them since they were synced: where batches begin.
    pub(crate) fn sync_range(&self, range: Range<u64>) -> Result<()> {
        self.sync_unless_failed(|| self.map.sync_ring(&self.file(), range.start, range.end))
    }

    fn sync_unless_failed(&self, sync: impl FnOnce() -> io::Result<()>) -> Result<()> {
        let mut state = self.synced.lock_idle();
        if state.failed.is_none() {
            state = self.sync_alone(state, sync);
        }
        state.failed.clone().map_or(Ok(()), Err)
    }

    /// Syncs for all, one sync at a time. The kernel tells of a page that it could not write only once: whoever is told says
    /// so before anybody else syncs the file. And on btrfs (Linux 6.18) power cuts took acknowledged items in 2 of 18 runs
    /// with syncs that overlapped, in none of 18 without; why is not known.
    fn sync_alone<'a>(
        &'a self,
        mut state: MutexGuard<'a, SyncState>,
        sync: impl FnOnce() -> io::Result<()>,
    ) -> MutexGuard<'a, SyncState> {
        state.leading = true;
        drop(state);
        let outcome = sync();
        state = self.synced.lock();
        state.leading = false;
        state.failed = outcome.err().map(|e| self.sync_failed(&e));
        self.synced.done.notify_all();
        state
    }

    /// The end of the committed records from `from` on, at least `end_pos`: those who copy now are waited for.
    pub(super) fn committed_from(&self, from: u64, end_pos: u64) -> u64 {
        let tail = self.tail().pos;
        self.await_committed(from, end_pos.min(tail));
        let mut pos = end_pos.min(tail);
        while pos < tail
            && let Some(frame) = Frame::peek(&self.map, pos)
            && frame.state(&self.map) != State::Reserved
        {
            pos = frame.end_pos();
        }
        pos
    }

    /// Waits until the records from `pos` to `end` are committed, as far as they are still needed.
    ///
    /// Those of an earlier life have no writer; and where they are damaged, the ones behind could not be found from there.
    pub(super) fn await_committed(&self, pos: u64, end: u64) {
        let mut pos = pos.max(self.unchecked_before);
        while pos < end
            && let Some(frame) = Frame::peek(&self.map, pos)
        {
            match frame.state(&self.map) {
                State::Reserved => yield_now(),
                _ => pos = frame.end_pos(),
            }
        }
    }
}
