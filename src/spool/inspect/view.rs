//! View: a spool read from outside, by any process, while its owners run.

use std::collections::BTreeSet;
use std::path::Path;

use crate::config::Destination;
use crate::error::{Error, ErrorKind, Result};
use crate::spool::held_path::{HeldPath, Standing, denied};
use crate::spool::inspect::check::LaneCheck;
use crate::spool::journal::{HeaderCounter, JournalView};
use crate::spool::lane::Lane;
use crate::spool::lane::directory::LANES;
use crate::spool::lane::identity::is_lane;
use crate::spool::lane::lock::is_owned;
use crate::spool::pending::{Part, Pending, journal_of};
use crate::spool::recovery::{Unreadable, recorded_in};
use crate::spool::set_aside::rejected_files::RejectedFiles;
use crate::spool::set_aside::rejection::RejectedItem;
use crate::spool::stats::{ExportState, Stats};

/// A spool folder, for looking at and for tidying by hand; owners may be running.
pub struct SpoolView {
    /// The folder of all lanes; `None` while there is none.
    lanes: Option<HeldPath>,
}

/// Puts rejected items into a lane, and says how many.
pub(crate) type Put<'a> = &'a dyn Fn(&Lane) -> Result<u64>;

/// A lane whose journal can't be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableLane {
    /// The lane's id: the name of its folder.
    pub id: String,
    /// Why it can't be read, for people.
    pub reason: String,
    /// Whether it is damaged: then the next client that delivers recovers what is whole in it. If not, it is of another
    /// format version, or can't be found or read now, and stays as it is.
    pub damaged: bool,
    /// Whether a living process has it: its owner, or one that recovers it just now.
    pub owned: bool,
}

/// One lane as it stands.
#[derive(Debug, Clone)]
pub struct LaneStatus {
    /// The lane's id: the name of its folder.
    pub id: String,
    /// Where its items go.
    pub destination: Destination,
    /// The process that owns it; `None` for an orphan, which a client of the same destination takes over.
    pub owner_pid: Option<u32>,
    /// Its counters.
    pub stats: Stats,
    /// Why export is in backoff or on hold, for people; else empty.
    pub reason: String,
    /// Unix time in milliseconds of the next attempt while in backoff or on hold; else 0.
    pub next_attempt_unix_ms: u64,
}

