//! Record: one item in the ring.
//!
//! ```text
//!  0  position in the endless ring     tells a record of this lap from one of an earlier lap
//!  8  chain (low half), length         the chain depends on every record before it since the lane was made
//! 16  state                            reserved, dead, or committed with the CRC of what follows
//! 24  time, length of key name         written with the reservation
//! 32  items of the batch that begins here; 0 until one does
//! 40  key name, item, padding to 8 bytes
//! ```
//! Position, chain and length are written before the ring's tail moves over them, so a process killed while
//! it copies leaves a record that is not committed but of known length.

use super::map::{Map, Slot};
use crate::spool::checkpoint::LogPosition;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

const HEADER: usize = 40;
const AT_POS: usize = 0;
const AT_CHAIN: usize = 8;
const AT_STATE: usize = 16;
const AT_ACCEPTED: usize = 24;
const AT_BATCH: usize = 32;

/// The smallest record: an item has at least one byte.
pub(super) const MIN_BYTES: u64 = size_of(1);

const COMMITTED: u64 = 1 << 32;
const DEAD: u64 = 2 << 32;

/// Bytes of ring that a payload of `len` bytes takes.
pub(super) const fn size_of(len: usize) -> u64 {
    (HEADER + len.next_multiple_of(8)) as u64
}

/// A record's header.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    pub(super) pos: u64,
    pub(super) chain: u32,
    pub(super) len: u32,
    pub(super) accepted_unix_ms: u64,
    pub(super) key_name_len: u8,
}

impl Frame {
    /// The record that follows `tail`, for a payload of `len` bytes.
    pub(super) fn after(
        tail: &LogPosition,
        salt: u64,
        len: u32,
        accepted_unix_ms: u64,
        key_name_len: u8,
    ) -> Self {
        Self {
            pos: tail.pos,
            chain: link(tail.chain, tail.pos, len, salt),
            len,
            accepted_unix_ms,
            key_name_len,
        }
    }

    /// The record at `at`, or `None` when what stands there does not continue the chain.
    ///
    /// The log position after a damaged stretch has the chain value of the record that stands there itself.
    pub(super) fn load(map: &Map, at: &LogPosition, salt: u64) -> Option<Self> {
        let slot = map.slot(at.pos);
        if slot.word(AT_POS).load(Acquire) != at.pos {
            return None;
        }
        let word = slot.word(AT_CHAIN).load(Relaxed);
        let (chain, len) = (word as u32, (word >> 32) as u32);
        let continues = chain == link(at.chain, at.pos, len, salt) || chain == at.chain;
        if !continues || len == 0 || size_of(len as usize) > map.ring_bytes() {
            return None;
        }
        Some(Self::at(slot, at.pos, chain, len))
    }

    /// The committed record at `pos` that is whole by itself and ends at `end` at the latest.
    pub(super) fn find(map: &Map, pos: u64, end: u64) -> Option<Self> {
        let frame = Self::peek(map, pos).filter(|frame| frame.len > 0 && frame.end_pos() <= end)?;
        let State::Committed(checksum) = frame.state(map) else { return None };
        (end - pos <= map.ring_bytes() && frame.is_whole(frame.payload(map), checksum)).then_some(frame)
    }

    /// The record that is known to stand at `pos`; `None` when the ring was used again meanwhile.
    pub(super) fn peek(map: &Map, pos: u64) -> Option<Self> {
        let slot = map.slot(pos);
        let word = slot.word(AT_CHAIN).load(Relaxed);
        let frame = Self::at(slot, pos, word as u32, (word >> 32) as u32);
        (slot.word(AT_POS).load(Acquire) == pos).then_some(frame)
    }

    fn at(slot: Slot<'_>, pos: u64, chain: u32, len: u32) -> Self {
        let accepted = slot.word(AT_ACCEPTED).load(Relaxed);
        Self {
            pos,
            chain,
            len,
            accepted_unix_ms: accepted & ((1 << 48) - 1),
            key_name_len: (accepted >> 48) as u8,
        }
    }

    /// The ring position after this record.
    pub(super) fn end_pos(&self) -> u64 {
        self.pos + size_of(self.len as usize)
    }

    /// Writes the header as reserved to `slot`, the record's; the caller moves the tail afterwards.
    pub(super) fn reserve(&self, slot: Slot<'_>) {
        slot.word(AT_STATE).store(0, Relaxed);
        slot.word(AT_ACCEPTED).store(self.accepted_word(), Relaxed);
        slot.word(AT_BATCH).store(0, Relaxed);
        slot.word(AT_CHAIN).store(u64::from(self.len) << 32 | u64::from(self.chain), Relaxed);
        slot.word(AT_POS).store(self.pos, Release);
    }

    /// Copies the payload to `slot`, the record's, and commits it.
    pub(super) fn commit(&self, slot: Slot<'_>, key_name: &[u8], json: &[u8]) {
        let mut crc = crc32fast::Hasher::new();
        // Most have none, and each step costs as much as the copy of a small item.
        if !key_name.is_empty() {
            slot.write(HEADER, key_name);
            crc.update(key_name);
        }
        slot.write(HEADER + key_name.len(), json);
        crc.update(json);
        slot.word(AT_STATE).store(COMMITTED | u64::from(self.checksum(crc.finalize())), Release);
    }

