//! Rejected files: the folder of a lane's rejected items, as any process may read it and take items out.
//!
//! Items that were set aside together are one file, named after the first one's seq. It is written under another name
//! and then renamed. Who takes items out locks the folder meanwhile.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::time::{Duration, SystemTime};

use crate::config::Destination;
use crate::error::{Error, Result};
use crate::spool::format::fragment;
use crate::spool::format::seq_name::{seq_name, seq_of};
use crate::spool::held_path::{Access, HeldPath};
use crate::spool::journal::random;
use crate::spool::lane::lock::LaneLock;
use crate::spool::set_aside::rejection::{self, RejectedItem, Rejection, Summary, awaited_key};

/// How long another process may keep the folder before that is an error.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);
/// Two changes of a folder may have the same time when they are closer together than this.
const CLOCK_STEP: Duration = Duration::from_millis(50);
/// Extension of the name of a file that is being written.
const MAKING: &str = ".new";

/// The folder of one lane's rejected items.
pub(crate) struct RejectedFiles {
    lane: String,
    dir: HeldPath,
}

/// The folder and the time of its last change; all 0: there is none.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    inode: u64,
    secs: i64,
    nanos: i64,
}

impl Stamp {
    /// Whether any later change has another stamp.
    pub(crate) fn is_certain(&self) -> bool {
        let changed = SystemTime::UNIX_EPOCH
            + Duration::new(self.secs.try_into().unwrap_or(0), self.nanos.try_into().unwrap_or(0));
        SystemTime::now().duration_since(changed).is_ok_and(|age| age > CLOCK_STEP)
    }
}

/// What was taken out.
#[derive(Default)]
pub(crate) struct TakenOut {
    pub(crate) items: u64,
    /// The files that are gone, and what stands in the place of each, if something of it is left.
    pub(super) files: Vec<(u64, Option<u64>)>,
}

impl RejectedFiles {
    pub(crate) fn new(lane: &str, dir: HeldPath) -> Self {
        Self { lane: lane.to_owned(), dir }
    }

    pub(crate) fn lane(&self) -> &str {
        &self.lane
    }

    /// The folder of the lane.
    pub(crate) fn lane_dir(&self) -> Option<HeldPath> {
        self.dir.parent()
    }

    pub(super) fn dir(&self) -> &HeldPath {
        &self.dir
    }

    pub(crate) fn path(&self, first: u64) -> HeldPath {
        self.dir.join(seq_name(first))
    }

    /// The folder's stamp, and what it takes on disk itself.
    pub(crate) fn stamp(&self) -> Result<(Stamp, u64)> {
        match self.dir.stat() {
            Ok(stat) => {
                let stamp = Stamp { inode: stat.st_ino, secs: stat.st_mtime, nanos: stat.st_mtime_nsec };
                Ok((stamp, stat.st_blocks as u64 * 512))
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok((Stamp::default(), 0)),
            Err(e) => Err(Error::io(format!("look at {}", self.dir), e)),
        }
    }

    /// The seq after which each file is named, in order.
    pub(crate) fn firsts(&self) -> Result<Vec<u64>> {
        Ok(self.dir.names()?.iter().filter_map(|name| seq_of(name)).collect())
    }

    /// The items, oldest first, of a lane whose items go to `destination`. What is damaged or of another format version is
    /// left out. An error: a file can't be read now.
    pub(crate) fn list(&self, destination: &Destination) -> Result<Vec<RejectedItem>> {
        let groups = self.groups()?;
        Ok(groups.into_iter().flat_map(|group| group.into_items(&self.lane, destination)).collect())
    }

    /// Some item, if there is one. An error: none can be read now.
    pub(crate) fn any_item(&self) -> Result<Option<Vec<u8>>> {
        let mut outcome = Ok(None);
        for first in self.firsts()? {
            match self.read(first) {
                Ok(Some(Rejection { items, .. })) if !items.is_empty() => {
                    return Ok(items.into_iter().next().map(|(_, item)| item));
                }
                Ok(_) => {}
                Err(why) => outcome = Err(why),
            }
        }
        outcome
    }

    /// The seqs of all items. An error: a file can't be read now.
    pub(crate) fn seqs(&self) -> Result<BTreeSet<u64>> {
        Ok(self.groups()?.into_iter().flat_map(|group| group.items).map(|(seq, _)| seq).collect())
    }

    fn groups(&self) -> Result<Vec<Rejection>> {
        self.firsts()?.into_iter().filter_map(|first| self.read(first).transpose()).collect()
    }

    /// The files that were read and hold no group. An error: one can't be read now.
    pub(crate) fn damaged(&self) -> Result<Vec<u64>> {
        let damaged = |first: &u64| self.is_damaged(*first).map(|it| it.then_some(*first)).transpose();
        self.firsts()?.iter().filter_map(damaged).collect()
    }

    /// Whether the file `first` was read and holds no group. An error: it can't be read now.
    pub(crate) fn is_damaged(&self, first: u64) -> Result<bool> {
        Ok(self.read(first)?.is_none() && self.path(first).is_file().unwrap_or(false))
    }

    /// How many groups wait for their key, or may, since they can't be read now.
    pub(crate) fn held_batches(&self) -> Result<u64> {
        Ok(self.groups_for(|reason| awaited_key(reason).is_some())?.len() as u64)
    }

    /// The groups that were set aside for a reason that is `wanted`, and those that can't be read now.
    pub(crate) fn groups_for(&self, wanted: impl Fn(&str) -> bool) -> Result<Vec<u64>> {
        let mut firsts = self.firsts()?;
        firsts.retain(|first| {
            self.summary(*first).map_or(true, |summary| summary.is_some_and(|it| wanted(&it.reason)))
        });
        Ok(firsts)
    }

    /// The group in the file `first`; `None`: the file is damaged or gone. An error: it can't be read now.
    ///
    /// In a file that came from another lane the items have other seqs, as far apart.
    pub(crate) fn read(&self, first: u64) -> Result<Option<Rejection>> {
        let mut group = rejection::decode(&self.begin(first, u64::MAX)?);
        group.iter_mut().for_each(|group| group.renumber(first));
        Ok(group)
    }

    /// What the file `first` says before its items; `None` and errors as above.
    pub(super) fn summary(&self, first: u64) -> Result<Option<Summary>> {
        Ok(rejection::summary(&self.begin(first, fragment::MAX_FRAGMENT_BYTES as u64)?))
    }

    /// At most so many bytes of the file `first`; one that is gone has none.
    fn begin(&self, first: u64, most: u64) -> Result<Vec<u8>> {
        let (path, mut bytes) = (self.path(first), Vec::new());
        match path.open_file(Access::Read).and_then(|file| file.take(most).read_to_end(&mut bytes)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::io(format!("read {path}"), e)),
            _ => Ok(bytes),
        }
    }

