//! Directory: the folder of all lanes of a spool: take over one, make one, remove one, clean up after crashes.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::config::{Level, Log};
use crate::error::{Error, ErrorKind, Result};
use crate::os::fork;
use crate::os::lock::Unpoison;
use crate::spool::held_path::HeldPath;
use crate::spool::journal::destination::Recorded;
use crate::spool::journal::{HeaderCounter, now_unix_ms, random};
use crate::spool::lane::Lane;
use crate::spool::lane::identity::is_lane;
use crate::spool::lane::lock::{self, LaneLock};
use crate::spool::lane::open::{create_journal, resize_journal};
use crate::spool::lane::settings::LaneSettings;
use crate::spool::recovery::{DamagedLane, Unreadable, recorded_in};
use crate::spool::set_aside::rejected_files::RejectedFiles;

/// The folder of a spool that its lanes are in.
pub(crate) const LANES: &str = "lanes";
/// Extensions of the names of lanes that are being made, and that are being removed.
const MAKING: &str = "new";
const REMOVING: &str = "gone";
/// The longest wait for another process to sweep up what a crash left.
const SWEEP_TIMEOUT: Duration = Duration::from_secs(1);
/// How often another process may take the lock of a new lane, as one that looks around does, before making one is given
/// up.
const MAKE_ATTEMPTS: usize = 8;

impl Lane {
    /// The folder of a spool's lanes, made where it is absent.
    pub(crate) fn make_all_in(spool_dir: &Path) -> Result<HeldPath> {
        HeldPath::create_all(&spool_dir.join(LANES))
    }

    /// The folder of this lane and those next to it.
    pub(crate) fn lanes(&self) -> &HeldPath {
        self.identity.lanes()
    }

    /// Takes over the first lane of `lanes` that nobody owns, that new items may be added to and that can have a journal of
    /// the size that is set, or makes one.
    pub(crate) fn take(lanes: &HeldPath, settings: &LaneSettings, log: &Log) -> Result<Self> {
        let may_own = |recorded: &Recorded| {
            recorded.destination == settings.destination
                || settings.may_own(&recorded.destination) && recorded.is_changeable
        };
        for id in lanes.names()? {
            let suits = |dir: &HeldPath| resize_journal(dir, settings, log);
            if let Ok(Some(lane)) = Self::take_if(may_own, suits, &id, lanes, settings, log)
                // Nothing can be added to the ledger of one that a death kept from being removed.
                && lane.stores.journal().checkpoint().counted_elsewhere() == 0
            {
                lane.redirect(&settings.destination)?;
                return Ok(lane);
            }
        }
        Self::make(lanes, settings, log)
    }

    /// Takes over the lane `id` if there is one, nobody owns it and its items may be delivered. An error, which is logged
    /// once: it can't be used, and is left as it is.
    pub(crate) fn take_orphan(
        id: &str,
        lanes: &HeldPath,
        settings: &LaneSettings,
        log: &Log,
    ) -> Result<Option<Self>> {
        Self::take_if(|recorded| settings.adopts(&recorded.destination), |_| true, id, lanes, settings, log)
    }

    /// `suits` is asked once the lane is locked.
    fn take_if(
        is_wanted: impl Fn(&Recorded) -> bool,
        suits: impl Fn(&HeldPath) -> bool,
        id: &str,
        lanes: &HeldPath,
        settings: &LaneSettings,
        log: &Log,
    ) -> Result<Option<Self>> {
        let named = lanes.join(id);
        // Of many lanes most are owned: that is seen with the fewest calls.
        if !is_lane(id) || lock::is_folder_locked(&named) {
            return Ok(None);
        }
        let is_wanted = |dir: &HeldPath| recorded_in(id, dir, &settings.destination).map(|it| is_wanted(&it));
        // Asked before it is locked, too: who looks for such lanes must not find it locked by one who does not.
        let taken = is_wanted(&named).and_then(|wanted| match wanted {
            true => take_over(&named, |dir, lock| {
                if !is_wanted(dir)? || !suits(dir) {
                    return Ok(None);
                }
                if let Some(damage) = Unreadable::of(id, dir).filter(Unreadable::is_damage) {
                    return Err(damage.why().clone());
                }
                Self::open(id, lanes, dir, lock, settings, log).map(Some)
            }),
            false => Ok(None),
        });
        match taken {
            Err(_) if is_gone(&named) => Ok(None),
            other => other.map(Option::flatten).inspect_err(|error| pass_over(id, log, error)),
        }
    }

    /// Locks the lane `id` if nobody owns it, its journal is damaged and its items may be delivered.
    pub(crate) fn take_damaged(
        id: &str,
        lanes: &HeldPath,
        settings: &LaneSettings,
        log: &Log,
    ) -> Option<DamagedLane> {
        let named = lanes.join(id);
        let found = DamagedLane::find(id, &named).and_then(|found| match found {
            Some(lane) if settings.adopts(&lane.destination(&settings.destination)?) => Ok(Some(lane)),
            _ => Ok(None),
        });
        match found {
            Err(error) if !is_gone(&named) => {
                pass_over(id, log, &error);
                None
            }
            other => other.ok().flatten(),
        }
    }

    /// Removes what a crash left of lanes that were being made or removed, if there is such among `names`, which are all
    /// in `lanes`. What can't be removed is left as it is.
    pub(crate) fn sweep_up(lanes: &HeldPath, names: &[String], log: &Log) -> Result<()> {
        // While lanes are being made, one without a lock need not be dead: the next time will do.
        if names.iter().any(|name| has_end(name, MAKING))
            && let Some(_folder) = LaneLock::take_folder(lanes, false)?
        {
            Self::sweep_up_named(MAKING, lanes, log)?;
        }
        if names.iter().any(|name| has_end(name, REMOVING)) {
            Self::sweep_up_named(REMOVING, lanes, log)?;
        }
        Ok(())
    }