    pub(super) fn state(&self, map: &Map) -> State {
        match map.slot(self.pos).word(AT_STATE).load(Acquire) {
            state if state & !u64::from(u32::MAX) == COMMITTED => State::Committed(state as u32),
            DEAD => State::Dead,
            // The time is written before the record is one.
            0 if self.accepted_unix_ms > 0 => State::Reserved,
            _ => State::Damaged,
        }
    }

    /// Marks a record that will never be committed.
    pub(super) fn bury(&self, map: &Map) {
        map.slot(self.pos).word(AT_STATE).store(DEAD, Release);
    }

    /// Whether `payload` is what was committed with `checksum`.
    pub(super) fn is_whole(&self, payload: &[u8], checksum: u32) -> bool {
        usize::from(self.key_name_len) <= payload.len() && self.checksum(crc32fast::hash(payload)) == checksum
    }

    /// Items of the batch that begins with this record, once one does.
    pub(super) fn batch_items(&self, map: &Map) -> Option<u64> {
        Some(map.slot(self.pos).word(AT_BATCH).load(Acquire)).filter(|items| *items > 0)
    }

    /// Says that a batch of `items` begins here.
    pub(super) fn mark_batch(&self, map: &Map, items: u64) {
        map.slot(self.pos).word(AT_BATCH).store(items, Release);
    }

    /// The payload: key name, then item.
    pub(super) fn payload<'a>(&self, map: &'a Map) -> &'a [u8] {
        map.slot(self.pos).bytes(HEADER, self.len as usize)
    }

    /// The log position after this record when it counts as an item.
    pub(super) fn end(&self, at: &LogPosition) -> LogPosition {
        let json = u64::from(self.len) - u64::from(self.key_name_len).min(self.len.into());
        LogPosition { seq: at.seq + 1, bytes: at.bytes + json, ..self.skip(at) }
    }

    /// The log position after this record when it does not.
    pub(super) fn skip(&self, at: &LogPosition) -> LogPosition {
        LogPosition { pos: self.end_pos(), chain: self.chain, ..*at }
    }

    fn accepted_word(&self) -> u64 {
        self.accepted_unix_ms & ((1 << 48) - 1) | u64::from(self.key_name_len) << 48
    }

    /// The payload's CRC, bound to the rest of the header.
    fn checksum(&self, crc: u32) -> u32 {
        let accepted = self.accepted_word();
        crc ^ (accepted as u32) ^ ((accepted >> 32) as u32).rotate_left(16)
    }
}

/// How far a record has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Reserved,
    Dead,
    /// No writer leaves it so.
    Damaged,
    /// With its checksum.
    Committed(u32),
}

/// Links a record to the one before it: what an earlier life of the lane left does not fit in.
fn link(previous: u32, pos: u64, len: u32, salt: u64) -> u32 {
    let mut h = salt ^ pos.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (u64::from(previous) << 32 | u64::from(len));
    h ^= h >> 32;
    h = h.wrapping_mul(0xd6e8_feb8_6659_fd93);
    (h ^ (h >> 32)) as u32
}

/// A whole record found in the bytes of a ring.
pub(crate) struct CarvedRecord {
    pub(crate) key_name: String,
    pub(crate) json: Vec<u8>,
}

/// What may be a record's header, found in the bytes of a ring.
pub(super) struct CarvedFrame {
    frame: Frame,
    checksum: u32,
}

impl CarvedFrame {
    pub(super) const BYTES: u64 = HEADER as u64;

    /// The header of a committed record that `bytes`, which stand at offset `at` of a ring of `ring_bytes` bytes, begin
    /// with.
    pub(super) fn find(bytes: &[u8], at: u64, ring_bytes: u64) -> Option<Self> {
        let header = bytes.first_chunk::<HEADER>()?;
        let word = |offset: usize| {
            let word = header.get(offset..).and_then(|rest| rest.first_chunk::<8>());
            word.map_or(0, |word| u64::from_ne_bytes(*word))
        };
        let (state, chain, pos) = (word(AT_STATE), word(AT_CHAIN), word(AT_POS));
        let len = chain >> 32;
        if state >> 32 != 1 || len == 0 || size_of(len as usize) > ring_bytes || pos % ring_bytes != at {
            return None;
        }
        let accepted = word(AT_ACCEPTED);
        let frame = Frame {
            pos,
            chain: chain as u32,
            len: len as u32,
            accepted_unix_ms: accepted & ((1 << 48) - 1),
            key_name_len: (accepted >> 48) as u8,
        };
        Some(Self { frame, checksum: state as u32 })
    }

    pub(super) fn pos(&self) -> u64 {
        self.frame.pos
    }

    pub(super) fn payload_bytes(&self) -> u64 {
        self.frame.len.into()
    }

    /// Whether `payload` is what was committed.
    pub(super) fn is_whole(&self, payload: &[u8]) -> bool {
        self.frame.is_whole(payload, self.checksum)
    }

    /// The record, if `payload` is what was committed.
    pub(super) fn record(&self, mut payload: Vec<u8>) -> Option<CarvedRecord> {
        if !self.is_whole(&payload) {
            return None;
        }
        let json = payload.split_off(payload.len().min(self.frame.key_name_len.into()));
        Some(CarvedRecord { key_name: String::from_utf8(payload).ok()?, json })
    }
}