    /// Writes a file, durably. Returns how many bytes it takes on disk.
    pub(super) fn write(&self, first: u64, bytes: &[u8]) -> Result<u64> {
        // No other process writes to a file of this name, whatever it does with the group.
        let fresh = self.dir.join(format!("{}.{:016x}{MAKING}", seq_name(first), random()));
        let write = || -> io::Result<u64> {
            let mut file = fresh.open_file(Access::Create)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            let on_disk = fresh.bytes_on_disk();
            fresh.rename_only(&self.path(first))?;
            Ok(on_disk)
        };
        let on_disk = write().map_err(|e| {
            // A file cut short by a full disk takes room that is needed.
            drop(fresh.remove_file());
            Error::io(format!("write {fresh}"), e)
        })?;
        self.sync()?;
        Ok(on_disk)
    }

    /// Keeps other processes from taking items out as long as the lock is kept. `None`: the file system has no such
    /// locks, or there is no folder.
    pub(crate) fn lock(&self) -> Result<Option<LaneLock>> {
        LaneLock::wait_for_folder(&self.dir, LOCK_TIMEOUT)
    }

    /// Removes the items that are `wanted` from `groups`, which were read from these files, durably. The caller has the
    /// lock.
    pub(crate) fn take_out(
        &self,
        groups: impl IntoIterator<Item = Result<(u64, Rejection)>>,
        wanted: impl Fn(u64) -> bool,
    ) -> Result<TakenOut> {
        let mut taken = TakenOut::default();
        for group in groups {
            let (first, mut group) = group?;
            let before = group.items.len();
            group.items.retain(|(seq, _)| !wanted(*seq));
            if group.items.len() == before {
                continue;
            }
            // The new file stands before the old one goes: an item is there twice rather than not at all.
            let rest = group.first();
            if let Some(rest) = rest {
                self.write(rest, &rejection::encode(rest, &group)?)?;
            }
            if rest != Some(first) {
                self.path(first).remove_file()?;
            }
            taken.items += (before - group.items.len()) as u64;
            taken.files.push((first, rest));
        }
        if !taken.files.is_empty() {
            self.sync()?;
        }
        Ok(taken)
    }

    /// Removes the items that are `wanted`, durably. Returns how many there were.
    pub(crate) fn purge(&self, wanted: impl Fn(u64) -> bool) -> Result<u64> {
        let _lock = self.lock()?;
        let group = |first| self.read(first).map(|group| group.map(|group| (first, group))).transpose();
        Ok(self.take_out(self.firsts()?.into_iter().filter_map(group), wanted)?.items)
    }

    /// Removes the files that somebody who died has not finished. While another process takes items out, none is.
    pub(super) fn remove_unfinished(&self) -> Result<()> {
        let names = self.dir.names()?;
        let unfinished: Vec<&String> = names.iter().filter(|name| name.ends_with(MAKING)).collect();
        if unfinished.is_empty() {
            return Ok(());
        }
        let Ok(_lock) = LaneLock::wait_for_folder(&self.dir, Duration::ZERO) else { return Ok(()) };
        unfinished.into_iter().try_for_each(|name| self.dir.join(name).remove_file())
    }

    pub(super) fn sync(&self) -> Result<()> {
        self.dir.sync()
    }
}
