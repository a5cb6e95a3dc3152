//! Stats: what became of every item, accepted = delivered + pending + rejected + dropped, at all times.

use crate::spool::checkpoint::{Checkpoint, Tally};
use crate::spool::journal::{HeaderCounter, lane_ms};

/// The counters of a client. New fields are only ever appended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Stats {
    /// Items accepted: delivered + pending + rejected + dropped for any reason.
    pub accepted: u64,
    /// Items that the ingest answered with 2xx.
    pub delivered: u64,
    /// Items set aside in the rejected store.
    pub rejected: u64,
    /// Items dropped at a limit: overflow=drop_oldest, max_rejected_bytes.
    pub dropped_overflow: u64,
    /// Items dropped because they were older than max_age_s.
    pub dropped_expired: u64,
    /// Items that were lost to damage on the disk.
    pub dropped_corrupt: u64,
    /// Items that wait to be delivered.
    pub pending: u64,
    /// Bytes of the items that wait to be delivered.
    pub pending_bytes: u64,
    /// Bytes that the lane takes on disk.
    pub disk_bytes: u64,
    /// Age of the oldest pending item in milliseconds; 0 if there is none.
    pub oldest_pending_age_ms: u64,
    /// Requests that were answered with 2xx.
    pub batches_sent: u64,
    /// Failed attempts that were followed by a backoff.
    pub retries: u64,
    /// What the exporter is doing: 0 idle, 1 sending, 2 backoff, 3 hold.
    pub export_state: u64,
    /// The last HTTP status; 0 if none was received yet.
    pub last_http_status: u64,
    /// Lanes of dead processes that were adopted.
    pub lanes_adopted: u64,
    /// Spans, log records and data points that a receiver of OTLP refused inside an answer of success. They are not sent
    /// again; their items count as delivered.
    pub partially_rejected: u64,
    /// Batches set aside in the rejected store until their key is set: `no_key:<name>` and `key_refused:<name>`.
    pub held_batches: u64,
}

/// What the exporter of a lane is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u64)]
pub enum ExportState {
    /// Nothing: there is no batch to send.
    Idle = 0,
    /// A request is under way.
    Sending = 1,
    /// Waiting before it tries again.
    Backoff = 2,
    /// Waiting for something outside to change: a key, a permission, an address, room on the disk, a file that stays
    /// missing or unreadable. It probes now and then.
    Hold = 3,
}

impl ExportState {
    /// The state with this number; newer numbers count as `Hold`.
    pub fn from_number(number: u64) -> Self {
        match number {
            0 => Self::Idle,
            1 => Self::Sending,
            2 => Self::Backoff,
            _ => Self::Hold,
        }
    }

    /// Its name in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Sending => "sending",
            Self::Backoff => "backoff",
            Self::Hold => "hold",
        }
    }

    /// Whether the next attempt is put off.
    pub fn is_waiting(self) -> bool {
        matches!(self, Self::Backoff | Self::Hold)
    }
}

impl From<ExportState> for u64 {
    fn from(state: ExportState) -> Self {
        state as u64
    }
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
        // Not the sum of what became of them: so that a wrong sum is seen.
        let accepted = counter(HeaderCounter::Accepted, checkpoint.head.seq).max(checkpoint.cursor);
        let pending = accepted - checkpoint.cursor;
        let oldest_unix_ms = match pending {
            0 => 0,
            _ if checkpoint.cursor < checkpoint.head.seq => live(HeaderCounter::OldestUnixMs),
            _ => oldest_in_journal(),
        };
        Self {
            accepted: (accepted - checkpoint.counted_elsewhere() + checkpoint.adopted.total())
                .saturating_sub(requeued),
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
                oldest => lane_ms(&live).saturating_sub(oldest),
            },
            batches_sent: live(HeaderCounter::BatchesSent),
            retries: live(HeaderCounter::Retries),
            export_state: live(HeaderCounter::ExportState),
            last_http_status: live(HeaderCounter::LastHttpStatus),
            lanes_adopted: live(HeaderCounter::LanesAdopted),
            partially_rejected: live(HeaderCounter::PartiallyRejected),
            held_batches: 0,
        }
    }

    /// The counters of two lanes of one client, of which `self` is the older one.
    pub(crate) fn and(self, newer: Self) -> Self {
        Self {
            accepted: self.accepted + newer.accepted,
            delivered: self.delivered + newer.delivered,
            rejected: self.rejected + newer.rejected,
            dropped_overflow: self.dropped_overflow + newer.dropped_overflow,
            dropped_expired: self.dropped_expired + newer.dropped_expired,
            dropped_corrupt: self.dropped_corrupt + newer.dropped_corrupt,
            pending: self.pending + newer.pending,
            pending_bytes: self.pending_bytes + newer.pending_bytes,
            disk_bytes: self.disk_bytes + newer.disk_bytes,
            oldest_pending_age_ms: self.oldest_pending_age_ms.max(newer.oldest_pending_age_ms),
            batches_sent: self.batches_sent + newer.batches_sent,
            retries: self.retries + newer.retries,
            export_state: self.export_state.max(newer.export_state),
            last_http_status: match newer.last_http_status {
                0 => self.last_http_status,
                status => status,
            },
            lanes_adopted: self.lanes_adopted + newer.lanes_adopted,
            partially_rejected: self.partially_rejected + newer.partially_rejected,
            held_batches: self.held_batches + newer.held_batches,
        }
    }

    /// What the exporter is doing.
    pub fn state(&self) -> ExportState {
        ExportState::from_number(self.export_state)
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
