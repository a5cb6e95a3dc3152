//! Directory: the folder of all lanes of a spool: take over one, make one, remove one, clean up after crashes.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::config::{Level, Log};
use crate::error::{Error, ErrorKind, Result};
use crate::os::fork;
use crate::os::lock::Unpoison;
use crate::os::process;
use crate::spool::fs;
use crate::spool::journal::{now_unix_ms, random};
use crate::spool::lane::Lane;
use crate::spool::lane::lock::LaneLock;
use crate::spool::lane::open::create_journal;
use crate::spool::lane::settings::LaneSettings;
use crate::spool::recovery::DamagedLane;
use crate::spool::set_aside::rejected::RejectedStore;

/// Extensions of the names of lanes that are being made, and that are being removed.
const MAKING: &str = "new";
const REMOVING: &str = "gone";
/// The longest wait for another process to sweep up what a crash left.
const SWEEP_TIMEOUT: Duration = Duration::from_secs(1);
/// How often another process may take the lock of a new lane, as one that looks around does, before making one is given
/// up.
const MAKE_ATTEMPTS: usize = 8;

/// Whether `name` is a lane's; a lane that is being made or removed has another kind of name.
pub(crate) fn is_lane(name: &str) -> bool {
    name.len() == 16 && name.bytes().all(|b| b.is_ascii_hexdigit())
}

impl Lane {
    /// The folder of a spool's lanes.
    pub(crate) fn all_in(spool_dir: &Path) -> PathBuf {
        spool_dir.join("lanes")
    }

    /// Takes over the first lane of `spool_dir` that nobody owns, or makes one.
    pub(crate) fn take(spool_dir: &Path, settings: &LaneSettings, log: &Log) -> Result<Self> {
        let lanes = Self::all_in(spool_dir);
        fs::create(&lanes)?;
        match Self::next_orphan(&lanes, settings, log)? {
            Some(lane) => Ok(lane),
            None => Self::make(&lanes, settings, log),
        }
    }

    /// Takes over the first lane in `lanes` that nobody owns. One that can't be used is left as it is.
    pub(crate) fn next_orphan(lanes: &Path, settings: &LaneSettings, log: &Log) -> Result<Option<Self>> {
        for id in fs::names(lanes)?.into_iter().filter(|name| is_lane(name)) {
            let path = lanes.join(&id);
            let opened = check_owner(&path).and_then(|()| LaneLock::take(&path)).and_then(|locked| {
                locked.map(|lock| Self::open(&id, &path, lock, settings, log)).transpose()
            });
            match opened {
                Ok(None) => {}
                Ok(lane) => return Ok(lane),
                Err(_) if is_gone(&path) => {}
                Err(error) => log_once(log, Level::Error, format!("lane {id} is passed over: {error}")),
            }
        }
        Ok(None)
    }

    /// Locks the first lane in `lanes` that nobody owns and whose journal is damaged.
    pub(crate) fn next_damaged(lanes: &Path, log: &Log) -> Result<Option<DamagedLane>> {
        for id in fs::names(lanes)?.into_iter().filter(|name| is_lane(name)) {
            let path = lanes.join(&id);
            match check_owner(&path).and_then(|()| DamagedLane::find(&id, &path)) {
                Ok(None) => {}
                Ok(damaged_lane) => return Ok(damaged_lane),
                Err(_) if is_gone(&path) => {}
                Err(error) => log_once(log, Level::Error, format!("lane {id} is passed over: {error}")),
            }
        }
        Ok(None)
    }

    /// Removes what a crash left of lanes that were being made or removed. What can't be removed is left as it is.
    pub(crate) fn sweep_up(lanes: &Path, log: &Log) -> Result<()> {
        let folder = LaneLock::open_folder(lanes)?;
        // While lanes are being made, one without a lock need not be dead: the next time will do.
        if folder.file()?.try_lock().is_ok() {
            Self::sweep_up_named(MAKING, lanes, log)?;
        }
        drop(folder);
        Self::sweep_up_named(REMOVING, lanes, log)
    }

    fn sweep_up_named(end: &str, lanes: &Path, log: &Log) -> Result<()> {
        let is_left = |path: &PathBuf| path.extension().is_some_and(|extension| extension == end);
        for path in fs::names(lanes)?.iter().map(|name| lanes.join(name)).filter(is_left) {
            let swept = check_owner(&path)
                .and_then(|()| LaneLock::take(&path))
                .and_then(|locked| locked.map_or(Ok(()), |_lock| fs::remove(&path)));
            if let Err(error) = swept
                && !is_gone(&path)
            {
                log_once(log, Level::Warn, format!("{} is left as it is: {error}", path.display()));
            }
        }
        Ok(())
    }

