//! Overflow: room under `max_spool_bytes`, and with `drop_oldest` what is dropped for it: one batch after the other.
//!
//! A segment's room comes back only as a whole. So while the oldest one is being emptied, as much is kept in reserve as
//! is still to be dropped of it: then each new batch costs about one old one, and never a whole segment.

use crate::config::Overflow as Mode;
use crate::error::Result;
use crate::spool::committer::Committer;
use crate::spool::committer::rolling::MAX_SEGMENT_BYTES;
use crate::spool::lane::Lane;
use crate::spool::lane::settings::LaneSettings;
use crate::spool::segments::writer;

/// A new segment takes as many of sled's segments before anything is in it, and may have as many in reserve.
const SEGMENT_OVERHEAD: u64 = 2;
/// With `drop_oldest`, the part of `max_spool_bytes` that a segment may take.
const SEGMENT_SHARE: u64 = 8;

/// So few bytes are moved at once as one batch.
const ONE_BATCH: u64 = 1;

/// How a spill fares that finds no room.
#[derive(Default)]
pub(super) struct Overflow {
    /// Nothing could be moved for want of room.
    is_stuck: bool,
    /// Old batches are dropped for what is moved: one batch at a time.
    is_tight: bool,
    /// The last spill found no room.
    was_refused: bool,
    /// What the client's lanes took when a spill found no room in them.
    refused_at: Option<u64>,
}

impl Overflow {
    /// Notes whether a spill found no room.
    pub(super) fn note_refusal(&mut self, was_refused: bool) {
        self.was_refused = was_refused;
    }

    /// Notes what came of an attempt to make room.
    pub(super) fn note(&mut self, outcome: &Result<bool>) {
        self.is_stuck = match outcome {
            Ok(moved) => !moved,
            Err(error) => error.is_disk_full(),
        };
    }

    pub(super) fn is_tight(&self) -> bool {
        self.is_tight
    }

    /// How many bytes of ring to move next, `most` at most.
    pub(super) fn spill_bytes(&self, most: u64) -> u64 {
        if self.is_tight { ONE_BATCH } else { most }
    }
}

