//! Lane: the folder that one live process owns: its lock, journal, segments and rejected store.
//!
//! ```text
//!   callers ──▶ Intake ──▶ ┌────────┐ ──▶ HandOut ──▶ delivery
//!                          │ Stores │
//!                          └────────┘ ◀──▶ Mover ◀──▶ committer
//! ```

pub(super) mod directory;
mod elsewhere;
mod full;
mod ground;
pub(super) mod handout;
pub(super) mod identity;
mod intake;
pub(super) mod kin;
pub(super) mod lock;
mod mover;
pub(super) mod open;
pub(super) mod oversize;
mod read_trouble;
mod requeue;
mod set_aside;
pub(super) mod settings;
pub(super) mod stores;

use std::sync::{Arc, MutexGuard, OnceLock};

use crate::config::{Level, Log, Overflow, on_one_line};
use crate::error::{Error, ErrorKind};
use crate::spool::checkpoint::Tally;
use crate::spool::journal::{HeaderCounter, Read};
use crate::spool::lane::elsewhere::Elsewhere;
use crate::spool::lane::handout::HandOut;
use crate::spool::lane::identity::Identity;
use crate::spool::lane::intake::Intake;
use crate::spool::lane::kin::Kin;
use crate::spool::lane::mover::Mover;
use crate::spool::lane::oversize::OversizeSlot;
use crate::spool::lane::requeue::Requeue;
use crate::spool::lane::settings::LaneSettings;
use crate::spool::lane::stores::Stores;
use crate::spool::queue::{Dropped, Queue};
use crate::spool::stats::Stats;

/// A lane that this process owns.
///
/// Any thread enqueues. The committer's thread (see `committer`) spills and syncs. Delivery threads take batches.
pub(crate) struct Lane {
    identity: Identity,
    stores: Stores,
    intake: Intake,
    mover: Mover,
    hand_out: HandOut,
    requeue: Requeue,
    elsewhere: Elsewhere,
    settings: LaneSettings,
    /// The lanes of the same client, if it may have several.
    kin: OnceLock<Arc<Kin>>,
    log: Log,
}

impl Lane {
    pub(crate) fn id(&self) -> &str {
        self.identity.id()
    }

    pub(super) fn stores(&self) -> &Stores {
        &self.stores
    }

    pub(super) fn mover(&self) -> &Mover {
        &self.mover
    }

    pub(super) fn hand_out(&self) -> &HandOut {
        &self.hand_out
    }

    pub(super) fn oversize(&self) -> &OversizeSlot {
        self.intake.oversize()
    }

    pub(crate) fn settings(&self) -> &LaneSettings {
        &self.settings
    }

    pub(super) fn log(&self) -> &Log {
        &self.log
    }

    /// Drops the oldest batch of the client's lanes if `is_wanted` says so. `false`: nothing can be dropped now.
    pub(super) fn drop_oldest(&self, is_wanted: impl Fn() -> bool) -> bool {
        self.drop_from_backlog(&is_wanted) || self.drop_own_oldest(&is_wanted)
    }

    /// Drops the lane's oldest batch if `is_wanted` says so once nobody else changes the queue. `false`: nothing can be
    /// dropped now.
    pub(super) fn drop_own_oldest(&self, is_wanted: &dyn Fn() -> bool) -> bool {
        if self.tidy_rejected().is_err() {
            return false;
        }
        loop {
            let mut queue = self.stores.lock_queue();
            if !is_wanted() {
                return true;
            }
            match queue.drop_oldest(self.stores.journal(), self.settings.limits) {
                Dropped::Items => {
                    self.announce_settled(queue);
                    return true;
                }
                Dropped::Nothing => return false,
                Dropped::Unknown(survey) => {
                    drop(queue);
                    match survey.read() {
                        Ok(found) => self.stores.lock_queue().segments_mut().note_contents(found),
                        Err(error) => {
                            self.log.line(Level::Error, format_args!("no old item can be dropped: {error}"));
                            return false;
                        }
                    }
                }
            }
        }
    }

    /// Tells all that wait for the cursor, which has moved.
    pub(super) fn announce_settled(&self, mut queue: MutexGuard<'_, Queue>) {
        let reached = queue.forget_reached_target();
        let has_passed_segments = queue.has_passed_segments();
        let checkpoint = queue.checkpoint();
        // A segment gives its room back as a whole; what may be dropped for others counts before that.
        let wins_room =
            checkpoint.cursor >= checkpoint.head.seq || self.settings.overflow == Overflow::DropOldest;
        drop(queue);
        if reached {
            self.stores.announce_change();
        }
        self.mover.note_settled(has_passed_segments, wins_room);
    }

    /// The seq after the newest item.
    pub(crate) fn tail_seq(&self) -> u64 {
        self.stores.journal().tail().seq
    }

    /// The counters, as one consistent picture.
    pub(crate) fn stats(&self) -> Stats {
        let journal = self.stores.journal();
        let oldest_in_journal = || match journal.read(journal.checkpoint().head) {
            Read::Record(record) => record.accepted_unix_ms,
            _ => 0,
        };
        let stats = Stats::read(&journal.checkpoint(), |counter| journal.counter(counter), oldest_in_journal);
        Stats { held_batches: self.stores.rejected().held_batches(), ..stats }
    }

    pub(crate) fn counter(&self, counter: HeaderCounter) -> u64 {
        self.stores.journal().counter(counter)
    }

    pub(crate) fn set_counter(&self, counter: HeaderCounter, value: u64) {
        self.stores.journal().set_counter(counter, value);
    }

    pub(crate) fn add_counter(&self, counter: HeaderCounter, more: u64) {
        self.stores.journal().add_counter(counter, more);
    }

    /// Publishes why export waits.
    pub(crate) fn set_reason(&self, reason: &str) {
        self.stores.journal().set_reason(&on_one_line(reason));
    }

    /// Counts a lane that was adopted.
    pub(crate) fn count_adopted(&self) {
        self.add_counter(HeaderCounter::LanesAdopted, 1);
    }

    /// Counts items of a lane that this one takes over.
    pub(super) fn count_adopted_items(&self, tally: Tally) {
        self.stores.lock_queue().adopted(self.stores.journal(), tally);
    }

    /// Counts rejected items that had to leave the store as dropped.
    pub(super) fn count_evicted(&self, items: u64) {
        if items > 0 {
            self.stores.lock_queue().recount_evicted(self.stores.journal(), items);
        }
    }

    /// Makes the committer look whether it is to stop.
    pub(crate) fn wake_committer(&self) {
        self.mover.wake();
    }

    /// Lets the lane go: another process or client may take it over. No thread may work for it any more.
    pub(crate) fn unlock(&self) {
        self.identity.unlock();
    }
}

pub(crate) fn shut_down() -> Error {
    Error::new(ErrorKind::ShutDown, "the client was shut down")
}
