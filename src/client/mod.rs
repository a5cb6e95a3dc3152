//! Client: what a processor works with in one process: a lane, the threads that work for it, an exporter.

mod adopter;
mod own_lanes;
mod processor;
mod repair;
mod requeuer;
mod round;
mod runner;
mod side_lane;
mod succession;

pub use processor::{BatchTraceProcessor, TracingProcessor};
pub use repair::{LaneRepair, repair};

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use crate::client::adopter::Adopter;
use crate::client::own_lanes::{OwnLane, OwnLanes};
use crate::client::requeuer::Requeuer;
use crate::client::side_lane::SideLane;
use crate::client::succession::Succession;
use crate::config::{Config, Destination, Level, Order, Signal};
use crate::delivery::Outlet;
use crate::error::{Error, ErrorKind, Result};
use crate::export::TracingExporter;
use crate::item::{Item, too_large};
use crate::os::lock::Unpoison;
use crate::spool::{ExportState, HeldPath, Lane, LaneSettings, SpoolView, Stats};

/// What a processor works with in one process. A child of `fork` makes its own.
pub(crate) struct Client {
    config: Config,
    /// The folder of all lanes.
    lanes: HeldPath,
    settings: LaneSettings,
    own: Arc<OwnLanes>,
    /// What the items are, where they are not JSON.
    signal: Option<Signal>,
    /// With the exporter, absent when items go nowhere.
    outward: Option<Outward>,
    /// Nothing is sent. A child of `fork` begins as its parent stands.
    is_paused: AtomicBool,
    /// Held while a pause begins or ends, so that `is_paused` and the outlet change together.
    pausing: Mutex<()>,
    /// The counters as `shutdown` left them: from then on the lane may be another process's.
    final_stats: OnceLock<Stats>,
}

struct Outward {
    outlet: Arc<Outlet>,
    adopter: Adopter,
    requeuer: Arc<Requeuer>,
    succession: Option<Succession>,
}

/// How a client begins.
struct Beginning {
    /// Where its lanes are, if that is known already.
    lanes: Option<HeldPath>,
    destination: Destination,
    exporter: Option<Arc<dyn TracingExporter>>,
    is_paused: bool,
}

impl Client {
    /// A client of a lane whose items go to `destination`: that of the exporter, if it has one.
    pub(crate) fn open(
        config: Config,
        destination: Destination,
        exporter: Option<Arc<dyn TracingExporter>>,
    ) -> Result<Self> {
        Self::open_as(Beginning { lanes: None, destination, exporter, is_paused: false }, config)
    }

    fn open_as(beginning: Beginning, mut config: Config) -> Result<Self> {
        // Each client revokes its own log, and a child of `fork` must not wait for a call on a thread of its parent.
        config.log = config.log.separate();
        let log = config.log.clone();
        Self::start(beginning, config).inspect_err(|_| log.revoke())
    }

    /// An error leaves no thread and no lock behind: what was started stops when it is dropped.
    fn start(beginning: Beginning, config: Config) -> Result<Self> {
        let Beginning { lanes, destination, exporter, is_paused } = beginning;
        let lanes = lanes.map_or_else(|| Lane::make_all_in(&config.spool_dir), Ok)?;
        let settings = LaneSettings::new(&config, destination);
        let lane = Arc::new(Lane::take(&lanes, &settings, &config.log)?);
        let outlet = exporter.map(|exporter| Arc::new(Outlet::new(exporter, lane.clone(), &config)));
        if let Some(outlet) = outlet.as_ref().filter(|_| is_paused) {
            outlet.pause();
        }
        let newest = OwnLane::start(lane, true, outlet.as_ref(), &config)?;
        let own = Arc::new(OwnLanes::new(newest, &config));
        let outward = match outlet {
            None => None,
            Some(outlet) => {
                let exporter = outlet.exporter().clone();
                let outward = Outward::start(outlet, &own, &settings, &config);
                // A request that is under way must not keep the threads that are to end.
                Some(outward.inspect_err(|_| exporter.shutdown())?)
            }
        };
        Ok(Self {
            signal: settings.destination.signal(),
            config,
            lanes,
            settings,
            own,
            outward,
            is_paused: AtomicBool::new(is_paused),
            pausing: Mutex::default(),
            final_stats: OnceLock::new(),
        })
    }

