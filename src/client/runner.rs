//! Runner: a lane at work: its committer and drain threads, from start to stop.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::Instant;

use crate::config::Config;
use crate::delivery::{Drain, Taken};
use crate::error::{Error, ErrorKind, Result};
use crate::export::TracingExporter;
use crate::os::thread::Threads;
use crate::spool::{Committer, Lane, shut_down};

/// A lane and the threads that work for it.
pub(crate) struct Runner {
    lane: Arc<Lane>,
    drain: Option<Arc<Drain>>,
    threads: Threads,
    stop_committer: Arc<AtomicBool>,
}

impl Runner {
    /// Starts the committer and, when there is an exporter, `drain_threads` drain threads. `own`: the client's own lane.
    pub(crate) fn start(
        lane: Arc<Lane>,
        own: &Arc<Lane>,
        exporter: Option<Arc<dyn TracingExporter>>,
        config: &Config,
        drain_threads: usize,
    ) -> Result<Self> {
        let drain =
            exporter.map(|exporter| Arc::new(Drain::new(lane.clone(), own.clone(), exporter, config)));
        let runner =
            Self { lane: lane.clone(), drain, threads: Threads::default(), stop_committer: Arc::default() };
        let stop = runner.stop_committer.clone();
        runner
            .threads
            .spawn("disk", &config.log, move || Committer::new(&lane).run(|| stop.load(Acquire)))?;
        for drain in std::iter::repeat_n(&runner.drain, drain_threads).flatten() {
            let drain = drain.clone();
            let mut taken = Taken::default();
            if let Err(error) = runner.threads.spawn("net", &config.log, move || drain.run(&mut taken)) {
                runner.stop();
                return Err(error);
            }
        }
        Ok(runner)
    }

    /// Tries at once, whatever backoff or hold says.
    pub(crate) fn wake(&self) {
        self.drain.iter().for_each(|drain| drain.wake());
    }

    /// Requests that begin from now on must end by `deadline`.
    pub(crate) fn end_by(&self, deadline: Instant) {
        self.drain.iter().for_each(|drain| drain.end_by(deadline));
    }

    /// Sends what was taken so far at once and waits until all of it is settled.
    pub(crate) fn flush(&self, deadline: Option<Instant>) -> Result<()> {
        let number = self.lane.force(deadline);
        self.drain.iter().for_each(|drain| drain.wake());
        if self.lane.wait_settled(number, deadline) {
            self.lane.wait_tidied(deadline);
            return Ok(());
        }
        if self.lane.has_ended() {
            return Err(shut_down());
        }
        let pending = self.lane.stats().pending;
        Err(Error::new(ErrorKind::Timeout, format!("the time is over; {pending} items stay in the spool")))
    }

    /// Tells the threads to end, without waiting for them; whoever waits for the lane is told.
    pub(crate) fn ask_to_stop(&self) {
        self.drain.iter().for_each(|drain| drain.stop());
        self.lane.end();
    }

    /// Ends the threads. `false`: one could not be ended in time; it keeps the lane until it ends.
    pub(crate) fn stop(&self) -> bool {
        self.lane.close();
        self.ask_to_stop();
        self.threads.wait_for(1);
        self.stop_committer.store(true, Release);
        self.lane.wake_committer();
        self.threads.wait_for(0)
    }
}
