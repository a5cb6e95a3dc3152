//! Header: the first page of the journal's file: what the file is, the header counters, and the checkpoint.
//!
//! ```text
//!    0  magic, format version, ring size, time made, salt, check, lane   written once
//!   64  tail, items and bytes accepted, time of the oldest item      written by enqueue
//!  128  pid, export state, last status, counters, next attempt       written by delivery
//!  208  the lane's clock, and the machine's clocks when it was noted
//!  240  records refused in answers of success                        written by delivery
//!  256  reason of a backoff or hold: length, then up to 240 bytes
//!  512  which checkpoint slot is valid
//!  576  checkpoint slot 0, 832 slot 1                                written in turn
//! 4096  where the items go (see `destination`)                        written once
//! ```
//! All words are native-endian and change by single 8-byte stores, so that the death of a process at
//! any instruction leaves each of them whole, and another process may read them at any time.
//!
//! Magic, version and check keep their places in every version: by them a file of another version is told from damage.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::destination;
use super::map::{HEADER_BYTES, Map};
use crate::config::Destination;
use crate::error::{Error, ErrorKind, Result};
use crate::spool::checkpoint::{Checkpoint, SLOT_WORDS};

const MAGIC: u64 = u64::from_le_bytes(*b"SPANJRNL");
/// The version of the journal's format; raised with every change of it.
const FORMAT_VERSION: u64 = 2;
/// The version that 0.1 wrote: it does not say where the items go.
pub(super) const WITHOUT_DESTINATION: u64 = 1;

const AT_MAGIC: usize = 0;
const AT_VERSION: usize = 8;
const AT_RING_BYTES: usize = 16;
const AT_MADE: usize = 24;
const AT_SALT: usize = 32;
const AT_CHECK: usize = 40;
/// Which lane the journal is of: 0 in journals that do not say.
const AT_LANE: usize = 48;
const AT_REASON: usize = 256;
const REASON_BYTES: usize = 240;
const AT_ACTIVE: usize = 512;
const AT_SLOTS: [usize; 2] = [576, 832];

/// A counter or state of the header that any process may read.
#[derive(Debug, Clone, Copy)]
#[repr(usize)]
pub(crate) enum HeaderCounter {
    /// Ring position after the newest record.
    Tail = 64,
    /// Items accepted in this lane's whole life.
    Accepted = 72,
    /// Bytes of JSON accepted in this lane's whole life.
    AcceptedBytes = 80,
    /// When the oldest pending item was accepted, by the lane's clock; 0 when there is none.
    OldestUnixMs = 88,
    /// The process that owns the lane.
    OwnerPid = 128,
    /// A number of `ExportState`.
    ExportState = 136,
    LastHttpStatus = 144,
    BatchesSent = 152,
    Retries = 160,
    LanesAdopted = 168,
    /// Unix time in milliseconds of the next attempt; 0 when nothing is put off.
    NextAttemptUnixMs = 176,
    /// Rejected items that went back on their way: they count as accepted again where they went.
    Requeued = 184,
    /// Bytes on disk as last counted by the owner.
    DiskBytes = 192,
    /// Ring position before which the ring may be overwritten: a header with a head at least as far is on stable
    /// storage.
    Released = 200,
    /// What the lane's clock showed in milliseconds when that was noted, by which records carry their time; 0: never.
    ClockMs = 208,
    /// What the wall clock showed then: Unix time in milliseconds.
    ClockUnixMs = 216,
    /// How long ago the machine had been started then, in milliseconds.
    ClockBootMs = 224,
    /// Which start of the machine that was; 0: not known.
    ClockBoot = 232,
    /// Records that were refused inside an answer of success. 0 in files of versions that did not count them.
    PartiallyRejected = 240,
}

/// Writes the fixed part of a new file; `lane` is what `lane_word` makes of its path.
pub(super) fn initialise(map: &Map, made_unix_ms: u64, salt: u64, lane: u64, goes_to: &Destination) {
    destination::store(map, goes_to);
    let words = [
        (AT_VERSION, FORMAT_VERSION),
        (AT_RING_BYTES, map.ring_bytes()),
        (AT_MADE, made_unix_ms),
        (AT_SALT, salt),
        (AT_LANE, lane),
    ];
    for (at, value) in words {
        map.header_word(at).store(value, Relaxed);
    }
    store_checkpoint(map, &Checkpoint::default());
    let word = |at| map.header_word(at).load(Relaxed);
    map.header_word(AT_CHECK).store(fixed_check(word), Relaxed);
    map.header_word(AT_MAGIC).store(MAGIC, Release);
}

