//! Folder: a folder that is held by its descriptor.

use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use rustix::fs::{Mode, OFlags};

use crate::error::{Error, Result};
use crate::os::descriptors::above_standard;
use crate::os::inode::Inode;
use crate::os::kept::Kept;
use crate::os::lock::Unpoison;

/// A folder that is the same one wherever it is moved.
pub(super) struct HeldFolder {
    /// Another one once the folder was recreated, or the host has closed this one.
    descriptor: RwLock<Descriptor>,
    /// Where it was found: for messages, and to see whether it still is there.
    path: PathBuf,
}

/// A descriptor of it.
#[derive(Clone)]
pub(super) struct Descriptor(Arc<Kept<OwnedFd>>);

/// What became of a held folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is where it was found.
    Here,
    /// It exists, and its name leads elsewhere or nowhere.
    Moved,
    /// It has no name any more: what is made in it is gone with the process.
    Deleted,
}

/// A path to a held folder's contents for code that takes nothing else. It is good as long as this lives.
pub(crate) struct Route {
    path: PathBuf,
    _descriptor: Descriptor,
}

impl HeldFolder {
    /// Holds the folder `path`, which may be reached through links.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let descriptor = above_standard(|| rustix::fs::open(path, flags, Mode::empty()))?;
        Ok(Self::new(descriptor, path.to_path_buf()))
    }

    /// `path`: where it was found.
    pub(super) fn new(descriptor: OwnedFd, path: PathBuf) -> Self {
        Self { descriptor: RwLock::new(Descriptor(Arc::new(Kept::new(descriptor)))), path }
    }

    /// The same folder, which is found at `path` by now.
    pub(super) fn found_at(&self, path: PathBuf) -> Self {
        Self { descriptor: RwLock::new(self.known_descriptor()), path }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Lets `other` take its place.
    pub(super) fn replace_with(&self, other: &Self) {
        *self.descriptor.write().unpoisoned() = other.known_descriptor();
    }

    /// Its descriptor. The host may have closed it, as a child of `fork` does with all that it inherited: then the folder
    /// is opened where it was found. Errors: it is not there.
    pub(super) fn descriptor(&self) -> io::Result<Descriptor> {
        let known = self.known_descriptor();
        let Err(closed) = known.0.get() else { return Ok(known) };
        let lost = |why: String| io::Error::other(format!("{closed}, and {} {why}", self.path.display()));
        let fresh = Self::open(&self.path).map_err(|e| lost(format!("can't be opened again: {e}")))?;
        if !fresh.known_descriptor().0.is_same(&known.0) {
            return Err(lost("is another folder by now".into()));
        }
        self.replace_with(&fresh);
        Ok(fresh.known_descriptor())
    }

    fn known_descriptor(&self) -> Descriptor {
        self.descriptor.read().unpoisoned().clone()
    }

    pub(super) fn standing(&self) -> Standing {
        let held = match self.descriptor().and_then(|held| Inode::of_named(held.as_fd())) {
            Ok(Some(held)) => held,
            Ok(None) => return Standing::Deleted,
            // It can't be known now.
            Err(_) => return Standing::Here,
        };
        match Inode::found_at(&self.path) {
            Ok(found) if found == held => Standing::Here,
            Ok(_) => Standing::Moved,
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Standing::Moved,
            Err(_) => Standing::Here,
        }
    }

    /// A path to what is `below` it.
    pub(super) fn route(&self, below: &Path) -> Result<Route> {
        let not_found = |e| Error::io(format!("find {}", self.path.display()), e);
        let descriptor = self.descriptor().map_err(not_found)?;
        let held = descriptor.as_fd().as_raw_fd();
        let inode = Inode::of(held).map_err(not_found)?;
        let roots = [PathBuf::from(format!("/proc/self/fd/{held}")), self.path.clone()];
        let leads_there = |root: &PathBuf| Inode::found_at(root).is_ok_and(|found| found == inode);
        let root = roots.into_iter().find(leads_there).ok_or_else(|| {
            let why = "its path does not lead there (it was moved, or this process has another root), and there is no /proc \
                       to reach it by";
            not_found(io::Error::new(ErrorKind::NotFound, why))
        })?;
        Ok(Route { path: root.join(below), _descriptor: descriptor })
    }
}

impl AsFd for Descriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.unchecked().as_fd()
    }
}

impl Route {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// This process's open descriptors of files there. Known on Linux only.
    pub(crate) fn descriptors(&self) -> Vec<RawFd> {
        let Ok(dir) = self.path.canonicalize() else { return Vec::new() };
        let Ok(entries) = std::fs::read_dir("/proc/self/fd") else { return Vec::new() };
        entries
            .flatten()
            .filter(|entry| std::fs::read_link(entry.path()).is_ok_and(|target| target.starts_with(&dir)))
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect()
    }
}
