//! Carve: whole records from the bytes of a journal whose header can't be relied on.

use std::io::{self, Read};

use crate::error::{Error, Result};
use crate::spool::checkpoint::Checkpoint;
use crate::spool::held_path::{Access, HeldPath};
use crate::spool::journal::header::{self, HeaderCounter};
use crate::spool::journal::map::HEADER_BYTES;
use crate::spool::journal::record::{CarvedRecord, MIN_BYTES};

/// No journal is longer, see the setting `journal_bytes`: what comes after was not written by one.
const MAX_BYTES: u64 = (1 << 30) + HEADER_BYTES;

/// The bytes of a journal's file.
pub(crate) struct CarvedJournal {
    bytes: Vec<u8>,
    /// It says that it is another lane's: then its checkpoint says nothing of this one.
    foreign: bool,
}

impl CarvedJournal {
    /// Reads the file `path`; one that is absent is empty.
    pub(crate) fn open(path: &HeldPath) -> Result<Self> {
        let mut bytes = Vec::new();
        match path.open_file(Access::Read).and_then(|file| file.take(MAX_BYTES).read_to_end(&mut bytes)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Err(Error::io(format!("read the journal {path}"), e))
            }
            _ => {
                let raw = Self { bytes, foreign: false };
                Ok(Self { foreign: !header::is_of_lane(|at| raw.word(at), &path.path()), ..raw })
            }
        }
    }

    /// The newest checkpoint, if one is whole.
    pub(crate) fn checkpoint(&self) -> Option<Checkpoint> {
        header::newest(|at| self.word(at)).filter(|_| !self.foreign)
    }

    pub(crate) fn counter(&self, counter: HeaderCounter) -> u64 {
        self.word(counter as usize)
    }

    /// The whole records from position `from_pos` on, by position.
    pub(crate) fn records(&self, from_pos: u64) -> Vec<CarvedRecord> {
        let mut ring = self.bytes.get(HEADER_BYTES as usize..).unwrap_or_default().to_vec();
        let ring_bytes = self.ring_bytes();
        // Twice, so that a record that runs over the ring's end is one slice.
        ring.resize(ring_bytes as usize, 0);
        ring.extend_from_within(..);
        let offsets = (0..ring_bytes as usize).step_by(8);
        let mut records: Vec<CarvedRecord> =
            offsets.filter_map(|at| CarvedRecord::find(&ring, at, ring_bytes)).collect();
        records.retain(|record| record.pos >= from_pos);
        records.sort_by_key(|record| record.pos);
        records
    }

    /// How many records the ring has room for.
    pub(crate) fn most_records(&self) -> u64 {
        self.ring_bytes() / MIN_BYTES
    }

    fn ring_bytes(&self) -> u64 {
        let in_file = (self.bytes.len() as u64).saturating_sub(HEADER_BYTES);
        let ring_bytes = header::ring_bytes_in(|at| self.word(at)).unwrap_or(in_file);
        ring_bytes.min(MAX_BYTES).next_multiple_of(HEADER_BYTES)
    }

    fn word(&self, at: usize) -> u64 {
        let word = self.bytes.get(at..).and_then(|rest| rest.first_chunk::<8>());
        word.map_or(0, |word| u64::from_ne_bytes(*word))
    }
}

/// The version of the format of the journal `path`, when what says so is whole and it is not this release's.
pub(crate) fn other_version(path: &HeldPath) -> Option<u64> {
    let mut start = Vec::new();
    path.open_file(Access::Read).and_then(|file| file.take(HEADER_BYTES).read_to_end(&mut start)).ok()?;
    let raw = CarvedJournal { bytes: start, foreign: false };
    header::version_in(|at| raw.word(at)).filter(|version| !header::is_read(*version))
}
