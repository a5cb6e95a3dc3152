//! Segment: one sled database with consecutive batches; bounded, and removed whole.
//!
//! sled 0.34 flushes to the page cache only, so durability is made here: `fdatasync` of its file after each
//! append, `fsync` of its folders when it is made. Nothing is ever deleted inside one: sled's file never shrinks.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard};

use crate::error::{Error, ErrorKind, Result};
use crate::os::descriptors::above_standard;
use crate::os::fork::{self, ClosedInChild};
use crate::os::kept::Kept;
use crate::os::lock::Unpoison;
use crate::os::thread;
use crate::spool::format::fragment;
use crate::spool::held_path::{Access, HeldPath, Route};

/// The file of a segment in which sled keeps the items.
pub(super) const DATABASE: &str = "db";
/// The largest of sled's own segments, for each [`Grain`].
pub(crate) const MAX_SLED_SEGMENT_BYTES: u64 = 4 << 20;
/// The smallest one.
const MIN_SLED_SEGMENT_BYTES: u64 = 512 << 10;
/// sled's own segments take one part of as many of a small spool.
const SLED_SEGMENT_SHARE: u64 = 32;
/// Reads go once through a segment, in order: a cache is of little use.
const SLED_CACHE_BYTES: u64 = 8 << 20;

/// Trees of a long value after which sled writes what it has.
const FLUSHED_TREES: usize = 8;

/// In what pieces sled takes disk: it writes in segments of its own, all of one size.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grain {
    sled_segment_bytes: u64,
}

impl Grain {
    /// For a spool of `max_spool_bytes`.
    pub(crate) fn of(max_spool_bytes: u64) -> Self {
        let share = max_spool_bytes / SLED_SEGMENT_SHARE;
        let share = share.clamp(MIN_SLED_SEGMENT_BYTES, MAX_SLED_SEGMENT_BYTES);
        // sled takes powers of two.
        Self { sled_segment_bytes: 1 << share.ilog2() }
    }

    pub(crate) fn sled_segment_bytes(self) -> u64 {
        self.sled_segment_bytes
    }

    /// Fragments in one sled tree. A tree's page is written again, values and all, with its tenth change and when it
    /// is split; trees that stay below that write every byte once, where one tree for all writes it 2.4 times. A page over
    /// a quarter of sled's segment would become a blob file, which sled never syncs.
    fn tree_fragments(self) -> usize {
        (self.sled_segment_bytes / MIN_SLED_SEGMENT_BYTES) as usize
    }
}

/// The generation of processes that uses sled, plus one; 0 before anyone does.
static USED_BY: AtomicU64 = AtomicU64::new(0);

/// Claims sled for this process, if no process that it was forked from did so; returns whether it can write segments.
///
/// sled hands its work to threads that it starts once. In the child of a process that used sled they are gone, and
/// every call would wait for them for ever.
pub(crate) fn claim_sled() -> bool {
    let me = fork::generation() + 1;
    USED_BY.compare_exchange(0, me, Relaxed, Relaxed).map_or_else(|user| user == me, |_| true)
}

/// A segment that is being written.
pub(crate) struct Segment {
    dir: HeldPath,
    grain: Grain,
    /// `None` only while it is dropped.
    db: Option<sled::Db>,
    /// The trees by the key of their first fragment, which is their name.
    trees: Mutex<BTreeMap<[u8; KEY_BYTES], sled::Tree>>,
    file: Kept<File>,
    /// Where sled finds its files.
    _route: Route,
    /// sled locks its file; a child of `fork` must not keep that lock. `None` only while it is dropped.
    closed_in_child: Option<ClosedInChild>,
}

const KEY_BYTES: usize = 10;

impl Segment {
    /// Makes the segment `dir`, durably, once `pool` has found sled's threads. sled never opens one that is there: see `scan`.
    pub(crate) fn create(dir: &HeldPath, grain: Grain) -> Result<Self> {
        if !claim_sled() {
            let what = "this process was forked from one that had segments in use: it can't make any itself";
            return Err(Error::new(ErrorKind::Io, format!("cannot make the segment {dir}: {what}")));
        }
        dir.parent().map_or(Ok(()), |above| above.create())?;
        dir.create()?;
        let segment = fork::exclude(|| Self::open_new(dir, grain))?;
        dir.join("conf").sync_file()?;
        dir.sync()?;
        dir.parent().map_or(Ok(()), |above| above.sync())?;
        Ok(segment)
    }

