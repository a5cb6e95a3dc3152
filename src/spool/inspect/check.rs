//! Check: whether all of a lane can be read, read from outside.

use crate::config::Destination;
use crate::error::Result;
use crate::spool::format::seq_name::seq_name;
use crate::spool::held_path::HeldPath;
use crate::spool::journal::{HeaderCounter, JournalView};
use crate::spool::pending::{Part, Pending, journal_of};
use crate::spool::recovery::{Unreadable, recorded_in};
use crate::spool::set_aside::quarantine::Quarantine;
use crate::spool::set_aside::rejected_files::RejectedFiles;

/// Something that can't be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file or folder, below the lane's folder.
    pub file: String,
    /// What is wrong with it, for people.
    pub what: String,
}

/// What a look at one lane found.
#[derive(Debug, Clone, Default)]
pub struct LaneCheck {
    /// The lane's id: the name of its folder.
    pub id: String,
    /// Where its items go; anybody's for items of that form when what says so is damaged.
    pub destination: Destination,
    /// The process that owns it; `None` when nobody does.
    pub owner_pid: Option<u32>,
    /// What can't be read; empty when all is whole.
    pub findings: Vec<Finding>,
    /// Pending items that can be read. Not known, and 0, when the journal's header is damaged.
    pub readable: u64,
    /// Pending items that can't be read. Not known, and 0, when the journal's header is damaged.
    pub lost: u64,
    /// Whether a repair can do something about it: not for other format versions, and not while somebody owns the lane.
    pub repairable: bool,
    /// The counters say of too many or too few settled items what became of them. No item is lost by that.
    pub ledger_is_off: bool,
    /// Names of what is in quarantine: damaged files that were dealt with already. These are no findings.
    pub quarantine: Vec<String>,
    /// Bytes that those take on disk.
    pub quarantine_bytes: u64,
}

impl LaneCheck {
    /// Whether nothing of the lane is damaged.
    pub fn is_whole(&self) -> bool {
        self.findings.is_empty()
    }

    /// Looks at the lane in `dir`. `None`: it is gone, or not finished yet.
    pub(crate) fn of(id: &str, dir: &HeldPath, owned: bool) -> Result<Option<Self>> {
        let quarantine = Quarantine::dir_in(dir);
        let mut check = Self {
            id: id.to_owned(),
            destination: recorded_in(id, dir, &Destination::anybody())
                .map(|it| it.destination)
                .unwrap_or_default(),
            repairable: !owned,
            quarantine: quarantine.names()?,
            quarantine_bytes: quarantine.bytes_on_disk(),
            ..Self::default()
        };
        if let Some(unreadable) = Unreadable::of(id, dir) {
            check.find("journal", unreadable.why().message());
            check.repairable &= unreadable.is_repairable();
        } else if let Ok(journal) = journal_of(id, dir) {
            let unaccounted = journal.checkpoint().unaccounted();
            if unaccounted > 0 {
                check.ledger_is_off = true;
                check.find("journal", &format!("the ledger is off by {unaccounted} items"));
            }
            check.owner_pid = owned.then(|| journal.counter(HeaderCounter::OwnerPid) as u32);
            check.look_at_items(dir, &journal)?;
        } else {
            return Ok(None);
        }
        // A repair moves what can be read: it does not know more of the others.
        check.repairable &= !check.ledger_is_off || check.findings.len() > 1;
        let rejected = RejectedFiles::new(id, dir.join("rejected"));
        for first in rejected.firsts()? {
            let file = format!("rejected/{}", seq_name(first));
            match rejected.is_damaged(first) {
                Ok(false) => {}
                Ok(true) => check.find(&file, "no group of rejected items can be read from it"),
                Err(why) => check.find(&file, why.message()),
            }
        }
        Ok(dir.stat().is_ok().then_some(check))
    }

    fn find(&mut self, file: &str, what: &str) {
        self.findings.push(Finding { file: file.to_owned(), what: what.to_owned() });
    }

    fn look_at_items(&mut self, dir: &HeldPath, journal: &JournalView) -> Result<()> {
        let id = self.id.clone();
        let pending = Pending::new(&id, dir, journal);
        let cursor = pending.checkpoint().cursor;
        for part in pending {
            match part? {
                Part::Batch(stored) => self.readable += stored.batch.len() as u64,
                Part::Item { .. } => self.readable += 1,
                // What its owner settled meanwhile may be gone.
                Part::LostInSegments { seqs, .. } | Part::Unavailable { seqs, .. }
                    if journal.checkpoint().cursor >= seqs.end => {}
                Part::LostInSegments { seqs, why } | Part::Unavailable { seqs, why } => {
                    self.lost += seqs.end - seqs.start;
                    self.find("segments", why.message());
                }
                // What its owner released meanwhile may be overwritten.
                Part::LostInJournal { pos, .. } if journal.checkpoint().head.pos > pos => break,
                Part::LostInJournal { seqs, .. } => {
                    let pending = seqs.end.saturating_sub(seqs.start.max(cursor));
                    self.lost += pending;
                    if pending > 0 {
                        let what = format!("items {} to {} are damaged", seqs.start, seqs.end - 1);
                        self.find("journal", &what);
                    }
                }
            }
        }
        Ok(())
    }
}
