//! Requeue: items that go to the end of the queue: rejected ones, and refused ones that can't be set aside now.

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{AcqRel, Release};

use crate::config::{Level, Validation};
use crate::error::Result;
use crate::item::Item;
use crate::os::lock::Unpoison;
use crate::spool::journal::{HeaderCounter, JournalView};
use crate::spool::lane::Lane;
use crate::spool::set_aside::rejected_files::{RejectedFiles, TakenOut};
use crate::spool::set_aside::rejection::Rejection;

/// Items that go back between two syncs, and what is left of the last group. A death then leaves them in both places.
const ITEMS_AT_ONCE: usize = 256;

/// Who puts rejected items back, and whether there may be any to put back.
#[derive(Default)]
pub(super) struct Requeue {
    /// Held by the thread that puts items back: two at once would put back the same ones.
    back: Mutex<Back>,
    /// Items may be in the rejected store for want of a key that is known by now.
    late_key: AtomicBool,
}

/// Items that are on their way again and that a store could not be rid of yet: they are not put back once more.
#[derive(Default)]
struct Back {
    names: HashSet<u64>,
    hasher: RandomState,
}

impl Back {
    fn name_of(&self, store: &RejectedFiles, seq: u64, json: &[u8]) -> u64 {
        self.hasher.hash_one((store.lane(), seq, json))
    }
}

impl Lane {
    /// Puts rejected items back on their way as new items: the groups that wait for a key that is `wanted`. Those that
    /// are just being set aside wait for the next time.
    ///
    /// `Full`, `Io`, `ShutDown`, `Locked`: some were moved, the others stay where they are.
    pub(crate) fn requeue(&self, wanted: impl Fn(&str) -> bool) -> Result<()> {
        let (journal, rejected) = (self.stores.journal(), self.stores.rejected());
        let cursor = journal.checkpoint().cursor;
        let groups = rejected.awaiting(wanted)?;
        self.requeue_groups(
            rejected.files(),
            &groups,
            |group| {
                let is_settled = group.is_settled(cursor);
                if !is_settled {
                    // A death before that would send its batch again, besides what went back on its way.
                    self.note_late_key();
                }
                is_settled
            },
            |_| true,
            |taken| {
                rejected.note_taken(taken);
                journal.add_counter(HeaderCounter::Requeued, taken.items);
                Ok(())
            },
        )?;
        rejected.check_read()
    }

    /// Puts the items that are `wanted` of any lane's rejected store back on their way as new items of this lane. Returns
    /// how many.
    ///
    /// Errors: as above.
    pub(crate) fn requeue_from(&self, store: &RejectedFiles, wanted: impl Fn(u64) -> bool) -> Result<u64> {
        self.requeue_groups(store, &store.firsts()?, |_| true, wanted, |taken| count_taken(store, taken))
    }

    /// A few groups at a time: they are enqueued, brought to stable storage, and only then taken out of the store. A group
    /// that can't be read now is an error, and does not hold up the others.
    pub(super) fn requeue_groups(
        &self,
        store: &RejectedFiles,
        groups: &[u64],
        is_wanted_group: impl Fn(&Rejection) -> bool,
        is_wanted: impl Fn(u64) -> bool,
        taken: impl Fn(&TakenOut) -> Result<()>,
    ) -> Result<u64> {
        let mut back = self.requeue.back.lock().unpoisoned();
        let (mut moved, mut all_read) = (0, Ok(()));
        let mut groups = groups.iter().copied().peekable();
        while groups.peek().is_some() {
            // Nobody else puts the same ones back meanwhile.
            let _lock = store.lock()?;
            let (mut read, mut seqs) = (Vec::new(), BTreeMap::new());
            let mut outcome = Ok(());
            while let Some(first) = groups.next_if(|_| seqs.len() < ITEMS_AT_ONCE && outcome.is_ok()) {
                let group = store.read(first).unwrap_or_else(|why| {
                    all_read = Err(why);
                    None
                });
                let Some(group) = group.filter(&is_wanted_group) else { continue };
                outcome =
                    group.items.iter().filter(|(seq, _)| is_wanted(*seq)).try_for_each(|(seq, json)| {
                        let name = back.name_of(store, *seq, json);
                        if !back.names.contains(&name) {
                            self.enqueue(&Item::check(json, &group.key_name, usize::MAX, Validation::None)?)?;
                        }
                        seqs.insert(*seq, name);
                        Ok(())
                    });
                read.push(Ok((first, group)));
            }
            if !seqs.is_empty() {
                // The store's copies go only when the new ones can't get lost any more.
                back.names.extend(seqs.values());
                self.sync()?;
                let out = store.take_out(read, |seq| seqs.contains_key(&seq))?;
                seqs.values().for_each(|name| _ = back.names.remove(name));
                taken(&out)?;
                moved += out.items;
            }
            outcome?;
        }
        all_read.map(|()| moved)
    }

    /// Puts refused items, which the rejected store can't take now, to the end of the queue as new items. `count_put_off`
    /// is due for them when their batch is settled. Returns whether there was room for all of them.
    pub(crate) fn put_off(&self, key_name: &str, items: &[&[u8]]) -> bool {
        let _alone = self.requeue.back.lock().unpoisoned();
        let journal = self.stores.journal();
        if !journal.fit_in_reserve(items.iter().map(|json| key_name.len() + json.len())) {
            return false;
        }
        let append = |json: &&[u8]| {
            let item = Item::check(json, key_name, usize::MAX, Validation::None).ok()?;
            journal.append_in_reserve(&item).ok()
        };
        for json in items {
            // Nothing is refused but when the lane ends: then all of them stay where they are, too.
            let Some(appended) = append(json) else { return false };
            self.wake_for(appended);
        }
        self.hand_out.note_put_off(self.tail_seq());
        // The old copies are settled only when the new ones can't get lost any more.
        if let Err(error) = self.sync() {
            self.log.line(Level::Debug, format_args!("{error}"));
        }
        true
    }

    /// Counts items that were put off and are settled where they were: there they count as if they had never been.
    pub(crate) fn count_put_off(&self, items: u64) {
        self.stores.journal().add_counter(HeaderCounter::Requeued, items);
    }

    /// Notes that a key is known by now that some rejected items may want.
    pub(crate) fn note_late_key(&self) {
        self.requeue.late_key.store(true, Release);
    }

    /// Whether there was such a note since the last call.
    pub(crate) fn take_late_key(&self) -> bool {
        self.requeue.late_key.swap(false, AcqRel)
    }
}

/// Counts what was taken out of the store of a lane that may be another process's, in that lane.
pub(super) fn count_taken(store: &RejectedFiles, taken: &TakenOut) -> Result<()> {
    let Some(lane) = store.lane_dir() else { return Ok(()) };
    let journal = JournalView::open_for_counting(&lane.join("journal"))?;
    journal.add_counter(HeaderCounter::Requeued, taken.items);
    Ok(())
}