impl SpoolView {
    /// Looks at the spool in `dir`. A folder without lanes is an empty spool; a missing folder is an error.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self> {
        let dir = dir.as_ref();
        let lanes = match std::fs::metadata(dir) {
            Ok(m) if m.is_dir() => HeldPath::open(&dir.join(LANES)),
            Ok(_) => {
                let what = format!("spool_dir {} is not a folder", dir.display());
                return Err(Error::new(ErrorKind::InvalidArgument, what));
            }
            Err(e) => return Err(denied(format!("look at spool_dir {}", dir.display()), dir, e)),
        };
        match lanes {
            Ok(lanes) => Ok(Self::of(lanes)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Self { lanes: None }),
            Err(e) => Err(denied(format!("look at the lanes in {}", dir.display()), &dir.join(LANES), e)),
        }
    }

    /// Looks at the lanes in the folder `lanes`.
    pub(crate) fn of(lanes: HeldPath) -> Self {
        Self { lanes: Some(lanes) }
    }

    /// Every lane, sorted by id. One whose journal can't be read is among [`SpoolView::unreadable`]; one that is not
    /// finished yet is left out. An error: the lanes can't be listed, or their folder was removed.
    pub fn lanes(&self) -> Result<Vec<LaneStatus>> {
        let mut lanes = Vec::new();
        for (id, path) in self.lane_dirs()? {
            if let Ok(journal) = journal_of(&id, &path) {
                lanes.push(status_of(id, &path, &journal));
            }
        }
        Ok(lanes)
    }

    /// Every lane whose journal can't be read, sorted by id, until it is recovered.
    pub fn unreadable(&self) -> Result<Vec<UnreadableLane>> {
        let mut unreadable = Vec::new();
        for (id, path) in self.lane_dirs()? {
            // The process that recovers it holds its lock: it is unreadable until that is done.
            if let Some(it) = Unreadable::of(&id, &path)
                && path.is_folder()
            {
                let (reason, damaged) = (it.why().message().to_owned(), it.is_damage());
                unreadable.push(UnreadableLane { id, reason, damaged, owned: is_owned(&path) });
            }
        }
        Ok(unreadable)
    }

    /// Looks whether every item and every byte of bookkeeping of each lane can be read, sorted by id. It changes
    /// nothing.
    ///
    /// Owners may be running: what they settle meanwhile is not held against them.
    pub fn check(&self) -> Result<Vec<LaneCheck>> {
        let lanes = self.lane_dirs()?.into_iter();
        let checks = lanes.map(|(id, path)| LaneCheck::of(&id, &path, is_owned(&path)));
        checks.filter_map(Result::transpose).collect()
    }

    /// Calls `each` with every pending item and where it goes, oldest first within a lane. It stops early when `each`
    /// returns false.
    ///
    /// Items that are delivered meanwhile may show or not. An error: not all can be read; the others were given to `each`.
    pub fn pending(&self, each: &mut dyn FnMut(&Destination, &[u8]) -> bool) -> Result<()> {
        let mut all_read = Ok(());
        for (id, path) in self.lane_dirs()? {
            let Ok(journal) = journal_of(&id, &path) else {
                if let Some(it) = Unreadable::of(&id, &path).filter(|_| path.is_folder()) {
                    all_read = Err(it.why().clone());
                }
                continue;
            };
            // What its owner settles meanwhile may be gone.
            let is_settled = |end: u64| journal.checkpoint().cursor >= end;
            let destination = journal.destination();
            for part in Pending::new(&id, &path, &journal) {
                let more = match part? {
                    Part::Batch(stored) => stored.batch.items().all(|item| each(&destination, item)),
                    Part::Item { json, .. } => each(&destination, &json),
                    Part::LostInSegments { seqs, why } | Part::Unavailable { seqs, why } => {
                        if !is_settled(seqs.end) {
                            all_read = Err(why);
                        }
                        true
                    }
                    Part::LostInJournal { seqs, pos } => {
                        if !is_settled(seqs.end) && journal.checkpoint().head.pos <= pos {
                            let what =
                                format!("lane {id}: items {} to {} are damaged", seqs.start, seqs.end - 1);
                            all_read = Err(Error::new(ErrorKind::Corrupt, what));
                        }
                        true
                    }
                };
                if !more {
                    return Ok(());
                }
            }
        }
        all_read
    }

    /// Every rejected item, oldest first within a lane.
    pub fn rejected(&self) -> Result<Vec<RejectedItem>> {
        let mut items = Vec::new();
        for files in self.rejected_files()? {
            items.extend(files.list(&destination_of(&files))?);
        }
        Ok(items)
    }

    /// Removes rejected items for good: those named in `ids`, or all when `ids` is empty. Returns how many.
    ///
    /// They stay counted as rejected. An id that is not there is an error, and nothing is removed then.
    pub fn purge(&self, ids: &[String]) -> Result<u64> {
        let mut removed = 0;
        for (files, seqs) in self.chosen(ids)? {
            removed += files.purge(|seq| is_chosen(seqs.as_ref(), seq))?;
        }
        Ok(removed)
    }

    /// Puts rejected items back on their way: those named in `ids`, or all when `ids` is empty. Returns how many.
    ///
    /// `put` is given where those of one lane go, and puts them into a lane of that destination.
    pub(crate) fn requeue(
        &self,
        ids: &[String],
        mut put: impl FnMut(&Destination, Put<'_>) -> Result<u64>,
    ) -> Result<u64> {
        let mut moved = 0;
        for (files, seqs) in self.chosen(ids)? {
            let destination = match files.lane_dir() {
                // Its items were taken over since.
                Some(lane) if !lane.is_folder() => continue,
                Some(lane) => match recorded_in(files.lane(), &lane, &Destination::anybody()) {
                    Err(_) if !lane.is_folder() => continue,
                    recorded => recorded?.destination,
                },
                None => Destination::default(),
            };
            moved += put(&destination, &|lane: &Lane| {
                lane.requeue_from(&files, |seq| is_chosen(seqs.as_ref(), seq))
            })?;
        }
        Ok(moved)
    }

    /// The lanes' rejected files with the seqs that `ids` names in each; `None` stands for all of them. An id that is not
    /// there is an error.
    fn chosen(&self, ids: &[String]) -> Result<Vec<(RejectedFiles, Option<BTreeSet<u64>>)>> {
        let all = self.rejected_files()?;
        if ids.is_empty() {
            return Ok(all.into_iter().map(|files| (files, None)).collect());
        }
        let mut unknown: BTreeSet<&str> = ids.iter().map(String::as_str).collect();
        let mut chosen = Vec::new();
        for files in all {
            let mut seqs = BTreeSet::new();
            for seq in files.seqs()? {
                if unknown.remove(&*format!("{}-{seq}", files.lane())) {
                    seqs.insert(seq);
                }
            }
            chosen.push((files, Some(seqs)));
        }
        match unknown.first() {
            None => Ok(chosen),
            Some(id) => {
                let what = format!("no rejected item has the id '{id}'");
                Err(Error::new(ErrorKind::InvalidArgument, what))
            }
        }
    }

    fn rejected_files(&self) -> Result<Vec<RejectedFiles>> {
        let lanes = self.lane_dirs()?.into_iter();
        Ok(lanes.map(|(id, path)| RejectedFiles::new(&id, path.join("rejected"))).collect())
    }

    /// The lanes. An error: the folder of all lanes was removed, which is not the same as to have none.
    pub(super) fn lane_dirs(&self) -> Result<Vec<(String, HeldPath)>> {
        let Some(lanes) = &self.lanes else { return Ok(Vec::new()) };
        if lanes.standing() == Standing::Deleted {
            let gone = std::io::Error::new(std::io::ErrorKind::NotFound, "the folder was removed");
            return Err(Error::io(format!("look at the lanes in {}", lanes.path().display()), gone));
        }
        let ids = lanes.names()?.into_iter().filter(|name| is_lane(name));
        Ok(ids.map(|id| (id.clone(), lanes.join(id))).collect())
    }
}

