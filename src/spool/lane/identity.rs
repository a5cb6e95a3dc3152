//! Identity: which lane this is, where it lies, and the lock that makes it ours.

use std::sync::Mutex;

use crate::os::lock::Unpoison;
use crate::spool::held_path::HeldPath;
use crate::spool::lane::lock::LaneLock;

/// A lane's name, folder and lock.
pub(super) struct Identity {
    id: String,
    /// What the folder of all lanes calls it.
    named: HeldPath,
    /// Its folder, whatever it is called.
    dir: HeldPath,
    /// `None` once the lane was let go.
    lock: Mutex<Option<LaneLock>>,
}

impl Identity {
    pub(super) fn new(id: &str, named: &HeldPath, dir: &HeldPath, lock: LaneLock) -> Self {
        let (named, dir) = (named.clone(), dir.clone());
        Self { id: id.to_owned(), named, dir, lock: Mutex::new(Some(lock)) }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn named(&self) -> &HeldPath {
        &self.named
    }

    pub(super) fn dir(&self) -> &HeldPath {
        &self.dir
    }

    /// Lets the lane go: another process may own it from now on.
    pub(super) fn unlock(&self) {
        drop(self.lock.lock().unpoisoned().take());
    }
}
