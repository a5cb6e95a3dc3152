//! Inode: which file, folder or socket it is that is open or lies under a name.
//!
//! Nothing here asks for times. Since Linux 6.13 a file whose times somebody asked for gets fresh ones at the next write,
//! which makes a sync of ext4 half as long again.

#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

#[cfg(target_os = "linux")]
const EMPTY_PATH: libc::c_int = libc::AT_EMPTY_PATH;
#[cfg(not(target_os = "linux"))]
const EMPTY_PATH: libc::c_int = 0;

/// Which one it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Inode {
    pub(crate) device: u64,
    pub(crate) number: u64,
}

impl Inode {
    /// Of what is open. Asks no server, however remote the file is. A signal handler and a child of `fork` may call it.
    pub(crate) fn of(fd: RawFd) -> io::Result<Self> {
        look(fd, c"", EMPTY_PATH).map(|(inode, _)| inode)
    }

    /// Of what is open and has a name; `None`: it was removed.
    pub(crate) fn of_named(fd: BorrowedFd) -> io::Result<Option<Self>> {
        look(fd.as_raw_fd(), c"", EMPTY_PATH).map(|(inode, links)| (links > 0).then_some(inode))
    }

    /// Of what lies under `name` in `folder`, a link itself and not where it leads.
    pub(crate) fn at(folder: BorrowedFd, name: &Path) -> io::Result<Self> {
        let name = CString::new(name.as_os_str().as_bytes())?;
        look(folder.as_raw_fd(), &name, libc::AT_SYMLINK_NOFOLLOW).map(|(inode, _)| inode)
    }

    /// Of what `path` leads to, through links.
    pub(crate) fn found_at(path: &Path) -> io::Result<Self> {
        let path = CString::new(path.as_os_str().as_bytes())?;
        look(libc::AT_FDCWD, &path, 0).map(|(inode, _)| inode)
    }

    /// Whether `fd` is still open on this, as far as that can be known now.
    pub(crate) fn is_of(self, fd: RawFd) -> bool {
        match Self::of(fd) {
            Ok(found) => found == self,
            Err(e) => e.raw_os_error() != Some(libc::EBADF),
        }
    }
}

/// The inode, and how many names it has.
#[cfg(target_os = "linux")]
fn look(fd: RawFd, path: &CStr, flags: libc::c_int) -> io::Result<(Inode, u64)> {
    // SAFETY: all bytes zero is a value of it.
    let mut found: libc::statx = unsafe { std::mem::zeroed() };
    let no_server = if path.is_empty() { libc::AT_STATX_DONT_SYNC } else { 0 };
    let mask = libc::STATX_INO | libc::STATX_NLINK;
    // Not by a function of libc's, which an older one does not have.
    // SAFETY: the path ends with a NUL, and what is found fits.
    let answer =
        unsafe { libc::syscall(libc::SYS_statx, fd, path.as_ptr(), flags | no_server, mask, &raw mut found) };
    if answer == 0 {
        let device = libc::makedev(found.stx_dev_major, found.stx_dev_minor);
        return Ok((Inode { device, number: found.stx_ino }, u64::from(found.stx_nlink)));
    }
    match io::Error::last_os_error() {
        // An old kernel or a sandbox.
        e if matches!(e.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => look_with_times(fd, path, flags),
        e => Err(e),
    }
}

#[cfg(not(target_os = "linux"))]
use look_with_times as look;

fn look_with_times(fd: RawFd, path: &CStr, flags: libc::c_int) -> io::Result<(Inode, u64)> {
    // SAFETY: all bytes zero is a value of it.
    let mut found: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: the path ends with a NUL, and what is found fits.
    let answer = unsafe {
        if path.is_empty() {
            libc::fstat(fd, &raw mut found)
        } else {
            libc::fstatat(fd, path.as_ptr(), &raw mut found, flags)
        }
    };
    match answer {
        0 => Ok((Inode { device: found.st_dev as u64, number: found.st_ino as u64 }, found.st_nlink as u64)),
        _ => Err(io::Error::last_os_error()),
    }
}
