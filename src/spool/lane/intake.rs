//! Intake: the lane's side toward callers: stores items, within limits.

use std::time::{Duration, Instant};

use crate::batch::Batch;
use crate::config::{Durability, Overflow};
use crate::error::Result;
use crate::item::Item;
use crate::os::memory;
use crate::spool::journal::{Appended, Refusal};
use crate::spool::lane::oversize::OversizeSlot;
use crate::spool::lane::settings::LaneSettings;
use crate::spool::lane::{Lane, shut_down};

/// With `drop_oldest`, how much longer than `enqueue_timeout_ms` a caller waits for old items to be dropped.
const DROP_PATIENCE: Duration = Duration::from_millis(80);
/// How long it waits before it looks again for something that can be dropped.
const DROP_AGAIN_AFTER: Duration = Duration::from_micros(200);
/// How long the committer may take to see an oversize item, for callers that do not wait at all.
const TAKING_TIME: Duration = Duration::from_millis(50);

/// The limits of what a lane accepts, and the way in for items that are too long for the ring.
pub(super) struct Intake {
    max_queue_size: Option<u64>,
    overflow: Overflow,
    enqueue_timeout: Duration,
    durability: Durability,
    oversize: OversizeSlot,
}

impl Intake {
    pub(super) fn new(settings: &LaneSettings) -> Self {
        Self {
            max_queue_size: settings.max_queue_size,
            overflow: settings.overflow,
            enqueue_timeout: settings.enqueue_timeout,
            durability: settings.durability,
            oversize: OversizeSlot::default(),
        }
    }

    pub(super) fn oversize(&self) -> &OversizeSlot {
        &self.oversize
    }

    /// How long a call that begins now waits for room.
    fn deadline(&self) -> Instant {
        let patience = if self.overflow == Overflow::DropOldest { DROP_PATIENCE } else { Duration::ZERO };
        Instant::now() + self.enqueue_timeout + patience
    }
}

impl Lane {
    /// Stores `item` so that it survives what `durability` says.
    pub(crate) fn enqueue(&self, item: &Item<'_>) -> Result<()> {
        let (intake, mover, journal) = (&self.intake, &self.mover, self.stores.journal());
        let len = item.key_name().len() + item.bytes().len();
        if !journal.fits_in_ring(len) {
            return self.enqueue_oversize(item);
        }
        let mut deadline = None;
        loop {
            let refusal = match journal.append(item, self.max_seq()) {
                Ok(appended) => {
                    self.wake_for(appended);
                    return match intake.durability {
                        Durability::Process => Ok(()),
                        Durability::Power => self.sync_to(appended.end_pos),
                    };
                }
                Err(refusal) => refusal,
            };
            match (refusal, intake.overflow) {
                (Refusal::Closed, _) => return Err(shut_down()),
                (Refusal::NotDurable(why), _) => return Err(why),
                (Refusal::QueueFull, Overflow::Reject) => return Err(self.queue_full()),
                (Refusal::QueueFull, Overflow::DropOldest) => {
                    self.make_queue_room(*deadline.get_or_insert_with(|| intake.deadline()))?;
                }
                (Refusal::RingFull, Overflow::Reject) if mover.is_full() && !journal.can_release() => {
                    return Err(self.spool_full());
                }
                (Refusal::RingFull, _) => {
                    let deadline = *deadline.get_or_insert_with(|| intake.deadline());
                    if !journal.wait_for_room(len, deadline, || mover.wake()) {
                        return Err(self.spool_full());
                    }
                }
            }
        }
    }

    /// Wakes whom an append is to wake.
    pub(super) fn wake_for(&self, appended: Appended) {
        if appended.wake_committer {
            self.mover.wake();
        }
        if appended.wake_delivery {
            self.hand_out.wake();
        }
    }

    /// Stores an item that is too long for the ring in a batch of its own; OK means stable storage.
    fn enqueue_oversize(&self, item: &Item<'_>) -> Result<()> {
        let deadline = self.intake.deadline();
        while self.is_queue_full() {
            match self.intake.overflow {
                Overflow::Reject => return Err(self.queue_full()),
                Overflow::DropOldest => self.make_queue_room(deadline)?,
            }
        }
        let (id, bytes) = (self.id(), item.bytes().len());
        memory::ensure(format_args!("store an item of {bytes} bytes in lane {id}"), 3 * bytes)?;
        let mut batch = Batch::with_capacity(id, 0, item.key_name(), 1, bytes);
        batch.push(item.bytes());
        let deadline = deadline.max(Instant::now() + TAKING_TIME);
        let outcome = self.intake.oversize.store(batch, deadline, || self.mover.wake());
        outcome.unwrap_or_else(|| Err(shut_down()))
    }

    /// Drops the oldest batch because of `max_queue_size`, unless another caller did. What is just being written or moved
    /// is waited for.
    fn make_queue_room(&self, deadline: Instant) -> Result<()> {
        if self.drop_oldest(|| self.is_queue_full()) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(self.queue_full());
        }
        std::thread::sleep(DROP_AGAIN_AFTER);
        Ok(())
    }

    fn is_queue_full(&self) -> bool {
        self.max_seq().is_some_and(|max| self.tail_seq() >= max)
    }

    /// The seq at which the queue is full; `None` without a limit.
    fn max_seq(&self) -> Option<u64> {
        let size = self.intake.max_queue_size?;
        Some(self.stores.journal().cursor().saturating_add(size.saturating_sub(self.pending_beside())))
    }

    /// Brings everything accepted so far to stable storage.
    pub(crate) fn sync(&self) -> Result<()> {
        self.sync_to(self.stores.journal().tail().pos)?;
        self.check_ground()
    }

    fn sync_to(&self, end_pos: u64) -> Result<()> {
        // The committer makes the next ones succeed.
        self.stores.journal().sync_to(end_pos).inspect_err(|_| self.mover.wake())
    }

    /// Accepts no item any more.
    pub(crate) fn close(&self) {
        self.stores.journal().close();
    }
}
