//! Hand-out: the lane's side toward delivery: gives batches out, settles them, and lets callers wait for that.

use std::ops::Range;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::config::{Durability, Level};
use crate::error::{Error, Result};
use crate::os::lock::Unpoison;
use crate::os::memory;
use crate::spool::ExportState;
use crate::spool::checkpoint::Tally;
use crate::spool::format::stored_batch::StoredBatch;
use crate::spool::lane::Lane;
use crate::spool::lane::read_trouble::ReadTrouble;
use crate::spool::queue::{Due, Next, ReadFailure};
use crate::spool::segments::reading::Reading;
use crate::spool::wakeup::Wakeup;

/// How long a delivery thread that found nothing sleeps before it asks to be woken. While items stream in, the callers
/// need not pay for a wake-up, a system call, with each batch.
const NAP: Duration = Duration::from_micros(200);
/// The longest wait for folders to be removed.
const TIDY_TIMEOUT: Duration = Duration::from_secs(1);

/// How long delivery waits when there is no memory for a batch.
const MEMORY_WAIT: Duration = Duration::from_secs(1);

/// What delivery threads and those who wait for them tell one another.
#[derive(Default)]
pub(crate) struct HandOut {
    /// Work for the delivery threads: a batch is due, or may be.
    wakeup: Wakeup,
    /// Items before this seq are to be sent without delay.
    forced_before: AtomicU64,
    /// Refused items that were put off are before this seq.
    put_off_before: AtomicU64,
    /// Nothing will be settled any more.
    ended: AtomicBool,
    trouble: Mutex<ReadTrouble>,
    short_of_memory: AtomicBool,
    /// The last owner waited for an endpoint that failed.
    was_failing: bool,
}

impl HandOut {
    pub(super) fn new(was_failing: bool) -> Self {
        Self { was_failing, ..Self::default() }
    }

    pub(crate) fn wake(&self) {
        self.wakeup.raise();
    }

    fn force_before(&self, seq: u64) {
        self.forced_before.fetch_max(seq, Relaxed);
        self.wake();
    }

    /// Items were put off: they are before `seq`.
    pub(super) fn note_put_off(&self, seq: u64) {
        self.put_off_before.fetch_max(seq, Relaxed);
    }

    fn has_ended(&self) -> bool {
        self.ended.load(Acquire)
    }

    fn trouble(&self) -> MutexGuard<'_, ReadTrouble> {
        self.trouble.lock().unpoisoned()
    }
}

/// What there is for a delivery thread.
pub(crate) enum Take {
    Batch(Box<StoredBatch>),
    /// Wait for the lane's delivery wakeup, until this time if one is given, then ask again.
    Wait(Option<Instant>),
}

/// Items that are to be sent without delay. As long as this is kept, no later item goes before them: the cursor has come
/// to the seq after them when all are settled, and not before.
pub(crate) struct Forced {
    lane: Arc<Lane>,
    pub(crate) end_seq: u64,
}

impl Drop for Forced {
    fn drop(&mut self) {
        self.lane.stores.lock_queue().let_pass(self.end_seq);
    }
}

impl Lane {
    /// What delivery threads wait for.
    pub(crate) fn delivery_wakeup(&self) -> &Wakeup {
        &self.hand_out.wakeup
    }

    /// How long the last owner waited at most for an endpoint that failed; `None`: when it ended, it did not.
    pub(crate) fn outage_before(&self) -> Option<Duration> {
        let oldest = || Duration::from_millis(self.stats().oldest_pending_age_ms);
        self.hand_out.was_failing.then(oldest)
    }

    /// The next batch to send, or what to wait for. The delivery wakeup is to be noted before the call.
    pub(crate) fn take_batch(&self) -> Take {
        self.take_within(Some(self.settings.max_in_flight))
    }

    /// The batch after those that are in flight, however many that are.
    pub(crate) fn take_confirming(&self) -> Take {
        self.take_within(None)
    }