    /// The same for a child of `fork`: a lane of its own next to this one, and an exporter that shares nothing with this
    /// one's. It takes none of this client's locks, which a thread of the parent may hold.
    pub(crate) fn for_child(&self) -> Result<Self> {
        let exporter = self.outward.as_ref().map(|out| {
            let exporter = out.outlet.exporter();
            exporter.fork().unwrap_or_else(|| exporter.clone())
        });
        let beginning = Beginning {
            lanes: Some(self.lanes.clone()),
            destination: self.settings.destination.clone(),
            exporter,
            is_paused: self.is_paused.load(Acquire),
        };
        let child = Self::open_as(beginning, self.config.clone())?;
        if let (Some(of_child), Some(of_parent)) = (&child.outward, &self.outward) {
            of_child.requeuer.inherit(&of_parent.requeuer);
        }
        Ok(child)
    }

    pub(crate) fn enqueue(&self, key_name: &str, item: &[u8]) -> Result<()> {
        let Config { max_item_bytes, validation, .. } = self.config;
        let shortened = if item.len() > max_item_bytes { self.shorten(item)? } else { None };
        let item = shortened.as_deref().unwrap_or(item);
        let item = match self.signal {
            None => Item::check(item, key_name, max_item_bytes, validation),
            Some(signal) => Item::check_otlp(item, signal, key_name, max_item_bytes, validation),
        };
        let item = item?;
        self.own.with_newest(|lane| lane.enqueue(&item))
    }

    /// An item over `max_item_bytes` as it will be sent, if that is shorter. The limit applies to that.
    fn shorten(&self, item: &[u8]) -> Result<Option<Vec<u8>>> {
        let max = self.config.max_item_bytes;
        match self.outward.as_ref().and_then(|out| out.outlet.exporter().shorten(item)) {
            Some(short) if short.len() > max => {
                Err(too_large(format_args!("{} bytes, {} as it is sent,", item.len(), short.len()), max))
            }
            shortened => Ok(shortened),
        }
    }

    pub(crate) fn flush(&self, deadline: Option<Instant>) -> Result<()> {
        self.try_now();
        if let Some(out) = &self.outward {
            out.requeuer.wait(deadline);
        }
        self.own.flush(deadline).map_err(|error| self.with_pending(error))
    }

    /// What did not come to its end in time, with why and what is left.
    fn with_pending(&self, error: Error) -> Error {
        if error.kind() != ErrorKind::Timeout {
            return error;
        }
        let why = if self.is_paused.load(Acquire) { "the client is paused" } else { error.message() };
        let pending = self.stats().pending;
        Error::new(ErrorKind::Timeout, format!("{why}; {pending} items stay in the spool"))
    }

    pub(crate) fn sync(&self) -> Result<()> {
        self.own.sync()
    }

    pub(crate) fn stats(&self) -> Stats {
        self.final_stats.get().copied().unwrap_or_else(|| self.own.stats())
    }

    /// Lets no request begin until `wake`.
    pub(crate) fn pause(&self) {
        if self.set_paused(true) {
            self.config.log.line(Level::Info, format_args!("nothing is sent: the program has paused it"));
        }
    }

    /// Ends a pause, and makes the next request at once, without waiting for backoff or hold to end.
    pub(crate) fn wake(&self) {
        if self.set_paused(false) {
            self.config.log.line(Level::Info, format_args!("the pause is over"));
        }
        self.try_now();
    }

    /// Returns whether that changed anything.
    fn set_paused(&self, is_paused: bool) -> bool {
        let _pausing = self.pausing.lock().unpoisoned();
        self.is_paused.store(is_paused, Release);
        let set = |out: &Outward| if is_paused { out.outlet.pause() } else { out.outlet.resume() };
        self.outward.as_ref().is_some_and(set)
    }

