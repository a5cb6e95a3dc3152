//! Rejected: the store of items that the ingest refused, each with the answer.
//!
//! Items that were set aside together are one file, named after the first one's seq. It is written under another name
//! and then renamed. Any process may list the store, and take items out, while the lane's owner runs.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use bincode::{Decode, Encode};

use crate::error::{Error, ErrorKind, Result};
use crate::os::lock::Unpoison;
use crate::spool::format::codec;
use crate::spool::format::fragment;
use crate::spool::format::seq_name::{seq_name, seq_of};
use crate::spool::held_path::{Access, HeldPath};

/// The reason of items that were set aside for want of a key; the key's name follows.
pub(crate) const NO_KEY: &str = "no_key:";

/// The reason of items that were set aside because the ingest refuses their key; the key's name follows.
pub(crate) const KEY_REFUSED: &str = "key_refused:";

/// The key that items wait for which were set aside for this reason, if they wait for one.
pub(crate) fn awaited_key(reason: &str) -> Option<&str> {
    reason.strip_prefix(NO_KEY).or_else(|| reason.strip_prefix(KEY_REFUSED))
}

/// An item that the ingest refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedItem {
    /// `<lane>-<seq>`: names the item to `requeue` and `purge`.
    pub id: String,
    /// The id of the batch it was refused in.
    pub batch_id: String,
    /// The HTTP status, or 0 where there was none.
    pub status: u16,
    /// Why it is here: `refused`, `too_large`, `max_retries`, `no_key:<name>`,
    /// `key_refused:<name>`.
    pub reason: String,
    /// The first bytes of the ingest's answer.
    pub answer: Vec<u8>,
    /// Unix time in milliseconds when it was set aside.
    pub rejected_unix_ms: u64,
    /// The name of the key it was to be sent with; empty for the default key.
    pub key_name: String,
    /// The item.
    pub json: Vec<u8>,
}

/// Items that were set aside together, and why.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Rejection {
    pub(crate) batch_id: String,
    pub(crate) status: u16,
    pub(crate) reason: String,
    pub(crate) answer: Vec<u8>,
    pub(crate) key_name: String,
    pub(crate) rejected_unix_ms: u64,
    /// Seq and bytes of each item, in order.
    pub(crate) items: Vec<(u64, Vec<u8>)>,
}

impl Rejection {
    /// Whether nothing can send these items once more by itself, in a lane whose cursor is `cursor`.
    pub(crate) fn is_settled(&self, cursor: u64) -> bool {
        self.items.first().is_none_or(|(first, _)| !(cursor..ADOPTED_FROM).contains(first))
    }
}

/// The rejected store of one lane.
pub(crate) struct RejectedStore {
    lane: String,
    dir: HeldPath,
    /// Bytes on disk, as of the last use.
    disk_bytes: AtomicU64,
    /// Whether each group waits for its key, as of the last use.
    held: Mutex<BTreeMap<u64, bool>>,
    /// How many groups wait for their key: the counters are read without waiting for a disk.
    held_batches: AtomicU64,
}

impl RejectedStore {
    pub(crate) fn new(lane: &str, dir: HeldPath) -> Self {
        let disk_bytes = AtomicU64::new(dir.bytes_on_disk());
        let (held, held_batches) = (Mutex::default(), AtomicU64::new(0));
        Self { lane: lane.to_owned(), dir, disk_bytes, held, held_batches }
    }

    pub(crate) fn disk_bytes(&self) -> u64 {
        self.disk_bytes.load(Relaxed)
    }

    /// The batches that wait for their key to be set, as of the last use by this process.
    pub(crate) fn held_batches(&self) -> u64 {
        self.held_batches.load(Relaxed)
    }

    /// Sets `rejection` aside, durably. Setting the same items aside twice is the same as once.
    ///
    /// Returns how many older items had to leave because all together may take `max_bytes`.
    pub(crate) fn put(&self, rejection: &Rejection, max_bytes: u64) -> Result<u64> {
        let Some((first, _)) = rejection.items.first() else { return Ok(0) };
        self.dir.create()?;
        self.write(*first, rejection)?;
        let evicted = self.evict(*first, max_bytes)?;
        self.recount();
        Ok(evicted)
    }

