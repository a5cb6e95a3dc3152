//! Lock: what makes one process a lane's owner.
//!
//! The lock is on the lane's folder itself, which nobody can remove from under it. Releases before 0.2 lock the file `lock`
//! in it: that is locked, too, so that a program with such a release keeps out.

use std::fs::{File, TryLockError};
use std::io;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind, Result};
use crate::os::fork::{self, ClosedInChild};
use crate::os::kept::Kept;
use crate::os::process;
use crate::spool::held_path::{Access, HeldPath};

/// The name of the file that is locked, too.
pub(super) const FILE: &str = "lock";

/// The lock that makes a process a lane's owner: released when dropped, and never held by a child of `fork`.
pub(crate) struct LaneLock(Option<Locked>);

struct Locked {
    folder: Kept<File>,
    file: Option<Kept<File>>,
    closed: ClosedInChild,
}

/// Holds the lane that is called `named`. `None`: it is gone. A lane that another user made, or that a link leads to, is
/// not ours to read or write.
pub(crate) fn hold(named: &HeldPath) -> Result<Option<HeldPath>> {
    let refused = |why: String| Err(Error::new(ErrorKind::Io, format!("{named} {why}")));
    let held = match named.hold() {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) if matches!(e.raw_os_error(), Some(libc::ENOTDIR | libc::ELOOP)) => {
            return refused("is not a folder; a lane that is a link is not followed".into());
        }
        Err(e) => Err(e),
        Ok(held) => held.stat().map(|stat| (held, stat.st_uid, stat.st_gid)),
    };
    let (held, owner, group) = held.map_err(|e| Error::io(format!("look at {named}"), e))?;
    if owner != process::user_id() {
        return refused(process::not_ours(owner, group));
    }
    Ok(Some(held))
}

/// Whether a living process owns the lane in `dir`.
pub(crate) fn is_owned(dir: &HeldPath) -> bool {
    is_locked(dir.open_folder().map(File::from)) || is_locked(dir.join(FILE).open_file(Access::Read))
}

/// Whether a living process has the folder `named` locked: as good as owned, but an older release locks only the file.
pub(crate) fn is_folder_locked(named: &HeldPath) -> bool {
    // A child of `fork` must not keep the lock that is tried.
    fork::exclude(|| is_locked(named.glance_at_folder().map(File::from)))
}

