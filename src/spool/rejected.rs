//! Rejected: the store of items that the ingest refused, each with the answer beside it.
//!
//! One file a group of items that were set aside together, named after the first one's number, written under
//! another name first and then renamed: any process may list it, and take items out, while the lane's owner runs.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use bincode::{Decode, Encode};

use super::{dir, fragment};
use crate::error::{Error, ErrorKind, Result};

/// An item that the ingest refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedItem {
    /// `<lane>-<number>`: names the item to `requeue` and `purge`.
    pub id: String,
    /// The id of the batch it was refused in.
    pub batch_id: String,
    /// The HTTP status, or 0 where there was none.
    pub status: u16,
    /// Why it is here: `refused`, `too_large`, `max_retries`, `no_key:<name>`.
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
    /// Number and bytes of each item, in order.
    pub(crate) items: Vec<(u64, Vec<u8>)>,
}

/// The rejected store of one lane.
pub(crate) struct RejectedStore {
    lane: String,
    dir: PathBuf,
    /// Bytes on disk, as of the last use.
    disk_bytes: AtomicU64,
}

impl RejectedStore {
    pub(crate) fn new(lane: &str, dir: PathBuf) -> Self {
        let disk_bytes = AtomicU64::new(dir::tree_bytes(&dir));
        Self { lane: lane.to_owned(), dir, disk_bytes }
    }

    pub(crate) fn disk_bytes(&self) -> u64 {
        self.disk_bytes.load(Relaxed)
    }

    /// Sets `rejection` aside, durably. Setting the same items aside twice is the same as once.
    ///
    /// Returns how many older items had to leave because all together may take `max_bytes`.
    pub(crate) fn put(&self, rejection: &Rejection, max_bytes: u64) -> Result<u64> {
        let Some((first, _)) = rejection.items.first() else { return Ok(0) };
        dir::create(&self.dir)?;
        self.write(*first, rejection)?;
        let evicted = self.evict(*first, max_bytes)?;
        self.count_disk();
        Ok(evicted)
    }

    /// Takes over a group of another lane's store, as `put`; its items get numbers that no item of this lane has.
    pub(crate) fn adopt(&self, mut group: Rejection, max_bytes: u64) -> Result<u64> {
        let last = self.firsts()?.last().and_then(|first| self.read(*first));
        let behind_last = last.and_then(|group| group.items.last().map(|(number, _)| number + 1));
        for ((number, _), fresh) in group.items.iter_mut().zip(behind_last.unwrap_or(0).max(ADOPTED_FROM)..) {
            *number = fresh;
        }
        self.put(&group, max_bytes)
    }

    /// The groups, oldest first. What is damaged or of another format version is left out.
    pub(crate) fn groups(&self) -> Result<Vec<Rejection>> {
        Ok(self.firsts()?.into_iter().filter_map(|first| self.read(first)).collect())
    }

    /// The items, oldest first.
    pub(crate) fn list(&self) -> Result<Vec<RejectedItem>> {
        Ok(self.groups()?.into_iter().flat_map(|group| self.items_of(group)).collect())
    }

    /// Removes the items `numbers`, durably. Returns how many there were.
    pub(crate) fn remove(&self, numbers: &[u64]) -> Result<u64> {
        let mut removed = 0;
        for first in self.firsts()? {
            let Some(mut group) = self.read(first) else { continue };
            let before = group.items.len();
            group.items.retain(|(number, _)| !numbers.contains(number));
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
        self.count_disk();
        Ok(removed)
    }

    /// The number that `id` gives an item of this store.
    pub(crate) fn number_of(&self, id: &str) -> Option<u64> {
        id.strip_prefix(&self.lane)?.strip_prefix('-')?.parse().ok()
    }

    /// Removes the oldest groups until what is left takes `max_bytes`; the group `kept` stays.
    fn evict(&self, kept: u64, max_bytes: u64) -> Result<u64> {
        let mut held = dir::tree_bytes(&self.dir);
        let mut evicted = 0;
        for first in self.firsts()? {
            if held <= max_bytes {
                break;
            }
            if first != kept {
                held -= fs::metadata(self.path(first)).map_or(0, |m| dir::bytes_on_disk(&m)).min(held);
                evicted += self.read(first).map_or(0, |group| group.items.len() as u64);
                self.unlink(first)?;
            }
        }
        Ok(evicted)
    }

    fn items_of(&self, group: Rejection) -> Vec<RejectedItem> {
        let item = |(number, json)| RejectedItem {
            id: format!("{}-{number}", self.lane),
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
            let mut options = fs::OpenOptions::new();
            let mut file = dir::open_private(&fresh, options.write(true).create(true).truncate(true))?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            fs::rename(&fresh, self.path(first))
        };
        write().map_err(|e| {
            // A file cut short by a full disk takes room that is needed.
            drop(fs::remove_file(&fresh));
            Error::io(format!("write {}", fresh.display()), &e)
        })?;
        self.sync_dir()
    }

    fn read(&self, first: u64) -> Option<Rejection> {
        decode(first, &fs::read(self.path(first)).ok()?)
    }

    fn unlink(&self, first: u64) -> Result<()> {
        match fs::remove_file(self.path(first)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Err(Error::io(format!("remove {}", self.path(first).display()), &e))
            }
            _ => self.sync_dir(),
        }
    }

    fn sync_dir(&self) -> Result<()> {
        dir::sync(&self.dir)?;
        self.dir.parent().map_or(Ok(()), dir::sync)
    }

    fn firsts(&self) -> Result<Vec<u64>> {
        Ok(dir::names(&self.dir)?.iter().filter_map(|name| dir::number_of(name)).collect())
    }

    fn path(&self, first: u64) -> PathBuf {
        self.dir.join(dir::numbered(first))
    }

    fn count_disk(&self) {
        self.disk_bytes.store(dir::tree_bytes(&self.dir), Relaxed);
    }
}

/// Numbers from here on are those of adopted items: a lane's own stay below it for centuries.
const ADOPTED_FROM: u64 = 1 << 48;

/// The longest encoded group that is read back, a bound on what a damaged length can ask for.
const MAX_BYTES: usize = 2 << 30;

/// A file's bytes: the group's bincode as fragments, one behind the other, as in a segment.
fn encode(first: u64, group: &Rejection) -> Result<Vec<u8>> {
    let failed =
        |what: String| Error::new(ErrorKind::Internal, format!("cannot encode item {first}: {what}"));
    let value =
        bincode::encode_to_vec(group, bincode::config::standard()).map_err(|e| failed(e.to_string()))?;
    fragment::split(first, &value)
        .map(|pieces| pieces.concat())
        .ok_or_else(|| failed("it is too long".into()))
}

fn decode(first: u64, bytes: &[u8]) -> Option<Rejection> {
    let value = fragment::join(first, fragment::cut(bytes)).ok()?;
    let config = bincode::config::standard().with_limit::<MAX_BYTES>();
    bincode::decode_from_slice(&value, config).ok().map(|(group, _)| group)
}