    fn open_new(dir: &HeldPath, grain: Grain) -> Result<Self> {
        let route = dir.route()?;
        let db = above_standard(|| {
            guarded(dir, "make", || sled_config(route.path(), grain.sled_segment_bytes).open())
        })?;
        dir.make_private()?;
        let path = dir.join(DATABASE);
        let file = path.open_file(Access::Read).map_err(|e| Error::io(format!("open {path}"), e))?;
        let closed_in_child = Some(ClosedInChild::new(route.descriptors()));
        Ok(Self {
            dir: dir.clone(),
            grain,
            db: Some(db),
            trees: Mutex::default(),
            file: Kept::new(file),
            _route: route,
            closed_in_child,
        })
    }

    /// Appends the values (id, bytes) and returns when they are on stable storage. Ids only grow.
    ///
    /// After an error the segment must not be appended to again; it may hold some of the values.
    pub(crate) fn append(&self, values: &[(u64, Vec<u8>)]) -> Result<()> {
        let mut split = Vec::with_capacity(values.len());
        for (id, value) in values {
            let pieces = fragment::split(*id, value).ok_or_else(|| {
                let what = format!("batch {id} of {} bytes is too long to store", value.len());
                Error::new(ErrorKind::Internal, what)
            })?;
            split.push((0..).zip(pieces).map(|(index, bytes)| (key(*id, index), bytes)));
        }
        // Made as they are written: those of a long item would take as much memory again.
        let mut fragments = split.into_iter().flatten();
        let db = self.db()?;
        let mut trees = self.lock_trees();
        self.check_descriptors()?;
        guarded(&self.dir, "write to", || {
            for tree_count in 1.. {
                let Some((first_key, bytes)) = fragments.next() else { break };
                let tree = db.open_tree(first_key)?;
                let mut pieces = sled::Batch::default();
                pieces.insert(&first_key, bytes);
                for (key, bytes) in fragments.by_ref().take(self.grain.tree_fragments() - 1) {
                    pieces.insert(&key, bytes);
                }
                tree.apply_batch(pieces)?;
                trees.insert(first_key, tree);
                if tree_count % FLUSHED_TREES == 0 {
                    // What is not in the file yet stays in memory.
                    db.flush()?;
                }
            }
            db.flush()
        })?;
        let sync = || self.file.get().and_then(|file| file.sync_data().map(|()| file));
        let file = sync().map_err(|e| Error::io(format!("bring {} to stable storage", self.dir), e))?;
        let path = self.dir.join(DATABASE);
        if path.leads_to(file) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Io, format!("{path} was removed or replaced while in use")))
    }

    /// The first value whose id is at least `from`: its id, and its bytes or what is wrong with them.
    pub(crate) fn read(&self, from: u64) -> Result<Option<(u64, Result<Vec<u8>>)>> {
        let from = key(from, 0);
        self.check_descriptors()?;
        let trees = self.lock_trees();
        let begin = trees.range(..=from).next_back().map_or(from, |(first_key, _)| *first_key);
        guarded(&self.dir, "read", || {
            let mut value: Option<(u64, Vec<sled::IVec>)> = None;
            for entry in trees.range(begin..).flat_map(|(_, tree)| tree.range(from..)) {
                let (key, bytes) = entry?;
                match (&mut value, id_of(&key)) {
                    (None, Some(id)) => value = Some((id, vec![bytes])),
                    (Some((id, pieces)), Some(next)) if *id == next => pieces.push(bytes),
                    _ => break,
                }
            }
            Ok(value.map(|(id, pieces)| {
                let joined = fragment::join(id, pieces.iter().map(|piece| &piece[..]));
                (id, joined.map_err(|flaw| self.flawed(id, flaw)))
            }))
        })
    }

    /// Bytes that the segment's file takes on disk.
    pub(crate) fn disk_bytes(&self) -> u64 {
        self.file.get().and_then(File::metadata).map_or(0, |m| m.blocks() * 512)
    }

    /// An error: the host has closed a descriptor of sled's, which may be of a file of the host's by now.
    fn check_descriptors(&self) -> Result<()> {
        if self.are_descriptors_ours() {
            return Ok(());
        }
        let what = format!("the program closed descriptors of {}, which are this library's", self.dir);
        Err(Error::new(ErrorKind::Io, what))
    }

    fn are_descriptors_ours(&self) -> bool {
        self.file.is_ours() && self.closed_in_child.as_ref().is_none_or(ClosedInChild::are_ours)
    }

    fn lock_trees(&self) -> MutexGuard<'_, BTreeMap<[u8; KEY_BYTES], sled::Tree>> {
        self.trees.lock().unpoisoned()
    }

    fn db(&self) -> Result<&sled::Db> {
        self.db.as_ref().ok_or_else(|| Error::new(ErrorKind::Internal, "segment is closed"))
    }

    fn flawed(&self, id: u64, flaw: fragment::Flaw) -> Error {
        let what = match flaw {
            fragment::Flaw::Damaged => "its bytes are damaged".to_owned(),
            fragment::Flaw::Version(v) => {
                format!("it has format version {v}, which this release does not read")
            }
        };
        Error::new(ErrorKind::Corrupt, format!("batch {id} in {}: {what}", self.dir))
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        if !self.are_descriptors_ours() {
            // sled would write to what the host opened in their place.
            std::mem::forget((self.trees.get_mut().unpoisoned().split_off(&[0; KEY_BYTES]), self.db.take()));
        }
        // sled syncs once more as it closes, and panics when the disk fails it then.
        let trees = std::mem::take(self.trees.get_mut().unpoisoned());
        let db = self.db.take();
        fork::exclude(|| {
            let _ = catch_unwind(AssertUnwindSafe(|| drop((trees, db))));
            self.closed_in_child = None;
        });
    }
}

