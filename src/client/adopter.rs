//! Adopter: the thread that delivers what dead processes left in their lanes, and removes those lanes.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::client::runner::Runner;
use crate::config::{Config, Level};
use crate::error::Result;
use crate::export::TracingExporter;
use crate::os::lock::Unpoison;
use crate::os::thread::Threads;
use crate::spool::{HeldPath, Lane, LaneSettings, Wakeup, awaited_key};

/// Looks for orphans at once and every `adopt_interval_ms`, and delivers them one after the other.
///
/// Dropping it stops the thread.
pub(crate) struct Adopter {
    search: Arc<Search>,
    threads: Threads,
}

/// How much longer than `max_delay_ms` a lane may get no further before another one has its turn.
const STUCK_AFTER: Duration = Duration::from_secs(1);

/// What comes after a look at all orphans.
#[derive(PartialEq, Eq)]
enum Round {
    Done,
    Again,
}

struct Search {
    config: Config,
    lanes: HeldPath,
    own: Arc<Lane>,
    exporter: Arc<dyn TracingExporter>,
    stopped: AtomicBool,
    changed: Wakeup,
    /// Ids of the lanes that were adopted, once or again.
    met: Mutex<BTreeSet<String>>,
    /// The lane that is being delivered now.
    current: Mutex<Option<Arc<Runner>>>,
}

impl Adopter {
    /// Starts the thread, which works for the owner of the lane `own`.
    pub(crate) fn start(config: Config, own: Arc<Lane>, exporter: Arc<dyn TracingExporter>) -> Result<Self> {
        let search = Arc::new(Search {
            lanes: own.lanes().clone(),
            config,
            own,
            exporter,
            stopped: AtomicBool::new(false),
            changed: Wakeup::default(),
            met: Mutex::default(),
            current: Mutex::new(None),
        });
        let adopter = Self { search: search.clone(), threads: Threads::default() };
        adopter.threads.spawn("adopt", &search.config.log.clone(), move || search.run())?;
        Ok(adopter)
    }

    /// Looks at once, and makes the next request at once, without waiting for backoff or hold to end.
    pub(crate) fn wake(&self) {
        self.search.changed.raise();
        if let Some(runner) = &*self.search.lock_current() {
            runner.wake();
        }
    }

    /// Tells the thread to end, without waiting for it.
    pub(crate) fn ask_to_stop(&self) {
        self.search.stopped.store(true, Release);
        self.search.changed.raise();
        if let Some(runner) = &*self.search.lock_current() {
            runner.ask_to_stop();
        }
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
    fn run(&self) {
        // After a panic: the lane that was being delivered is found again.
        if let Some(runner) = self.lock_current().take() {
            runner.stop();
        }
        while !self.is_stopped() {
            let seen = self.changed.seen();
            let round = Instant::now();
            if let Err(error) = self.look() {
                self.config.log.line(Level::Warn, format_args!("looking for lanes to adopt: {error}"));
            }
            if !self.is_stopped() {
                self.changed.wait(seen, Some(round + self.config.adopt_interval));
            }
        }
    }

    fn look(&self) -> Result<()> {
        Lane::sweep_up(&self.lanes, &self.config.log)?;
        let settings = LaneSettings::new(&self.config, self.exporter.destination());
        self.requeue_known();
        // Lanes that were passed over for others are looked at again once one of those is done with.
        while self.adopt_all(&settings)? == Round::Again {}
        while !self.is_stopped() {
            let Some(damaged_lane) = Lane::next_damaged(&self.lanes, &settings, &self.config.log)? else {
                break;
            };
            if self.own.recover(damaged_lane, || !self.is_stopped())?.is_none() {
                break;
            }
        }
        Ok(())
    }

    /// Puts items back on their way whose key came too late for them, but before they reached this client's rejected
    /// store.
    fn requeue_known(&self) {
        if !self.own.take_late_key() {
            return;
        }
        let known = |reason: &str| awaited_key(reason).is_some_and(|name| self.exporter.has_named_key(name));
        if let Err(error) = self.own.requeue(known) {
            self.own.note_late_key();
            self.config.log.line(Level::Warn, format_args!("requeueing items whose key is known: {error}"));
        }
    }

    /// Delivers one orphan after the other, each until it is empty or gets no further while another one waits.
    fn adopt_all(&self, settings: &LaneSettings) -> Result<Round> {
        let find = |passed: &BTreeSet<String>| {
            Lane::next_orphan(&self.lanes, passed, settings, &self.config.log).map(|it| it.map(Arc::new))
        };
        let (mut passed, mut drained, mut stuck) = (BTreeSet::new(), false, false);
        let mut next = find(&passed)?;
        while let Some(lane) = next.take().filter(|_| !self.is_stopped()) {
            passed.insert(lane.id().to_owned());
            let done = self.adopt(&lane, || {
                // One that can't be looked for now does not wait.
                next = find(&passed).ok().flatten();
                next.is_some()
            });
            match done {
                Ok(true) => drained = true,
                Ok(false) => stuck = true,
                Err(error) => self
                    .config
                    .log
                    .line(Level::Warn, format_args!("lane {} can't be adopted now: {error}", lane.id())),
            }
            self.requeue_known();
            if next.is_none() {
                next = find(&passed)?;
            }
        }
        Ok(if drained && stuck && !self.is_stopped() { Round::Again } else { Round::Done })
    }

    /// Delivers `lane`. Once it is empty, its ledger and rejected items go to this client's lane, and it is removed.
    ///
    /// `false`: that was not done, as when it gets no further and `gives_way` says that another lane waits.
    fn adopt(&self, lane: &Arc<Lane>, gives_way: impl FnMut() -> bool) -> Result<bool> {
        let pending = lane.stats().pending;
        let (id, log) = (lane.id(), &self.config.log);
        if pending > 0 {
            if self.met.lock().unpoisoned().insert(id.to_owned()) {
                log.line(
                    Level::Info,
                    format_args!("lane {id} of a dead process is adopted: {pending} items"),
                );
                self.own.count_adopted();
            }
            let runner = Arc::new(Runner::start(
                lane.clone(),
                &self.own,
                Some(self.exporter.clone()),
                &self.config,
                1,
            )?);
            *self.lock_current() = Some(runner.clone());
            let drained = !self.is_stopped() && runner.drain(self.config.max_delay + STUCK_AFTER, gives_way);
            *self.lock_current() = None;
            if !runner.stop() || !drained {
                return Ok(false);
            }
        }
        self.own.absorb(lane)?;
        log.line(Level::Debug, format_args!("lane {id} is drained and removed"));
        Ok(true)
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Acquire)
    }

    fn lock_current(&self) -> MutexGuard<'_, Option<Arc<Runner>>> {
        self.current.lock().unpoisoned()
    }
}
