//! Prefault: taking the write faults of the ring before appends meet them.
//!
//! A write to a page that is fresh, or that was just synced and so is write-protected again, faults and costs
//! microseconds. The committer takes these faults ahead of the tail: the faster items come, the further. A prefaulted
//! page is dirty and will be written to the disk once more, so a trickle of items must not prefault many.

use std::sync::atomic::Ordering::{Acquire, Relaxed};

use crate::spool::journal::Journal;
use crate::spool::journal::primitives::AtomicU64;

/// How far ahead of the tail pages are prefaulted at first, and at most: more than comes in while the committer is busy
/// elsewhere.
const LEAST_BYTES: u64 = 64 << 10;
const MOST_BYTES: u64 = 4 << 20;

/// How far pages are prefaulted. Only the committer changes it.
pub(super) struct Prefault {
    /// Bytes of the last step.
    bytes: AtomicU64,
    /// Where it ended; 0 before the first one.
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
        let (bytes, end_pos) = (self.prefault.bytes.load(Relaxed), self.prefault.end_pos.load(Relaxed));
        let tail = self.end_pos();
        if tail + bytes / 2 < end_pos {
            return end_pos - bytes / 2;
        }
        let most = MOST_BYTES.min(self.ring_bytes() / 4);
        let bytes = if end_pos == 0 { LEAST_BYTES } else { 2 * bytes }.min(most);
        let end = (tail + bytes).min(self.released.load(Acquire) + self.ring_bytes());
        if end > tail {
            self.map.prefault(tail, end);
        }
        self.prefault.bytes.store(bytes, Relaxed);
        self.prefault.end_pos.store(end, Relaxed);
        end.saturating_sub(bytes / 2)
    }

    /// Begins with few again: after a sync it is not known how many will be needed.
    pub(crate) fn restart_prefault(&self) {
        self.prefault.end_pos.store(0, Relaxed);
    }
}
