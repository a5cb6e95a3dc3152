//! Adopter: the threads that deliver what dead processes left in their lanes, and remove those lanes.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::client::own_lanes::OwnLanes;
use crate::client::requeuer::Requeuer;
use crate::client::round::{Found, Round};
use crate::client::runner::Runner;
use crate::config::{Config, Level};
use crate::delivery::Outlet;
use crate::error::Result;
use crate::os::lock::Unpoison;
use crate::os::thread::{self, Threads};
use crate::spool::{ExportState, HeldPath, Lane, LaneSettings, Wakeup};

/// Empty lanes that are removed together.
const MOST_DRAINED: usize = 16;
/// How long empty lanes wait for the next one to be empty.
const PATIENCE: Duration = Duration::from_millis(100);
/// Lanes with owners that a look goes past. Each takes some 6 µs, and the owners look for orphans as well.
const MOST_PASSED: usize = 256;
/// How long a lane is tried when it is met for the first time. What holds it up must not hold up those that were not met
/// yet.
const FIRST_TURN: Duration = Duration::from_millis(500);
/// How much longer than `max_delay_ms` a lane may get no further before another one has its turn.
const STUCK_AFTER: Duration = Duration::from_secs(1);
/// Lanes that are set apart, at most. Each takes two threads and its journal's map.
const MOST_APART: usize = 16;

/// Looks for orphans at once and every `adopt_interval_ms`, and delivers them, a few at a time.
///
/// The first look and one that was asked for are through all lanes. Of very many, each later one that finds nothing is
/// through the next part, which begins at another place in each process.
///
/// Dropping it stops the threads.
pub(crate) struct Adopter {
    search: Arc<Search>,
    threads: Threads,
}

struct Search {
    config: Config,
    lanes: HeldPath,
    own: Arc<OwnLanes>,
    outlet: Arc<Outlet>,
    requeuer: Arc<Requeuer>,
    stopped: AtomicBool,
    changed: Wakeup,
    /// Ids of the lanes that were adopted, once or again.
    met: Mutex<BTreeSet<String>>,
    /// The lanes that are being delivered now.
    current: Mutex<Vec<Arc<Runner>>>,
    /// Lanes that gave way and are still being delivered, without a thread that waits for them. Some of their items were
    /// delivered before older ones, and would be sent again if the lanes were let go.
    apart: Mutex<Vec<(Arc<Lane>, Arc<Runner>)>>,
}

impl Adopter {
    /// Starts the thread, which works for the owner of `own`.
    pub(crate) fn start(
        config: Config,
        own: Arc<OwnLanes>,
        outlet: Arc<Outlet>,
        requeuer: Arc<Requeuer>,
    ) -> Result<Self> {
        let search = Arc::new(Search {
            lanes: own.newest().lane.lanes().clone(),
            config,
            own,
            outlet,
            requeuer,
            stopped: AtomicBool::new(false),
            changed: Wakeup::default(),
            met: Mutex::default(),
            current: Mutex::default(),
            apart: Mutex::default(),
        });
        let adopter = Self { search: search.clone(), threads: Threads::default() };
        adopter.threads.spawn("adopt", &search.config.log.clone(), move || search.run())?;
        Ok(adopter)
    }

    /// Looks at once, and tries again at once what adopted lanes wait for.
    pub(crate) fn wake(&self) {
        self.search.changed.raise();
        self.search.runners().iter().for_each(|runner| runner.wake_lane());
    }

    /// Tells the thread to end, without waiting for it.
    pub(crate) fn ask_to_stop(&self) {
        self.search.stopped.store(true, Release);
        self.search.changed.raise();
        self.search.runners().iter().for_each(|runner| runner.ask_to_stop());
    }

    /// Waits for the thread's end; `false` when that takes too long.
    pub(crate) fn wait(&self) -> bool {
        self.threads.wait_for(0)
    }
}

impl Drop for Adopter {
    fn drop(&mut self) {
        if !self.search.is_stopped() {
            self.ask_to_stop();
            self.wait();
        }
    }
}

