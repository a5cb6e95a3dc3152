//! Elsewhere: items in the rejected stores of other lanes that wait for a key which this lane's process has.
//!
//! Their owners may be alive or dead. Any process may take items out of a store: it locks the folder meanwhile, so of two
//! that have the same key one gets them.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{AcqRel, Release};
use std::sync::{Mutex, TryLockError};

use crate::config::Level;
use crate::error::{ErrorKind, Result};
use crate::item;
use crate::os::lock::Unpoison;
use crate::spool::held_path::HeldPath;
use crate::spool::journal::{JournalView, destination};
use crate::spool::lane::Lane;
use crate::spool::lane::identity::is_lane;
use crate::spool::lane::lock;
use crate::spool::lane::requeue::count_taken;
use crate::spool::set_aside::rejected_files::{RejectedFiles, Stamp};
use crate::spool::set_aside::rejection::{KEY_REFUSED, awaited_key};

/// What is known of the other lanes' stores, and of the keys.
#[derive(Default)]
pub(super) struct Elsewhere {
    /// Stores that held nothing for the keys that are known, as they stood then. Held by the thread that looks.
    seen: Mutex<Seen>,
    /// A key was named since: what was seen is to be looked into once more.
    is_named_again: AtomicBool,
    /// The keys that the ingest has refused since they were named. Items that another process set aside for the same
    /// reason stay there: two processes with bad keys would take them from each other without end.
    refused: Mutex<BTreeSet<String>>,
}

type Seen = BTreeMap<String, Stamp>;

impl Lane {
    /// Puts items of other lanes' rejected stores back on their way as new items of this one: the groups that wait for
    /// one of the keys `names`, which were named just now, in lanes whose items may be delivered from here. Those that
    /// their owner has not settled yet wait for `requeue_late_elsewhere`.
    ///
    /// `Full`, `Io`, `ShutDown`: some were moved. A lane that can't be read now stops nothing.
    pub(crate) fn requeue_elsewhere(&self, names: &BTreeSet<String>) -> Result<()> {
        let _seen = self.elsewhere.seen.lock().unpoisoned();
        let wanted = |reason: &str| awaited_key(reason).is_some_and(|name| names.contains(name));
        self.look_elsewhere(&wanted, None)
    }

    /// As `requeue_elsewhere`, for what was set aside after the key was named. Only stores that have changed are looked
    /// into. While another thread looks, this does nothing.
    pub(crate) fn requeue_late_elsewhere(&self, has_key: impl Fn(&str) -> bool) -> Result<()> {
        let mut seen = match self.elsewhere.seen.try_lock() {
            Ok(seen) => seen,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(()),
        };
        if self.elsewhere.is_named_again.swap(false, AcqRel) {
            seen.clear();
        }
        let refused = self.elsewhere.refused.lock().unpoisoned().clone();
        let wanted = |reason: &str| {
            let is_refused = |name: &str| reason.starts_with(KEY_REFUSED) && refused.contains(name);
            awaited_key(reason).is_some_and(|name| has_key(name) && !is_refused(name))
        };
        self.look_elsewhere(&wanted, Some(&mut seen))
    }

    fn look_elsewhere(&self, wanted: &dyn Fn(&str) -> bool, mut seen: Option<&mut Seen>) -> Result<()> {
        let names = self.lanes().names()?;
        seen.iter_mut().for_each(|seen| seen.retain(|id, _| names.binary_search(id).is_ok()));
        for id in names.iter().filter(|name| is_lane(name) && *name != self.id()) {
            if self.has_ended() {
                break;
            }
            match self.look_into(id, wanted, seen.as_deref_mut()) {
                // Another process may be taking the same items out.
                Err(error) if error.kind() == ErrorKind::Locked => {}
                Err(error) if matches!(error.kind(), ErrorKind::Full | ErrorKind::ShutDown) => {
                    return Err(error);
                }
                Err(error) => {
                    let line = format_args!("items of lane {id} go on waiting for their key: {error}");
                    self.log().line(Level::Debug, line);
                }
                Ok(()) => {}
            }
        }
        Ok(())
    }

    fn look_into(&self, id: &str, wanted: &dyn Fn(&str) -> bool, seen: Option<&mut Seen>) -> Result<()> {
        let named = self.lanes().join(id);
        let (stamp, _) = RejectedFiles::new(id, named.join("rejected")).stamp()?;
        let is_known = |seen: &&mut Seen| seen.get(id) == Some(&stamp);
        if stamp == Stamp::default() || seen.as_ref().is_some_and(is_known) {
            return Ok(());
        }
        // Another user's lane is passed over, and so is one that is gone by now.
        let Ok(Some(dir)) = lock::hold(&named) else { return Ok(()) };
        let recorded = destination::recorded(&dir.join("journal"))?.destination;
        // What is damaged may say less than the items do.
        let item = RejectedFiles::new(id, dir.join("rejected")).any_item()?;
        let is_of_form =
            item.is_none_or(|item| item::signal_of(&item) == self.settings().destination.signal());
        if !self.settings().adopts(&recorded) || recorded.is_anybody() && !is_of_form {
            return Ok(());
        }
        let is_complete = self.take_from(id, &dir, wanted)?;
        if is_complete && stamp.is_certain() {
            seen.into_iter().for_each(|seen| _ = seen.insert(id.to_owned(), stamp));
        }
        Ok(())
    }

    /// Takes what is wanted out of the store of the lane `id`, which is held as `dir`. Returns whether all of it is
    /// settled there.
    fn take_from(&self, id: &str, dir: &HeldPath, wanted: &dyn Fn(&str) -> bool) -> Result<bool> {
        let store = RejectedFiles::new(id, dir.join("rejected"));
        let groups = store.groups_for(wanted)?;
        if groups.is_empty() {
            return Ok(true);
        }
        let journal = JournalView::open(&dir.join("journal"))?;
        let is_complete = Cell::new(true);
        self.requeue_groups(
            &store,
            &groups,
            |group| {
                // A death would send its batch again, besides what went back on its way.
                let is_settled = group.is_settled(journal.checkpoint().cursor);
                is_complete.set(is_complete.get() && is_settled);
                is_settled && wanted(&group.reason)
            },
            |_| true,
            |taken| count_taken(&store, taken),
        )?;
        Ok(is_complete.get())
    }

    /// Notes why items were set aside.
    pub(super) fn note_reason(&self, reason: &str) {
        if let Some(name) = reason.strip_prefix(KEY_REFUSED) {
            self.elsewhere.refused.lock().unpoisoned().insert(name.to_owned());
        }
    }

    /// Notes that the key `name` was named: another one than before, which may be a good one.
    pub(crate) fn note_named(&self, name: &str) {
        self.elsewhere.refused.lock().unpoisoned().remove(name);
        self.elsewhere.is_named_again.store(true, Release);
    }
}
