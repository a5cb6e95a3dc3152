//! Kept: a descriptor that is open for long, and is neither used nor closed once it is the host's.
//!
//! A host may close all descriptors, as daemons and forked workers do. What it opens next gets the number of one of ours,
//! and must not be taken for it.

#![allow(unsafe_code)]

use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::AsRawFd;

use super::inode::Inode;

/// A file, folder or socket that is open for long.
#[derive(Debug)]
pub(crate) struct Kept<T: AsRawFd> {
    open: ManuallyDrop<T>,
    /// `None`: the system does not tell.
    inode: Option<Inode>,
}

impl<T: AsRawFd> Kept<T> {
    pub(crate) fn new(open: T) -> Self {
        Self { inode: Inode::of(open.as_raw_fd()).ok(), open: ManuallyDrop::new(open) }
    }

    /// Errors: the host has closed it.
    pub(crate) fn get(&self) -> io::Result<&T> {
        if self.is_ours() {
            return Ok(&self.open);
        }
        let what =
            format!("the program closed descriptor {}, which is this library's", self.open.as_raw_fd());
        Err(io::Error::other(what))
    }

    /// As it was opened, whatever became of it.
    pub(crate) fn unchecked(&self) -> &T {
        &self.open
    }

    pub(crate) fn is_ours(&self) -> bool {
        self.inode.is_none_or(|inode| inode.is_of(self.open.as_raw_fd()))
    }

    /// Whether both are open on the same.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.inode == other.inode
    }
}

impl<T: AsRawFd> Drop for Kept<T> {
    fn drop(&mut self) {
        if self.is_ours() {
            // SAFETY: it is not used after this.
            unsafe { ManuallyDrop::drop(&mut self.open) };
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::fs::File;
    use std::os::fd::IntoRawFd;

    #[test]
    fn what_the_host_opened_in_the_place_of_ours_is_neither_used_nor_closed() {
        let open = |path: &str| File::open(path).unwrap();
        let ours = Kept::new(open("/dev/null"));
        let fd = ours.get().unwrap().as_raw_fd();
        // SAFETY: nothing else uses these descriptors.
        let (host, taken) = unsafe {
            let host = open("/dev/zero").into_raw_fd();
            (host, libc::dup2(host, fd))
        };
        assert_eq!(taken, fd);
        assert!(ours.get().unwrap_err().to_string().contains("closed"));
        drop(ours);
        // SAFETY: no memory is involved; a closed descriptor is an error.
        assert!(unsafe { libc::fcntl(fd, libc::F_GETFD) } >= 0, "it is the host's");
        // SAFETY: nothing else uses these descriptors.
        unsafe {
            libc::close(fd);
            libc::close(host);
        }
    }
}
