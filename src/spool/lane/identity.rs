//! Identity: which lane this is, where it lies, and the lock that makes it ours.

use std::sync::Mutex;

use crate::error::Result;
use crate::os::lock::Unpoison;
use crate::spool::held_path::{HeldPath, Standing};
use crate::spool::lane::lock::LaneLock;

/// A lane's name, folder and lock.
pub(super) struct Identity {
    id: String,
    /// The folder of all lanes.
    lanes: HeldPath,
    /// Its folder, whatever it is called.
    dir: HeldPath,
    /// `None` once the lane was let go.
    lock: Mutex<Option<LaneLock>>,
    /// What is known to have become of the folder.
    standing: Mutex<Standing>,
}

impl Identity {
    pub(super) fn new(id: &str, lanes: &HeldPath, dir: &HeldPath, lock: LaneLock) -> Self {
        let (lanes, dir) = (lanes.clone(), dir.clone());
        Self {
            id: id.to_owned(),
            lanes,
            dir,
            lock: Mutex::new(Some(lock)),
            standing: Mutex::new(Standing::Here),
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn lanes(&self) -> &HeldPath {
        &self.lanes
    }

    /// What the folder of all lanes calls it.
    pub(super) fn named(&self) -> HeldPath {
        self.lanes.join(&self.id)
    }

    pub(super) fn dir(&self) -> &HeldPath {
        &self.dir
    }

    /// Notes what became of the folder; returns whether that is news.
    pub(super) fn note_standing(&self, standing: Standing) -> bool {
        std::mem::replace(&mut *self.standing.lock().unpoisoned(), standing) != standing
    }

    /// Locks again what is not locked any more. Returns whether that was so.
    pub(super) fn mend_lock(&self) -> Result<bool> {
        self.lock.lock().unpoisoned().as_mut().map_or(Ok(false), |lock| lock.mend(&self.dir))
    }

    /// The folder was deleted, and `fresh`, which is locked by `lock`, is in its place.
    pub(super) fn replace_with(&self, fresh: &HeldPath, lock: LaneLock) {
        self.dir.replace_with(fresh);
        let old = self.lock.lock().unpoisoned().replace(lock);
        drop(old);
        self.note_standing(Standing::Here);
    }

    /// Lets the lane go: another process may own it from now on.
    pub(super) fn unlock(&self) {
        drop(self.lock.lock().unpoisoned().take());
    }
}

/// Whether `name` is a lane's; a lane that is being made or removed has another kind of name.
pub(crate) fn is_lane(name: &str) -> bool {
    name.len() == 16 && name.bytes().all(|b| b.is_ascii_hexdigit())
}
