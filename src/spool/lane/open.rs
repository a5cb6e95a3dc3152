//! Open: from a lane's locked folder to a lane.

use std::sync::OnceLock;

use crate::config::{Destination, Durability, Level, Log};
use crate::error::{Error, ErrorKind, Result};
use crate::spool::ExportState;
use crate::spool::held_path::HeldPath;
use crate::spool::journal::{HeaderCounter, Journal};
use crate::spool::lane::Lane;
use crate::spool::lane::elsewhere::Elsewhere;
use crate::spool::lane::handout::HandOut;
use crate::spool::lane::identity::Identity;
use crate::spool::lane::intake::Intake;
use crate::spool::lane::lock::LaneLock;
use crate::spool::lane::mover::Mover;
use crate::spool::lane::requeue::Requeue;
use crate::spool::lane::settings::LaneSettings;
use crate::spool::lane::stores::Stores;
use crate::spool::queue::Queue;
use crate::spool::segments::{self, Segments};
use crate::spool::set_aside::quarantine::Quarantine;
use crate::spool::set_aside::rejected::RejectedStore;

/// The part of `max_spool_bytes` that damaged files may take.
const QUARANTINE_SHARE: u64 = 8;

impl Lane {
    /// Opens the lane `id` of `lanes` that is held as `dir`, which `lock` is of.
    pub(super) fn open(
        id: &str,
        lanes: &HeldPath,
        dir: &HeldPath,
        lock: LaneLock,
        settings: &LaneSettings,
        log: &Log,
    ) -> Result<Self> {
        let journal = open_journal(dir, settings)?;
        let checkpoint = journal.checkpoint();
        let (segments, passed) =
            Segments::open(id, &dir.join(segments::FOLDER), checkpoint.cursor, checkpoint.head.seq)?;
        let rejected = RejectedStore::new(id, dir.join("rejected"), checkpoint.cursor);
        journal.set_counter(HeaderCounter::OwnerPid, std::process::id().into());
        let was_failing = journal.counter(HeaderCounter::ExportState) == u64::from(ExportState::Backoff);
        // What the last owner waited for is not known to hold for this one.
        journal.set_counter(HeaderCounter::ExportState, ExportState::Idle.into());
        let queue = Queue::open(id, segments, &journal, checkpoint);
        let quarantine = Quarantine::new(dir, settings.max_spool_bytes / QUARANTINE_SHARE);
        let stores = Stores::new(journal, queue, rejected, quarantine, log);
        if !passed.is_empty() {
            // The dead owner may have settled their items just before: a power cut must not leave a cursor before them.
            stores.journal().release()?;
        }
        for segment in passed {
            stores.discard(&segment)?;
        }
        if stores.journal().counter(HeaderCounter::DiskBytes) == 0 {
            // Of a new lane. What an older one takes was counted by its last owner, until this one has to know.
            stores.journal().set_counter(HeaderCounter::DiskBytes, stores.journal().file_bytes());
        }
        Ok(Self {
            identity: Identity::new(id, lanes, dir, lock),
            stores,
            intake: Intake::new(settings),
            mover: Mover::default(),
            hand_out: HandOut::new(was_failing),
            requeue: Requeue::default(),
            elsewhere: Elsewhere::default(),
            settings: settings.clone(),
            kin: OnceLock::new(),
            log: log.clone(),
        })
    }
}

impl Lane {
    /// Records that the lane's items go to `destination`.
    pub(super) fn redirect(&self, destination: &Destination) -> Result<()> {
        let journal = self.stores.journal();
        if journal.destination() == *destination { Ok(()) } else { journal.redirect(destination) }
    }
}

/// Makes the lane's journal under another name first, so that a half made one never counts.
pub(super) fn create_journal(lane: &HeldPath, settings: &LaneSettings) -> Result<()> {
    let path = lane.join("journal");
    let fresh = Journal::path_of_new(&path);
    Journal::create(
        &fresh,
        settings.journal_bytes,
        settings.durability == Durability::Power,
        &settings.destination,
    )?;
    fresh.rename(&path)
}

/// Gives the journal of the lane in `dir`, which is locked, the size that is set. `false`: it holds too much for that.
pub(super) fn resize_journal(dir: &HeldPath, settings: &LaneSettings, log: &Log) -> bool {
    let prewrite = settings.durability == Durability::Power;
    Journal::resize(&dir.join("journal"), settings.journal_bytes, prewrite).unwrap_or_else(|error| {
        log.line(Level::Warn, format_args!("the journal keeps its size: {error}"));
        true
    })
}

/// Opens the lane's journal. A lane without one gets a new one, unless the lane was in use: then there is no telling
/// which of its items were delivered.
fn open_journal(lane: &HeldPath, settings: &LaneSettings) -> Result<Journal> {
    let path = lane.join("journal");
    // What a crash left of one that was being made.
    Journal::path_of_new(&path).remove_file()?;
    let look = |e| Error::io(format!("look for {path}"), e);
    if !path.exists().map_err(look)? {
        if was_in_use(lane).map_err(look)? {
            return Err(Error::new(ErrorKind::Io, format!("{path} is missing")));
        }
        create_journal(lane, settings)?;
    }
    Journal::open(&path)
}

/// Whether the lane in `dir` ever had a journal. An error: that can't be known now.
pub(crate) fn was_in_use(dir: &HeldPath) -> std::io::Result<bool> {
    Ok(dir.join(segments::FOLDER).exists()? || dir.join("rejected").exists()?)
}