    fn sweep_up_named(end: &str, lanes: &HeldPath, log: &Log) -> Result<()> {
        for left in lanes.names()?.iter().filter(|name| has_end(name, end)).map(|name| lanes.join(name)) {
            if let Err(error) = take_over(&left, |_, _lock| left.remove())
                && !is_gone(&left)
            {
                log_once(log, Level::Warn, format!("{left} is left as it is: {error}"));
            }
        }
        Ok(())
    }

    /// Makes a lane under another name, so that nobody takes it while it is not whole.
    pub(crate) fn make(lanes: &HeldPath, settings: &LaneSettings, log: &Log) -> Result<Self> {
        for _ in 0..MAKE_ATTEMPTS {
            // The time only makes names sort by age: its lowest bits are enough, whatever the clock says.
            let id = format!("{:08x}{:08x}", (now_unix_ms() / 1000) as u32, random() as u32);
            let fresh = lanes.join(format!("{id}.{MAKING}"));
            let Some((dir, lock)) = make_locked(lanes, &fresh)? else { continue };
            let named = lanes.join(&id);
            let made = create_journal(&dir, settings).and_then(|()| fresh.rename(&named));
            if let Err(error) = made {
                // What was begun must not stay on a disk that is full.
                drop(fresh.remove());
                return Err(error);
            }
            return Self::open(&id, lanes, &dir.found_at(&named), lock, settings, log);
        }
        Err(Error::new(ErrorKind::Locked, format!("other processes keep taking new lanes in {lanes}")))
    }

    /// Takes over the ledgers and the rejected items of lanes without pending items, and removes these lanes. What many
    /// of them need to be on stable storage is synced once for all.
    pub(crate) fn absorb(&self, drained: &[Arc<Lane>]) -> Result<()> {
        for lane in drained {
            // A power cut must not put rejected items back on their way there while they are here.
            lane.stores.journal().release()?;
            lane.stores.rejected().look_into_files()?;
            // Until the ledger is taken over, below, the items count as rejected where they were.
            let (_, evicted) = self.take_rejected(lane.stores.rejected().files())?;
            self.stores.quarantine().take_over(lane.identity.dir())?;
            // Two stores to memory, one after the other: a death in the disk's work around them changes no sum over all
            // lanes.
            self.with_ledger(|| {
                let tally = lane.stats().tally();
                self.count_adopted_items(tally);
                let of_client = lane.kin.get().map(|_| HeaderCounter::LanesAdopted);
                let of_all =
                    [HeaderCounter::BatchesSent, HeaderCounter::Retries, HeaderCounter::PartiallyRejected];
                for counter in of_all.into_iter().chain(of_client) {
                    self.add_counter(counter, lane.counter(counter));
                    lane.set_counter(counter, 0);
                }
                lane.stores.lock_queue().absorbed(lane.stores.journal());
                self.count_evicted(evicted);
            });
        }
        // A power cut must not take the ledger of a lane that is gone.
        self.stores.journal().release()?;
        let mut gone = Vec::new();
        for lane in drained {
            let named = lane.identity.named();
            let to = named.with_extension(REMOVING);
            named.rename_only(&to).map_err(|e| Error::io(format!("rename {named} to {to}"), e))?;
            gone.push(to);
        }
        self.lanes().sync()?;
        for lane in gone {
            // Another process that sweeps up may be removing it too; what is left is swept up next time.
            if let Err(error) = lane.remove() {
                self.log.line(Level::Debug, format_args!("{error}"));
            }
        }
        self.stores.count_disk();
        Ok(())
    }

    /// Moves the groups of another lane's rejected store here. Returns how many items moved, and how many older ones
    /// had to leave for them. Neither is counted yet.
    pub(crate) fn take_rejected(&self, from: &RejectedFiles) -> Result<(u64, u64)> {
        let (moved, evicted) = self.stores.take_rejected(from, self.rejected_room())?;
        if moved > 0 {
            self.note_late_key();
        }
        Ok((moved, evicted))
    }
}

/// Locks the lane that is called `named` and calls `then` with it. `None`: another process owns it, or it is gone.
fn take_over<T>(named: &HeldPath, then: impl FnOnce(&HeldPath, LaneLock) -> Result<T>) -> Result<Option<T>> {
    let Some(dir) = lock::hold(named)? else { return Ok(None) };
    LaneLock::take(named, &dir)?.map(|lock| then(&dir, lock)).transpose()
}

/// Makes the folder `fresh` and locks it before anyone sweeps it up. `None`: somebody else has locked it.
fn make_locked(lanes: &HeldPath, fresh: &HeldPath) -> Result<Option<(HeldPath, LaneLock)>> {
    let deadline = Instant::now() + SWEEP_TIMEOUT;
    let mut folder = LaneLock::take_folder(lanes, true)?;
    // A process that was stopped while it sweeps must not keep others from starting.
    while folder.is_none() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(1));
        folder = LaneLock::take_folder(lanes, true)?;
    }
    fresh.create()?;
    let Some(dir) = lock::hold(fresh)? else { return Ok(None) };
    Ok(LaneLock::take(fresh, &dir)?.map(|lock| (dir, lock)))
}

fn pass_over(id: &str, log: &Log, error: &Error) {
    log_once(log, Level::Error, format!("lane {id} is passed over: {error}"));
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

fn has_end(name: &str, end: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == end)
}

/// Whether another process has removed the lane that is called `named`.
fn is_gone(named: &HeldPath) -> bool {
    named.exists().is_ok_and(|exists| !exists)
}