    /// Takes over the groups of another lane's store, durably; their items get seqs that no item of this lane has.
    ///
    /// Each file moves in one step: whenever the process dies, an item is in one of the stores and not in both. What
    /// can't be read stays. Returns how many items moved, and how many older ones had to leave because all together may
    /// take `max_bytes`.
    pub(crate) fn adopt(&self, drained: &Self, max_bytes: u64) -> Result<(u64, u64)> {
        let groups = drained.firsts()?;
        if groups.is_empty() {
            return Ok((0, 0));
        }
        self.dir.create()?;
        let last = self.firsts()?.last().map(|last| last + self.seqs_from(*last));
        let mut fresh = last.unwrap_or(0).max(ADOPTED_FROM);
        let (mut newest, mut moved) = (fresh, 0);
        for first in groups {
            let Some(group) = drained.read(first) else { continue };
            let (from, to) = (drained.path(first), self.path(fresh));
            match from.rename_only(&to) {
                // Somebody may have taken it out by hand just now.
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                other => other.map_err(|e| Error::io(format!("rename {from} to {to}"), e))?,
            }
            newest = fresh;
            moved += group.items.len() as u64;
            fresh += seqs_of(&group);
        }
        self.sync_dir()?;
        drained.sync_dir()?;
        let evicted = self.evict(newest, max_bytes)?;
        self.recount();
        Ok((moved, evicted))
    }

    /// Removes what a death left: files half written or half replaced, and items that it kept from being settled.
    /// These, from `cursor` on, are still on their way, and the next answer to them may be another one.
    pub(crate) fn tidy(&self, cursor: u64) -> Result<()> {
        for name in self.dir.names()?.iter().filter(|name| name.ends_with(".new")) {
            self.dir.join(name).remove_file()?;
        }
        let firsts = self.firsts()?;
        for (at, first) in firsts.iter().enumerate() {
            let is_unsettled = (cursor..ADOPTED_FROM).contains(first);
            // `remove` writes the new file first: where both stand, the old one was about to go.
            let is_replaced = || firsts.get(at + 1).is_some_and(|next| self.is_rest_of(*next, *first));
            if is_unsettled || is_replaced() {
                self.path(*first).remove_file()?;
            }
        }
        self.recount();
        Ok(())
    }

    /// The groups, oldest first. What is damaged or of another format version is left out.
    pub(crate) fn groups(&self) -> Result<Vec<Rejection>> {
        Ok(self.firsts()?.into_iter().filter_map(|first| self.read(first)).collect())
    }

    /// The items, oldest first.
    pub(crate) fn list(&self) -> Result<Vec<RejectedItem>> {
        Ok(self.groups()?.into_iter().flat_map(|group| self.items_of(group)).collect())
    }

    /// Removes the items `seqs`, durably. Returns how many there were.
    pub(crate) fn remove(&self, seqs: &[u64]) -> Result<u64> {
        let Some(last) = seqs.iter().max() else { return Ok(0) };
        let mut removed = 0;
        for first in self.firsts()?.into_iter().filter(|first| first <= last) {
            let Some(mut group) = self.read(first) else { continue };
            let before = group.items.len();
            group.items.retain(|(seq, _)| !seqs.contains(seq));
            let gone = (before - group.items.len()) as u64;
            if gone > 0 {
                // The new file stands before the old one goes: an item is there twice rather than not at all.
                if let Some((new_first, _)) = group.items.first() {
                    self.write(*new_first, &group)?;
                }
                if group.items.first().is_none_or(|(new_first, _)| *new_first != first) {
                    self.unlink(first)?;
                }
            }
            removed += gone;
        }
        self.recount();
        Ok(removed)
    }

    pub(crate) fn lane(&self) -> &str {
        &self.lane
    }

    /// The files in which no group can be read.
    pub(crate) fn damaged(&self) -> Result<Vec<u64>> {
        let mut firsts = self.firsts()?;
        firsts.retain(|first| self.read(*first).is_none() && self.path(*first).is_file());
        Ok(firsts)
    }

    /// The seq that `id` gives an item of this store.
    pub(crate) fn seq_of(&self, id: &str) -> Option<u64> {
        id.strip_prefix(&self.lane)?.strip_prefix('-')?.parse().ok()
    }

    /// Removes the oldest groups until what is left takes `max_bytes`; the group `kept` stays.
    fn evict(&self, kept: u64, max_bytes: u64) -> Result<u64> {
        let mut held = self.dir.bytes_on_disk();
        let mut evicted = 0;
        for first in self.firsts()? {
            if held <= max_bytes {
                break;
            }
            if first != kept {
                held -= self.path(first).bytes_on_disk().min(held);
                evicted += self.read(first).map_or(0, |group| group.items.len() as u64);
                self.unlink(first)?;
            }
        }
        Ok(evicted)
    }

    fn items_of(&self, group: Rejection) -> Vec<RejectedItem> {
        let item = |(seq, json)| RejectedItem {
            id: format!("{}-{seq}", self.lane),
            batch_id: group.batch_id.clone(),
            status: group.status,
            reason: group.reason.clone(),
            answer: group.answer.clone(),
            rejected_unix_ms: group.rejected_unix_ms,
            key_name: group.key_name.clone(),
            json,
        };
        group.items.into_iter().map(item).collect()
    }

