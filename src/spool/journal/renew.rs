//! Renew: after a failed sync the journal goes on in a fresh file.
//!
//! The kernel may drop pages that it could not write and call the next try a success, so a file whose sync failed is
//! never synced again. What it holds is still in memory: it is copied to a fresh file, which takes its name.

use std::fs::File;
use std::io;
use std::sync::atomic::Ordering::{Acquire, Release};

use super::Journal;
use super::map::{self, Map};
use crate::error::{Error, Result};
use crate::os::kept::Kept;
use crate::os::lock::Unpoison;
use crate::spool::held_path::{Access, HeldPath};

/// The name of a journal's file while it is being made.
const MAKING: &str = "new";

/// A copy of the journal on stable storage, under another name.
struct Copy {
    path: HeldPath,
    file: File,
    map: Map,
    /// What is committed before this position is in the copy.
    synced_pos: u64,
}

impl Journal {
    /// Where the journal `path` is made before it gets its name.
    pub(crate) fn path_of_new(path: &HeldPath) -> HeldPath {
        path.with_extension(MAKING)
    }

    /// Whether the journal must go on in another file.
    pub(crate) fn has_failed(&self) -> bool {
        self.failure().is_some()
    }

    /// Why it must.
    pub(crate) fn failure(&self) -> Option<Error> {
        self.synced.lock().failed.clone()
    }

    /// Marks the journal's file as one that is not synced any more, for it is gone. Returns whether that is news.
    pub(crate) fn fail(&self, why: Error) -> bool {
        let mut state = self.synced.lock();
        let is_news = state.failed.is_none();
        state.failed.get_or_insert(why);
        is_news
    }

    /// Goes on in a fresh file. While what `hold` gives is held, no thread changes the checkpoint or marks batches.
    pub(crate) fn renew<Held>(&self, hold: impl FnOnce() -> Held) -> Result<()> {
        let copy = self.copy()?;
        let held = hold();
        self.go_on_in(&copy)?;
        drop(held);
        self.path.parent().map_or(Ok(()), |folder| folder.sync())?;
        self.synced.pos.store(copy.synced_pos, Release);
        self.synced.lock().failed = None;
        self.lock_tail().refused = None;
        Ok(())
    }

    /// Copies the journal while it is in use: nothing that a power cut could still find in the old file is missing.
    fn copy(&self) -> Result<Copy> {
        // No record before this goes away: as long as no header can be synced, nothing is released.
        let from = self.synced.pos.load(Acquire).max(self.released.load(Acquire));
        let synced_pos = self.committed_from(from, self.tail().pos);
        let path = Self::path_of_new(&self.path);
        let whole = || {
            let file = path.open_file(Access::Create)?;
            map::preallocate(&file, self.file_bytes())?;
            let map = Map::new(&file, self.ring_bytes(), true)?;
            self.map.copy_to(&map);
            file.sync_all()?;
            Ok(Copy { path: path.clone(), file, map, synced_pos })
        };
        drop(path.remove_file());
        whole().map_err(|e: io::Error| {
            drop(path.remove_file());
            Error::io(format!("write the journal again to {path}"), e)
        })
    }

    /// Gives `copy` what was written since it was made, the journal's name and its place in memory.
    fn go_on_in(&self, copy: &Copy) -> Result<()> {
        let mut tail = self.lock_tail();
        self.await_committed(copy.synced_pos, tail.at.pos);
        self.map.copy_to(&copy.map);
        let mut replace = || -> io::Result<()> {
            let fresh = copy.file.try_clone()?;
            // Whoever looks whether the file stands under its name waits for both to change.
            let mut file = self.file.write().unpoisoned();
            copy.path.rename_only(&self.path)?;
            // Should this fail, what was accepted so far is in the file that has the name now, and no more may be
            // accepted.
            self.map.change_file(&fresh).inspect_err(|_| tail.closed = true)?;
            *file = Kept::new(fresh);
            Ok(())
        };
        replace().map_err(|e| {
            drop(copy.path.remove_file());
            Error::io(format!("put {} in the place of {}", copy.path, self.path), e)
        })
    }
}
