//! Client: what a processor works with in one process: a lane, the threads that work for it, an exporter.

mod adopter;
mod processor;
mod repair;
mod requeuer;
mod round;
mod runner;
mod side_lane;

pub use processor::{BatchTraceProcessor, TracingProcessor};
pub use repair::{LaneRepair, repair};

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::client::adopter::Adopter;
use crate::client::requeuer::Requeuer;
use crate::client::runner::Runner;
use crate::client::side_lane::SideLane;
use crate::config::{Config, Destination, Signal};
use crate::delivery::Outlet;
use crate::error::{Error, ErrorKind, Result};
use crate::export::TracingExporter;
use crate::item::{Item, too_large};
use crate::spool::{ExportState, HeldPath, Lane, LaneSettings, SpoolView, Stats};

/// What a processor works with in one process. A child of `fork` makes its own.
pub(crate) struct Client {
    config: Config,
    lane: Arc<Lane>,
    /// What the items are, where they are not JSON.
    signal: Option<Signal>,
    runner: Runner,
    /// With the exporter, absent when items go nowhere.
    outward: Option<Outward>,
    /// The counters as `shutdown` left them: from then on the lane may be another process's.
    final_stats: OnceLock<Stats>,
}

struct Outward {
    exporter: Arc<dyn TracingExporter>,
    adopter: Adopter,
    requeuer: Arc<Requeuer>,
}

impl Client {
    /// A client of a lane whose items go to `destination`: that of the exporter, if it has one.
    pub(crate) fn open(
        config: Config,
        destination: Destination,
        exporter: Option<Arc<dyn TracingExporter>>,
    ) -> Result<Self> {
        Self::open_in(None, config, destination, exporter)
    }

    fn open_in(
        lanes: Option<HeldPath>,
        mut config: Config,
        destination: Destination,
        exporter: Option<Arc<dyn TracingExporter>>,
    ) -> Result<Self> {
        // Each client revokes its own log, and a child of `fork` must not wait for a call on a thread of its parent.
        config.log = config.log.separate();
        let log = config.log.clone();
        Self::start(lanes, config, destination, exporter).inspect_err(|_| log.revoke())
    }

    /// An error leaves no thread and no lock behind: what was started stops when it is dropped.
    fn start(
        lanes: Option<HeldPath>,
        config: Config,
        destination: Destination,
        exporter: Option<Arc<dyn TracingExporter>>,
    ) -> Result<Self> {
        let lanes = lanes.map_or_else(|| Lane::make_all_in(&config.spool_dir), Ok)?;
        let signal = destination.signal();
        let lane = Arc::new(Lane::take(&lanes, &LaneSettings::new(&config, destination), &config.log)?);
        let outlet = exporter.map(|exporter| Arc::new(Outlet::new(exporter, lane.clone(), &config)));
        let runner = Runner::start(lane.clone(), outlet.as_ref(), &config, config.max_in_flight)?;
        let outward = match outlet {
            None => None,
            Some(outlet) => {
                let exporter = outlet.exporter().clone();
                let requeuer = Arc::new(Requeuer::new(lane.clone(), exporter.clone(), config.log.clone()));
                let adopter = Adopter::start(config.clone(), lane.clone(), outlet, requeuer.clone());
                // A request that is under way must not keep the threads that are to end.
                let adopter = adopter.inspect_err(|_| exporter.shutdown())?;
                Some(Outward { exporter, adopter, requeuer })
            }
        };
        Ok(Self { config, lane, signal, runner, outward, final_stats: OnceLock::new() })
    }

    /// The same for a child of `fork`: a lane of its own next to this one, and an exporter that shares nothing with this
    /// one's.
    pub(crate) fn for_child(&self) -> Result<Self> {
        let exporter =
            self.outward.as_ref().map(|out| out.exporter.fork().unwrap_or_else(|| out.exporter.clone()));
        let (lanes, destination) = (self.lane.lanes().clone(), self.lane.settings().destination.clone());
        let child = Self::open_in(Some(lanes), self.config.clone(), destination, exporter)?;
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
        self.lane.enqueue(&item?)
    }

    /// An item over `max_item_bytes` as it will be sent, if that is shorter. The limit applies to that.
    fn shorten(&self, item: &[u8]) -> Result<Option<Vec<u8>>> {
        let max = self.config.max_item_bytes;
        match self.outward.as_ref().and_then(|out| out.exporter.shorten(item)) {
            Some(short) if short.len() > max => {
                Err(too_large(format_args!("{} bytes, {} as it is sent,", item.len(), short.len()), max))
            }
            shortened => Ok(shortened),
        }
    }

    pub(crate) fn flush(&self, deadline: Option<Instant>) -> Result<()> {
        self.wake();
        if let Some(out) = &self.outward {
            out.requeuer.wait(deadline);
        }
        self.runner.flush(deadline)
    }

    pub(crate) fn sync(&self) -> Result<()> {
        self.lane.sync()
    }

    pub(crate) fn stats(&self) -> Stats {
        self.final_stats.get().copied().unwrap_or_else(|| self.lane.stats())
    }

    /// Makes the next request at once, without waiting for backoff or hold to end.
    pub(crate) fn wake(&self) {
        self.runner.wake();
        if let Some(out) = &self.outward {
            out.adopter.wake();
        }
    }

    pub(crate) fn set_api_key(&self, key: &str) {
        if let Some(out) = &self.outward {
            out.exporter.set_api_key(key);
        }
        self.wake();
    }

    pub(crate) fn set_named_key(&self, name: &str, key: &str) {
        let Some(out) = &self.outward else { return };
        out.exporter.set_named_key(name, key);
        // Before what is set aside already is looked at: what is being set aside just now is noted from here on.
        self.wake();
        out.requeuer.key_is_set(name);
    }

    pub(crate) fn requeue_rejected(&self, ids: &[String]) -> Result<u64> {
        self.lane.tidy_rejected()?;
        let (own, lanes, log) = (self.lane.settings(), self.lane.lanes(), &self.config.log);
        let mut others: BTreeMap<Destination, SideLane> = BTreeMap::new();
        SpoolView::of(lanes.clone()).requeue(ids, |destination, requeue| {
            if own.may_own(destination) {
                return requeue(&self.lane);
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
        self.lane.close();
        if let Some(deadline) = deadline {
            self.runner.end_by(deadline);
        }
        let pending = self.stats().pending;
        let outcome = if timeout.is_zero() && pending > 0 {
            Err(Error::new(ErrorKind::Timeout, format!("{pending} items stay in the spool")))
        } else {
            self.runner.flush(deadline)
        };
        self.runner.ask_to_stop();
        if let Some(out) = &self.outward {
            out.adopter.ask_to_stop();
            out.exporter.shutdown();
        }
        let adopted = self.outward.as_ref().is_none_or(|out| out.adopter.wait());
        let requeued = self.outward.as_ref().is_none_or(|out| out.requeuer.stop());
        if self.runner.stop() && adopted && requeued {
            let idle = ExportState::Idle.into();
            let _ = self.final_stats.set(Stats { export_state: idle, ..self.lane.stats() });
            self.lane.unlock();
        }
        outcome
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // A thread that could not be stopped in time may still run.
        self.config.log.revoke();
    }
}
