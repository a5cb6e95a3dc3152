//! Recovery: a lane of a dead process whose journal can't be gone on with. What is whole in it moves into a living
//! lane.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::config::{Destination, Level, Validation};
use crate::error::{Error, ErrorKind, Result};
use crate::item::{self, Item};
use crate::spool::checkpoint::{Checkpoint, Tally};
use crate::spool::format::stored_batch::StoredBatch;
use crate::spool::held_path::HeldPath;
use crate::spool::journal::destination::{self, Recorded};
use crate::spool::journal::{CarvedJournal, HeaderCounter, JournalView, other_version};
use crate::spool::lane::Lane;
use crate::spool::lane::lock::{self, LaneLock};
use crate::spool::lane::open::was_in_use;
use crate::spool::pending::{Part, Pending, any_item, journal_of};
use crate::spool::segments::{self, Segments};
use crate::spool::set_aside::quarantine::Quarantine;
use crate::spool::set_aside::rejected_files::RejectedFiles;

/// How long a full lane is waited for before it is asked again whether to go on.
const ROOM_WAIT: Duration = Duration::from_millis(100);

/// A locked lane that nobody else owns, for what is whole in it to be moved.
pub(crate) struct DamagedLane {
    id: String,
    /// What the folder of all lanes calls it.
    named: HeldPath,
    /// Its folder, whatever it is called.
    dir: HeldPath,
    why: String,
    /// What can't be found or read now is given up.
    resigned: bool,
    _lock: LaneLock,
}

/// What became of a damaged lane.
#[derive(Debug, Clone)]
pub(crate) struct Recovered {
    /// Pending items that are on their way again, in the lane that took them over.
    pub(crate) items: u64,
    /// Pending items that can't be recovered; `None` when it is not known how many there were.
    pub(crate) lost: Option<u64>,
    /// Where its files are kept.
    pub(crate) kept: PathBuf,
}

/// Takes key name and bytes of an item; whether to go on.
type Each<'a> = &'a mut dyn FnMut(&str, &[u8]) -> Result<bool>;

/// Why the journal of a lane can't be read.
pub(crate) enum Unreadable {
    /// It was read, and is wrong.
    Damaged(Error),
    /// It is not there. It may be back later.
    Absent(Error),
    /// It can't be read now, or not by this release.
    Unavailable(Error),
}

impl Unreadable {
    /// Why the journal of the lane `id` in `dir` can't be read. `None`: it can, or the lane was never in use.
    pub(crate) fn of(id: &str, dir: &HeldPath) -> Option<Self> {
        let path = dir.join("journal");
        let look = |e| Some(Self::Unavailable(Error::io(format!("look for {path}"), e)));
        match path.exists() {
            Ok(true) => {}
            Ok(false) => {
                let missing = || Error::new(ErrorKind::Io, format!("the journal {path} is missing"));
                return was_in_use(dir).map_or_else(look, |used| used.then(|| Self::Absent(missing())));
            }
            Err(e) => return look(e),
        }
        let why = journal_of(id, dir).err()?;
        let damaged = why.kind() == ErrorKind::Corrupt && matches!(other_version(&path), Ok(None));
        Some(if damaged { Self::Damaged(why) } else { Self::Unavailable(why) })
    }

    pub(crate) fn why(&self) -> &Error {
        let (Self::Damaged(why) | Self::Absent(why) | Self::Unavailable(why)) = self;
        why
    }

    pub(crate) fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged(_))
    }

    /// Whether a repair goes on without what can't be read.
    pub(crate) fn is_repairable(&self) -> bool {
        !matches!(self, Self::Unavailable(_))
    }
}

impl DamagedLane {
    /// Locks the lane that is called `named` when nobody owns it and its journal is damaged.
    pub(super) fn find(id: &str, named: &HeldPath) -> Result<Option<Self>> {
        let Some(dir) = lock::hold(named)? else { return Ok(None) };
        let damage = || Unreadable::of(id, &dir).filter(Unreadable::is_damage);
        if damage().is_none() {
            return Ok(None);
        }
        let Some(lock) = LaneLock::take(named, &dir)? else { return Ok(None) };
        // Its owner may have mended it before it was locked.
        Ok(damage().map(|it| Self::new(id, named, dir, it.why().message().to_owned(), false, lock)))
    }

    /// Locks the lane `id` in `lanes` when nobody owns it, whatever is wrong with it. What can't be found or read now is
    /// given up.
    pub(crate) fn lock(id: &str, lanes: &HeldPath, why: &str) -> Result<Option<Self>> {
        let named = lanes.join(id);
        let Some(dir) = lock::hold(&named)? else { return Ok(None) };
        Ok(LaneLock::take(&named, &dir)?.map(|lock| Self::new(id, &named, dir, why.to_owned(), true, lock)))
    }