/// Whether another process has an exclusive lock on it. A shared lock is tried: it asks for no permission to write.
fn is_locked(file: io::Result<File>) -> bool {
    file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

impl LaneLock {
    fn of(folder: File, file: Option<File>) -> Self {
        let (folder, file) = (Kept::new(folder), file.map(Kept::new));
        let closed = closed_in_child(&folder, file.as_ref());
        Self(Some(Locked { folder, file, closed }))
    }

    /// Locks the lane that is called `named` and held as `dir`. `None`: another process owns it, or it is gone.
    pub(crate) fn take(named: &HeldPath, dir: &HeldPath) -> Result<Option<Self>> {
        let failed = |e: io::Error| Error::io(format!("lock {named}"), e);
        fork::exclude(|| {
            let folder = File::from(dir.open_folder().map_err(failed)?);
            match folder.try_lock() {
                Err(TryLockError::WouldBlock) => return Ok(None),
                // Some file systems lock no folders: then the file has to do.
                Err(TryLockError::Error(_)) | Ok(()) => {}
            }
            let Some(file) = lock_file(dir).map_err(failed)? else { return Ok(None) };
            // Between open and lock another process may have removed the lane: then the lock is on nothing.
            if !named.is_path_of(&folder).unwrap_or(false) {
                return Ok(None);
            }
            Ok(Some(Self::of(folder, Some(file))))
        })
    }

    /// Locks the folder of all lanes: shared, a new lane may be made that has no lock of its own yet; exclusive, there is
    /// none such. `None`: other processes hold it otherwise.
    pub(crate) fn take_folder(lanes: &HeldPath, shared: bool) -> Result<Option<Self>> {
        fork::exclude(|| {
            let folder = File::from(lanes.open_folder().map_err(|e| Error::io(format!("open {lanes}"), e))?);
            if (if shared { folder.try_lock_shared() } else { folder.try_lock() }).is_err() {
                return Ok(None);
            }
            Ok(Some(Self::of(folder, None)))
        })
    }

    /// Locks `folder`, which other processes change too, and waits up to `patience` for it. `None`: there is no such
    /// folder, or its file system locks none.
    ///
    /// `Locked`: another process keeps it.
    pub(crate) fn wait_for_folder(folder: &HeldPath, patience: Duration) -> Result<Option<Self>> {
        let deadline = Instant::now() + patience;
        loop {
            match fork::exclude(|| Self::try_folder(folder)) {
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(TryLockError::WouldBlock) => {
                    let what = format!("another process is changing {folder}");
                    return Err(Error::new(ErrorKind::Locked, what));
                }
                Err(TryLockError::Error(_)) => return Ok(None),
                Ok(lock) => return Ok(Some(lock)),
            }
        }
    }

    fn try_folder(folder: &HeldPath) -> std::result::Result<Self, TryLockError> {
        let folder = File::from(folder.open_folder().map_err(TryLockError::Error)?);
        folder.try_lock()?;
        Ok(Self::of(folder, None))
    }

    /// Locks again what is not locked any more: somebody removed the file `lock` of the lane in `dir`, or the host has
    /// closed a descriptor. Returns whether that was so.
    ///
    /// `Locked`: another process has become the owner.
    pub(crate) fn mend(&mut self, dir: &HeldPath) -> Result<bool> {
        let Some(locked) = &mut self.0 else { return Ok(false) };
        let is_there = |file: &Kept<File>| file.get().is_ok_and(|file| dir.join(FILE).leads_to(file));
        let (has_folder, has_file) = (locked.folder.is_ours(), locked.file.as_ref().is_none_or(is_there));
        if has_folder && has_file {
            return Ok(false);
        }
        let failed = |e: io::Error| Error::io(format!("lock {dir}"), e);
        fork::exclude(|| {
            if !has_folder {
                let folder = dir.open_folder().map(File::from).map_err(failed)?;
                if let Err(TryLockError::WouldBlock) = folder.try_lock() {
                    let what = format!("this process lost its lock on {dir}, and another one has it");
                    return Err(Error::new(ErrorKind::Locked, what));
                }
                locked.folder = Kept::new(folder);
            }
            if !has_file && let Some(file) = lock_file(dir).map_err(failed)? {
                locked.file = Some(Kept::new(file));
            }
            locked.closed = closed_in_child(&locked.folder, locked.file.as_ref());
            Ok(true)
        })
    }
}

/// A child of `fork` must not keep the locks.
fn closed_in_child(folder: &Kept<File>, file: Option<&Kept<File>>) -> ClosedInChild {
    ClosedInChild::new([Some(folder), file].into_iter().flatten().map(|it| it.unchecked().as_raw_fd()))
}

/// Opens and locks the file `lock` of the lane in `dir`. `None`: another process has it.
fn lock_file(dir: &HeldPath) -> io::Result<Option<File>> {
    let file = match dir.join(FILE).open_file(Access::CreateOrOpen) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(e)) => Err(e),
        Ok(()) => Ok(Some(file)),
    }
}

impl Drop for LaneLock {
    fn drop(&mut self) {
        // First: a thread that waits for the lock may be the one that keeps forks out.
        if let Some(locked) = &self.0 {
            let files = [Some(&locked.folder), locked.file.as_ref()].into_iter().flatten();
            files.filter_map(|file| file.get().ok()).for_each(|file| drop(file.unlock()));
        }
        fork::exclude(|| drop(self.0.take()));
    }
}
