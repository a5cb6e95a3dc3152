//! Ahead: taking the write faults of the ring before appends meet them.
//!
//! A write to a page that is fresh, or was just synced and so is write-protected again, faults and costs microseconds.
//! The committer takes these faults, the further ahead of the tail the faster items come. A page of which the fault was
//! taken is dirty and will be written to the disk once more, so a trickle of items must not have many taken.

use std::sync::atomic::Ordering::{Acquire, Relaxed};

use crate::spool::journal::Journal;
use crate::spool::journal::primitives::AtomicU64;

/// How far ahead faults are taken at first, and at most: more than comes in while the committer is busy elsewhere.
const LEAST_BYTES: u64 = 64 << 10;
const MOST_BYTES: u64 = 4 << 20;

/// How far the faults are taken; only the committer changes it.
pub(super) struct Prefault {
    bytes: AtomicU64,
    end_pos: AtomicU64,
}

impl Default for Prefault {
    fn default() -> Self {
        Self { bytes: AtomicU64::new(LEAST_BYTES), end_pos: AtomicU64::new(0) }
    }
}

impl Journal {
    /// Takes the next write faults, twice as many as the last time, once half of those are used up.
    /// Returns the ring position at which half of them will be.
    pub(crate) fn prefault(&self) -> u64 {
        let (bytes, taken) = (self.prefault.bytes.load(Relaxed), self.prefault.end_pos.load(Relaxed));
        let tail = self.end_pos();
        if tail + bytes / 2 < taken {
            return taken - bytes / 2;
        }
        let most = MOST_BYTES.min(self.ring_bytes() / 4);
        let bytes = if taken == 0 { LEAST_BYTES } else { 2 * bytes }.min(most);
        let end = (tail + bytes).min(self.released.load(Acquire) + self.ring_bytes());
        if end > tail {
            self.map.prefault(tail, end);
        }
        self.prefault.bytes.store(bytes, Relaxed);
        self.prefault.end_pos.store(end, Relaxed);
        end.saturating_sub(bytes / 2)
    }

    /// Begins with few again: after a sync nobody knows how many will be needed.
    pub(crate) fn restart_prefault(&self) {
        self.prefault.end_pos.store(0, Relaxed);
    }
}
