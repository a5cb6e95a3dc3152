//! Quarantine: damaged files, kept for a person or for a later release.

use std::io::Write;

use crate::error::{Error, Result};
use crate::spool::held_path::{Access, HeldPath};

/// A lane's folder of damaged files: its own, and those of lanes that it took over.
pub(crate) struct Quarantine {
    dir: HeldPath,
    /// All together take at most this; the oldest make room.
    max_bytes: u64,
}

impl Quarantine {
    /// The quarantine of the lane in `lane`.
    pub(crate) fn new(lane: &HeldPath, max_bytes: u64) -> Self {
        Self { dir: Self::dir_in(lane), max_bytes }
    }

    pub(crate) fn dir_in(lane: &HeldPath) -> HeldPath {
        lane.join("quarantine")
    }

    pub(crate) fn disk_bytes(&self) -> u64 {
        self.dir.bytes_on_disk()
    }

    /// Makes the folder, if there is none: a full disk may have no room for it later.
    pub(crate) fn make(&self) -> Result<()> {
        self.dir.create()
    }

    /// Moves the file or folder `path` here, durably. Returns where it is.
    pub(crate) fn keep(&self, path: &HeldPath, name: &str) -> Result<HeldPath> {
        self.dir.create()?;
        let kept = self.free_name(name);
        path.rename(&kept)?;
        self.make_room(&kept);
        Ok(kept)
    }

    /// Writes `bytes` into a file here, once for each name.
    pub(crate) fn keep_bytes(&self, bytes: &[u8], name: &str) -> Result<()> {
        self.dir.create()?;
        let path = self.dir.join(name);
        let written = path
            .open_file(Access::CreateOrEmpty)
            .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
        written.map_err(|e| Error::io(format!("write {path}"), e))?;
        self.make_room(&path);
        self.dir.sync()
    }

    /// Moves all that the lane in `other` has in quarantine here.
    pub(crate) fn take_over(&self, other: &HeldPath) -> Result<()> {
        let from = Self::dir_in(other);
        for name in from.names()? {
            self.keep(&from.join(&name), &name)?;
        }
        Ok(())
    }

    fn free_name(&self, name: &str) -> HeldPath {
        let with_count = (1..).map(|n| format!("{name}.{n}"));
        let mut names = std::iter::once(name.to_owned()).chain(with_count).map(|name| self.dir.join(name));
        names.find(|path| path.stat().is_err()).unwrap_or_else(|| self.dir.join(name))
    }

    /// Removes the oldest until all take `max_bytes`; `newest` stays.
    fn make_room(&self, newest: &HeldPath) {
        let newest = newest.path();
        let mut entries: Vec<_> = self.dir.names().unwrap_or_default();
        entries.retain(|name| self.dir.join(name).path() != newest);
        entries.sort_by_cached_key(|name| {
            self.dir.join(name).stat().ok().map(|stat| (stat.st_mtime, stat.st_mtime_nsec))
        });
        for name in entries {
            if self.disk_bytes() <= self.max_bytes {
                return;
            }
            // What can't be removed only takes room.
            let _ = self.dir.join(name).remove();
        }
    }
}
