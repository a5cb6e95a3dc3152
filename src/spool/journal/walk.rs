//! Walk: finding the records again, by the owner after a restart or by anybody who looks on.

use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;

use super::header::{self, Live};
use super::map::Map;
use super::open_file;
use super::record::{Frame, State};
use crate::error::{Error, ErrorKind, Result};
use crate::spool::checkpoint::{Checkpoint, Point};

/// Maps the journal file `path` and checks its header.
pub(super) fn map_file(path: &Path, writable: bool) -> Result<Map> {
    let shown = path.display();
    let whole = || -> std::io::Result<(std::fs::File, u64)> {
        let file = if writable { open_file(path, false)? } else { std::fs::File::open(path)? };
        let bytes = file.metadata()?.len();
        Ok((file, bytes))
    };
    let (file, bytes) = whole().map_err(|e| Error::io(format!("open the journal {shown}"), &e))?;
    let ring_bytes = header::ring_bytes_of(bytes).ok_or_else(|| {
        Error::new(ErrorKind::Corrupt, format!("journal {shown}: {bytes} bytes is no size of a journal"))
    })?;
    let map = Map::new(&file, ring_bytes, writable)
        .map_err(|e| Error::io(format!("map the journal {shown} into memory"), &e))?;
    header::validate(&map, path)?;
    Ok(map)
}

/// The point behind the last record of the chain from `known` on. Records that were never committed are buried;
/// whether the others are whole is seen when they are read.
pub(super) fn recover_tail(map: &Map, salt: u64, known: Point) -> Point {
    let mut at = known;
    while let Some(frame) = Frame::load(map, &at, salt) {
        at = match frame.state(map) {
            State::Committed(_) => frame.end(&at),
            State::Reserved | State::Dead => {
                frame.bury(map);
                frame.skip(&at)
            }
        };
        if at.pos - known.pos >= map.ring_bytes() {
            break;
        }
    }
    at
}

/// The journal of any lane, read-only, while its owner may be writing.
pub(crate) struct JournalView {
    map: Map,
}

/// A copy of a committed record, checked after it was made.
pub(crate) struct ViewedRecord {
    pub(crate) number: u64,
    pub(crate) json: Vec<u8>,
}

impl JournalView {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        map_file(path, false).map(|map| Self { map })
    }

    /// Opens the journal so that `add_live` works.
    pub(crate) fn open_for_counting(path: &Path) -> Result<Self> {
        map_file(path, true).map(|map| Self { map })
    }

    pub(crate) fn checkpoint(&self) -> Checkpoint {
        header::load_checkpoint(&self.map).unwrap_or_default()
    }

    pub(crate) fn live(&self, counter: Live) -> u64 {
        self.map.header_word(counter as usize).load(Relaxed)
    }

    pub(crate) fn add_live(&self, counter: Live, more: u64) {
        self.map.header_word(counter as usize).fetch_add(more, Relaxed);
    }

    pub(crate) fn reason(&self) -> String {
        header::load_reason(&self.map)
    }

    /// When the record at `head` was taken; 0 when there is none.
    pub(crate) fn first_taken_unix_ms(&self, head: Point) -> u64 {
        Frame::load(&self.map, &head, header::salt(&self.map)).map_or(0, |frame| frame.taken_unix_ms)
    }

    /// Calls `each` with the committed records from `from` on, until it returns false.
    ///
    /// The owner may overwrite what is being read; a copy that is not whole any more ends the walk.
    pub(crate) fn records(&self, from: Point, mut each: impl FnMut(ViewedRecord) -> bool) {
        let salt = header::salt(&self.map);
        let mut at = from;
        while let Some(frame) = Frame::load(&self.map, &at, salt) {
            let State::Committed(seal) = frame.state(&self.map) else {
                at = frame.skip(&at);
                continue;
            };
            let payload = frame.payload(&self.map).to_vec();
            if !frame.is_whole(&payload, seal) {
                return;
            }
            let json = payload.get(usize::from(frame.key_name_len)..).unwrap_or_default().to_vec();
            if !each(ViewedRecord { number: at.number, json }) {
                return;
            }
            at = frame.end(&at);
            if at.pos - from.pos >= self.map.ring_bytes() {
                return;
            }
        }
    }
}