    fn take_within(&self, window: Option<usize>) -> Take {
        let journal = self.stores.journal();
        let mut rested = false;
        if let Some(until) = self.wait_for_memory() {
            return Take::Wait(Some(until));
        }
        loop {
            let due = self.due(window);
            let mut queue = self.stores.lock_queue();
            let before = queue.checkpoint().cursor;
            let next = queue.next(journal, self.settings.limits, due);
            let after = queue.checkpoint().cursor;
            let next_seq = queue.next_seq();
            if queue.wants_readahead() {
                self.mover.wake();
            }
            if after == before {
                drop(queue);
            } else {
                self.announce_settled(queue);
            }
            match next {
                Next::Batch(stored, ring) => {
                    // Sent all the same: at worst its items come once more in other batches.
                    if let Err(error) = self.persist_boundary(ring) {
                        self.log.line(Level::Debug, format_args!("{error}"));
                        self.mover.wake();
                    }
                    return Take::Batch(stored);
                }
                Next::In { .. } | Next::Idle if !rested => {
                    std::thread::sleep(NAP);
                    rested = true;
                }
                Next::In { ms, enough } => {
                    let full = enough.min(next_seq + self.settings.limits.items as u64);
                    let due = self
                        .settings
                        .trigger_items
                        .map_or(full, |items| full.min(before.saturating_add(items)));
                    if self.wake_at(due) {
                        return Take::Wait(Some(Instant::now() + Duration::from_millis(ms.max(1))));
                    }
                    std::thread::yield_now();
                }
                Next::Idle => {
                    if self.wake_at(next_seq + 1) {
                        return Take::Wait(None);
                    }
                    std::thread::yield_now();
                }
                Next::Regroup => {
                    self.mover.wake();
                    return Take::Wait(None);
                }
                Next::Spilling | Next::Window => return Take::Wait(None),
                Next::Reading => return Take::Wait(None),
                Next::Read(reading) => {
                    if let Some(until) = self.read(*reading) {
                        return Take::Wait(Some(until));
                    }
                }
                Next::Lost(error) => {
                    self.log.line(Level::Error, format_args!("{error}"));
                    self.stores.keep_damaged();
                }
            }
        }
    }

    /// `Some`: there is no memory for a batch and its request now, nor before this time.
    fn wait_for_memory(&self) -> Option<Instant> {
        let bytes = 3 * self.settings.limits.body_bytes;
        let outcome = memory::ensure(format_args!("send a batch of lane {}", self.id()), bytes);
        let was_short = self.hand_out.short_of_memory.swap(outcome.is_err(), Relaxed);
        let error = outcome.err()?;
        if !was_short {
            self.log.line(Level::Error, format_args!("{error}; trying again"));
        }
        Some(Instant::now() + MEMORY_WAIT)
    }

    /// Reads a batch from a segment, for the next call of `Queue::next`. `Some`: not before this time.
    fn read(&self, reading: Reading) -> Option<Instant> {
        let again_at = self.hand_out.trouble().shown().map(|(.., again_at)| again_at);
        if again_at.is_some_and(|again_at| again_at > Instant::now()) {
            return again_at;
        }
        let found = reading.read();
        let mut queue = self.stores.lock_queue();
        let before = queue.checkpoint().cursor;
        let outcome = queue.was_read(self.stores.journal(), &reading, found);
        drop(reading);
        if queue.checkpoint().cursor == before {
            drop(queue);
        } else {
            self.announce_settled(queue);
        }
        match outcome {
            Err(ReadFailure::Later(why)) => return Some(self.put_off_reading(&why)),
            Err(ReadFailure::Lost(why)) => {
                self.log.line(Level::Error, format_args!("{why}"));
                self.stores.keep_damaged();
            }
            Ok(()) => {
                if self.hand_out.trouble().end() {
                    let id = self.id();
                    self.log.line(Level::Info, format_args!("lane {id}: its segments can be read again"));
                }
            }
        }
        // Other threads may wait for it.
        self.hand_out.wake();
        None
    }

    /// Notes that a segment can't be read now. Returns when to try again.
    fn put_off_reading(&self, why: &Error) -> Instant {
        let (again_at, is_news) = self.hand_out.trouble().begin(why.message());
        if is_news {
            self.log.line(Level::Error, format_args!("{why}; trying again"));
        }
        again_at
    }

    /// How it is shown that no batch can be read from segments now, why, and when that is tried again.
    pub(crate) fn read_trouble(&self) -> Option<(ExportState, String, Instant)> {
        self.hand_out.trouble().shown().map(|(state, why, again_at)| (state, why.to_owned(), again_at))
    }

    fn due(&self, window: Option<usize>) -> Due {
        let journal = self.stores.journal();
        // A step of the wall clock must not be taken for time that passed, should this owner die now.
        journal.note_clock();
        let now_ms = journal.now_ms();
        let pending = self.tail_seq().saturating_sub(journal.cursor());
        let triggered = self.settings.trigger_items.is_some_and(|items| pending >= items);
        Due {
            now_ms,
            delay_ms: if triggered { 0 } else { self.settings.schedule_delay_ms },
            window,
            forced_before: self.hand_out.forced_before.load(Relaxed),
            expired_before_ms: self.expired_before(now_ms),
        }
    }

