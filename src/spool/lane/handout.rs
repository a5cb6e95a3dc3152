//! Outlet: the lane's side toward the drain loop: take a batch, set items aside, settle.

use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use crate::config::{Durability, Level};
use crate::error::Result;
use crate::spool::checkpoint::Tally;
use crate::spool::format::stored_batch::StoredBatch;
use crate::spool::journal::now_unix_ms;
use crate::spool::lane::Lane;
use crate::spool::queue::{Due, Next};
use crate::spool::set_aside::rejected::Rejection;

/// How long a drain thread that found nothing sleeps before it asks to be woken: while items stream in, the calls that
/// take them need not pay for a wake-up, a system call, with each batch.
const NAP: Duration = Duration::from_micros(200);
/// How long after the disk failed to give a batch it is asked again.
const READ_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What there is for a drain thread.
pub(crate) enum Take {
    Batch(Box<StoredBatch>),
    /// Wait for the lane's `drain` signal, until this time if one is given, then ask again.
    Wait(Option<Instant>),
}

impl Lane {
    /// The next batch to send, or what to wait for. The `drain` signal is to be noted before the call.
    pub(crate) fn take_batch(&self) -> Take {
        self.take_within(self.settings.max_in_flight)
    }

    /// The batch behind those that are under way, however many are settled behind the ones that are not.
    pub(crate) fn take_witness(&self) -> Take {
        self.take_within(usize::MAX)
    }

    fn take_within(&self, window: usize) -> Take {
        let mut rested = false;
        loop {
            let now_unix_ms = now_unix_ms();
            let pending = self.pending_at_least();
            let delay_ms =
                if pending >= self.settings.trigger_items { 0 } else { self.settings.schedule_delay_ms };
            let due = Due {
                now_unix_ms,
                delay_ms,
                window,
                forced_before: self.forced_before.load(Relaxed),
                expired_before_unix_ms: self.expired_before(now_unix_ms),
            };
            let mut queue = self.lock_queue();
            let before = queue.checkpoint().cursor;
            let next = queue.next(&self.journal, self.settings.limits, due);
            let after = queue.checkpoint().cursor;
            let awaited = queue.next_seq();
            if queue.wants_readahead() {
                self.commit.raise();
            }
            if after == before {
                drop(queue);
            } else {
                self.after_settling(queue);
            }
            match next {
                Next::Batch(stored, ring) => {
                    // Sent all the same: at worst its items come once more in other batches.
                    if let Err(error) = self.persist_boundary(ring) {
                        self.log.line(Level::Debug, format_args!("{error}"));
                        self.commit.raise();
                    }
                    return Take::Batch(stored);
                }
                Next::In(_) | Next::Idle if !rested => {
                    std::thread::sleep(NAP);
                    rested = true;
                }
                Next::In(ms) => {
                    let full = awaited + self.settings.limits.items as u64;
                    if self.await_seq(full.min(before.saturating_add(self.settings.trigger_items))) {
                        return Take::Wait(Some(Instant::now() + Duration::from_millis(ms.max(1))));
                    }
                    std::thread::yield_now();
                }
                Next::Idle => {
                    if self.await_seq(awaited + 1) {
                        return Take::Wait(None);
                    }
                    std::thread::yield_now();
                }
                Next::Regroup => {
                    self.commit.raise();
                    return Take::Wait(None);
                }
                Next::Moving | Next::Window => return Take::Wait(None),
                Next::Later(error) => {
                    self.log.line(Level::Error, format_args!("{error}"));
                    return Take::Wait(Some(Instant::now() + READ_AGAIN_AFTER));
                }
                Next::Lost(error) => {
                    self.log.line(Level::Error, format_args!("{error}"));
                    self.keep_damaged();
                }
            }
        }
    }

    /// With `durability=power`, makes durable which items a batch consists of before anybody sees it, so that they go
    /// under the same id after a power cut too. `ring`: where it lies in the journal, if not in a segment.
    fn persist_boundary(&self, ring: Option<Range<u64>>) -> Result<()> {
        match ring {
            _ if self.settings.durability == Durability::Process => Ok(()),
            Some(range) => self.journal.sync_range(range),
            // The segment counts from when the head that moved over its items is on stable storage.
            None if self.journal.can_release() => self.journal.release(),
            None => Ok(()),
        }
    }

    /// Asks appends to wake the drain threads when as many items were taken; `false` when they are there already.
    fn await_seq(&self, seq: u64) -> bool {
        self.journal.set_wake(|wake| wake.drain_seq = seq).seq < seq
    }

    fn pending_at_least(&self) -> u64 {
        self.tail_seq().saturating_sub(self.journal.checkpoint().cursor)
    }

    fn expired_before(&self, now_unix_ms: u64) -> u64 {
        self.settings.max_age.map_or(0, |age| now_unix_ms.saturating_sub(age.as_millis() as u64))
    }

    /// Whether a batch that was taken is not to be sent any more: it was dropped, or is too old now.
    pub(crate) fn is_obsolete(&self, stored: &StoredBatch) -> bool {
        if self.lock_queue().is_dropped(stored.batch.first()) {
            return true;
        }
        stored.newest_unix_ms < self.expired_before(now_unix_ms())
    }

    /// Records what became of the items of a batch; those neither delivered nor rejected are obsolete.
    /// It survives the process at once.
    pub(crate) fn settle(&self, stored: &StoredBatch, delivered: u64, rejected: u64) {
        let first = stored.batch.first();
        let obsolete = (stored.batch.len() as u64).saturating_sub(delivered + rejected);
        let mut queue = self.lock_queue();
        let tally = if queue.is_dropped(first) {
            Tally { delivered, rejected, dropped_overflow: obsolete, ..Tally::default() }
        } else {
            Tally { delivered, rejected, dropped_expired: obsolete, ..Tally::default() }
        };
        queue.settle(&self.journal, first, tally);
        self.after_settling(queue);
        if self.settings.max_in_flight > 1 {
            // Another thread may wait for the window to move.
            self.drain.raise();
        }
    }

    /// Puts `rejection` into the rejected store, durably. Its items count as rejected once the batch is settled.
    pub(crate) fn set_aside(&self, rejection: &Rejection) -> Result<()> {
        let evicted = self.rejected.put(rejection, self.settings.max_rejected_bytes)?;
        if evicted > 0 {
            self.lock_queue().recount_evicted(&self.journal, evicted);
        }
        self.count_disk();
        Ok(())
    }
}