    /// Makes the next request at once, but for a pause.
    fn try_now(&self) {
        self.own.wake();
        if let Some(out) = &self.outward {
            out.adopter.wake();
        }
    }

    pub(crate) fn set_api_key(&self, key: &str) {
        if let Some(out) = &self.outward {
            out.outlet.exporter().set_api_key(key);
        }
        self.try_now();
    }

    pub(crate) fn set_named_key(&self, name: &str, key: &str) {
        let Some(out) = &self.outward else { return };
        out.outlet.exporter().set_named_key(name, key);
        // Before what is set aside already is looked at: what is being set aside just now is noted from here on.
        self.try_now();
        out.requeuer.key_is_set(name);
    }

    pub(crate) fn requeue_rejected(&self, ids: &[String]) -> Result<u64> {
        let newest = self.own.newest();
        newest.lane.tidy_rejected()?;
        let (own, lanes, log) = (&self.settings, &self.lanes, &self.config.log);
        let mut others: BTreeMap<Destination, SideLane> = BTreeMap::new();
        SpoolView::of(lanes.clone()).requeue(ids, |destination, requeue| {
            if own.may_own(destination) {
                return requeue(&newest.lane);
            }
            if !others.contains_key(destination) {
                let settings = LaneSettings { destination: destination.clone(), ..own.clone() };
                let lane = SideLane::start(Lane::take(lanes, &settings, log)?, &self.config)?;
                others.insert(destination.clone(), lane);
            }
            others.get(destination).map_or(Ok(0), |lane| requeue(lane))
        })
    }

    /// Takes no more items, delivers until `deadline` and ends the threads.
    pub(crate) fn shutdown(&self, timeout: Duration, deadline: Option<Instant>) -> Result<()> {
        self.own.close();
        if let Some(deadline) = deadline {
            self.own.end_by(deadline);
        }
        // No call can end a pause from here on.
        let is_in_vain = timeout.is_zero() || self.is_paused.load(Acquire);
        let outcome = if is_in_vain && self.stats().pending > 0 {
            Err(self.with_pending(Error::new(ErrorKind::Timeout, "there was no time to deliver")))
        } else {
            self.own.flush(deadline).map_err(|error| self.with_pending(error))
        };
        self.own.ask_to_stop();
        let outward_ended = self.outward.as_ref().is_none_or(Outward::end);
        if self.own.stop() && outward_ended {
            let idle = ExportState::Idle.into();
            let _ = self.final_stats.set(Stats { export_state: idle, ..self.own.stats() });
            self.own.unlock();
        }
        outcome
    }
}

impl Outward {
    /// Starts what delivers orphans and backlogs beside the client's own lane.
    fn start(
        outlet: Arc<Outlet>,
        own: &Arc<OwnLanes>,
        settings: &LaneSettings,
        config: &Config,
    ) -> Result<Self> {
        let exporter = outlet.exporter().clone();
        let requeuer = Arc::new(Requeuer::new(own.clone(), exporter, config.log.clone()));
        let mut succession = None;
        if config.order == Order::NewestFirst {
            let (config, settings, own) = (config.clone(), settings.clone(), own.clone());
            let started = Succession::start(config, settings, own, outlet.clone(), requeuer.clone());
            succession = Some(started?);
        }
        let adopter = Adopter::start(config.clone(), own.clone(), outlet.clone(), requeuer.clone())?;
        Ok(Self { outlet, adopter, requeuer, succession })
    }

    /// Ends the threads. `false`: one did not end in time.
    fn end(&self) -> bool {
        self.adopter.ask_to_stop();
        self.succession.iter().for_each(|succession| succession.ask_to_stop());
        self.outlet.exporter().shutdown();
        let succeeded = self.succession.as_ref().is_none_or(|succession| succession.wait());
        let adopted = self.adopter.wait();
        self.requeuer.stop() && adopted && succeeded
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // A thread that could not be stopped in time may still run.
        self.config.log.revoke();
    }
}