impl Committer<'_> {
    fn drops(&self) -> bool {
        self.lane.settings().overflow == Mode::DropOldest
    }

    /// Whether a spill would find no room, as far as that is known before it. Old batches are dropped only when somebody
    /// waits for that.
    pub(super) fn is_short_of_room(&mut self) -> bool {
        let journal = self.stores.journal();
        // Who wants items sorted by key is to be told that it can't be.
        if self.stores.lock_queue().wants_regroup() {
            return false;
        }
        if !self.overflow.is_tight() {
            let taken = self.lane.count_disk_with_kin();
            self.overflow.refused_at.take_if(|at| taken < *at);
            let is_short = self.overflow.refused_at.is_some();
            self.lane.mover().set_full(is_short || self.lane.mover().is_full());
            return is_short;
        }
        if journal.is_awaited() {
            return false;
        }
        self.overflow.is_tight = !self.has_room_for(journal.ring_bytes() / 4);
        self.overflow.is_tight
    }

    /// A spill moved nothing. Returns whether to try again and drop old batches for it, because somebody waits.
    pub(super) fn begin_to_drop(&mut self) -> bool {
        if !self.overflow.was_refused {
            return false;
        }
        if !self.drops() {
            self.overflow.refused_at = Some(self.lane.count_disk_with_kin());
            return false;
        }
        let begins = !std::mem::replace(&mut self.overflow.is_tight, true);
        begins && self.stores.journal().is_awaited()
    }

    /// Drops the oldest batch while somebody waits for room that no spill can give. Returns whether it did.
    pub(super) fn drop_for_room(&mut self) -> bool {
        let journal = self.stores.journal();
        if !self.overflow.is_stuck || !self.drops() || !journal.is_awaited() || journal.has_failed() {
            return false;
        }
        let before = self.segments();
        if !self.drop_batch() {
            return false;
        }
        if self.segments() < before {
            // The disk has room again.
            self.retry_at = None;
        }
        let released = self.release_for_waiting();
        self.log_failure(released);
        true
    }

    /// Drops the oldest batches until a segment is gone; `false` when there is none.
    pub(super) fn drop_segment(&mut self) -> bool {
        let before = self.segments();
        while self.drops() && before > 0 && self.drop_batch() {
            if self.segments() < before {
                return true;
            }
        }
        false
    }

    /// Drops the oldest batch, and removes what nobody needs any more.
    fn drop_batch(&mut self) -> bool {
        let backlog = self.lane.backlog_in_segments();
        if let Some(backlog) = backlog {
            return self.drop_batch_of(&backlog);
        }
        self.lane.drop_own_oldest(&|| true) && self.remove_emptied()
    }

    /// Drops the oldest batch of an older lane of the client, and waits until its committer has removed what nobody needs
    /// any more.
    fn drop_batch_of(&self, backlog: &Lane) -> bool {
        let is_dropped = backlog.drop_own_oldest(&|| true);
        if is_dropped {
            backlog.wait_tidied(None);
        }
        is_dropped
    }

    /// Removes the segments that nobody needs, also the one being written.
    fn remove_emptied(&mut self) -> bool {
        if !self.is_in_segments() {
            self.writer.close(self.stores.lock_queue().segments_mut());
        }
        self.remove_passed(false).is_ok()
    }

    /// Whether the oldest item is in a segment.
    fn is_in_segments(&self) -> bool {
        let queue = self.stores.lock_queue();
        queue.checkpoint().cursor < queue.checkpoint().head.seq
    }

    fn segments(&self) -> usize {
        self.stores.lock_queue().segments_mut().len()
    }

    /// Sees to it that `values` fit under `max_spool_bytes`. `may_drop`: with `drop_oldest` old batches go for them, the
    /// first of `values` too, but not the last.
    pub(super) fn fit(&mut self, values: &mut Vec<(u64, Vec<u8>)>, may_drop: bool) -> bool {
        while !self.has_room_for(bytes_of(values)) {
            let last = values.last().map_or(0, |(_, value)| value.len() as u64);
            if !may_drop || !self.drops() || !self.could_hold(last) {
                return false;
            }
            let has_come = if self.lane.backlog_in_segments().is_some() {
                self.drop_batch()
            } else if !self.is_in_segments() && self.writer.current().is_some() {
                self.remove_emptied()
            } else {
                (self.is_in_segments() || values.len() > 1) && self.drop_batch()
            };
            if !has_come {
                return false;
            }
            let cursor = self.stores.lock_queue().checkpoint().cursor;
            let settled =
                values.iter().take(values.len() - 1).take_while(|(first, _)| *first < cursor).count();
            values.drain(..settled);
        }
        true
    }

    /// Whether `bytes` fit under `max_spool_bytes` when all else that can be dropped is gone.
    fn could_hold(&self, bytes: u64) -> bool {
        let kept = self.lane.disk_bytes_for_segments() - self.stores.lock_queue().segments_mut().disk_bytes();
        let overhead = SEGMENT_OVERHEAD * self.grain_bytes();
        // What older lanes of the client have in segments can be dropped, too.
        let most = if self.lane.backlog_in_segments().is_some() {
            self.lane.settings().max_spool_bytes
        } else {
            self.lane.max_spool_bytes()
        };
        kept + in_segments(bytes) + overhead <= most && writer::claim_sled()
    }

    /// Whether `bytes` more fit under `max_spool_bytes`.
    fn has_room_for(&mut self, bytes: u64) -> bool {
        let grains = if self.writer.must_roll(bytes) { SEGMENT_OVERHEAD } else { 1 };
        let overhead = grains * self.grain_bytes();
        let reserve = if self.drops() { self.reserve() } else { 0 };
        let needed = self.lane.disk_bytes_for_segments() + in_segments(bytes) + overhead.max(reserve);
        let fits = needed <= self.lane.max_spool_bytes() && writer::claim_sled();
        self.lane.mover().set_full(!fits);
        if !fits {
            // What is sent now needs no room.
            self.lane.hand_out().wake();
        }
        fits
    }

    /// What sled takes at once.
    fn grain_bytes(&self) -> u64 {
        self.lane.settings().grain.sled_segment_bytes()
    }

    /// What is kept free besides what is written, so that it need not be made free at once: what is still to be dropped of
    /// the oldest segment before its room comes back, and the overhead of the next segment, which grows as this one does.
    fn reserve(&self) -> u64 {
        let backlog = self.lane.backlog_in_segments();
        let stores = backlog.as_ref().map_or(self.stores, |backlog| backlog.stores());
        let mut queue = stores.lock_queue();
        let (cursor, head) = (queue.checkpoint().cursor, queue.checkpoint().head.seq);
        let live = queue.segments_mut().oldest_live_bytes(cursor, head);
        drop(queue);
        let next = self.grain_bytes() as f64 * (1.0 + self.writer.share_used());
        live + next as u64
    }
}

/// How many bytes of values a segment takes.
pub(super) fn segment_bytes(settings: &LaneSettings) -> u64 {
    match settings.overflow {
        Mode::Reject => MAX_SEGMENT_BYTES,
        Mode::DropOldest => {
            let least = settings.grain.sled_segment_bytes();
            (settings.max_spool_bytes / SEGMENT_SHARE).clamp(least, MAX_SEGMENT_BYTES)
        }
    }
}

/// How much disk `bytes` of values take at most, besides a segment's overhead: the pages of a long value leave a fifteenth
/// of each of sled's segments empty.
fn in_segments(bytes: u64) -> u64 {
    bytes + bytes / 14
}

/// How long all values are.
pub(super) fn bytes_of(values: &[(u64, Vec<u8>)]) -> u64 {
    values.iter().map(|(_, value)| value.len() as u64).sum()
}