    fn new(id: &str, named: &HeldPath, dir: HeldPath, why: String, resigned: bool, lock: LaneLock) -> Self {
        Self { id: id.to_owned(), named: named.clone(), dir, why, resigned, _lock: lock }
    }

    /// Where its items go, as far as that can be known by a client whose items go to `asking`.
    pub(crate) fn destination(&self, asking: &Destination) -> Result<Destination> {
        recorded_in(&self.id, &self.dir, asking).map(|recorded| recorded.destination)
    }

    /// Calls `each` with every whole item that is or may be pending, oldest first, as long as it returns true. Returns
    /// the ledger, as far as it is known.
    fn pending(&self, each: Each<'_>) -> Result<Option<Ledger>> {
        match JournalView::open(&self.dir.join("journal")) {
            Ok(journal) => self.pending_in_order(&journal, each).map(Some),
            Err(_) => self.pending_carved(each),
        }
    }

    fn pending_in_order(&self, journal: &JournalView, each: Each<'_>) -> Result<Ledger> {
        let pending = Pending::new(&self.id, &self.dir, journal);
        let checkpoint = *pending.checkpoint();
        let mut end = checkpoint.cursor.max(checkpoint.head.seq);
        for part in pending {
            let more = match part? {
                Part::Batch(stored) => each_of(&stored, each)?,
                Part::Item { seq, key_name, json } => {
                    end = seq + 1;
                    each(&key_name, &json)?
                }
                Part::LostInSegments { .. } => true,
                // Nobody has asked to go on without them.
                Part::Unavailable { why, .. } if !self.resigned => return Err(why),
                Part::Unavailable { .. } => true,
                Part::LostInJournal { seqs, .. } => {
                    end = end.max(seqs.end);
                    true
                }
            };
            if !more {
                break;
            }
        }
        let requeued = journal.counter(HeaderCounter::Requeued);
        Ok(Ledger { pending: Some(end - checkpoint.cursor), checkpoint, requeued })
    }

    /// Without a header that can be relied on: what is whole anywhere. What was delivered may be among it.
    fn pending_carved(&self, each: Each<'_>) -> Result<Option<Ledger>> {
        let journal = CarvedJournal::open(&self.dir.join("journal"))?;
        let checkpoint = journal.checkpoint();
        let known = checkpoint.unwrap_or_default();
        let mut scan = Segments::look(&self.id, &self.dir.join(segments::FOLDER))?.scan_all()?;
        if !self.resigned {
            scan.check_whole()?;
        }
        for id in scan.ids().collect::<Vec<_>>() {
            let Some(value) = scan.value(id)? else { continue };
            match StoredBatch::decode(&self.id, id, &value) {
                Ok(stored) if stored.end() > known.cursor => drop(each_of(&stored, each)?),
                Err(why) if why.kind() != ErrorKind::Corrupt => return Err(why),
                _ => {}
            }
        }
        for record in journal.records(known.head.pos)? {
            let record = record?;
            if !each(&record.key_name, &record.json)? {
                break;
            }
        }
        let accepted = journal.counter(HeaderCounter::Accepted);
        // The counter has no check of its own: what can't be is not believed.
        let possible = known.head.seq..=known.head.seq.saturating_add(journal.most_records());
        let pending = possible.contains(&accepted).then(|| accepted - known.cursor.min(accepted));
        let requeued = journal.counter(HeaderCounter::Requeued);
        Ok(checkpoint.map(|checkpoint| Ledger { pending, checkpoint, requeued }))
    }
}

/// Where the items of the lane in `dir` go. Where no journal that can be read says so, any client for items of their form
/// may have them; if there is no whole item, one whose items go to `asking`, too.
pub(crate) fn recorded_in(id: &str, dir: &HeldPath, asking: &Destination) -> Result<Recorded> {
    let mut recorded = destination::recorded(&dir.join("journal"))?;
    // In a damaged journal nothing may be what is left of something.
    if recorded.destination == Destination::anybody() && Unreadable::of(id, dir).is_some() {
        let journal = JournalView::open(&dir.join("journal")).ok();
        recorded.destination = match any_item(id, dir, journal.as_ref())? {
            Some(item) => Destination::anybody_of(item::signal_of(&item)),
            None => asking.without_address(),
        };
    }
    Ok(recorded)
}

/// What a damaged lane's header says.
struct Ledger {
    checkpoint: Checkpoint,
    /// Items pending.
    pending: Option<u64>,
    requeued: u64,
}

