//! File functions of the spool: what they make is private, and durable as soon as it is made.

use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::fd::RawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use crate::error::{Error, Result};

/// Makes `dir` and those above it, where absent, for our user only, whatever the umask.
pub(crate) fn create(dir: &Path) -> Result<()> {
    create_all(dir).map_err(|e| Error::io(format!("make the folder {}", dir.display()), e))
}

fn create_all(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(above) = dir.parent().filter(|above| !above.as_os_str().is_empty()) {
        create_all(above)?;
    }
    match std::fs::create_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
        Err(e) => Err(e),
        Ok(()) => {
            std::fs::set_permissions(dir, Permissions::from_mode(0o700))?;
            let above = dir.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
            File::open(above)?.sync_all()
        }
    }
}

/// Opens a file as `options` say, not through a link, for our user only, whatever the umask.
pub(crate) fn open_private(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let file = options.mode(0o600).custom_flags(libc::O_NOFOLLOW).open(path)?;
    if file.metadata()?.mode() & 0o777 != 0o600 {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

/// Makes the files in `dir` our user's only: sled makes them as the umask says.
pub(crate) fn make_private(dir: &Path) -> Result<()> {
    for name in names(dir)? {
        let path = dir.join(name);
        let mode = if path.is_dir() { 0o700 } else { 0o600 };
        std::fs::set_permissions(&path, Permissions::from_mode(mode))
            .map_err(|e| Error::io(format!("change the mode of {}", path.display()), e))?;
    }
    Ok(())
}

/// Brings a file's or folder's own entry to stable storage.
pub(crate) fn sync(path: &Path) -> Result<()> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(|e| Error::io(format!("bring {} to stable storage", path.display()), e))
}

/// Renames `from` to `to`, durably; both are in folders that exist.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<()> {
    std::fs::rename(from, to)
        .map_err(|e| Error::io(format!("rename {} to {}", from.display(), to.display()), e))?;
    for dir in to.ancestors().skip(1).take(3).filter(|dir| !dir.as_os_str().is_empty()) {
        sync(dir)?;
    }
    Ok(())
}

/// Removes `dir` and all in it; one that is gone already is no error.
pub(crate) fn remove(dir: &Path) -> Result<()> {
    match std::fs::remove_dir_all(dir) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(Error::io(format!("remove {}", dir.display()), e))
        }
        _ => Ok(()),
    }
}

/// Removes the file `path`; one that is gone already is no error.
pub(crate) fn remove_file(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(Error::io(format!("remove {}", path.display()), e))
        }
        _ => Ok(()),
    }
}

/// Names of the entries of `dir`, sorted; none when it is absent.
pub(crate) fn names(dir: &Path) -> Result<Vec<String>> {
    let failed = |e: io::Error| Error::io(format!("list the folder {}", dir.display()), e);
    let entries = match std::fs::read_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(failed)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry.map_err(failed)?.file_name().to_string_lossy().into_owned());
    }
    names.sort_unstable();
    Ok(names)
}

/// The name of an entry whose first item is `seq`: names sort as seqs do.
pub(crate) fn seq_name(seq: u64) -> String {
    format!("{seq:020}")
}

/// The seq that an entry was named after.
pub(crate) fn seq_of(name: &str) -> Option<u64> {
    (name.len() == 20).then(|| name.parse().ok()).flatten()
}

/// Bytes that a file takes on disk: a sparse file takes less than its length.
pub(crate) fn bytes_on_disk(metadata: &Metadata) -> u64 {
    metadata.blocks() * 512
}

/// Bytes that all files below `dir` take on disk.
pub(crate) fn tree_bytes(dir: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(m) if m.is_dir() => tree_bytes(&entry.path()),
            Ok(m) => bytes_on_disk(&m),
            Err(_) => 0,
        })
        .sum()
}

/// This process's open descriptors of files below `dir`. Known on Linux only.
pub(crate) fn descriptors_below(dir: &Path) -> Vec<RawFd> {
    let Ok(dir) = dir.canonicalize() else { return Vec::new() };
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else { return Vec::new() };
    entries
        .flatten()
        .filter(|entry| std::fs::read_link(entry.path()).is_ok_and(|target| target.starts_with(&dir)))
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}