impl Search {
    /// The thread's life, until it is told to stop.
    fn run(self: &Arc<Self>) {
        let (mut from, mut may_pass) = (self.own.newest().lane.id().to_owned(), usize::MAX);
        let mut said = None;
        while !self.is_stopped() {
            let seen = self.changed.seen();
            let round = Instant::now();
            let trouble = self.look(&mut from, may_pass).err().map(|error| error.to_string());
            if trouble != said
                && let Some(why) = &trouble
            {
                self.config.log.line(Level::Warn, format_args!("looking for lanes to adopt: {why}"));
            }
            said = trouble;
            if !self.is_stopped() {
                self.changed.wait(seen, Some(round + self.config.adopt_interval));
                may_pass = if self.changed.seen() == seen { MOST_PASSED } else { usize::MAX };
            }
        }
        let apart = std::mem::take(&mut *self.lock_apart());
        apart.iter().for_each(|(_, runner)| runner.ask_to_stop());
        let until = thread::grace();
        for (_, runner) in &apart {
            let _ = runner.stop_by(until);
        }
    }

    /// Looks for orphans, beginning with the lane `from`, and goes past so many lanes that are none. Sets `from` to where
    /// the next look begins.
    fn look(self: &Arc<Self>, from: &mut String, mut may_pass: usize) -> Result<()> {
        let log = &self.config.log;
        let settings = LaneSettings::new(&self.config, self.outlet.exporter().destination());
        self.requeuer.requeue_late_elsewhere();
        let mut outcome = Ok(());
        loop {
            let mut names = self.lanes.names()?;
            Lane::sweep_up(&self.lanes, &names, log)?;
            self.requeuer.requeue_late();
            let begin = names.partition_point(|name| name < from);
            names.rotate_left(begin);
            let found = self.round(Round::new(names, may_pass), &settings);
            if let Some(name) = found.go_on_from {
                *from = name;
            }
            for name in found.unusable {
                let Some(damaged_lane) = Lane::take_damaged(&name, &self.lanes, &settings, log) else {
                    continue;
                };
                let newest = self.own.newest();
                if self.is_stopped() {
                    break;
                }
                // One that can't be read now does not hold up the others.
                if let Err(why) = newest.lane.recover(damaged_lane, || !self.is_stopped()) {
                    outcome = Err(why);
                }
            }
            if !found.is_worth_another || self.is_stopped() {
                return outcome;
            }
            may_pass = usize::MAX;
        }
    }

    /// Looks at lanes, at each once. When there is an orphan to deliver, another thread goes on with the rest.
    fn round(self: &Arc<Self>, round: Round, settings: &LaneSettings) -> Found {
        let round = Arc::new(round);
        let helpers = Arc::new(Threads::default());
        self.work(&round, settings, &helpers);
        while !helpers.wait_for(0) {}
        round.take_found()
    }

    fn work(self: &Arc<Self>, round: &Arc<Round>, settings: &LaneSettings, helpers: &Arc<Threads>) {
        let begin = Instant::now();
        let mut drained = self.take_drained_apart();
        while !self.is_stopped()
            && let Some(name) = round.next()
        {
            match Lane::take_orphan(&name, &self.lanes, settings, &self.config.log) {
                Ok(None) => round.has_passed(),
                Err(_) => round.found_unusable(name),
                Ok(Some(lane)) => {
                    if lane.stats().pending > 0 && round.may_join() {
                        self.add_helper(round, settings, helpers);
                    }
                    // There may be new orphans by now.
                    let others_wait = || round.has_more() || begin.elapsed() > self.config.adopt_interval;
                    if let Err(error) = self.adopt(lane.into(), round, &mut drained, others_wait) {
                        let log = &self.config.log;
                        log.line(Level::Warn, format_args!("lane {name} can't be adopted now: {error}"));
                    }
                }
            }
            if drained.len() >= MOST_DRAINED {
                self.absorb(&mut drained, round);
            }
        }
        self.absorb(&mut drained, round);
    }

    fn add_helper(self: &Arc<Self>, round: &Arc<Round>, settings: &LaneSettings, helpers: &Arc<Threads>) {
        let (search, round, of_helper) = (self.clone(), round.clone(), helpers.clone());
        let settings = settings.clone();
        let work = move || search.work(&round, &settings, &of_helper);
        let started = helpers.spawn("adopt", &self.config.log, work);
        if let Err(error) = started {
            self.config.log.line(Level::Debug, format_args!("{error}"));
        }
    }

