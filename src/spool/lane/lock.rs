//! Lock: what makes one process a lane's owner.

use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::error::{Error, ErrorKind, Result};
use crate::os::fork::{self, ClosedInChild};
use crate::spool::fs;

/// The lock that makes a process a lane's owner: released when dropped, and never held by a child of `fork`.
pub(crate) struct LaneLock(Option<(File, ClosedInChild)>);

impl LaneLock {
    /// Locks the lane in `dir`. `None`: another process owns it, or it is gone.
    pub(crate) fn take(dir: &Path) -> Result<Option<Self>> {
        let path = dir.join("lock");
        let failed = |e: std::io::Error| Error::io(format!("lock {}", path.display()), e);
        fork::exclude(|| {
            let file = match fs::open_private(&path, OpenOptions::new().read(true).write(true).create(true)) {
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
                other => other.map_err(failed)?,
            };
            match file.try_lock() {
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(e)) => return Err(failed(e)),
                Ok(()) => {}
            }
            // Between open and lock another process may have removed the lane: then the lock is on nothing.
            let held = file.metadata().map_err(failed)?;
            let same = |m: Metadata| (m.dev(), m.ino()) == (held.dev(), held.ino());
            if !std::fs::symlink_metadata(&path).is_ok_and(same) {
                return Ok(None);
            }
            let closed = ClosedInChild::new(vec![file.as_raw_fd()]);
            Ok(Some(Self(Some((file, closed)))))
        })
    }

    /// Opens the folder of all lanes for a lock on it: shared, a new lane may be made that has no lock of its own yet;
    /// exclusive, there is none such.
    pub(crate) fn open_folder(lanes: &Path) -> Result<Self> {
        fork::exclude(|| {
            let file = File::open(lanes).map_err(|e| Error::io(format!("open {}", lanes.display()), e))?;
            let closed = ClosedInChild::new(vec![file.as_raw_fd()]);
            Ok(Self(Some((file, closed))))
        })
    }

    pub(crate) fn file(&self) -> Result<&File> {
        let held = self.0.as_ref().map(|(file, _)| file);
        held.ok_or_else(|| Error::new(ErrorKind::Internal, "a lock was let go already"))
    }
}

impl Drop for LaneLock {
    fn drop(&mut self) {
        // First: a thread that waits for the lock may be the one that keeps forks out.
        if let Ok(file) = self.file() {
            drop(file.unlock());
        }
        fork::exclude(|| drop(self.0.take()));
    }
}
