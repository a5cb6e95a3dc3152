//! Requeuer: puts items of all lanes of the spool back on their way once this process has their key.
//!
//! With many rejected items that takes time, which is not the time of the caller who sets the key: a thread does it, and
//! ends when it is done. What is set aside later, by this process or another one, is found by the adopter's rounds.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Instant;

use crate::client::own_lanes::{OwnLane, OwnLanes};
use crate::config::{Level, Log};
use crate::error::{ErrorKind, Result};
use crate::export::TracingExporter;
use crate::os::lock::Unpoison;
use crate::os::thread::Threads;

/// The requeuer of a client. Its lane's end ends the thread.
pub(crate) struct Requeuer {
    work: Arc<Work>,
    threads: Threads,
}

struct Work {
    own: Arc<OwnLanes>,
    exporter: Arc<dyn TracingExporter>,
    log: Log,
    /// Whether any key was ever named: if not, there is nothing to look for in other lanes.
    knows_keys: AtomicBool,
    state: Mutex<State>,
    done: Condvar,
}

#[derive(Default)]
struct State {
    /// The names of the keys that were set.
    names: BTreeSet<String>,
    is_running: bool,
}

impl Requeuer {
    pub(crate) fn new(own: Arc<OwnLanes>, exporter: Arc<dyn TracingExporter>, log: Log) -> Self {
        let work = Work {
            own,
            exporter,
            log,
            knows_keys: AtomicBool::new(false),
            state: Mutex::default(),
            done: Condvar::new(),
        };
        Self { work: Arc::new(work), threads: Threads::default() }
    }

    /// In a child of `fork`, whose exporter has the same keys as that of its parent's requeuer `parents`.
    pub(crate) fn inherit(&self, parents: &Self) {
        self.work.knows_keys.store(parents.work.knows_keys.load(Relaxed), Relaxed);
    }

    /// Puts the items that wait for the key `name` back on their way.
    pub(crate) fn key_is_set(&self, name: &str) {
        self.work.own.newest().lane.note_named(name);
        self.work.knows_keys.store(true, Relaxed);
        let mut state = self.work.lock();
        state.names.insert(name.to_owned());
        if std::mem::replace(&mut state.is_running, true) {
            return;
        }
        drop(state);
        let work = self.work.clone();
        if let Err(error) = self.threads.spawn("requeue", &self.work.log, move || work.run()) {
            self.work.log.line(Level::Warn, format_args!("{error}"));
            self.work.give_up();
        }
    }

    /// Puts items of this client's lane back on their way whose key came before they were set aside, if any are noted.
    pub(crate) fn requeue_late(&self) {
        let Work { own, exporter, .. } = &*self.work;
        let newest = own.newest();
        let lane = &newest.lane;
        if lane.take_late_key() {
            let outcome = lane.requeue(|name| exporter.has_named_key(name));
            self.work.tell(outcome.inspect_err(|_| lane.note_late_key()));
        }
        // Each backlog is asked.
        let is_late = |late, it: &Arc<OwnLane>| it.lane.take_late_key() || late;
        if own.all().iter().filter(|it| !Arc::ptr_eq(it, &newest)).fold(false, is_late) {
            self.requeue_late_elsewhere();
        }
    }

    /// The same for the other lanes of the spool, whose owners may lack the key.
    pub(crate) fn requeue_late_elsewhere(&self) {
        let Work { own, exporter, .. } = &*self.work;
        if self.work.knows_keys.load(Relaxed) {
            let newest = own.newest();
            self.work.tell(newest.lane.requeue_late_elsewhere(|name| exporter.has_named_key(name)));
        }
    }

    /// Waits until the items of all keys set so far are back on their way, or `deadline`.
    pub(crate) fn wait(&self, deadline: Option<Instant>) {
        let mut state = self.work.lock();
        while state.is_running {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            state = match left {
                None => self.work.done.wait(state).unpoisoned(),
                Some(left) if left.is_zero() => return,
                Some(left) => self.work.done.wait_timeout(state, left).unpoisoned().0,
            };
        }
    }

    /// Waits for the thread's end; `false` when that takes too long.
    pub(crate) fn stop(&self) -> bool {
        self.threads.wait_for(0)
    }
}

impl Work {
    fn run(&self) {
        loop {
            let mut state = self.lock();
            let names = std::mem::take(&mut state.names);
            if names.is_empty() {
                state.is_running = false;
                drop(state);
                return self.done.notify_all();
            }
            drop(state);
            // The adopter tries again with those that are left.
            let newest = self.own.newest();
            let own = newest.lane.requeue(|name| names.contains(name));
            self.tell(own.inspect_err(|_| newest.lane.note_late_key()));
            self.tell(newest.lane.requeue_elsewhere(&names));
        }
    }

    fn tell(&self, outcome: Result<()>) {
        if let Err(error) = outcome
            && error.kind() != ErrorKind::ShutDown
        {
            self.log.line(Level::Warn, format_args!("requeueing items whose key is known: {error}"));
        }
    }

    /// No thread can be started: the adopter does it.
    fn give_up(&self) {
        self.own.newest().lane.note_late_key();
        let mut state = self.lock();
        state.names.clear();
        state.is_running = false;
        drop(state);
        self.done.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unpoisoned()
    }
}
