//! Rejected: the store of items that the ingest refused, each with the answer beside it.
//!
//! A sled database that is open only while it is used, so that other processes can look into it and take
//! items out while the lane's owner runs: sled's own file lock keeps them apart.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use bincode::{Decode, Encode};

use super::segment::{guarded, id_of, key, sled_config};
use super::{dir, fragment};
use crate::error::{Error, ErrorKind, Result};

/// How long another process's use of the store is waited for.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest encoded item that is read back, a bound on what a damaged length can ask for.
const MAX_BYTES: usize = 2 << 30;

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

/// Why items are set aside together.
#[derive(Debug, Clone)]
pub(crate) struct Rejection {
    pub(crate) batch_id: String,
    pub(crate) status: u16,
    pub(crate) reason: String,
    pub(crate) answer: Vec<u8>,
}

/// The rejected store of one lane.
pub(crate) struct RejectedStore {
    lane: String,
    dir: PathBuf,
    /// Bytes on disk, as of the last use.
    disk_bytes: AtomicU64,
}

#[derive(Encode, Decode)]
struct Encoded {
    batch_id: String,
    status: u16,
    reason: String,
    answer: Vec<u8>,
    rejected_unix_ms: u64,
    key_name: String,
    json: Vec<u8>,
}

impl RejectedStore {
    pub(crate) fn new(lane: &str, dir: PathBuf) -> Self {
        let disk_bytes = AtomicU64::new(dir::tree_bytes(&dir));
        Self { lane: lane.to_owned(), dir, disk_bytes }
    }

    pub(crate) fn disk_bytes(&self) -> u64 {
        self.disk_bytes.load(Relaxed)
    }

    /// Sets the items (number, bytes) aside, durably. Setting one aside twice is the same as once.
    ///
    /// Returns how many older items had to leave because all together may take `max_bytes`.
    pub(crate) fn put(
        &self,
        items: &[(u64, &[u8])],
        key_name: &str,
        why: &Rejection,
        now_unix_ms: u64,
        max_bytes: u64,
    ) -> Result<u64> {
        let mut pieces = sled::Batch::default();
        let mut added = 0;
        for (number, json) in items {
            let encoded = Encoded {
                batch_id: why.batch_id.clone(),
                status: why.status,
                reason: why.reason.clone(),
                answer: why.answer.clone(),
                rejected_unix_ms: now_unix_ms,
                key_name: key_name.to_owned(),
                json: json.to_vec(),
            };
            let value = bincode::encode_to_vec(encoded, bincode::config::standard()).map_err(|e| {
                Error::new(
                    ErrorKind::Internal,
                    format!("cannot encode item {number} of lane {}: {e}", self.lane),
                )
            })?;
            added += value.len() as u64;
            for (index, bytes) in fragment::split(*number, &value).unwrap_or_default().into_iter().enumerate()
            {
                pieces.insert(&key(*number, index as u16), bytes);
            }
        }
        self.with(|db| {
            let newest = items.iter().map(|(number, _)| *number).max().unwrap_or(0);
            let evicted = evict(db, &mut pieces, max_bytes.saturating_sub(added), newest)?;
            db.apply_batch(pieces)?;
            Ok(evicted)
        })
    }

    /// The items, oldest first. What is damaged is left out.
    pub(crate) fn list(&self) -> Result<Vec<RejectedItem>> {
        if !self.dir.exists() {
            return Ok(Vec::new());
        }
        let found = self.with(|db| {
            let mut values: Vec<(u64, Vec<sled::IVec>)> = Vec::new();
            for entry in db.iter() {
                let (key, value) = entry?;
                let Some(number) = id_of(&key) else { continue };
                match values.last_mut() {
                    Some((last, pieces)) if *last == number => pieces.push(value),
                    _ => values.push((number, vec![value])),
                }
            }
            Ok(values)
        })?;
        Ok(found.into_iter().filter_map(|(number, pieces)| self.decode(number, &pieces)).collect())
    }