/// A database of no use but to see whether sled's threads write it; removed when dropped, which waits for them.
pub(super) struct Scratch {
    dir: HeldPath,
    /// `None` only while it is dropped.
    db: Option<sled::Db>,
    file: Kept<File>,
    /// Where sled finds its files.
    _route: Route,
    closed_in_child: Option<ClosedInChild>,
}

/// sled writes a scratch database each time that this much was put.
const SCRATCH_SEGMENT_BYTES: u64 = 4 << 10;
/// Less than a quarter of it: more would go to a file of its own, without a thread.
const SCRATCH_VALUE_BYTES: usize = 700;

impl Scratch {
    pub(super) fn create(dir: &HeldPath) -> Result<Self> {
        // What a crash left.
        Self::remove(dir)?;
        dir.create()?;
        fork::exclude(|| {
            let route = dir.route()?;
            let path = dir.join(DATABASE);
            let file = path.open_file(Access::Create).map_err(|e| Error::io(format!("make {path}"), e))?;
            let config = sled_config(route.path(), SCRATCH_SEGMENT_BYTES);
            let db = above_standard(|| guarded(dir, "make", || config.open()))?;
            // From here on no error is returned: it would drop the database, which waits for its threads.
            let closed_in_child = Some(ClosedInChild::new(route.descriptors()));
            Ok(Self { dir: dir.clone(), db: Some(db), file: Kept::new(file), _route: route, closed_in_child })
        })
    }

    pub(super) fn remove(dir: &HeldPath) -> Result<()> {
        // sled makes its folders as the umask says, which may keep us from what is in them.
        drop(dir.make_private());
        dir.remove()
    }

    /// Puts a value, and waits for no thread. One that equals the last one would be no work.
    pub(super) fn put(&self, byte: u8) -> Result<()> {
        let value = [byte; SCRATCH_VALUE_BYTES];
        let Some(db) = &self.db else { return Ok(()) };
        guarded(&self.dir, "write to", || db.insert([0], &value[..]).map(drop))
    }

    /// Whether a thread has written what was put.
    pub(super) fn is_written(&self) -> bool {
        self.file.get().and_then(File::metadata).is_ok_and(|file| file.len() > 0)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let db = self.db.take();
        fork::exclude(|| {
            let _ = catch_unwind(AssertUnwindSafe(|| drop(db)));
            self.closed_in_child = None;
        });
        // What stays is removed with the lane.
        drop(Self::remove(&self.dir));
    }
}

fn sled_config(dir: &Path, segment_bytes: u64) -> sled::Config {
    sled::Config::new()
        .path(dir)
        .segment_size(segment_bytes as usize)
        .cache_capacity(SLED_CACHE_BYTES)
        .flush_every_ms(None)
        .mode(sled::Mode::HighThroughput)
}

/// Runs `work` on the database in `dir`, turning sled's errors and panics into ours.
fn guarded<T>(dir: &HeldPath, doing: &str, work: impl FnOnce() -> sled::Result<T>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(|| thread::with_lazy_timers(work))) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(sled::Error::Io(error))) => Err(Error::io(format!("{doing} the segment {dir}"), error)),
        Ok(Err(error)) => {
            let kind = match error {
                sled::Error::Corruption { .. } => ErrorKind::Corrupt,
                _ => ErrorKind::Io,
            };
            let what = format!("cannot {doing} the segment {dir}: {error}");
            Err(Error::new(kind, what).caused_by(error))
        }
        Err(_) => {
            Err(Error::new(ErrorKind::Corrupt, format!("cannot {doing} the segment {dir}: it is damaged")))
        }
    }
}

/// Keys sort by id, then fragment.
fn key(id: u64, index: u16) -> [u8; KEY_BYTES] {
    let mut key = [0; KEY_BYTES];
    key[..8].copy_from_slice(&id.to_be_bytes());
    key[8..].copy_from_slice(&index.to_be_bytes());
    key
}

fn id_of(key: &[u8]) -> Option<u64> {
    key.first_chunk::<8>().map(|id| u64::from_be_bytes(*id))
}