/// Where the items of the lane go whose rejected items are in `files`; that of anybody when it is not known.
pub(super) fn destination_of(files: &RejectedFiles) -> Destination {
    let recorded =
        files.lane_dir().and_then(|lane| recorded_in(files.lane(), &lane, &Destination::anybody()).ok());
    recorded.map(|recorded| recorded.destination).unwrap_or_default()
}

fn is_chosen(seqs: Option<&BTreeSet<u64>>, seq: u64) -> bool {
    seqs.is_none_or(|seqs| seqs.contains(&seq))
}

fn status_of(id: String, path: &HeldPath, journal: &JournalView) -> LaneStatus {
    let checkpoint = journal.checkpoint();
    let oldest_in_journal = || journal.first_accepted_unix_ms(checkpoint.head);
    let mut stats = Stats::read(&checkpoint, |counter| journal.counter(counter), oldest_in_journal);
    stats.disk_bytes = path.bytes_on_disk();
    let rejected = RejectedFiles::new(&id, path.join("rejected"));
    stats.held_batches = rejected.held_batches().unwrap_or(0);
    let owner_pid = is_owned(path).then(|| journal.counter(HeaderCounter::OwnerPid) as u32);
    if owner_pid.is_none() {
        stats.export_state = ExportState::Idle.into();
    }
    let (reason, next_attempt_unix_ms) = match stats.state().is_waiting() {
        true => (journal.reason(), journal.counter(HeaderCounter::NextAttemptUnixMs)),
        false => (String::new(), 0),
    };
    LaneStatus { id, destination: journal.destination(), owner_pid, stats, reason, next_attempt_unix_ms }
}
