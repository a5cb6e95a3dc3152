//! Sync: bringing records to stable storage, callers that arrive together sharing one write (group commit).

use std::sync::atomic::Ordering::Acquire;
use std::sync::{Condvar, Mutex, PoisonError};

use super::Journal;
use super::record::{Frame, State};
use crate::error::Result;

/// How far the journal is on stable storage.
pub(super) struct Synced {
    state: Mutex<SyncState>,
    done: Condvar,
}

struct SyncState {
    /// Everything before this position is on stable storage.
    pos: u64,
    /// A caller is syncing for all.
    leading: bool,
    /// The first failure. A failed sync is never tried again: the kernel may have dropped the pages it
    /// could not write and would call the next try a success.
    failed: Option<crate::error::Error>,
}

impl Synced {
    pub(super) fn new(pos: u64) -> Self {
        Self { state: Mutex::new(SyncState { pos, leading: false, failed: None }), done: Condvar::new() }
    }
}

impl Journal {
    /// Comes back when everything before `end_pos` is on stable storage.
    pub(crate) fn sync_to(&self, end_pos: u64) -> Result<()> {
        let mut state = self.synced.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(error) = &state.failed {
                return Err(error.clone());
            }
            if state.pos >= end_pos {
                return Ok(());
            }
            if state.leading {
                state = self.synced.done.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.leading = true;
            // What was released is safe elsewhere and may have been overwritten.
            let from = state.pos.max(self.released.load(Acquire));
            drop(state);
            let to = self.committed_from(from, end_pos);
            let outcome = self.map.sync_ring(&self.file, from, to);
            state = self.synced.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.leading = false;
            match outcome {
                Ok(()) => state.pos = to,
                Err(error) => state.failed = Some(self.sync_failed(&error)),
            }
            self.synced.done.notify_all();
        }
    }

    /// Makes the header durable. As with records, the first failure is the last try.
    pub(super) fn sync_header(&self) -> Result<()> {
        let lock = || self.synced.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = &lock().failed {
            return Err(error.clone());
        }
        self.map.sync_header(&self.file).map_err(|error| {
            let error = self.sync_failed(&error);
            lock().failed.get_or_insert(error).clone()
        })
    }

    /// The end of the committed records from `from` on, at least `end_pos`: those who copy now are waited for.
    fn committed_from(&self, from: u64, end_pos: u64) -> u64 {
        let mut pos = from;
        let tail = self.tail().pos;
        while pos < tail {
            match Frame::peek(&self.map, pos) {
                Some(frame) if frame.state(&self.map) != State::Reserved => pos = frame.end_pos(),
                Some(_) if pos < end_pos => std::thread::yield_now(),
                _ => break,
            }
        }
        pos.max(end_pos.min(tail))
    }
}