/// Notes the ring's size in the fixed part that was copied from another file.
pub(super) fn note_ring_bytes(map: &Map) {
    map.header_word(AT_RING_BYTES).store(map.ring_bytes(), Relaxed);
    map.header_word(AT_CHECK).store(fixed_check(|at| map.header_word(at).load(Relaxed)), Relaxed);
}

/// Checks the fixed part; `path` is for the error.
pub(super) fn validate(map: &Map, path: &std::path::Path) -> Result<()> {
    let corrupt =
        |what: String| Err(Error::new(ErrorKind::Corrupt, format!("journal {}: {what}", path.display())));
    let word = |at| map.header_word(at).load(Acquire);
    if word(AT_MAGIC) != MAGIC {
        return corrupt("it is not a journal".into());
    }
    check_version(word(AT_VERSION), path)?;
    if word(AT_CHECK) != fixed_check(word) || word(AT_RING_BYTES) != map.ring_bytes() {
        return corrupt("its header is damaged".into());
    }
    if !is_of_lane(word, path) {
        return corrupt("it belongs to another lane".into());
    }
    if destination::load(word).is_none() {
        return corrupt("where its items go is damaged".into());
    }
    match load_checkpoint(map) {
        None => corrupt("its newest checkpoint is damaged".into()),
        // The search for what is damaged goes from the one to the other.
        Some(it) if it.tail.pos.saturating_sub(it.head.pos) > map.ring_bytes() => {
            corrupt("its newest checkpoint has more between head and tail than the ring holds".into())
        }
        Some(_) => Ok(()),
    }
}

/// An error: this release does not read journals of the format `version`, which `path` has.
pub(super) fn check_version(version: u64, path: &std::path::Path) -> Result<()> {
    if is_read(version) {
        return Ok(());
    }
    let what = format!(
        "journal {}: format version {version}; this release reads {WITHOUT_DESTINATION} and {FORMAT_VERSION}",
        path.display()
    );
    Err(Error::new(ErrorKind::Corrupt, what))
}

/// Whether this release reads journals of the format `version`.
pub(super) fn is_read(version: u64) -> bool {
    (WITHOUT_DESTINATION..=FORMAT_VERSION).contains(&version)
}

fn fixed_check(word: impl Fn(usize) -> u64) -> u64 {
    let mut crc = crc32fast::Hasher::new();
    for at in (AT_VERSION..AT_CHECK).step_by(8) {
        crc.update(&word(at).to_ne_bytes());
    }
    crc.finalize().into()
}

/// What a header says of the lane that the journal `path` belongs to, whose folder may not have its name yet.
pub(super) fn lane_word(path: &std::path::Path) -> u64 {
    let lane = path.parent().and_then(|lane| lane.file_stem()).unwrap_or_default();
    u64::from(crc32fast::hash(lane.as_encoded_bytes())) | 1 << 32
}

/// Whether a header does not say that the journal `path` is another lane's, as after files have changed places.
pub(super) fn is_of_lane(word: impl Fn(usize) -> u64, path: &std::path::Path) -> bool {
    word(AT_LANE) == 0 || word(AT_LANE) == lane_word(path)
}

/// The format version in a header, when its fixed part is whole.
pub(super) fn version_in(word: impl Fn(usize) -> u64) -> Option<u64> {
    (word(AT_MAGIC) == MAGIC && word(AT_CHECK) == fixed_check(&word)).then(|| word(AT_VERSION))
}

/// The ring's size in a header, when its fixed part is whole.
pub(super) fn ring_bytes_in(word: impl Fn(usize) -> u64) -> Option<u64> {
    (word(AT_CHECK) == fixed_check(&word) && word(AT_RING_BYTES) > 0).then(|| word(AT_RING_BYTES))
}

/// The lane's random salt: it makes records of one lane no records in another.
pub(super) fn salt(map: &Map) -> u64 {
    map.header_word(AT_SALT).load(Relaxed)
}

/// The ring's size for a file of `file_bytes`, when that is a size a journal can have.
pub(super) fn ring_bytes_of(file_bytes: u64) -> Option<u64> {
    file_bytes.checked_sub(HEADER_BYTES).filter(|ring| *ring > 0 && ring.is_multiple_of(HEADER_BYTES))
}

