//! Append: the way into the ring, and what keeps an item out.

use std::sync::atomic::Ordering::Acquire;
use std::time::Instant;

use super::record::{self, Frame};
use super::{Journal, Tail};
use crate::error::Error;
use crate::item::Item;
use crate::os::lock::Unpoison;

/// What an append asks its caller to do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Appended {
    /// Ring position after the record.
    pub(crate) end_pos: u64,
    pub(crate) wake_delivery: bool,
    pub(crate) wake_committer: bool,
}

/// Why nothing was appended.
#[derive(Debug, Clone)]
pub(crate) enum Refusal {
    /// The ring has no room now.
    RingFull,
    /// As many items are pending as the caller allows.
    QueueFull,
    Closed,
    /// The journal was deleted and can't be recreated now.
    NotDurable(Error),
}

impl Journal {
    /// Appends `item`, unless its seq would be `max_seq` or more.
    pub(crate) fn append(
        &self,
        item: &Item<'_>,
        max_seq: Option<u64>,
    ) -> std::result::Result<Appended, Refusal> {
        self.append_within(self.callers_bytes(), item, max_seq)
    }

    /// Appends `item`, also in the room that callers are not given.
    pub(crate) fn append_in_reserve(&self, item: &Item<'_>) -> std::result::Result<Appended, Refusal> {
        self.append_within(self.ring_bytes(), item, None)
    }

    /// Whether records with payloads of the lengths `lens` fit, also in the room that callers are not given.
    pub(crate) fn fit_in_reserve(&self, lens: impl Iterator<Item = usize>) -> bool {
        let bytes = lens.map(record::size_of).sum::<u64>();
        self.lock_tail().at.pos + bytes <= self.released.load(Acquire) + self.ring_bytes()
    }

    /// Bytes of ring that callers may use: what is put off can always go to the end of the queue.
    fn callers_bytes(&self) -> u64 {
        self.map.ring_bytes() / 8 * 7
    }

    fn append_within(
        &self,
        ring_bytes: u64,
        item: &Item<'_>,
        max_seq: Option<u64>,
    ) -> std::result::Result<Appended, Refusal> {
        let name = item.key_name().as_bytes();
        let len = name.len() + item.bytes().len();
        let accepted_ms = self.now_ms();
        let mut tail = self.lock_tail();
        if tail.closed {
            return Err(Refusal::Closed);
        }
        if let Some(why) = &tail.refused {
            return Err(Refusal::NotDurable(why.clone()));
        }
        if max_seq.is_some_and(|max| tail.at.seq >= max) {
            return Err(Refusal::QueueFull);
        }
        if tail.at.pos + record::size_of(len) > self.released.load(Acquire) + ring_bytes {
            return Err(Refusal::RingFull);
        }
        let frame = Frame::after(&tail.at, self.salt, len as u32, accepted_ms, name.len() as u8);
        let slot = self.map.slot(frame.pos);
        frame.reserve(slot);
        tail.at = frame.end(&tail.at);
        self.publish_tail(&tail.at);
        let appended = Appended {
            end_pos: tail.at.pos,
            wake_delivery: tail.wake.delivery_seq.is_some_and(|seq| tail.at.seq >= seq),
            wake_committer: tail.wake.committer_pos.is_some_and(|pos| tail.at.pos >= pos),
        };
        // One caller does the waking. The thread that wakes says again when it wants to be woken next.
        if appended.wake_delivery {
            tail.wake.delivery_seq = None;
        }
        if appended.wake_committer {
            tail.wake.committer_pos = None;
        }
        drop(tail);
        frame.commit(slot, name, item.bytes());
        Ok(appended)
    }

    /// Counts an oversize item, which went into a segment and not into the ring.
    pub(crate) fn count_oversize(&self, json_bytes: u64) {
        let mut tail = self.lock_tail();
        tail.at.seq += 1;
        tail.at.bytes += json_bytes;
        self.publish_tail(&tail.at);
    }

    /// Waits until a record of `len` payload bytes fits, the journal is closed, or `deadline`. `ask` asks for the room,
    /// after this caller is among those that `is_awaited` sees.
    pub(crate) fn wait_for_room(&self, len: usize, deadline: Instant, ask: impl FnOnce()) -> bool {
        let mut tail = self.lock_tail();
        tail.waiting += 1;
        tail.awaited_bytes = tail.awaited_bytes.max(record::size_of(len));
        drop(tail);
        ask();
        let mut tail = self.lock_tail();
        let came = loop {
            let came =
                self.has_room_for(&tail, record::size_of(len)) || tail.closed || tail.refused.is_some();
            let left = deadline.saturating_duration_since(Instant::now());
            if came || left.is_zero() {
                break came;
            }
            tail = self.room.wait_timeout(tail, left).unpoisoned().0;
        };
        tail.waiting -= 1;
        if tail.waiting == 0 {
            tail.awaited_bytes = 0;
        }
        came
    }

    /// Whether somebody waits for room that is not there.
    pub(crate) fn is_awaited(&self) -> bool {
        let tail = self.lock_tail();
        tail.waiting > 0 && !self.has_room_for(&tail, tail.awaited_bytes)
    }

    fn has_room_for(&self, tail: &Tail, bytes: u64) -> bool {
        tail.at.pos + bytes <= self.released.load(Acquire) + self.callers_bytes()
    }

    /// Whether a record of `len` payload bytes may go into the ring at all; longer ones are oversize items.
    pub(crate) fn fits_in_ring(&self, len: usize) -> bool {
        record::size_of(len) <= self.map.ring_bytes() / 2
    }
}