impl Ledger {
    /// What became of the items that left the lane.
    fn tally(&self, lost: u64) -> Tally {
        let mut tally = self.checkpoint.tally;
        tally.add(&self.checkpoint.adopted);
        tally.rejected = tally.rejected.saturating_sub(self.requeued);
        tally.dropped_corrupt += lost;
        tally
    }
}

/// Calls `each` with the items of a batch; whether to go on.
fn each_of(stored: &StoredBatch, each: Each<'_>) -> Result<bool> {
    for item in stored.batch.items() {
        if !each(stored.batch.key_name(), item)? {
            return Ok(false);
        }
    }
    Ok(true)
}

impl Lane {
    /// Enqueues what is whole in `damaged_lane` here, takes over its rejected items and keeps its files in quarantine.
    ///
    /// While this lane is full it waits as long as `go_on` says so. `None`: it was given up. Then, and after a crash on
    /// the way, the damaged lane is as it was, and the next time begins again: items may come twice, none is lost.
    pub(crate) fn recover(
        &self,
        damaged_lane: DamagedLane,
        go_on: impl Fn() -> bool,
    ) -> Result<Option<Recovered>> {
        // First whether all can be read, and what comes last be done: what is enqueued before something that can't would be
        // enqueued again each time.
        damaged_lane.pending(&mut |_, _| Ok(!self.has_ended()))?;
        let store = RejectedFiles::new(&damaged_lane.id, damaged_lane.dir.join("rejected"));
        store.damaged()?;
        self.stores().quarantine().make()?;
        let mut items = 0;
        let mut stopped = false;
        let ledger = damaged_lane.pending(&mut |key_name, json| {
            stopped = stopped || !self.enqueue_patiently(key_name, json, &go_on)?;
            items += u64::from(!stopped);
            Ok(!stopped)
        })?;
        if stopped {
            return Ok(None);
        }
        self.sync()?;
        let (moved, evicted) = self.take_rejected(&store)?;
        self.stores().quarantine().take_over(&damaged_lane.dir)?;
        let lost = ledger.as_ref().and_then(|ledger| ledger.pending).map(|all| all.saturating_sub(items));
        // From here on the damaged lane is none any more; a death in between leaves its ledger uncounted, and no item
        // lost.
        let kept = self.stores().quarantine().keep(&damaged_lane.named, &damaged_lane.id)?;
        let moved = Tally { rejected: moved, ..Tally::default() };
        self.count_adopted_items(ledger.map_or(moved, |ledger| ledger.tally(lost.unwrap_or(0))));
        self.count_evicted(evicted);
        self.count_adopted();
        self.thin_out(&kept, lost);
        self.stores().count_disk();
        let recovered = Recovered { items, lost, kept: kept.path() };
        self.say(&damaged_lane, &recovered);
        Ok(Some(recovered))
    }

    fn enqueue_patiently(&self, key_name: &str, json: &[u8], go_on: &impl Fn() -> bool) -> Result<bool> {
        let item = Item::check(json, key_name, usize::MAX, Validation::None)?;
        loop {
            match self.enqueue(&item) {
                Err(error) if error.kind() == ErrorKind::Full => {
                    if !go_on() {
                        return Ok(false);
                    }
                    let cursor = self.stores().journal().checkpoint().cursor;
                    self.wait_settled(cursor + 1, Some(Instant::now() + ROOM_WAIT));
                }
                Err(error) if error.kind() == ErrorKind::ShutDown => return Ok(false),
                outcome => return outcome.map(|()| true),
            }
        }
    }

    /// Removes from a damaged lane's files what is not worth keeping. A failure only leaves more than is needed.
    fn thin_out(&self, kept: &HeldPath, lost: Option<u64>) {
        let _ = kept.join("lock").remove_file();
        let _ = Quarantine::dir_in(kept).remove_empty();
        let _ = kept.join("rejected").remove_empty();
        if lost == Some(0) || kept.join(segments::FOLDER).names().is_ok_and(|names| names.is_empty()) {
            let _ = kept.join(segments::FOLDER).remove();
        }
    }

    fn say(&self, damaged_lane: &DamagedLane, recovered: &Recovered) {
        let lost = match recovered.lost {
            Some(lost) => format!("{lost} are lost"),
            None => "how many are lost is not known".into(),
        };
        let Recovered { items, kept, .. } = recovered;
        self.log().line(
            Level::Error,
            format_args!(
                "lane {} was damaged: {}; {items} items are on their way again, {lost}; its files are kept in {}",
                damaged_lane.id,
                damaged_lane.why,
                kept.display()
            ),
        );
    }
}
