//! Held path: a file or folder below a folder that is held by its descriptor.
//!
//! The names above the held folder are looked up once. A host that changes its directory, a folder that is renamed and
//! a link that is switched lead nowhere else: what is done is done in the folder that was opened. What is made here is
//! private, and durable as soon as it is made.

mod folder;

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};

use self::folder::{Descriptor, HeldFolder};
pub(crate) use self::folder::{Route, Standing};
use crate::error::{Error, ErrorKind, Result};
use crate::os::descriptors::above_standard;
use crate::os::inode::Inode;
use crate::os::process;

/// A file or folder below a held folder; the held folder itself when there is nothing below.
#[derive(Clone)]
pub(crate) struct HeldPath {
    held: Arc<HeldFolder>,
    below: PathBuf,
}

/// How a file is opened. It is never opened through a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
    /// Makes it; it must not be there.
    Create,
    /// Makes it or opens what is there.
    CreateOrOpen,
    /// Makes it or empties what is there.
    CreateOrEmpty,
}

impl HeldPath {
    /// Holds the folder `path`, which may be reached through links.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self::of(HeldFolder::open(path)?))
    }

    /// Makes the folder `path` and those above it, where absent, for our user only, and holds it.
    pub(crate) fn create_all(path: &Path) -> Result<Self> {
        make_all(path)
            .and_then(|()| Self::open(path))
            .map_err(|e| denied(format!("make the folder {}", path.display()), path, e))
    }

    /// Holds this folder, which is not reached through a link.
    pub(crate) fn hold(&self) -> io::Result<Self> {
        Ok(Self::of(HeldFolder::new(self.open_folder()?, self.path())))
    }

    /// The same held folder, which is found at `named` by now.
    pub(crate) fn found_at(&self, named: &Self) -> Self {
        Self { held: Arc::new(self.held.found_at(named.path())), below: self.below.clone() }
    }

    /// Lets everything that is below this held folder be below `other`, which took its place.
    pub(crate) fn replace_with(&self, other: &Self) {
        self.held.replace_with(&other.held);
    }

    /// The file or folder `path` in a folder that exists.
    #[cfg(any(fuzzing, test))]
    pub(crate) fn at(path: &Path) -> io::Result<Self> {
        let folder = path.parent().unwrap_or(Path::new("/"));
        Ok(Self::open(folder)?.join(path.file_name().unwrap_or_default()))
    }

    fn of(held: HeldFolder) -> Self {
        Self { held: Arc::new(held), below: PathBuf::new() }
    }

    fn descriptor(&self) -> io::Result<Descriptor> {
        self.held.descriptor()
    }

    /// What to look up from the held folder.
    fn name(&self) -> &Path {
        if self.is_held() { Path::new(".") } else { &self.below }
    }

    pub(crate) fn join(&self, name: impl AsRef<Path>) -> Self {
        Self { held: self.held.clone(), below: self.below.join(name) }
    }

    pub(crate) fn with_extension(&self, extension: &str) -> Self {
        Self { held: self.held.clone(), below: self.below.with_extension(extension) }
    }

    /// The folder that this is in; `None` for the held folder.
    pub(crate) fn parent(&self) -> Option<Self> {
        let parent = self.below.parent()?;
        Some(Self { held: self.held.clone(), below: parent.to_path_buf() })
    }

    /// Where it was found: for messages, and for its name.
    pub(crate) fn path(&self) -> PathBuf {
        if self.is_held() { self.held.path().to_path_buf() } else { self.held.path().join(&self.below) }
    }

    /// What is known of this, a link itself and not where it leads.
    pub(crate) fn stat(&self) -> io::Result<Stat> {
        Ok(rustix::fs::statat(self.descriptor()?, self.name(), AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Whether it is there. An error: that can't be known now.
    pub(crate) fn exists(&self) -> io::Result<bool> {
        match self.stat() {
            Ok(_) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Whether this is the held folder itself.
    pub(crate) fn is_held(&self) -> bool {
        self.below.as_os_str().is_empty()
    }

    /// What became of the held folder.
    pub(crate) fn standing(&self) -> Standing {
        self.held.standing()
    }

    /// A path for code that opens files by itself.
    pub(crate) fn route(&self) -> Result<Route> {
        self.held.route(&self.below)
    }

    /// Opens this file. What is made is for our user only, whatever the umask.
    pub(crate) fn open_file(&self, access: Access) -> io::Result<File> {
        let flags = match access {
            Access::Read => OFlags::RDONLY,
            Access::Write => OFlags::RDWR,
            Access::Create => OFlags::RDWR | OFlags::CREATE | OFlags::EXCL,
            Access::CreateOrOpen => OFlags::RDWR | OFlags::CREATE,
            Access::CreateOrEmpty => OFlags::RDWR | OFlags::CREATE | OFlags::TRUNC,
        };
        let private = Mode::RUSR | Mode::WUSR;
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = self.descriptor()?;
        let file = above_standard(|| rustix::fs::openat(folder, self.name(), flags, private))?;
        if access != Access::Read && Mode::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) != private {
            rustix::fs::fchmod(&file, private)?;
        }
        Ok(File::from(file))
    }

    /// Opens this folder, which is not reached through a link.
    pub(crate) fn open_folder(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = self.descriptor()?;
        Ok(above_standard(|| rustix::fs::openat(folder, self.name(), flags, Mode::empty()))?)
    }

    /// As `open_folder`, for a moment, with fewer system calls: what it opens may be a standard descriptor, and nobody can
    /// write to a folder.
    pub(crate) fn glance_at_folder(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(self.descriptor()?, self.name(), flags, Mode::empty())?)
    }

    /// Makes this folder where it is absent, for our user only, whatever the umask. The folder around it must exist.
    pub(crate) fn create(&self) -> Result<()> {
        let make = || -> io::Result<()> {
            match rustix::fs::mkdirat(self.descriptor()?, self.name(), Mode::RWXU) {
                Err(rustix::io::Errno::EXIST) => self.open_folder().map(drop),
                Err(e) => Err(e.into()),
                Ok(()) => {
                    rustix::fs::chmodat(self.descriptor()?, self.name(), Mode::RWXU, AtFlags::empty())?;
                    sync_folder(File::from(self.parent().unwrap_or_else(|| self.clone()).open_folder()?))
                }
            }
        };
        make().map_err(|e| Error::io(format!("make the folder {self}"), e))
    }

    /// Makes the files in this folder our user's only: sled makes them as the umask says.
    pub(crate) fn make_private(&self) -> Result<()> {
        for name in self.names()? {
            let entry = self.join(name);
            let mode = if entry.is_folder() { Mode::RWXU } else { Mode::RUSR | Mode::WUSR };
            self.descriptor()
                .and_then(|folder| Ok(rustix::fs::chmodat(folder, entry.name(), mode, AtFlags::empty())?))
                .map_err(|e| Error::io(format!("change the mode of {entry}"), e))?;
        }
        Ok(())
    }

    pub(crate) fn is_folder(&self) -> bool {
        self.stat().is_ok_and(|stat| is_folder(&stat))
    }

    /// Whether it is there, and a file. An error: that can't be known now.
    pub(crate) fn is_file(&self) -> io::Result<bool> {
        match self.stat() {
            Ok(stat) => Ok(FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Brings this folder's entries to stable storage.
    pub(crate) fn sync(&self) -> Result<()> {
        self.open_folder()
            .and_then(|folder| sync_folder(File::from(folder)))
            .map_err(|e| Error::io(format!("bring {self} to stable storage"), e))
    }

    /// Brings this file to stable storage.
    pub(crate) fn sync_file(&self) -> Result<()> {
        self.open_file(Access::Read)
            .and_then(|file| file.sync_all())
            .map_err(|e| Error::io(format!("bring {self} to stable storage"), e))
    }

    /// Renames this to `to`. It is durable once the folders of both are synced.
    pub(crate) fn rename_only(&self, to: &Self) -> io::Result<()> {
        Ok(rustix::fs::renameat(self.descriptor()?, self.name(), to.descriptor()?, to.name())?)
    }

    /// Renames this to `to`, durably.
    pub(crate) fn rename(&self, to: &Self) -> Result<()> {
        self.rename_only(to).map_err(|e| Error::io(format!("rename {self} to {to}"), e))?;
        let (left, reached) = (self.parent(), to.parent());
        reached.iter().try_for_each(Self::sync)?;
        left.iter()
            .filter(|left| Some(left.path()) != reached.as_ref().map(Self::path))
            .try_for_each(Self::sync)
    }

    /// Removes this file or folder with all that is in it; one that is gone already is no error.
    pub(crate) fn remove(&self) -> Result<()> {
        let failed = |e: io::Error| Error::io(format!("remove {self}"), e);
        match self.stat() {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(failed(e)),
            Ok(stat) if !is_folder(&stat) => self.unlink(AtFlags::empty()),
            Ok(_) => {
                self.names()?.iter().try_for_each(|name| self.join(name).remove())?;
                self.unlink(AtFlags::REMOVEDIR)
            }
        }
    }

    /// Whether this is the path of the open `file`, as far as that can be known now; not of one that was removed.
    pub(crate) fn leads_to(&self, file: &File) -> bool {
        match Inode::of_named(file.as_fd()) {
            Ok(held) => held.is_some_and(|held| self.is_path_to(held).unwrap_or(true)),
            Err(_) => true,
        }
    }

    /// Whether this is the path of the open `file`, which may be a folder. Errors: it can't be known now.
    pub(crate) fn is_path_of(&self, file: &File) -> io::Result<bool> {
        self.is_path_to(Inode::of(file.as_raw_fd())?)
    }

    fn is_path_to(&self, held: Inode) -> io::Result<bool> {
        match Inode::at(self.descriptor()?.as_fd(), self.name()) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            named => named.map(|named| named == held),
        }
    }

    /// Removes this file; one that is gone already is no error.
    pub(crate) fn remove_file(&self) -> Result<()> {
        self.unlink(AtFlags::empty())
    }

    /// Removes this folder if it is empty; one that is gone already is no error.
    pub(crate) fn remove_empty(&self) -> Result<()> {
        self.unlink(AtFlags::REMOVEDIR)
    }

    fn unlink(&self, flags: AtFlags) -> Result<()> {
        let unlinked =
            self.descriptor().and_then(|folder| Ok(rustix::fs::unlinkat(folder, self.name(), flags)?));
        match unlinked {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::io(format!("remove {self}"), e)),
            _ => Ok(()),
        }
    }

    /// Names of the entries of this folder, sorted; none when it is absent.
    pub(crate) fn names(&self) -> Result<Vec<String>> {
        let list = || -> io::Result<Vec<String>> {
            let mut names = Vec::new();
            for entry in Dir::new(self.open_folder()?)? {
                let name = entry?.file_name().to_string_lossy().into_owned();
                if name != "." && name != ".." {
                    names.push(name);
                }
            }
            names.sort_unstable();
            Ok(names)
        };
        match list() {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            other => other.map_err(|e| Error::io(format!("list the folder {self}"), e)),
        }
    }

    /// Bytes that this takes on disk, with all that is in it. What can't be looked at counts as nothing.
    pub(crate) fn bytes_on_disk(&self) -> u64 {
        match self.stat() {
            Ok(stat) if is_folder(&stat) => {
                self.names().unwrap_or_default().iter().map(|name| self.join(name).bytes_on_disk()).sum()
            }
            // A sparse file takes less than its length.
            Ok(stat) => stat.st_blocks as u64 * 512,
            Err(_) => 0,
        }
    }
}

impl fmt::Display for HeldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path().display().fmt(f)
    }
}

fn is_folder(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

/// An error met while doing `what`. Where another user has `path`, or the folder that it is in, it says so.
pub(crate) fn denied(what: String, path: &Path, error: io::Error) -> Error {
    let other_user = |path: &Path| {
        let stat = rustix::fs::stat(path).ok().filter(|stat| stat.st_uid != process::user_id())?;
        Some(format!("; {} {}", path.display(), process::not_ours(stat.st_uid, stat.st_gid)))
    };
    let is_denied = error.kind() == io::ErrorKind::PermissionDenied;
    let whose = path.ancestors().take(2).find_map(other_user).filter(|_| is_denied).unwrap_or_default();
    Error::new(ErrorKind::Io, format!("cannot {what}: {error}{whose}")).caused_by(error)
}

/// Syncs a folder. Some file systems do not know that call for folders: they have nothing to bring anywhere.
fn sync_folder(folder: File) -> io::Result<()> {
    match folder.sync_all() {
        Err(e) if matches!(e.raw_os_error(), Some(libc::EINVAL | libc::EOPNOTSUPP | libc::EBADF)) => Ok(()),
        other => other,
    }
}

/// Makes `dir` and the folders above it, where absent.
fn make_all(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let above = dir.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if above != dir {
        make_all(above)?;
    }
    match rustix::fs::mkdir(dir, Mode::RWXU) {
        Err(rustix::io::Errno::EXIST) if dir.is_dir() => Ok(()),
        Err(e) => Err(e.into()),
        Ok(()) => {
            rustix::fs::chmod(dir, Mode::RWXU)?;
            match above_standard(|| File::open(above)) {
                // A folder that may be searched and not read can't be synced by us.
                Err(e) if e.kind() == io::ErrorKind::PermissionDenied => Ok(()),
                above => sync_folder(above?),
            }
        }
    }
}
