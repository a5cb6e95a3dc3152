//! Next: what is asked of the queue, and what it answers.

use std::ops::Range;

use crate::error::Error;
use crate::spool::format::stored_batch::StoredBatch;
use crate::spool::segments::reading::Reading;

/// When a batch that is not full is made all the same.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Due {
    /// By the lane's clock.
    pub(crate) now_ms: u64,
    pub(crate) delay_ms: u64,
    /// Batches that may be in flight at once, settled ones after an unsettled one included; `None`: any number.
    pub(crate) window: Option<usize>,
    /// Items before this seq wait for nothing.
    pub(crate) forced_before: u64,
    /// Items accepted before this time by the lane's clock are dropped.
    pub(crate) expired_before_ms: Option<u64>,
}

/// What there is to send.
pub(crate) enum Next {
    /// A batch, and its ring positions when it came from the journal.
    Batch(Box<StoredBatch>, Option<Range<u64>>),
    /// Nothing yet; a batch falls due after `ms` milliseconds, or, as far as can be said, once there are items up to
    /// the seq `enough`.
    In { ms: u64, enough: u64 },
    /// Nothing.
    Idle,
    /// The committer must first sort the journal's items by key name.
    Regroup,
    /// The committer is moving the next items into a segment: it tells when it is done.
    Spilling,
    /// The next batch is to be read from a segment, without the queue's lock: see `Queue::was_read`.
    Read(Box<Reading>),
    /// Another thread reads it.
    Reading,
    /// As many batches as may be are in flight: the next one waits until the oldest is settled.
    Window,
    /// Something was lost for good; ask again.
    Lost(Error),
}
