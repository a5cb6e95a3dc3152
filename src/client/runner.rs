//! Runner: a lane at work: its committer and delivery threads, from start to stop.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::{Duration, Instant};

use crate::config::Config;
use crate::delivery::{Delivery, Outlet};
use crate::error::{Error, ErrorKind, Result};
use crate::os::thread::{self, Threads};
use crate::spool::{Committer, Forced, Lane, shut_down};

/// A lane and the threads that work for it. Dropping it stops them.
pub(crate) struct Runner {
    lane: Arc<Lane>,
    /// Absent when items go nowhere.
    delivery: Option<Arc<Delivery>>,
    threads: Threads,
    /// Set by [`Runner::stop`] when the committer is to end, too.
    stopped: Arc<AtomicBool>,
}

impl Runner {
    /// Starts the committer and, when items go somewhere, `delivery_threads` delivery threads. `is_new`: new items go into
    /// this lane.
    ///
    /// An error leaves no thread behind.
    pub(crate) fn start(
        lane: Arc<Lane>,
        is_new: bool,
        outlet: Option<&Arc<Outlet>>,
        config: &Config,
        delivery_threads: usize,
    ) -> Result<Self> {
        let delivery = |outlet: &Arc<Outlet>| Delivery::new(lane.clone(), is_new, outlet.clone(), config);
        let delivery = outlet.map(|outlet| Arc::new(delivery(outlet)));
        let runner =
            Self { lane: lane.clone(), delivery, threads: Threads::default(), stopped: Arc::default() };
        let stopped = runner.stopped.clone();
        runner
            .threads
            .spawn("disk", &config.log, move || Committer::new(&lane).run(|| stopped.load(Acquire)))?;
        for delivery in std::iter::repeat_n(&runner.delivery, delivery_threads).flatten() {
            let delivery = delivery.clone();
            runner.threads.spawn("net", &config.log, move || delivery.run())?;
        }
        Ok(runner)
    }

    /// Makes the next request at once, without waiting for backoff or hold to end.
    pub(crate) fn wake(&self) {
        self.delivery.iter().for_each(|delivery| delivery.wake());
    }

    /// Makes what this lane alone waits for be tried again at once.
    pub(crate) fn wake_lane(&self) {
        self.delivery.iter().for_each(|delivery| delivery.wake_lane());
    }

    /// Requests that begin from now on must end by `deadline`.
    pub(crate) fn end_by(&self, deadline: Instant) {
        self.delivery.iter().for_each(|delivery| delivery.end_by(deadline));
    }

    /// New items go into another lane from now on.
    pub(crate) fn become_backlog(&self) {
        self.delivery.iter().for_each(|delivery| delivery.become_backlog());
    }

    /// Sends everything accepted so far at once. Returns what `wait_flushed` waits for.
    pub(crate) fn begin_flush(&self, deadline: Option<Instant>) -> Forced {
        let forced = self.lane.force(deadline);
        self.wake();
        forced
    }

    /// Waits until everything that was `forced` is settled. `Timeout`: not by `deadline`.
    pub(crate) fn wait_flushed(&self, forced: &Forced, deadline: Option<Instant>) -> Result<()> {
        if self.lane.wait_settled(forced.end_seq, deadline) {
            self.lane.wait_tidied(deadline);
            return Ok(());
        }
        if self.lane.has_ended() {
            return Err(shut_down());
        }
        Err(Error::new(ErrorKind::Timeout, "the deadline passed"))
    }

    /// Sends everything in the lane and waits until all of it is settled. `false`: the lane has ended, or for `patience`
    /// nothing was settled and `gives_up` says that this is enough.
    pub(crate) fn drain(&self, patience: Duration, mut gives_up: impl FnMut() -> bool) -> bool {
        let forced = self.lane.force(None);
        let mut pending = self.lane.stats().pending;
        while !self.lane.wait_settled(forced.end_seq, Some(Instant::now() + patience)) {
            let before = std::mem::replace(&mut pending, self.lane.stats().pending);
            if self.lane.has_ended() || pending == before && gives_up() {
                return false;
            }
        }
        self.lane.wait_tidied(None);
        true
    }

    /// Tells the delivery threads to end, without waiting for them. Calls that wait for the lane return.
    pub(crate) fn ask_to_stop(&self) {
        self.delivery.iter().for_each(|delivery| delivery.stop());
        self.lane.end();
    }

    /// Ends the threads. `false`: one did not end in time; it keeps the lane until it does.
    pub(crate) fn stop(&self) -> bool {
        self.stop_by(thread::grace())
    }

    /// The same for one of several, which all end by `until`.
    pub(crate) fn stop_by(&self, until: Instant) -> bool {
        self.lane.close();
        self.ask_to_stop();
        self.threads.wait_until(until, 1);
        self.stopped.store(true, Release);
        self.lane.wake_committer();
        self.threads.wait_until(until, 0)
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        if !self.stopped.load(Acquire) {
            self.stop();
        }
    }
}
