//! Carve: whole records from the bytes of a journal whose header can't be relied on.
//!
//! The file is read in windows, and each record when it is asked for: a journal may be as large as the memory.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use crate::error::{Error, Result};
use crate::spool::checkpoint::Checkpoint;
use crate::spool::held_path::{Access, HeldPath};
use crate::spool::journal::header::{self, HeaderCounter};
use crate::spool::journal::map::HEADER_BYTES;
use crate::spool::journal::record::{CarvedFrame, CarvedRecord, MIN_BYTES};

/// No journal is longer, see the setting `journal_bytes`: what comes after was not written by one.
const MAX_BYTES: u64 = (1 << 30) + HEADER_BYTES;
/// Bytes of the ring that are looked at in one piece.
const WINDOW_BYTES: u64 = 1 << 20;

/// A journal's file.
pub(crate) struct CarvedJournal {
    path: HeldPath,
    /// `None`: there is none.
    file: Option<File>,
    header: Vec<u8>,
    file_bytes: u64,
    /// It says that it is another lane's: then its checkpoint says nothing of this one.
    foreign: bool,
}

impl CarvedJournal {
    /// Opens the file `path`; one that is absent is empty.
    pub(crate) fn open(path: &HeldPath) -> Result<Self> {
        let begin = || -> io::Result<(Option<File>, Vec<u8>, u64)> {
            let file = match path.open_file(Access::Read) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok((None, Vec::new(), 0)),
                other => other?,
            };
            let mut header = Vec::new();
            (&file).take(HEADER_BYTES).read_to_end(&mut header)?;
            let bytes = file.metadata()?.len().min(MAX_BYTES);
            Ok((Some(file), header, bytes))
        };
        let (file, header, file_bytes) = begin().map_err(|e| unreadable(path, e))?;
        let foreign = !header::is_of_lane(|at| word(&header, at), &path.path());
        Ok(Self { path: path.clone(), file, header, file_bytes, foreign })
    }

    /// The newest checkpoint, if one is whole.
    pub(crate) fn checkpoint(&self) -> Option<Checkpoint> {
        header::newest(|at| word(&self.header, at)).filter(|_| !self.foreign)
    }

    pub(crate) fn counter(&self, counter: HeaderCounter) -> u64 {
        word(&self.header, counter as usize)
    }

    /// The whole records from position `from_pos` on, by position. An error: the file can't be read now.
    pub(crate) fn records(&self, from_pos: u64) -> Result<impl Iterator<Item = Result<CarvedRecord>>> {
        let mut frames = self.frames(from_pos).map_err(|e| unreadable(&self.path, e))?;
        frames.sort_by_key(|frame| frame.pos());
        Ok(frames.into_iter().filter_map(|frame| {
            let record = self.payload(&frame).map(|payload| frame.record(payload));
            record.map_err(|e| unreadable(&self.path, e)).transpose()
        }))
    }

    fn frames(&self, from_pos: u64) -> io::Result<Vec<CarvedFrame>> {
        let ring_bytes = self.ring_bytes();
        let mut frames = Vec::new();
        for from in (0..ring_bytes).step_by(WINDOW_BYTES as usize) {
            let len = WINDOW_BYTES.min(ring_bytes - from);
            let window = self.ring(from, len + CarvedFrame::BYTES)?;
            for at in (0..len).step_by(8) {
                let bytes = window.get(at as usize..).unwrap_or_default();
                let Some(frame) = CarvedFrame::find(bytes, from + at, ring_bytes) else { continue };
                if frame.pos() < from_pos {
                    continue;
                }
                // Most are in the window.
                let payload = bytes.get(CarvedFrame::BYTES as usize..).unwrap_or_default();
                let is_whole = match payload.get(..frame.payload_bytes() as usize) {
                    Some(payload) => frame.is_whole(payload),
                    None => frame.is_whole(&self.payload(&frame)?),
                };
                if is_whole {
                    frames.push(frame);
                }
            }
        }
        Ok(frames)
    }

    fn payload(&self, frame: &CarvedFrame) -> io::Result<Vec<u8>> {
        self.ring(frame.pos() % self.ring_bytes() + CarvedFrame::BYTES, frame.payload_bytes())
    }

    /// `len` bytes of the ring from offset `at` on, and on from its beginning where it ends; zeros where the file does.
    fn ring(&self, at: u64, len: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len as usize];
        let ring_bytes = self.ring_bytes();
        let (mut at, mut rest) = (at % ring_bytes, &mut bytes[..]);
        while !rest.is_empty() {
            let (part, after) = rest.split_at_mut(rest.len().min((ring_bytes - at) as usize));
            let in_file = self.file_bytes.saturating_sub(HEADER_BYTES + at).min(part.len() as u64);
            if let Some(file) = &self.file {
                file.read_exact_at(&mut part[..in_file as usize], HEADER_BYTES + at)?;
            }
            (at, rest) = (0, after);
        }
        Ok(bytes)
    }

    /// How many records the ring has room for.
    pub(crate) fn most_records(&self) -> u64 {
        self.ring_bytes() / MIN_BYTES
    }

    /// At least one unit, also of a file that has no ring.
    fn ring_bytes(&self) -> u64 {
        let in_file = self.file_bytes.saturating_sub(HEADER_BYTES);
        let ring_bytes = header::ring_bytes_in(|at| word(&self.header, at)).unwrap_or(in_file);
        ring_bytes.clamp(1, MAX_BYTES).next_multiple_of(HEADER_BYTES)
    }
}

fn word(header: &[u8], at: usize) -> u64 {
    let word = header.get(at..).and_then(|rest| rest.first_chunk::<8>());
    word.map_or(0, |word| u64::from_ne_bytes(*word))
}

fn unreadable(path: &HeldPath, error: io::Error) -> Error {
    Error::io(format!("read the journal {path}"), error)
}

/// The version of the format of the journal `path`, when what says so is whole and it is not this release's. An error:
/// the file can't be read now.
pub(crate) fn other_version(path: &HeldPath) -> Result<Option<u64>> {
    let mut start = Vec::new();
    let read = path.open_file(Access::Read).and_then(|file| file.take(HEADER_BYTES).read_to_end(&mut start));
    read.map_err(|e| unreadable(path, e))?;
    Ok(header::version_in(|at| word(&start, at)).filter(|version| !header::is_read(*version)))
}