    /// Makes a lane under another name, so that nobody takes it while it is not whole.
    pub(crate) fn make(lanes: &Path, settings: &LaneSettings, log: &Log) -> Result<Self> {
        for _ in 0..MAKE_ATTEMPTS {
            let id = format!("{:08x}{:08x}", now_unix_ms() / 1000, random() as u32);
            let fresh = lanes.join(&id).with_extension(MAKING);
            let Some(lock) = lock_new(lanes, &fresh)? else { continue };
            let path = lanes.join(&id);
            let made = create_journal(&fresh, settings).and_then(|()| fs::rename(&fresh, &path));
            if let Err(error) = made {
                // What was begun must not stay on a disk that is full.
                drop(fs::remove(&fresh));
                return Err(error);
            }
            return Self::open(&id, &path, lock, settings, log);
        }
        Err(Error::new(
            ErrorKind::Locked,
            format!("other processes keep taking new lanes in {}", lanes.display()),
        ))
    }

    /// Takes over the ledger and the rejected items of `drained`, a lane without pending items, and removes it.
    pub(crate) fn absorb(&self, drained: &Lane) -> Result<()> {
        // A power cut must not put rejected items back on their way there while they are here.
        drained.stores.journal().release()?;
        // Until the ledger is taken over, below, the items count as rejected where they were.
        let (_, evicted) = self.take_rejected(drained.stores.rejected())?;
        self.stores.quarantine().take_over(drained.identity.dir())?;
        // Two stores to memory, one after the other: a death in the disk's work below changes no sum over all lanes.
        let tally = drained.stats().tally();
        self.count_adopted_items(tally);
        drained.stores.lock_queue().absorbed(drained.stores.journal());
        self.count_evicted(evicted);
        // A power cut must not take the ledger of a lane that is gone.
        self.stores.journal().release()?;
        let gone = drained.identity.dir().with_extension(REMOVING);
        fs::rename(drained.identity.dir(), &gone)?;
        // Another process that sweeps up may be removing it too; what is left is swept up next time.
        if let Err(error) = fs::remove(&gone) {
            self.log.line(Level::Debug, format_args!("{error}"));
        }
        self.stores.count_disk();
        Ok(())
    }

    /// Moves the groups of another lane's rejected store here. Returns how many items moved, and how many older ones
    /// had to leave for them. Neither is counted yet.
    pub(crate) fn take_rejected(&self, from: &RejectedStore) -> Result<(u64, u64)> {
        let outcome = self.stores.take_rejected(from, self.settings.max_rejected_bytes)?;
        self.note_late_key();
        Ok(outcome)
    }
}

/// Makes the folder `fresh` and locks it before anyone sweeps it up.
fn lock_new(lanes: &Path, fresh: &Path) -> Result<Option<LaneLock>> {
    let folder = LaneLock::open_folder(lanes)?;
    let deadline = Instant::now() + SWEEP_TIMEOUT;
    // A process that was stopped while it sweeps must not keep others from starting.
    while folder.file()?.try_lock_shared().is_err() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(1));
    }
    fs::create(fresh)?;
    LaneLock::take(fresh)
}

/// Says what stands in the way of a lane: once in a process, not each time that orphans are looked for.
fn log_once(log: &Log, level: Level, line: String) {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    // A child of fork must not find the lock held.
    let is_new = fork::exclude(|| SAID.lock().unpoisoned().insert(line.clone()));
    if is_new {
        log.line(level, format_args!("{line}"));
    }
}

/// Whether another process has removed `lane`.
fn is_gone(lane: &Path) -> bool {
    std::fs::symlink_metadata(lane).is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound)
}

/// A lane that another user made, or that a link leads to, is not ours to read or write.
fn check_owner(lane: &Path) -> Result<()> {
    let refused = |why: String| Err(Error::new(ErrorKind::Io, format!("{} {why}", lane.display())));
    match std::fs::symlink_metadata(lane) {
        Err(e) => Err(Error::io(format!("look at {}", lane.display()), e)),
        Ok(m) if !m.is_dir() => refused("is not a folder; a lane that is a link is not followed".into()),
        Ok(m) if m.uid() != process::user_id() => {
            refused(format!("belongs to user {}, not to {}", m.uid(), process::user_id()))
        }
        Ok(_) => Ok(()),
    }
}
