//! Index: what a lane's owner knows of its rejected files, so that no use of the store looks through the folder.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::spool::set_aside::rejected_files::{RejectedFiles, Stamp, TakenOut};
use crate::spool::set_aside::rejection::{ADOPTED_FROM, awaited_key};

/// What other processes took out is looked for at most this often.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// The groups of a rejected store.
#[derive(Default)]
pub(super) struct Index {
    groups: BTreeMap<u64, Group>,
    /// Groups whose file was not looked into yet.
    unread: BTreeSet<u64>,
    /// Groups whose file could not be read when it was last tried, and why.
    unreadable: BTreeMap<u64, Error>,
    /// How many of the others wait for their key.
    held: u64,
    /// Bytes on disk, those of the folder itself included.
    bytes: u64,
    folder_bytes: u64,
    /// `None`: the folder was never looked through.
    look: Option<Look>,
}

/// A group, as far as it is known.
#[derive(Default)]
pub(super) struct Group {
    pub(super) bytes: u64,
    /// How many items it has; 0 as long as its file was not looked into.
    pub(super) items: u64,
    /// The key that it waits for.
    pub(super) awaited: Option<String>,
}

/// A look through the folder.
struct Look {
    at: Instant,
    stamp: Stamp,
    /// A later change shows in the folder's stamp.
    is_certain: bool,
}

impl Index {
    pub(super) fn is_listed(&self) -> bool {
        self.look.is_some()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes + self.folder_bytes
    }

    pub(super) fn held(&self) -> u64 {
        self.held
    }

    /// Looks through the folder for the first time. The groups from `unsettled_from` on are of items that a death kept
    /// from being settled: they are removed, and so are files that nobody finished.
    pub(super) fn list_and_tidy(&mut self, files: &RejectedFiles, unsettled_from: u64) -> Result<()> {
        files.remove_unfinished()?;
        let mut firsts = files.firsts()?;
        firsts.retain(|first| (unsettled_from..ADOPTED_FROM).contains(first));
        firsts.iter().try_for_each(|first| files.path(*first).remove_file())?;
        if !firsts.is_empty() {
            // They must not be back after a power cut, when their items are settled.
            files.sync()?;
        }
        self.list(files)
    }

    /// Whether it is time to look again.
    pub(super) fn is_old(&self) -> bool {
        self.look.as_ref().is_some_and(|look| look.at.elapsed() >= LOOK_INTERVAL)
    }

    /// Looks through the folder again if it may have changed.
    pub(super) fn look_again(&mut self, files: &RejectedFiles) -> Result<()> {
        let (stamp, _) = files.stamp()?;
        match &mut self.look {
            Some(look) if look.is_certain && look.stamp == stamp => {
                look.at = Instant::now();
                Ok(())
            }
            _ => self.list(files),
        }
    }

    fn list(&mut self, files: &RejectedFiles) -> Result<()> {
        let (stamp, folder_bytes) = files.stamp()?;
        let is_certain = stamp.is_certain();
        let firsts: BTreeSet<u64> = files.firsts()?.into_iter().collect();
        let gone: Vec<u64> = self.groups.keys().filter(|first| !firsts.contains(first)).copied().collect();
        gone.into_iter().for_each(|first| self.forget(first));
        for first in firsts {
            if !self.groups.contains_key(&first) {
                self.insert(first, Group { bytes: files.path(first).bytes_on_disk(), ..Group::default() });
                self.unread.insert(first);
            }
        }
        self.folder_bytes = folder_bytes;
        self.look = Some(Look { at: Instant::now(), stamp, is_certain });
        Ok(())
    }

    /// Measures the folder itself, which grows with its names. If it can't be looked at, it counts as before.
    pub(super) fn measure_folder(&mut self, files: &RejectedFiles) {
        if let Ok((_, folder_bytes)) = files.stamp() {
            self.folder_bytes = folder_bytes;
        }
    }

    /// Looks into the file of a group that is not known yet. Returns whether there was one. One that can't be read now is
    /// left for later.
    pub(super) fn look_into_next(&mut self, files: &RejectedFiles) -> Result<bool> {
        let Some(first) = self.unread.pop_first() else { return Ok(false) };
        if let Err(why) = self.look_into(first, files) {
            self.unreadable.insert(first, why);
        }
        Ok(true)
    }

