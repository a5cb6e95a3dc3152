//! Succession: with `order=newest_first`, the thread that gives new items a lane of their own when others have had to wait,
//! and removes the backlogs once they are empty.
//!
//! A lane is handed over when an outage or a pause is over and more waits in it than fits a batch. Where there is no room
//! for another lane, or there are many already, the new items go in order until that changes.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::{Duration, Instant};

use crate::client::own_lanes::OwnLanes;
use crate::client::requeuer::Requeuer;
use crate::config::{Config, Level};
use crate::delivery::Outlet;
use crate::error::{ErrorKind, Result};
use crate::os::thread::Threads;
use crate::spool::{Lane, LaneSettings};

/// Backlogs that a client has at once, at most, however often outages come.
const MOST_BACKLOGS: usize = 3;
/// How often backlogs are looked at, as long as there are any.
const LOOK_AFTER: Duration = Duration::from_millis(200);

/// Dropping it stops the thread.
pub(super) struct Succession {
    work: Arc<Work>,
    threads: Threads,
}

struct Work {
    config: Config,
    settings: LaneSettings,
    own: Arc<OwnLanes>,
    outlet: Arc<Outlet>,
    requeuer: Arc<Requeuer>,
    stopped: AtomicBool,
}

impl Succession {
    /// Starts the thread. If the lane that the client took over is a backlog, new items have another one from here on.
    pub(super) fn start(
        config: Config,
        settings: LaneSettings,
        own: Arc<OwnLanes>,
        outlet: Arc<Outlet>,
        requeuer: Arc<Requeuer>,
    ) -> Result<Self> {
        let work = Work { config, settings, own, outlet, requeuer, stopped: AtomicBool::new(false) };
        let succession = Self { work: Arc::new(work), threads: Threads::default() };
        let work = succession.work.clone();
        let is_wanted = work.take_turn(true);
        succession.threads.spawn("order", &work.config.log.clone(), move || work.run(is_wanted))?;
        Ok(succession)
    }

    /// Tells the thread to end, without waiting for it.
    pub(super) fn ask_to_stop(&self) {
        self.work.stopped.store(true, Release);
        self.work.outlet.reopened().raise();
    }

    /// Waits for the thread's end; `false` when that takes too long.
    pub(super) fn wait(&self) -> bool {
        self.threads.wait_for(0)
    }
}

impl Drop for Succession {
    fn drop(&mut self) {
        self.ask_to_stop();
        self.wait();
    }
}

impl Work {
    fn run(&self, mut is_wanted: bool) {
        let (mut looked_at, mut trouble) = (0, String::new());
        loop {
            let seen = self.outlet.reopened().seen();
            if self.stopped.load(Acquire) {
                return;
            }
            self.remove_drained(&mut trouble);
            is_wanted = self.take_turn(is_wanted || seen != looked_at);
            looked_at = seen;
            let is_watching = is_wanted || self.own.backlogs() > 0;
            self.outlet.reopened().wait(seen, is_watching.then(|| Instant::now() + LOOK_AFTER));
        }
    }

    /// Hands the lane over if that `is_wanted` and of use. Returns whether it is to be tried again.
    fn take_turn(&self, is_wanted: bool) -> bool {
        let newest = self.own.newest();
        if !is_wanted || !self.is_backlog(&newest.lane) {
            return false;
        }
        if self.own.backlogs() >= MOST_BACKLOGS || !newest.lane.has_room_for_next() {
            return true;
        }
        let (id, pending, log) = (newest.lane.id(), newest.lane.stats().pending, &self.config.log);
        match self.own.hand_over(&self.outlet, &self.settings, &self.config) {
            Ok(()) => {
                log.line(Level::Info, format_args!("new items go before the {pending} items of lane {id}"));
            }
            Err(error) if error.kind() == ErrorKind::ShutDown => {}
            Err(error) => {
                let line = format_args!("new items go after the {pending} items of lane {id}: {error}");
                log.line(Level::Warn, line);
            }
        }
        false
    }

    /// Whether more waits in `lane` than fits a batch.
    fn is_backlog(&self, lane: &Lane) -> bool {
        let (stats, limits) = (lane.stats(), self.settings.limits);
        stats.pending > limits.items as u64 || stats.pending_bytes > limits.body_bytes as u64
    }

    /// Takes over the ledgers and the rejected items of backlogs that are empty, and removes these. `trouble`: what the log
    /// was told last.
    fn remove_drained(&self, trouble: &mut String) {
        let log = &self.config.log;
        for own in self.own.take_drained() {
            if !own.runner.stop() {
                continue;
            }
            if own.lane.stats().pending > 0 {
                // What was put off last. It is delivered as an orphan.
                own.lane.unlock();
                self.own.remove(&own);
                continue;
            }
            let newest = self.own.newest();
            match newest.lane.absorb(std::slice::from_ref(&own.lane)) {
                Ok(()) => {
                    let id = own.lane.id();
                    log.line(Level::Debug, format_args!("lane {id} is drained and removed"));
                    self.own.remove(&own);
                    self.requeuer.requeue_late();
                }
                Err(error) => {
                    let line = format!("taking over an empty lane: {error}; trying again");
                    if *trouble != line {
                        log.line(Level::Warn, format_args!("{line}"));
                    }
                    *trouble = line;
                }
            }
        }
    }
}