/// Replaces the checkpoint: the idle slot is written whole, then one store makes it the valid one.
pub(super) fn store_checkpoint(map: &Map, checkpoint: &Checkpoint) {
    let idle = 1 - active(|at| map.header_word(at).load(Acquire));
    for (i, word) in checkpoint.to_words().into_iter().enumerate() {
        // Released, so that no reader sees a slot change while it still is the valid one.
        map.header_word(AT_SLOTS[idle] + 8 * i).store(word, Release);
    }
    map.header_word(AT_ACTIVE).store(idle as u64, Release);
}

/// The newest checkpoint; `None` when the one that was made valid last is not whole: it was damaged since, and the
/// other one is too old to go on from, because the ring may have been used again.
///
/// The owner may be writing: slots that changed while they were read are read again. One that is whole is not enough
/// then, for what an earlier reading returned may have been in the other.
pub(super) fn load_checkpoint(map: &Map) -> Option<Checkpoint> {
    let mut seen = load_slots(map);
    loop {
        let word = |at: usize| seen[(at - AT_ACTIVE) / 8];
        if (0..AT_SLOTS.len()).all(|i| slot(word, i).is_some()) {
            return newest(word);
        }
        let again = load_slots(map);
        if again == seen {
            return slot(word, active(word)).and_then(|_| newest(word));
        }
        seen = again;
    }
}

/// The words that say which slot is valid and what stands in both, loaded one after the other.
fn load_slots(map: &Map) -> [u64; (AT_SLOTS[1] - AT_ACTIVE) / 8 + SLOT_WORDS] {
    std::array::from_fn(|i| map.header_word(AT_ACTIVE + 8 * i).load(Acquire))
}

/// The newest whole checkpoint among a header's words.
pub(super) fn newest(word: impl Fn(usize) -> u64) -> Option<Checkpoint> {
    let whole = (0..AT_SLOTS.len()).filter_map(|i| slot(&word, i));
    whole.max_by_key(|checkpoint| checkpoint.sequence)
}

fn slot(word: impl Fn(usize) -> u64, i: usize) -> Option<Checkpoint> {
    let mut words = [0; SLOT_WORDS];
    for (w, value) in words.iter_mut().enumerate() {
        *value = word(AT_SLOTS[i] + 8 * w);
    }
    Checkpoint::from_words(&words)
}

fn active(word: impl Fn(usize) -> u64) -> usize {
    (word(AT_ACTIVE) & 1) as usize
}

/// Publishes why export waits; longer text is cut.
pub(super) fn store_reason(map: &Map, reason: &str) {
    let mut bytes = [0u8; REASON_BYTES];
    let len = reason.floor_char_boundary(REASON_BYTES);
    bytes[..len].copy_from_slice(&reason.as_bytes()[..len]);
    map.header_word(AT_REASON).store(0, Release);
    for (i, chunk) in bytes.as_chunks::<8>().0.iter().enumerate() {
        map.header_word(AT_REASON + 8 + 8 * i).store(u64::from_ne_bytes(*chunk), Relaxed);
    }
    map.header_word(AT_REASON).store(len as u64, Release);
}

/// The published reason; while it is being replaced it may read as empty.
pub(super) fn load_reason(map: &Map) -> String {
    let len = (map.header_word(AT_REASON).load(Acquire) as usize).min(REASON_BYTES);
    let bytes: Vec<u8> = (0..REASON_BYTES / 8)
        .flat_map(|i| map.header_word(AT_REASON + 8 + 8 * i).load(Relaxed).to_ne_bytes())
        .take(len)
        .collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_checkpoint_reads_whole_however_often_it_is_replaced_meanwhile() {
        let path = std::env::temp_dir().join(format!("spanspool-header-{}", std::process::id()));
        let file = std::fs::File::create_new(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        file.set_len(2 * HEADER_BYTES).unwrap();
        let map = Map::new(&file, HEADER_BYTES, true).unwrap();
        initialise(&map, 1, 1, 0, &Destination::anybody());
        std::thread::scope(|scope| {
            let owner = scope.spawn(|| {
                for sequence in 1..=2_000_000 {
                    store_checkpoint(
                        &map,
                        &Checkpoint { sequence, cursor: sequence, ..Checkpoint::default() },
                    );
                }
            });
            let mut last = 0;
            while !owner.is_finished() {
                let seen = load_checkpoint(&map).unwrap();
                assert!(seen.sequence >= last && seen.cursor == seen.sequence, "{seen:?} after {last}");
                last = seen.sequence;
            }
            assert!(last > 0);
        });
    }
}
