//! Identity: which lane this is, where it lies, and the lock that makes it ours.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::os::lock::Unpoison;
use crate::spool::lane::lock::LaneLock;

/// A lane's name, folder and lock.
pub(super) struct Identity {
    id: String,
    dir: PathBuf,
    /// `None` once the lane was let go.
    lock: Mutex<Option<LaneLock>>,
}

impl Identity {
    pub(super) fn new(id: &str, dir: &Path, lock: LaneLock) -> Self {
        Self { id: id.to_owned(), dir: dir.to_path_buf(), lock: Mutex::new(Some(lock)) }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Lets the lane go: another process may own it from now on.
    pub(super) fn unlock(&self) {
        drop(self.lock.lock().unpoisoned().take());
    }
}
