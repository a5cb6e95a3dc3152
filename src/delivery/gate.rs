//! Gate: whether a request may be made now.
//!
//! ```text
//!            shut            due: one thread passes
//!   Open ───────────▶ Shut ─────────────────────────▶ Probing
//!     ▲                ▲                              │    │
//!     │                └──────────── shut ────────────┘    │
//!     └───────────────────────── open ─────────────────────┘
//! ```
//! All delivery threads of a lane share one: while the ingest is down, one of them tries and the others wait for it.

use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::export::Backoff;
use crate::os::lock::Unpoison;

/// The gate of one lane.
pub(super) struct Gate {
    passage: Mutex<Passage>,
    changed: Condvar,
}

/// The gate without its lock: time is passed in.
struct Passage {
    state: State,
    /// Why it was shut last, as long as nothing was accepted since: the same reason again is no news.
    reported: Option<Why>,
    backoff: Backoff,
    /// Time between probes.
    probe_after: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// No request before `until`.
    Shut {
        until: Instant,
    },
    /// One thread probes for all. Another one does if it does not report before `due`.
    Probing {
        due: Instant,
    },
}

/// Why the gate is shut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Why {
    Backoff(String),
    Hold(String),
}

impl Gate {
    pub(super) fn new(backoff: Backoff, probe_after: Duration) -> Self {
        let passage = Passage { state: State::Open, reported: None, backoff, probe_after };
        Self { passage: Mutex::new(passage), changed: Condvar::new() }
    }

    /// Waits until a request may be made; `false` when `stopped` says so.
    pub(super) fn pass(&self, stopped: impl Fn() -> bool) -> bool {
        let mut passage = self.lock();
        loop {
            if stopped() {
                return false;
            }
            let now = Instant::now();
            let Some(until) = passage.pass(now) else { return true };
            passage = self.changed.wait_timeout(passage, until - now).unpoisoned().0;
        }
    }

    /// Opens the gate: the ingest answers. When it `accepted` something, says whether that is news.
    pub(super) fn open(&self, accepted: bool) -> bool {
        let mut passage = self.lock();
        if passage.state != State::Open {
            self.changed.notify_all();
        }
        passage.open(accepted)
    }

    /// Shuts the gate after a failure, for at least `at_least`. Returns for how long, and whether that is news.
    pub(super) fn shut(&self, why: Why, at_least: Option<Duration>) -> (Duration, bool) {
        self.lock().shut(why, at_least, Instant::now())
    }

    /// Lets the next request through at once; the threads look whether they are stopped.
    pub(super) fn wake(&self) {
        self.lock().wake(Instant::now());
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Passage> {
        self.passage.lock().unpoisoned()
    }
}

impl Passage {
    /// `None`: pass. Otherwise until when to wait. Whoever passes a shut gate probes for all.
    fn pass(&mut self, now: Instant) -> Option<Instant> {
        match self.state {
            State::Open => None,
            State::Shut { until } | State::Probing { due: until } if now < until => Some(until),
            State::Shut { .. } | State::Probing { .. } => {
                self.state = State::Probing { due: now + self.probe_after };
                None
            }
        }
    }

    fn open(&mut self, accepted: bool) -> bool {
        self.backoff.reset();
        self.state = State::Open;
        accepted && self.reported.take().is_some()
    }

    fn shut(&mut self, why: Why, at_least: Option<Duration>, now: Instant) -> (Duration, bool) {
        let wait = match why {
            Why::Backoff(_) => self.backoff.next().max(at_least.unwrap_or_default()),
            Why::Hold(_) => self.probe_after,
        };
        self.state = State::Shut { until: now + wait };
        let news = self.reported.as_ref() != Some(&why);
        self.reported = Some(why);
        (wait, news)
    }

    fn wake(&mut self, now: Instant) {
        if self.state != State::Open {
            self.state = State::Shut { until: now };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Duration = Duration::from_secs(1);
    const PROBE: Duration = Duration::from_secs(30);

    fn gate() -> (Passage, Instant) {
        let backoff = Backoff::new(BASE, PROBE, 0.0);
        (Passage { state: State::Open, reported: None, backoff, probe_after: PROBE }, Instant::now())
    }

    fn failed() -> Why {
        Why::Backoff("HTTP 503".into())
    }

    #[test]
    fn while_it_is_shut_nobody_passes_and_then_one_does() {
        let (mut gate, now) = gate();
        assert_eq!((gate.pass(now), gate.pass(now)), (None, None));
        assert_eq!(gate.shut(failed(), None, now), (BASE, true));
        assert_eq!(gate.pass(now), Some(now + BASE));
        assert_eq!(gate.pass(now + BASE), None);
        assert_eq!(gate.pass(now + BASE), Some(now + BASE + PROBE));
        gate.open(true);
        assert_eq!((gate.pass(now), gate.pass(now)), (None, None));
    }

    #[test]
    fn a_probe_that_does_not_report_is_followed_by_another() {
        let (mut gate, now) = gate();
        gate.shut(Why::Hold("no key".into()), None, now);
        assert_eq!(gate.pass(now + PROBE), None);
        assert_eq!(gate.pass(now + PROBE * 2), None);
    }

    #[test]
    fn delays_double_until_an_answer_and_never_undercut_what_the_ingest_asks_for() {
        let (mut gate, now) = gate();
        assert_eq!(gate.shut(failed(), None, now).0, BASE);
        assert_eq!(gate.shut(failed(), None, now).0, BASE * 2);
        assert_eq!(gate.shut(failed(), Some(BASE * 60), now).0, BASE * 60);
        gate.open(false);
        assert_eq!(gate.shut(failed(), None, now).0, BASE);
    }

    #[test]
    fn a_reason_is_news_once_until_something_is_accepted() {
        let (mut gate, now) = gate();
        assert!(!gate.open(true));
        assert!(gate.shut(failed(), None, now).1);
        assert!(!gate.shut(failed(), None, now).1);
        assert!(!gate.open(false));
        assert!(!gate.shut(failed(), None, now).1);
        assert!(gate.shut(Why::Hold("HTTP 503".into()), None, now).1);
        assert!(gate.open(true));
        assert!(!gate.open(true));
        assert!(gate.shut(failed(), None, now).1);
    }

    #[test]
    fn waking_makes_a_probe_due_and_leaves_an_open_gate_open() {
        let (mut gate, now) = gate();
        gate.wake(now);
        assert_eq!(gate.state, State::Open);
        gate.shut(failed(), None, now);
        gate.wake(now);
        assert_eq!(gate.pass(now), None);
        assert!(gate.pass(now).is_some());
        gate.wake(now);
        assert_eq!(gate.pass(now), None);
    }
}
