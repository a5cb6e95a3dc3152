//! Resize: a journal that nobody uses moves into a file of another size.

use std::io;
use std::sync::atomic::Ordering::Relaxed;

use super::map::{self, HEADER_BYTES, Map};
use super::{HeaderCounter, Journal, header, ring_bytes_for, view};
use crate::error::{Error, Result};
use crate::spool::held_path::{Access, HeldPath};

impl Journal {
    /// Gives the journal `path` a file of `bytes` bytes in all (rounded down to what a ring can have), durably. The caller
    /// holds the lane's lock. `prewrite`: as for `create`.
    ///
    /// `false`: what it holds would fill more than half of that. One that can't be opened stays as it is. After an error
    /// it has its old size.
    pub(crate) fn resize(path: &HeldPath, bytes: u64, prewrite: bool) -> Result<bool> {
        let ring_bytes = ring_bytes_for(bytes);
        match view::map_file(path, false) {
            Ok(map) if map.ring_bytes() != ring_bytes => {}
            _ => return Ok(true),
        }
        let old = Self::open(path)?;
        let (from, to) = (old.checkpoint().head.pos, old.end_pos());
        if to - from > ring_bytes / 2 {
            return Ok(false);
        }
        let fresh = Self::path_of_new(path);
        let file_bytes = HEADER_BYTES + ring_bytes;
        let whole = || -> io::Result<()> {
            let file = fresh.open_file(Access::Create)?;
            map::preallocate(&file, file_bytes)?;
            if prewrite {
                map::write_zeros(&file, file_bytes)?;
            }
            let map = Map::new(&file, ring_bytes, true)?;
            copy(&old.map, &map, from, to);
            file.sync_all()
        };
        fresh.remove_file()?;
        whole().map_err(|e| {
            // What was begun must not stay on a disk that is full.
            drop(fresh.remove_file());
            Error::io(format!("write the journal {fresh} of {file_bytes} bytes"), e)
        })?;
        fresh.rename(path)?;
        Ok(true)
    }
}

/// Copies the header and the records from `from` to `to`.
fn copy(old: &Map, fresh: &Map, from: u64, to: u64) {
    for at in (0..HEADER_BYTES as usize).step_by(8) {
        fresh.header_word(at).store(old.header_word(at).load(Relaxed), Relaxed);
    }
    for pos in (from..to).step_by(8) {
        fresh.slot(pos).word(0).store(old.slot(pos).word(0).load(Relaxed), Relaxed);
    }
    header::note_ring_bytes(fresh);
    let counter = |counter: HeaderCounter| fresh.header_word(counter as usize);
    counter(HeaderCounter::Released).store(from, Relaxed);
    let taken = counter(HeaderCounter::DiskBytes).load(Relaxed);
    let without_ring = taken.saturating_sub(old.ring_bytes());
    counter(HeaderCounter::DiskBytes).store(without_ring + fresh.ring_bytes(), Relaxed);
}
