//! Own lanes: the lane that takes a client's new items, and with `order=newest_first` the backlogs before it.
//!
//! A backlog is a lane that took the new items once. It is delivered by its own threads, as before. When it is empty, the
//! lane of the new items absorbs it.

use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Instant;

use crate::client::runner::Runner;
use crate::config::{Config, Order};
use crate::delivery::Outlet;
use crate::error::Result;
use crate::os::lock::Unpoison;
use crate::os::thread;
use crate::spool::{Kin, Lane, LaneSettings, Stats, shut_down};

/// A lane and the threads that work for it.
pub(super) struct OwnLane {
    pub(super) lane: Arc<Lane>,
    pub(super) runner: Runner,
}

/// The lanes that a client owns for its own items.
pub(super) struct OwnLanes {
    lanes: Lanes,
    kin: Arc<Kin>,
}

enum Lanes {
    /// It stays the same: callers need no lock to find it.
    One(Arc<OwnLane>),
    Several(RwLock<Several>),
}

/// The oldest lane first; the newest one takes new items.
struct Several {
    newest: Arc<OwnLane>,
    backlogs: Vec<Arc<OwnLane>>,
    /// Backlogs that are empty and about to be absorbed.
    leaving: Vec<Arc<OwnLane>>,
    /// The client shuts down: no lane is added.
    is_closed: bool,
}

impl OwnLane {
    /// Starts the threads of a lane that takes new items, or did.
    pub(super) fn start(
        lane: Arc<Lane>,
        is_new: bool,
        outlet: Option<&Arc<Outlet>>,
        config: &Config,
    ) -> Result<Arc<Self>> {
        let runner = Runner::start(lane.clone(), is_new, outlet, config, config.max_in_flight)?;
        Ok(Arc::new(Self { lane, runner }))
    }
}

impl OwnLanes {
    /// The lanes of a client that has one so far, which takes its new items.
    pub(super) fn new(newest: Arc<OwnLane>, config: &Config) -> Self {
        let kin = Arc::new(Kin::default());
        let lanes = match config.order {
            Order::OldestFirst => Lanes::One(newest),
            Order::NewestFirst => {
                kin.add(&newest.lane);
                Lanes::Several(RwLock::new(Several {
                    newest,
                    backlogs: Vec::new(),
                    leaving: Vec::new(),
                    is_closed: false,
                }))
            }
        };
        Self { lanes, kin }
    }

    /// Calls `work` with the lane that takes new items. It is not absorbed meanwhile.
    pub(super) fn with_newest<T>(&self, work: impl FnOnce(&Lane) -> T) -> T {
        match &self.lanes {
            Lanes::One(own) => work(&own.lane),
            Lanes::Several(_) => work(&self.newest().lane),
        }
    }

    /// The lane that takes new items. As long as this is kept it is not absorbed.
    pub(super) fn newest(&self) -> Arc<OwnLane> {
        match &self.lanes {
            Lanes::One(own) => own.clone(),
            Lanes::Several(several) => read(several).newest.clone(),
        }
    }

    /// All lanes that may have items pending, the oldest first. As long as they are kept, none is absorbed.
    pub(super) fn all(&self) -> Vec<Arc<OwnLane>> {
        match &self.lanes {
            Lanes::One(own) => vec![own.clone()],
            Lanes::Several(several) => {
                let several = read(several);
                several.backlogs.iter().chain([&several.newest]).cloned().collect()
            }
        }
    }

    /// The counters of all lanes together.
    pub(super) fn stats(&self) -> Stats {
        match &self.lanes {
            Lanes::One(own) => own.lane.stats(),
            Lanes::Several(_) => self.kin.stats(),
        }
    }

    /// How many backlogs there are.
    pub(super) fn backlogs(&self) -> usize {
        match &self.lanes {
            Lanes::One(_) => 0,
            Lanes::Several(several) => {
                let several = read(several);
                several.backlogs.len() + several.leaving.len()
            }
        }
    }