    /// Delivers `lane`, until it gets no further and `gives_way` says that another one waits. Once it is empty, it is one of
    /// the `drained`. They do not wait for one that takes long.
    fn adopt(
        &self,
        lane: Arc<Lane>,
        round: &Round,
        drained: &mut Vec<Arc<Lane>>,
        gives_way: impl FnMut() -> bool,
    ) -> Result<()> {
        let pending = lane.stats().pending;
        let (id, log) = (lane.id(), &self.config.log);
        if pending > 0 {
            let is_first = self.met.lock().unpoisoned().insert(id.to_owned());
            if is_first {
                log.line(
                    Level::Info,
                    format_args!("lane {id} of a dead process is adopted: {pending} items"),
                );
                self.own.newest().lane.count_adopted();
            }
            let runner = Arc::new(Runner::start(lane.clone(), false, Some(&self.outlet), &self.config, 1)?);
            let current = Current::begin(self, &runner);
            let mut is_drained = !self.is_stopped() && runner.drain(PATIENCE, || true);
            if !is_drained && !self.is_stopped() {
                self.absorb(drained, round);
                is_drained = is_first && runner.drain(FIRST_TURN, || true);
                let is_held = is_first && lane.stats().state() == ExportState::Hold && round.has_more();
                if !is_drained && !is_held {
                    is_drained = runner.drain(self.config.max_delay + STUCK_AFTER, gives_way);
                }
                round.is_worth_another();
            }
            if !is_drained && !self.is_stopped() && self.set_apart(&lane, &runner) {
                return Ok(());
            }
            drop(current);
            if !runner.stop() || !is_drained {
                return Ok(());
            }
        }
        drained.push(lane);
        Ok(())
    }

    /// Leaves `lane` to its own threads if letting it go would have items sent again. Returns whether it does.
    fn set_apart(&self, lane: &Arc<Lane>, runner: &Arc<Runner>) -> bool {
        let mut apart = self.lock_apart();
        let is_apart = lane.has_settled_ahead() && apart.len() < MOST_APART;
        if is_apart {
            apart.push((lane.clone(), runner.clone()));
        }
        is_apart
    }

    /// The lanes that were set apart and are empty now.
    fn take_drained_apart(&self) -> Vec<Arc<Lane>> {
        let is_drained = |(lane, _): &mut (Arc<Lane>, Arc<Runner>)| lane.stats().pending == 0;
        let drained: Vec<_> = self.lock_apart().extract_if(.., is_drained).collect();
        drained.into_iter().filter(|(_, runner)| runner.stop()).map(|(lane, _)| lane).collect()
    }

    /// Moves ledgers and rejected items of lanes that are empty to this client's lane, and removes them.
    fn absorb(&self, drained: &mut Vec<Arc<Lane>>, round: &Round) {
        let lanes = std::mem::take(drained);
        if lanes.is_empty() {
            return;
        }
        if self.absorb_together(&lanes, round).is_err() {
            // One whose rejected items can't be read now does not hold up the others.
            for lane in lanes.chunks(1) {
                if let Err(error) = self.absorb_together(lane, round) {
                    self.config.log.line(Level::Warn, format_args!("taking over empty lanes: {error}"));
                }
            }
        }
        self.requeuer.requeue_late();
    }

    fn absorb_together(&self, lanes: &[Arc<Lane>], round: &Round) -> Result<()> {
        self.own.newest().lane.absorb(lanes)?;
        round.is_worth_another();
        for lane in lanes {
            self.config.log.line(Level::Debug, format_args!("lane {} is drained and removed", lane.id()));
        }
        Ok(())
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Acquire)
    }

    /// All lanes that are being delivered. A lane is among them also at the moment when it is set apart.
    fn runners(&self) -> Vec<Arc<Runner>> {
        let mut runners = self.lock_current().clone();
        runners.extend(self.lock_apart().iter().map(|(_, runner)| runner.clone()));
        runners
    }

    fn lock_current(&self) -> MutexGuard<'_, Vec<Arc<Runner>>> {
        self.current.lock().unpoisoned()
    }

    fn lock_apart(&self) -> MutexGuard<'_, Vec<(Arc<Lane>, Arc<Runner>)>> {
        self.apart.lock().unpoisoned()
    }
}

/// A lane that is being delivered: it is told when that is to go on at once, or to stop. A panic ends that.
struct Current<'a> {
    search: &'a Search,
    runner: &'a Arc<Runner>,
}

impl<'a> Current<'a> {
    fn begin(search: &'a Search, runner: &'a Arc<Runner>) -> Self {
        search.lock_current().push(runner.clone());
        Self { search, runner }
    }
}

impl Drop for Current<'_> {
    fn drop(&mut self) {
        self.search.lock_current().retain(|runner| !Arc::ptr_eq(runner, self.runner));
    }
}