    fn write(&self, first: u64, group: &Rejection) -> Result<()> {
        let bytes = encode(first, group)?;
        let fresh = self.dir.join(format!("{first:020}.new"));
        let write = || -> io::Result<()> {
            let mut file = fresh.open_file(Access::CreateOrEmpty)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            fresh.rename_only(&self.path(first))
        };
        write().map_err(|e| {
            // A file cut short by a full disk takes room that is needed.
            drop(fresh.remove_file());
            Error::io(format!("write {fresh}"), e)
        })?;
        self.sync_dir()
    }

    /// The group in the file `first`. In a file that came from another lane the items have other seqs, as far apart.
    fn read(&self, first: u64) -> Option<Rejection> {
        let mut group = decode(&self.path(first).read().ok()?)?;
        let written = group.items.first().map_or(first, |(seq, _)| *seq);
        for (seq, _) in &mut group.items {
            *seq = first + seq.saturating_sub(written);
        }
        Some(group)
    }

    /// How many seqs the group `first` takes up.
    fn seqs_from(&self, first: u64) -> u64 {
        self.read(first).map_or(1, |group| seqs_of(&group))
    }

    /// Whether the file `next` has what `remove` left of the file `first`.
    fn is_rest_of(&self, next: u64, first: u64) -> bool {
        let (Some(rest), Some(group)) = (self.read(next), self.read(first)) else { return false };
        rest.batch_id == group.batch_id && rest.items.iter().all(|item| group.items.contains(item))
    }

    pub(crate) fn unlink(&self, first: u64) -> Result<()> {
        self.path(first).remove_file()?;
        self.sync_dir()
    }

    fn sync_dir(&self) -> Result<()> {
        self.dir.sync()
    }

    pub(crate) fn firsts(&self) -> Result<Vec<u64>> {
        Ok(self.dir.names()?.iter().filter_map(|name| seq_of(name)).collect())
    }

    pub(crate) fn path(&self, first: u64) -> HeldPath {
        self.dir.join(seq_name(first))
    }

    /// Counts what is there now: another process may have taken groups out.
    pub(crate) fn recount(&self) {
        self.disk_bytes.store(self.dir.bytes_on_disk(), Relaxed);
        self.recount_held();
    }

    /// Counts the batches that wait for their key now.
    pub(crate) fn recount_held(&self) {
        let Ok(firsts) = self.firsts() else { return };
        let mut held = self.held.lock().unpoisoned();
        held.retain(|first, _| firsts.binary_search(first).is_ok());
        for first in firsts {
            held.entry(first)
                .or_insert_with(|| self.reason(first).is_some_and(|why| awaited_key(&why).is_some()));
        }
        self.held_batches.store(held.values().filter(|is_held| **is_held).count() as u64, Relaxed);
    }

    /// Why the group `first` was set aside, from the beginning of its file.
    fn reason(&self, first: u64) -> Option<String> {
        let mut begin = Vec::new();
        let file = self.path(first).open_file(Access::Read).ok()?;
        file.take(fragment::MAX_FRAGMENT_BYTES as u64).read_to_end(&mut begin).ok()?;
        let piece = fragment::Fragment::decode(&begin).ok()?;
        let (_batch_id, _status, reason): (String, u16, String) = codec::decode(piece.payload).ok()?;
        Some(reason)
    }
}

/// Seqs from here on are those of adopted items: a lane's own stay below for centuries.
const ADOPTED_FROM: u64 = 1 << 48;

/// How many seqs a group takes up.
fn seqs_of(group: &Rejection) -> u64 {
    match (group.items.first(), group.items.last()) {
        (Some((first, _)), Some((last, _))) => last + 1 - first,
        _ => 1,
    }
}

/// A file's bytes: the group's bincode as fragments, one after the other, as in a segment.
pub(crate) fn encode(first: u64, group: &Rejection) -> Result<Vec<u8>> {
    let failed =
        |what: String| Error::new(ErrorKind::Internal, format!("cannot encode item {first}: {what}"));
    let value = bincode::encode_to_vec(group, codec::ENCODING).map_err(|e| failed(e.to_string()))?;
    fragment::split(first, &value)
        .map(|pieces| pieces.concat())
        .ok_or_else(|| failed("it is too long".into()))
}

/// The group in a file's bytes, whatever lane it was written in.
pub(crate) fn decode(bytes: &[u8]) -> Option<Rejection> {
    let id = fragment::Fragment::decode(bytes).ok()?.id;
    let value = fragment::join(id, fragment::cut(bytes)).ok()?;
    codec::decode(&value).ok()
}