    /// Makes a lane for the new items; the one that took them becomes a backlog. After an error all is as before.
    pub(super) fn hand_over(
        &self,
        outlet: &Arc<Outlet>,
        settings: &LaneSettings,
        config: &Config,
    ) -> Result<()> {
        let Lanes::Several(several) = &self.lanes else { return Ok(()) };
        let before = self.newest();
        let lane = Arc::new(Lane::make(before.lane.lanes(), settings, &config.log)?);
        let fresh = OwnLane::start(lane.clone(), true, Some(outlet), config)?;
        let mut several = write(several);
        if several.is_closed {
            drop(several);
            // It is empty: the next client removes it.
            fresh.runner.stop();
            return Err(shut_down());
        }
        self.kin.add(&lane);
        outlet.set_own(lane);
        let before = std::mem::replace(&mut several.newest, fresh);
        several.backlogs.push(before.clone());
        drop(several);
        before.runner.become_backlog();
        Ok(())
    }

    /// The backlogs that are empty and that no caller is in. They count in `stats` until `remove`.
    pub(super) fn take_drained(&self) -> Vec<Arc<OwnLane>> {
        let Lanes::Several(several) = &self.lanes else { return Vec::new() };
        let mut several = write(several);
        let Several { backlogs, leaving, .. } = &mut *several;
        let is_drained =
            |own: &mut Arc<OwnLane>| Arc::strong_count(own) == 1 && own.lane.stats().pending == 0;
        leaving.extend(backlogs.extract_if(.., is_drained));
        leaving.clone()
    }

    /// Forgets a backlog that has left: it is absorbed, or left to the adopter.
    pub(super) fn remove(&self, own: &Arc<OwnLane>) {
        let Lanes::Several(several) = &self.lanes else { return };
        write(several).leaving.retain(|it| !Arc::ptr_eq(it, own));
        self.kin.remove(&own.lane);
    }

    /// Requests that begin from now on must end by `deadline`.
    pub(super) fn end_by(&self, deadline: Instant) {
        self.all().iter().for_each(|own| own.runner.end_by(deadline));
    }

    /// Tells the delivery threads to end, without waiting for them.
    pub(super) fn ask_to_stop(&self) {
        self.all().iter().for_each(|own| own.runner.ask_to_stop());
    }

    /// Ends the threads. `false`: one did not end in time; it keeps its lane until it does.
    pub(super) fn stop(&self) -> bool {
        let until = thread::grace();
        // Each is stopped, whatever became of the others.
        self.all().iter().filter(|own| !own.runner.stop_by(until)).count() == 0
    }

    /// Lets the lanes go: another client may take them over. No thread may work for them any more.
    pub(super) fn unlock(&self) {
        let leaving = match &self.lanes {
            Lanes::One(_) => Vec::new(),
            Lanes::Several(several) => read(several).leaving.clone(),
        };
        self.all().iter().chain(&leaving).for_each(|own| own.lane.unlock());
    }

    /// Accepts no item any more, and lets no lane be added.
    pub(super) fn close(&self) {
        if let Lanes::Several(several) = &self.lanes {
            write(several).is_closed = true;
        }
        self.all().iter().for_each(|own| own.lane.close());
    }

    /// Makes the next request at once, without waiting for backoff or hold to end.
    pub(super) fn wake(&self) {
        self.all().iter().for_each(|own| own.runner.wake());
    }

    /// Sends everything accepted so far at once and waits until all of it is settled.
    pub(super) fn flush(&self, deadline: Option<Instant>) -> Result<()> {
        let begun: Vec<_> =
            self.all().into_iter().map(|own| (own.runner.begin_flush(deadline), own)).collect();
        for (forced, own) in begun {
            own.runner.wait_flushed(&forced, deadline)?;
        }
        Ok(())
    }

    /// Brings everything accepted so far to stable storage.
    pub(super) fn sync(&self) -> Result<()> {
        self.all().iter().try_for_each(|own| own.lane.sync())
    }
}

fn read(several: &RwLock<Several>) -> RwLockReadGuard<'_, Several> {
    several.read().unpoisoned()
}

fn write(several: &RwLock<Several>) -> RwLockWriteGuard<'_, Several> {
    several.write().unpoisoned()
}
