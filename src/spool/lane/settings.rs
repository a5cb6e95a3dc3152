//! Lane settings: the settings that concern the disk, in the form in which a lane uses them.

use std::time::Duration;

use crate::config::{Adopt, Config, Destination, Durability, Order, Overflow};
use crate::spool::lane::stores::FOLDERS_BYTES;
use crate::spool::queue::batching::BatchLimits;
use crate::spool::segments::writer::Grain;

/// A lane of `max_spool_bytes` leaves one part of as many to its rejected store.
const REJECTED_SHARE: u64 = 16;

/// A spool that may take less has no segments: they would take more room than they hold.
const LEAST_WITH_SEGMENTS: u64 = 4 << 20;

/// The settings that concern the disk.
#[derive(Debug, Clone)]
pub(crate) struct LaneSettings {
    /// Where the items go.
    pub(crate) destination: Destination,
    pub(crate) adopt: Adopt,
    pub(crate) limits: BatchLimits,
    pub(crate) schedule_delay_ms: u64,
    /// As many pending items make a batch due at once; `None`: no number does.
    pub(crate) trigger_items: Option<u64>,
    /// Batches that may be handed out beyond the cursor: what a crash can make be sent again.
    pub(crate) max_in_flight: usize,
    /// `None`: without a limit.
    pub(crate) max_queue_size: Option<u64>,
    pub(crate) max_spool_bytes: u64,
    pub(crate) max_rejected_bytes: u64,
    /// The part of `max_spool_bytes` that segments leave to the rejected store.
    pub(crate) rejected_share: u64,
    pub(crate) overflow: Overflow,
    pub(crate) max_age: Option<Duration>,
    pub(crate) durability: Durability,
    pub(crate) sync_interval: Duration,
    pub(crate) enqueue_timeout: Duration,
    pub(crate) journal_bytes: u64,
    /// The part of `max_spool_bytes` that is kept free for the journal of the next lane: with `order=newest_first`.
    pub(crate) next_lane_bytes: u64,
    /// In what pieces segments take disk.
    pub(crate) grain: Grain,
}

impl LaneSettings {
    pub(crate) fn new(config: &Config, destination: Destination) -> Self {
        let max_queue_size = Some(config.max_queue_size).filter(|size| *size > 0);
        // A backlog and the new items after it have a journal each.
        let lanes = if config.order == Order::NewestFirst { 2 } else { 1 };
        let journal_bytes = match config.max_spool_bytes {
            little @ ..LEAST_WITH_SEGMENTS => little / 4 * 3 / lanes,
            enough => config.journal_bytes.min(enough / 2 / lanes),
        };
        let trigger = |size| ((size as f64 * config.export_trigger_ratio) as u64).max(1);
        Self {
            destination,
            adopt: config.adopt,
            limits: BatchLimits { items: config.max_batch_size, body_bytes: config.max_batch_bytes },
            schedule_delay_ms: config.schedule_delay.as_millis() as u64,
            trigger_items: max_queue_size.map(trigger),
            max_in_flight: config.max_in_flight,
            max_queue_size,
            max_spool_bytes: config.max_spool_bytes,
            max_rejected_bytes: config.max_rejected_bytes,
            rejected_share: config.max_rejected_bytes.min(config.max_spool_bytes / REJECTED_SHARE),
            overflow: config.overflow,
            max_age: config.max_age,
            durability: config.durability,
            sync_interval: config.sync_interval,
            enqueue_timeout: config.enqueue_timeout,
            journal_bytes,
            next_lane_bytes: (lanes - 1) * (journal_bytes + FOLDERS_BYTES),
            grain: Grain::of(config.max_spool_bytes),
        }
    }

    /// Whether a lane whose items go to `destination` may become this client's own: new items are added to it.
    pub(crate) fn may_own(&self, destination: &Destination) -> bool {
        *destination == self.destination || self.adopts(destination) && !self.destination.is_anybody()
    }

    /// Whether items that go to `destination` may be delivered with these settings.
    pub(crate) fn adopts(&self, destination: &Destination) -> bool {
        self.adopt.allows(&self.destination, destination)
    }
}
