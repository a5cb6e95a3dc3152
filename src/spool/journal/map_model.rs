//! Map, as the models see it: a small ring of loom's atomics, and with each word a cell whose accesses loom checks.
//!
//! A payload is written and read by plain copies. The thread that copies also touches the cells of the range, so loom
//! reports a copy that nothing orders after an earlier one of another thread. "Stable storage" is a second array of
//! words.

#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::fs::File;
use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use super::destination;
use super::primitives::AtomicU64;

pub(super) const HEADER_BYTES: u64 = 64 << 10;
/// The part of the header that is in use, besides the word that says that any client may deliver the items.
const HEADER_WORDS: usize = 128;
/// Three records with a payload of 24 bytes fill it.
const RING_BYTES: usize = 192;

pub(super) struct Map {
    header: Vec<AtomicU64>,
    ring: Vec<AtomicU64>,
    cells: Vec<loom::cell::UnsafeCell<()>>,
    /// The payloads: the ring twice, as it is mapped.
    bytes: UnsafeCell<Vec<u8>>,
    /// The words of the ring as they were when they were last synced.
    stable: std::sync::Mutex<Vec<u64>>,
    /// The words that a fresh file has on stable storage while the journal is being renewed.
    renewed: std::sync::Mutex<Option<Vec<u64>>>,
    /// Makes the next sync fail.
    pub(super) fails_once: AtomicBool,
    pub(super) syncs: AtomicUsize,
}

// SAFETY: loom runs one thread at a time, and the cells tell when the accesses of two are not in order.
unsafe impl Send for Map {}
// SAFETY: as above.
unsafe impl Sync for Map {}

impl Map {
    /// Whatever file and size are asked for.
    pub(super) fn new(_file: &File, _ring_bytes: u64, _writable: bool) -> io::Result<Self> {
        let words = |n| (0..n).map(|_| AtomicU64::new(0)).collect::<Vec<_>>();
        Ok(Self {
            header: words(HEADER_WORDS + 1),
            ring: words(RING_BYTES / 8),
            cells: (0..RING_BYTES / 8).map(|_| loom::cell::UnsafeCell::new(())).collect(),
            bytes: UnsafeCell::new(vec![0; 2 * RING_BYTES]),
            stable: std::sync::Mutex::new(vec![0; RING_BYTES / 8]),
            renewed: std::sync::Mutex::default(),
            fails_once: AtomicBool::new(false),
            syncs: AtomicUsize::new(0),
        })
    }

    pub(super) fn ring_bytes(&self) -> u64 {
        RING_BYTES as u64
    }

    /// From now on stable storage is the file that the ring was copied to.
    pub(super) fn change_file(&self, _file: &File) -> io::Result<()> {
        if let (Ok(mut stable), Ok(mut renewed)) = (self.stable.lock(), self.renewed.lock())
            && let Some(words) = renewed.take()
        {
            *stable = words;
        }
        Ok(())
    }

    /// Only the first copy of a renewal is synced; the second one just reaches the file.
    pub(super) fn copy_to(&self, _fresh: &Map) {
        let words = self.ring.iter().map(|word| word.load(Relaxed)).collect();
        if let Ok(mut renewed) = self.renewed.lock() {
            renewed.get_or_insert(words);
        }
    }

    pub(super) fn header_word(&self, offset: usize) -> &AtomicU64 {
        if offset == destination::AT_CHECK { &self.header[HEADER_WORDS] } else { &self.header[offset / 8] }
    }

    pub(super) fn slot(&self, pos: u64) -> Slot<'_> {
        Slot { map: self, pos }
    }

    pub(super) fn sync_ring(&self, _file: &File, from: u64, to: u64) -> io::Result<()> {
        self.syncs.fetch_add(1, Relaxed);
        // What others commit while the disk writes is not covered.
        let words: Vec<(usize, u64)> =
            Self::words(from, (to - from) as usize).map(|at| (at, self.ring[at].load(Relaxed))).collect();
        loom::thread::yield_now();
        if self.fails_once.swap(false, Relaxed) {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        if let Ok(mut stable) = self.stable.lock() {
            words.into_iter().for_each(|(at, word)| stable[at] = word);
        }
        Ok(())
    }

    pub(super) fn sync_header(&self, _file: &File) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn prefault(&self, _from: u64, _to: u64) {}

    /// The word at `pos` on stable storage.
    pub(super) fn stable_word(&self, pos: u64) -> u64 {
        self.stable.lock().map_or(0, |stable| stable[Self::index(pos)])
    }

    fn index(pos: u64) -> usize {
        pos as usize % RING_BYTES / 8
    }

    fn words(pos: u64, len: usize) -> impl Iterator<Item = usize> {
        let end = pos + len as u64;
        (pos / 8..end.div_ceil(8)).map(|word| Self::index(word * 8))
    }
}

#[derive(Clone, Copy)]
pub(super) struct Slot<'a> {
    map: &'a Map,
    pos: u64,
}

impl<'a> Slot<'a> {
    pub(super) fn word(&self, offset: usize) -> &'a AtomicU64 {
        &self.map.ring[Map::index(self.pos + offset as u64)]
    }

    pub(super) fn bytes(&self, offset: usize, len: usize) -> &'a [u8] {
        let pos = self.pos + offset as u64;
        for at in Map::words(pos, len) {
            self.map.cells[at].with(|_| ());
        }
        let from = pos as usize % RING_BYTES;
        // SAFETY: within the doubled ring; the cells have told loom of this read.
        unsafe { std::slice::from_raw_parts((*self.map.bytes.get()).as_ptr().add(from), len.min(RING_BYTES)) }
    }

    pub(super) fn write(&self, offset: usize, bytes: &[u8]) {
        let pos = self.pos + offset as u64;
        for at in Map::words(pos, bytes.len()) {
            self.map.cells[at].with_mut(|_| ());
        }
        for (i, byte) in bytes.iter().enumerate() {
            let at = (pos as usize + i) % RING_BYTES;
            // SAFETY: within the doubled ring; the cells have told loom of this write.
            unsafe {
                let ring = (*self.map.bytes.get()).as_mut_ptr();
                ring.add(at).write(*byte);
                ring.add(at + RING_BYTES).write(*byte);
            }
        }
    }
}

pub(super) fn preallocate(_file: &File, _bytes: u64) -> io::Result<()> {
    Ok(())
}

pub(super) fn write_zeros(_file: &File, _bytes: u64) -> io::Result<()> {
    Ok(())
}
