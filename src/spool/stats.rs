//! Stats: what became of every item, accepted = delivered + pending + rejected + dropped, at all times.

use crate::spool::checkpoint::{Checkpoint, Tally};
use crate::spool::journal::{HeaderCounter, now_unix_ms};

/// The counters of a client, in the order of `spanspool_stats` in the C header: fields are only ever appended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Stats {
    /// Items taken with OK: delivered + pending + rejected + dropped for any reason.
    pub accepted: u64,
    /// Items the ingest answered 2xx for.
    pub delivered: u64,
    /// Items set aside in the rejected store.
    pub rejected: u64,
    /// Items dropped because a limit was reached (`overflow=drop_oldest`, `max_rejected_bytes`).
    pub dropped_overflow: u64,
    /// Items dropped because they were older than `max_age_s`.
    pub dropped_expired: u64,
    /// Items that could not be read back from a damaged disk.
    pub dropped_corrupt: u64,
    /// Items on their way.
    pub pending: u64,
    /// Bytes of JSON on their way.
    pub pending_bytes: u64,
    /// Bytes that the lane takes on disk.
    pub disk_bytes: u64,
    /// Age of the oldest pending item in milliseconds; 0 when there is none.
    pub oldest_pending_age_ms: u64,
    /// Requests that were answered 2xx.
    pub batches_sent: u64,
    /// Attempts that were put off for later.
    pub retries: u64,
    /// What the exporter does: 0 idle, 1 sending, 2 backoff, 3 hold.
    pub export_state: u64,
    /// The last HTTP status; 0 when none was received yet.
    pub last_http_status: u64,
    /// Lanes of dead processes that were taken over.
    pub lanes_adopted: u64,
}

/// Items, or bytes of them, that no lane can have pending.
const MOST_PENDING: u64 = 1 << 50;

impl Stats {
    /// The counters of a lane from its checkpoint and header counters, which were read after the checkpoint.
    ///
    /// `oldest_in_journal` gives the time of the journal's first record.
    pub(crate) fn read(
        checkpoint: &Checkpoint,
        live: impl Fn(HeaderCounter) -> u64,
        oldest_in_journal: impl Fn() -> u64,
    ) -> Self {
        let mut tally = checkpoint.tally;
        tally.add(&checkpoint.adopted);
        // Requeued items were counted again where they went: here they leave the sum on both sides.
        let requeued = live(HeaderCounter::Requeued).min(tally.rejected);
        // The header counters have no checksum: damaged ones must not look like more than any lane holds.
        let counter = |counter, least: u64| {
            Some(live(counter)).filter(|n| *n - least.min(*n) <= MOST_PENDING).unwrap_or(least)
        };
        let pending = counter(HeaderCounter::Accepted, checkpoint.head.seq).saturating_sub(checkpoint.cursor);
        let oldest_unix_ms = match pending {
            0 => 0,
            _ if checkpoint.cursor < checkpoint.head.seq => live(HeaderCounter::OldestUnixMs),
            _ => oldest_in_journal(),
        };
        Self {
            accepted: tally.total() + pending - requeued,
            delivered: tally.delivered,
            rejected: tally.rejected - requeued,
            dropped_overflow: tally.dropped_overflow,
            dropped_expired: tally.dropped_expired,
            dropped_corrupt: tally.dropped_corrupt,
            pending,
            pending_bytes: counter(HeaderCounter::AcceptedBytes, checkpoint.head.bytes)
                .saturating_sub(checkpoint.settled_bytes),
            disk_bytes: live(HeaderCounter::DiskBytes),
            oldest_pending_age_ms: match oldest_unix_ms {
                0 => 0,
                oldest => now_unix_ms().saturating_sub(oldest),
            },
            batches_sent: live(HeaderCounter::BatchesSent),
            retries: live(HeaderCounter::Retries),
            export_state: live(HeaderCounter::ExportState),
            last_http_status: live(HeaderCounter::LastHttpStatus),
            lanes_adopted: live(HeaderCounter::LanesAdopted),
        }
    }

    /// What became of the items that left the queue.
    pub(crate) fn tally(&self) -> Tally {
        Tally {
            delivered: self.delivered,
            rejected: self.rejected,
            dropped_overflow: self.dropped_overflow,
            dropped_expired: self.dropped_expired,
            dropped_corrupt: self.dropped_corrupt,
        }
    }
}