    /// Removes the items `numbers`, durably; the last one takes the store with it. Returns how many there were.
    pub(crate) fn remove(&self, numbers: &[u64]) -> Result<u64> {
        if !self.dir.exists() {
            return Ok(0);
        }
        let (removed, empty) = self.with(|db| {
            let mut pieces = sled::Batch::default();
            let mut removed = 0;
            for number in numbers {
                let keys: Vec<_> =
                    db.range(key(*number, 0)..=key(*number, u16::MAX)).keys().collect::<sled::Result<_>>()?;
                removed += u64::from(!keys.is_empty());
                keys.into_iter().for_each(|key| pieces.remove(key));
            }
            db.apply_batch(pieces)?;
            Ok((removed, db.is_empty()))
        })?;
        if empty {
            dir::remove(&self.dir)?;
        }
        self.disk_bytes.store(dir::tree_bytes(&self.dir), Relaxed);
        Ok(removed)
    }

    /// The number that `id` gives an item of this store.
    pub(crate) fn number_of(&self, id: &str) -> Option<u64> {
        id.strip_prefix(&self.lane)?.strip_prefix('-')?.parse().ok()
    }

    fn decode(&self, number: u64, pieces: &[sled::IVec]) -> Option<RejectedItem> {
        let value = fragment::join(number, pieces.iter().map(|piece| &piece[..])).ok()?;
        let config = bincode::config::standard().with_limit::<MAX_BYTES>();
        let (item, _): (Encoded, usize) = bincode::decode_from_slice(&value, config).ok()?;
        Some(RejectedItem {
            id: format!("{}-{number}", self.lane),
            batch_id: item.batch_id,
            status: item.status,
            reason: item.reason,
            answer: item.answer,
            rejected_unix_ms: item.rejected_unix_ms,
            key_name: item.key_name,
            json: item.json,
        })
    }

    /// Opens the store, runs `work`, brings what it did to stable storage and closes the store.
    fn with<T>(&self, work: impl FnOnce(&sled::Db) -> sled::Result<T>) -> Result<T> {
        let fresh = !self.dir.exists();
        dir::create(&self.dir)?;
        let db = self.open()?;
        let outcome = guarded(&self.dir, "use", || {
            let value = work(&db)?;
            db.flush()?;
            Ok(value)
        });
        let path = self.dir.join("db");
        let synced = File::open(&path)
            .and_then(|file| file.sync_data())
            .map_err(|e| Error::io(format!("bring {} to stable storage", path.display()), &e));
        drop(guarded(&self.dir, "close", || {
            drop(db);
            Ok(())
        }));
        let value = outcome?;
        synced?;
        if fresh {
            for path in [self.dir.join("conf"), self.dir.clone()]
                .iter()
                .chain(self.dir.parent().map(Path::to_path_buf).iter())
            {
                dir::sync(path)?;
            }
        }
        self.disk_bytes.store(dir::tree_bytes(&self.dir), Relaxed);
        Ok(value)
    }

    fn open(&self) -> Result<sled::Db> {
        let deadline = Instant::now() + LOCK_TIMEOUT;
        loop {
            let outcome = guarded(&self.dir, "open", || match sled_config(&self.dir).open() {
                Err(sled::Error::Io(e)) if is_lock_conflict(&e) => Ok(None),
                other => other.map(Some),
            });
            if let Some(db) = outcome? {
                return Ok(db);
            }
            if Instant::now() >= deadline {
                let what = format!("another process keeps the rejected store {} in use", self.dir.display());
                return Err(Error::new(ErrorKind::Locked, what));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Adds to `pieces` the removal of the oldest items, so that those left take `room` bytes at most.
/// Items from `newest` on stay: they are being set aside right now.
fn evict(db: &sled::Db, pieces: &mut sled::Batch, room: u64, newest: u64) -> sled::Result<u64> {
    let mut held = 0;
    for entry in db.iter() {
        held += entry?.1.len() as u64;
    }
    let mut evicted = 0;
    let mut last = None;
    for entry in db.iter() {
        let (key, value) = entry?;
        let Some(number) = id_of(&key) else { continue };
        if number >= newest || (held <= room && last != Some(number)) {
            break;
        }
        evicted += u64::from(last != Some(number));
        last = Some(number);
        held -= value.len() as u64;
        pieces.remove(key);
    }
    Ok(evicted)
}

/// sled wraps the lock's error in one of kind `Other`, with the text only.
fn is_lock_conflict(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::WouldBlock || error.to_string().contains("could not acquire lock")
}