    /// With `durability=power`, makes durable which items a batch consists of before anybody sees it, so that they go
    /// under the same id after a power cut too. `ring`: where it lies in the journal, if not in a segment.
    fn persist_boundary(&self, ring: Option<Range<u64>>) -> Result<()> {
        let journal = self.stores.journal();
        match ring {
            _ if self.settings.durability == Durability::Process => Ok(()),
            Some(range) => journal.sync_range(range),
            // The segment counts from when the head that moved over its items is on stable storage.
            None if journal.can_release() => journal.release(),
            None => Ok(()),
        }
    }

    /// Asks appends to wake the delivery threads when as many items are accepted; `false` when they are there already.
    fn wake_at(&self, seq: u64) -> bool {
        self.stores.journal().wake_delivery_at(seq).seq < seq
    }

    fn expired_before(&self, now_ms: u64) -> Option<u64> {
        self.settings.max_age.map(|age| now_ms.saturating_sub(age.as_millis() as u64))
    }

    /// Whether a batch in flight is not to be sent any more: it was dropped, or is too old now.
    pub(crate) fn is_obsolete(&self, stored: &StoredBatch) -> bool {
        if self.stores.lock_queue().is_dropped(stored.batch.first()) {
            return true;
        }
        self.expired_before(self.stores.journal().now_ms()).is_some_and(|time| stored.newest_unix_ms < time)
    }

    /// Records what became of the items of a batch; those neither delivered nor rejected are obsolete.
    /// It survives the process at once.
    pub(crate) fn settle(&self, stored: &StoredBatch, delivered: u64, rejected: u64) {
        let first = stored.batch.first();
        let obsolete = (stored.batch.len() as u64).saturating_sub(delivered + rejected);
        let mut queue = self.stores.lock_queue();
        let tally = if queue.is_dropped(first) {
            Tally { delivered, rejected, dropped_overflow: obsolete, ..Tally::default() }
        } else {
            Tally { delivered, rejected, dropped_expired: obsolete, ..Tally::default() }
        };
        queue.settle(self.stores.journal(), first, tally);
        self.announce_settled(queue);
        if self.settings.max_in_flight > 1 {
            // Another thread may wait for the window to move.
            self.hand_out.wake();
        }
    }

    /// Asks that everything accepted so far is sent without delay.
    pub(crate) fn force(self: &Arc<Self>, deadline: Option<Instant>) -> Forced {
        let mut queue = self.stores.lock_queue();
        // Until that is over the newest items do not have their seqs yet.
        while queue.is_storing_oversize() && !self.has_ended() {
            let Some(guard) = self.stores.wait_for_change(queue, deadline) else {
                queue = self.stores.lock_queue();
                break;
            };
            queue = guard;
        }
        let end_seq = self.tail_seq();
        queue.keep_before(end_seq);
        drop(queue);
        self.hand_out.force_before(end_seq);
        Forced { lane: self.clone(), end_seq }
    }

    /// Whether a refused item is pending that was put off.
    pub(crate) fn has_put_off(&self) -> bool {
        self.stores.journal().checkpoint().cursor < self.hand_out.put_off_before.load(Relaxed)
    }

    /// Whether batches are settled that come after one that is not. The lane's next owner would send them again.
    pub(crate) fn has_settled_ahead(&self) -> bool {
        self.stores.lock_queue().has_settled_ahead()
    }

    /// Waits until all items before `seq` are settled, and those that were put off, the lane has ended, or `deadline`.
    pub(crate) fn wait_settled(&self, seq: u64, deadline: Option<Instant>) -> bool {
        let mut queue = self.stores.lock_queue();
        loop {
            let put_off_before = self.hand_out.put_off_before.load(Relaxed);
            if put_off_before > seq {
                self.hand_out.force_before(put_off_before);
            }
            let seq = seq.max(put_off_before);
            if queue.checkpoint().cursor >= seq {
                return true;
            }
            if self.has_ended() {
                return false;
            }
            queue.await_cursor(seq);
            let Some(guard) = self.stores.wait_for_change(queue, deadline) else { return false };
            queue = guard;
        }
    }

    /// Waits until the segments that are not needed any more are gone, or `deadline`.
    pub(crate) fn wait_tidied(&self, deadline: Option<Instant>) {
        self.stores.wait_tidied(deadline, TIDY_TIMEOUT);
    }

    /// Nothing will be settled any more: nobody waits for it in vain.
    pub(crate) fn end(&self) {
        self.hand_out.ended.store(true, Release);
        drop(self.stores.lock_queue());
        self.stores.announce_change();
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.hand_out.has_ended()
    }
}