    /// Lets files that could not be read be looked into again.
    pub(super) fn try_again(&mut self) {
        self.unread.extend(std::mem::take(&mut self.unreadable).into_keys());
    }

    /// An error: when it was last tried, a file could not be read.
    pub(super) fn check_read(&self) -> Result<()> {
        self.unreadable.values().next().map_or(Ok(()), |why| Err(why.clone()))
    }

    fn look_into(&mut self, first: u64, files: &RejectedFiles) -> Result<()> {
        let Some(summary) = files.summary(first)? else { return Ok(()) };
        if summary.items > 1 && self.is_replaced(first, &summary.batch_id, files)? {
            files.path(first).remove_file()?;
            self.forget(first);
            return Ok(());
        }
        let Some(group) = self.groups.get_mut(&first) else { return Ok(()) };
        group.items = summary.items;
        group.awaited = awaited_key(&summary.reason).map(str::to_owned);
        self.held += u64::from(group.awaited.is_some());
        Ok(())
    }

    /// Whether what was to be left of the group `first` stands next to it: who took items out of it died before it was
    /// removed.
    fn is_replaced(&self, first: u64, batch_id: &str, files: &RejectedFiles) -> Result<bool> {
        let Some((next, _)) = self.groups.range(first + 1..).next() else { return Ok(false) };
        if files.summary(*next)?.is_none_or(|summary| summary.batch_id != batch_id) {
            return Ok(false);
        }
        let (rest, whole) = (files.read(*next)?, files.read(first)?);
        Ok(rest.zip(whole).is_some_and(|(rest, whole)| rest.is_rest_of(&whole)))
    }

    pub(super) fn insert(&mut self, first: u64, group: Group) {
        self.forget(first);
        self.bytes += group.bytes;
        self.held += u64::from(group.awaited.is_some());
        self.groups.insert(first, group);
    }

    fn forget(&mut self, first: u64) {
        self.unread.remove(&first);
        self.unreadable.remove(&first);
        if let Some(group) = self.groups.remove(&first) {
            self.bytes -= group.bytes;
            self.held -= u64::from(group.awaited.is_some());
        }
    }

    /// Notes what was taken out of the files.
    pub(super) fn note_taken(&mut self, taken: &TakenOut, files: &RejectedFiles) {
        for (first, rest) in &taken.files {
            self.forget(*first);
            if let Some(rest) = rest {
                self.insert(*rest, Group { bytes: files.path(*rest).bytes_on_disk(), ..Group::default() });
                self.unread.insert(*rest);
            }
        }
    }

    /// The first seq after those of all groups.
    pub(super) fn end(&self, files: &RejectedFiles) -> Result<u64> {
        let Some((last, _)) = self.groups.last_key_value() else { return Ok(0) };
        Ok(last + files.read(*last)?.map_or(1, |group| group.seqs()))
    }

    /// The groups that wait for a key that is `wanted`. All files were looked into.
    pub(super) fn awaiting(&self, wanted: impl Fn(&str) -> bool) -> Vec<u64> {
        let awaits = |group: &Group| group.awaited.as_deref().is_some_and(&wanted);
        self.groups.iter().filter(|(_, group)| awaits(group)).map(|(first, _)| *first).collect()
    }

    /// Removes the oldest groups until all take `most` bytes, but none from `kept` on and none that can't be read now,
    /// of which it is not known how many items they have. Adds to `evicted` how many items it removed, whatever the
    /// outcome. The folder is to be synced.
    pub(super) fn evict(
        &mut self,
        files: &RejectedFiles,
        most: u64,
        kept: u64,
        evicted: &mut u64,
    ) -> Result<()> {
        let mut from = 0;
        while self.bytes() > most {
            let Some((first, group)) = self.groups.range(from..kept).next() else { break };
            let (first, mut items) = (*first, group.items);
            from = first + 1;
            if items == 0 {
                let Ok(summary) = files.summary(first) else { continue };
                items = summary.map_or(0, |summary| summary.items);
            }
            // What another process took out is not counted as dropped.
            if files.path(first).exists().unwrap_or(true) {
                files.path(first).remove_file()?;
                *evicted += items;
            }
            self.forget(first);
        }
        Ok(())
    }
}
