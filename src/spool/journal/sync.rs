//! Sync: bringing records to stable storage. Callers that arrive together share one sync (group commit): one of them
//! leads.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Release};

use super::Journal;
use super::primitives::{AtomicU64, Mutex, MutexGuard, Thread, current, park, yield_now};
use super::record::{Frame, State};
use crate::error::{Error, Result};
use crate::os::lock::Unpoison;

/// How far the journal is on stable storage, and whose turn it is to bring it further.
pub(super) struct Synced {
    /// Everything before this position is on stable storage.
    pub(super) pos: AtomicU64,
    state: Mutex<SyncState>,
}

#[derive(Default)]
pub(super) struct SyncState {
    /// A caller is syncing for all.
    leading: bool,
    /// In the order they came.
    waiting: VecDeque<Arc<Waiter>>,
    /// The first failure: this file is not synced any more (see `renew`).
    pub(super) failed: Option<Error>,
}

/// A caller that waits while another one syncs.
struct Waiter {
    thread: Thread,
    /// Up to where it wants the journal synced; `None`: it wants a turn of its own.
    end_pos: Option<u64>,
    told: AtomicU64,
}

/// What a waiter was told: nothing yet, that the sync it waited for was made or has failed, or that it makes the next
/// one.
const NOTHING: u64 = 0;
const ENDED: u64 = 1;
const LEADS: u64 = 2;

/// How often a waiter lets others run before it sleeps: on a fast disk it is told meanwhile, which takes no system
/// call. 32 callers get through 1.3 times as much with it.
const YIELDS: usize = if cfg!(loom) { 0 } else { 16 };

impl Waiter {
    fn new(end_pos: Option<u64>) -> Self {
        Self { thread: current(), end_pos, told: AtomicU64::new(NOTHING) }
    }

    /// Waits until it is told something; returns whether it leads now.
    fn wait_to_lead(&self) -> bool {
        let mut yields = 0;
        loop {
            match self.told.load(Acquire) {
                NOTHING if yields < YIELDS => {
                    yields += 1;
                    yield_now();
                }
                NOTHING => park(),
                told => return told == LEADS,
            }
        }
    }

    fn tell(&self, what: u64) {
        self.told.store(what, Release);
        self.thread.unpark();
    }
}

impl Synced {
    pub(super) fn new(pos: u64) -> Self {
        Self { pos: AtomicU64::new(pos), state: Mutex::default() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, SyncState> {
        self.state.lock().unpoisoned()
    }

    /// Waits for the turn to sync; `None` once everything before `end_pos`, if that is given, is on stable storage.
    fn turn(&self, end_pos: Option<u64>) -> Result<Option<Turn<'_>>> {
        let is_synced = || end_pos.is_some_and(|end_pos| self.pos.load(Acquire) >= end_pos);
        let waiter = {
            let mut state = self.lock();
            if is_synced() {
                return Ok(None);
            }
            if let Some(error) = &state.failed {
                return Err(error.clone());
            }
            if !state.leading {
                state.leading = true;
                return Ok(Some(Turn(self)));
            }
            let waiter = Arc::new(Waiter::new(end_pos));
            state.waiting.push_back(waiter.clone());
            waiter
        };
        if waiter.wait_to_lead() {
            return Ok(Some(Turn(self)));
        }
        if is_synced() {
            return Ok(None);
        }
        // Bound first: the guard must not live through the next call, which locks again.
        let failed = self.lock().failed.clone();
        match failed {
            Some(error) => Err(error),
            // The journal was renewed meanwhile: this caller may try again.
            None => self.turn(end_pos),
        }
    }
}

/// The turn to sync, which one thread at a time has.
///
/// One at a time: the kernel tells of a page that it could not write only once, and the thread that is told says so
/// before another one syncs the file.
struct Turn<'a>(&'a Synced);

impl Turn<'_> {
    /// Syncs; a failure is the last one of this file.
    fn sync(&self, journal: &Journal, sync: impl FnOnce(&File) -> io::Result<()>) -> Result<()> {
        // No other file takes its place meanwhile, which would be taken for the one that failed.
        let file = journal.file();
        let sync_and_look = || {
            let file = file.get()?;
            sync(file)?;
            // A file without a name is gone with the process.
            let deleted = || io::Error::new(io::ErrorKind::NotFound, "it was deleted");
            if journal.path.leads_to(file) { Ok(()) } else { Err(deleted()) }
        };
        sync_and_look().map_err(|e| {
            let error = journal.sync_failed(e);
            self.0.lock().failed = Some(error.clone());
            error
        })
    }
}

impl Drop for Turn<'_> {
    /// Gives the turn to the first that still wants one, then tells those that need none any more. So the disk works
    /// while they are woken.
    fn drop(&mut self) {
        let mut state = self.0.lock();
        let pos = self.0.pos.load(Acquire);
        let has_failed = state.failed.is_some();
        let has_ended = |waiter: &Arc<Waiter>| has_failed || waiter.end_pos.is_some_and(|end| end <= pos);
        let (ended, mut waiting): (VecDeque<_>, VecDeque<_>) = state.waiting.drain(..).partition(has_ended);
        let next = waiting.pop_front();
        state.waiting = waiting;
        state.leading = next.is_some();
        drop(state);
        if let Some(next) = next {
            next.tell(LEADS);
        }
        for waiter in ended {
            waiter.tell(ENDED);
        }
    }
}

impl Journal {
    /// Returns when everything before `end_pos` is on stable storage.
    pub(crate) fn sync_to(&self, end_pos: u64) -> Result<()> {
        if let Some(turn) = self.synced.turn(Some(end_pos))? {
            // What was released is safe elsewhere and may have been overwritten.
            let from = self.synced.pos.load(Acquire).max(self.released.load(Acquire));
            let to = self.committed_from(from, end_pos);
            turn.sync(self, |file| self.map.sync_ring(file, from, to))?;
            self.synced.pos.fetch_max(to, Release);
        }
        Ok(())
    }

    /// Makes the header durable.
    pub(super) fn sync_header(&self) -> Result<()> {
        self.sync_in_turn(|file| self.map.sync_header(file))
    }

    /// Makes the records at `range` durable with what was written to them since they were synced: where batches begin.
    pub(crate) fn sync_range(&self, range: Range<u64>) -> Result<()> {
        self.sync_in_turn(|file| self.map.sync_ring(file, range.start, range.end))
    }

    fn sync_in_turn(&self, sync: impl FnOnce(&File) -> io::Result<()>) -> Result<()> {
        let turn = self.synced.turn(None)?;
        turn.map_or(Ok(()), |turn| turn.sync(self, sync))
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
    /// Those of an earlier life have no writer. Where they are damaged, the ones after them could not be found from
    /// there.
    pub(crate) fn await_committed(&self, pos: u64, end: u64) {
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
