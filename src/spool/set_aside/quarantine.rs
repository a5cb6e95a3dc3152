//! Quarantine: damaged files, kept for a person or for a later release.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::spool::fs;

/// A lane's folder of damaged files: its own, and those of lanes that it took over.
pub(crate) struct Quarantine {
    dir: PathBuf,
    /// All together take at most this; the oldest make room.
    max_bytes: u64,
}

impl Quarantine {
    /// The quarantine of the lane in `lane`.
    pub(crate) fn new(lane: &Path, max_bytes: u64) -> Self {
        Self { dir: Self::dir_in(lane), max_bytes }
    }

    pub(crate) fn dir_in(lane: &Path) -> PathBuf {
        lane.join("quarantine")
    }

    pub(crate) fn disk_bytes(&self) -> u64 {
        fs::tree_bytes(&self.dir)
    }

    /// Moves the file or folder `path` here, durably. Returns where it is.
    pub(crate) fn keep(&self, path: &Path, name: &str) -> Result<PathBuf> {
        fs::create(&self.dir)?;
        let kept = self.free_name(name);
        fs::rename(path, &kept)?;
        if let Some(left) = path.parent() {
            fs::sync(left)?;
        }
        self.make_room(&kept);
        Ok(kept)
    }

    /// Writes `bytes` into a file here, once for each name.
    pub(crate) fn keep_bytes(&self, bytes: &[u8], name: &str) -> Result<()> {
        fs::create(&self.dir)?;
        let path = self.dir.join(name);
        let written = fs::open_private(&path, OpenOptions::new().write(true).create(true).truncate(true))
            .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
        written.map_err(|e| Error::io(format!("write {}", path.display()), e))?;
        self.make_room(&path);
        fs::sync(&self.dir)
    }

    /// Moves all that the lane in `other` has in quarantine here.
    pub(crate) fn take_over(&self, other: &Path) -> Result<()> {
        let from = Self::dir_in(other);
        for name in fs::names(&from)? {
            self.keep(&from.join(&name), &name)?;
        }
        Ok(())
    }

    fn free_name(&self, name: &str) -> PathBuf {
        let with_count = (1..).map(|n| format!("{name}.{n}"));
        let mut names = std::iter::once(name.to_owned()).chain(with_count).map(|name| self.dir.join(name));
        names.find(|path| std::fs::symlink_metadata(path).is_err()).unwrap_or_else(|| self.dir.join(name))
    }

    /// Removes the oldest until all take `max_bytes`; `newest` stays.
    fn make_room(&self, newest: &Path) {
        let mut entries: Vec<_> = fs::names(&self.dir)
            .unwrap_or_default()
            .iter()
            .map(|name| self.dir.join(name))
            .filter(|path| path != newest)
            .map(|path| (std::fs::metadata(&path).and_then(|m| m.modified()).ok(), path))
            .collect();
        entries.sort_unstable();
        for (_, path) in entries {
            if self.disk_bytes() <= self.max_bytes {
                return;
            }
            // What can't be removed only takes room.
            let _ = if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        }
    }
}
