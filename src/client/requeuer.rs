//! Requeuer: puts items back on their way once their key is known, in a thread that ends when it is done.
//!
//! With many rejected items that takes time, which is not the time of the caller who sets the key.

use std::collections::BTreeSet;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Instant;

use crate::config::{Level, Log};
use crate::os::lock::Unpoison;
use crate::os::thread::Threads;
use crate::spool::Lane;

/// The requeuer of a client. Its lane's end ends the thread.
pub(crate) struct Requeuer {
    work: Arc<Work>,
    threads: Threads,
}

struct Work {
    lane: Arc<Lane>,
    log: Log,
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
    pub(crate) fn new(lane: Arc<Lane>, log: Log) -> Self {
        let work = Work { lane, log, state: Mutex::default(), done: Condvar::new() };
        Self { work: Arc::new(work), threads: Threads::default() }
    }

    /// Puts the items that wait for the key `name` back on their way.
    pub(crate) fn key_is_set(&self, name: &str) {
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
            if let Err(error) = self.lane.requeue(|name| names.contains(name)) {
                self.log.line(Level::Warn, format_args!("requeueing items whose key is known: {error}"));
                // The adopter tries again with those that are left.
                self.lane.note_late_key();
            }
        }
    }

    /// No thread can be started: the adopter does it.
    fn give_up(&self) {
        self.lane.note_late_key();
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
