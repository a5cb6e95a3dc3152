//! Destination: where a journal's header records that the lane's items go.
//!
//! ```text
//!  4096  checksum and length of the text; 0: any client may deliver the items
//!  4104  the text, at most 9000 bytes
//! ```
//! It is written before anybody can see the journal, and changed only by an owner that may adopt the lane. What the items
//! are never changes.

use std::fs::File;
use std::io::{self, Read};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::Journal;
use super::header;
use super::map::Map;
use crate::config::Destination;
use crate::error::{Error, Result};
use crate::spool::held_path::{Access, HeldPath};

pub(super) const AT_CHECK: usize = 4096;
const AT_TEXT: usize = AT_CHECK + 8;

/// Writes `destination` into a header that has none. Until the last store it has none, or one that is not whole.
pub(super) fn store(map: &Map, destination: &Destination) {
    let text = destination.as_str().as_bytes();
    for (i, chunk) in text.chunks(8).enumerate() {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        map.header_word(AT_TEXT + 8 * i).store(u64::from_ne_bytes(word), Relaxed);
    }
    map.header_word(AT_CHECK).store(check(text), Release);
}

/// The destination of the journal in `map`, whose header was checked.
pub(super) fn of(map: &Map) -> Destination {
    load(|at| map.header_word(at).load(Acquire)).unwrap_or_default()
}

/// The destination in a header; `None`: what says so is damaged.
pub(super) fn load(word: impl Fn(usize) -> u64) -> Option<Destination> {
    let expected = word(AT_CHECK);
    if expected == 0 || header::version_in(&word) == Some(header::WITHOUT_DESTINATION) {
        return Some(Destination::anybody());
    }
    let bytes = (expected >> 32) as usize;
    if bytes > Destination::MAX_BYTES {
        return None;
    }
    let mut text: Vec<u8> =
        (AT_TEXT..AT_TEXT + bytes).step_by(8).flat_map(|at| word(at).to_ne_bytes()).collect();
    text.truncate(bytes);
    let is_whole = check(&text) == expected;
    String::from_utf8(text).ok().filter(|_| is_whole).map(|text| Destination::of_text(&text))
}

fn check(text: &[u8]) -> u64 {
    if text.is_empty() { 0 } else { (text.len() as u64) << 32 | u64::from(crc32fast::hash(text)) }
}

/// What a journal's file says of where the items go.
pub(crate) struct Recorded {
    pub(crate) destination: Destination,
    /// Whether an owner may record another one.
    pub(crate) is_changeable: bool,
}

/// Where the items of the journal `path` go, whatever else is wrong with it; anybody's if it is absent, or what says so is
/// damaged.
pub(crate) fn recorded(path: &HeldPath) -> Result<Recorded> {
    let mut start = Vec::new();
    let most = (AT_TEXT + Destination::MAX_BYTES.next_multiple_of(8)) as u64;
    match path.open_file(Access::Read).and_then(|file| file.take(most).read_to_end(&mut start)) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            return Err(Error::io(format!("read the journal {path}"), e));
        }
        _ => {}
    }
    let word = |at: usize| {
        let word = start.get(at..).and_then(|rest| rest.first_chunk::<8>());
        word.map_or(0, |word| u64::from_ne_bytes(*word))
    };
    let version = header::version_in(word);
    header::check_version(version.unwrap_or(header::WITHOUT_DESTINATION), &path.path())?;
    Ok(Recorded {
        destination: load(word).unwrap_or_default(),
        is_changeable: version != Some(header::WITHOUT_DESTINATION),
    })
}

impl Journal {
    /// Where the items go.
    pub(crate) fn destination(&self) -> Destination {
        of(&self.map)
    }

    /// Records, durably, that the items go to `destination` from now on, which is for items of their form. Whenever that
    /// is cut short, they go there, to where they went, or wherever a client for such items takes them.
    pub(crate) fn redirect(&self, destination: &Destination) -> Result<()> {
        let sync = || {
            let file = self.file();
            file.get().and_then(File::sync_data).map_err(|e| self.sync_failed(e))
        };
        // Both texts begin with this one, so that it is there all the time.
        let form = destination.without_address();
        self.map.header_word(AT_CHECK).store(check(form.as_str().as_bytes()), Release);
        sync()?;
        store(&self.map, destination);
        sync()
    }
}
