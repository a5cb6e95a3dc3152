//! Outlet: where a client's items go: the exporter, the gates before it, and the lanes that are delivered through it.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Instant;

use super::allowance::Allowance;
use super::dispatch::Limits;
use super::gate::Gate;
use super::key_gates::KeyGates;
use crate::config::{Config, Signal};
use crate::export::{Backoff, TracingExporter};
use crate::os::lock::Unpoison;
use crate::spool::{HeaderCounter, Lane, Wakeup};

/// The gates that the deliveries of all lanes share: what one lane finds out holds for all.
///
/// Each is locked for one step, maybe while a dispatch is, never the other way round.
#[derive(Clone)]
pub(super) struct Gates {
    endpoint: Arc<Mutex<Gate>>,
    doubt: Arc<Mutex<Gate>>,
    keys: Arc<Mutex<KeyGates>>,
    allowance: Arc<Mutex<Allowance>>,
}

impl Gates {
    pub(super) fn new(limits: &Limits) -> Self {
        let gate = || Arc::new(Mutex::new(Gate::new(limits.backoff.another(), limits.max_delay)));
        let keys = KeyGates::new(limits.backoff.another(), limits.max_delay);
        Self { endpoint: gate(), doubt: gate(), keys: Arc::new(Mutex::new(keys)), allowance: Arc::default() }
    }

    /// The same gates, for a client that may send so much.
    pub(super) fn within(self, allowance: Allowance) -> Self {
        Self { allowance: Arc::new(Mutex::new(allowance)), ..self }
    }

    /// What the client may send, whatever the gates say.
    pub(super) fn allowance(&self) -> &Arc<Mutex<Allowance>> {
        &self.allowance
    }

    /// The gate before the endpoint.
    pub(super) fn endpoint(&self) -> MutexGuard<'_, Gate> {
        self.endpoint.lock().unpoisoned()
    }

    /// The gate before lanes of which everything was refused.
    pub(super) fn doubt(&self) -> MutexGuard<'_, Gate> {
        self.doubt.lock().unpoisoned()
    }

    /// The gates before keys.
    pub(super) fn keys(&self) -> MutexGuard<'_, KeyGates> {
        self.keys.lock().unpoisoned()
    }

    /// Lets the next request pass at once.
    pub(super) fn wake(&self, now: Instant) {
        self.endpoint().wake(now);
        self.doubt().wake(now);
        self.keys().wake(now);
    }
}

/// An exporter and what its lanes have in common.
pub(crate) struct Outlet {
    exporter: Arc<dyn TracingExporter>,
    /// The client's own lane, which counts what the endpoint accepted of any lane.
    own: Mutex<Arc<Lane>>,
    /// Requests that the endpoint has accepted.
    accepted: AtomicU64,
    gates: Gates,
    /// An outage or a pause is over.
    reopened: Wakeup,
    /// The lanes that are delivered, which wait for the gates.
    lanes: Mutex<Vec<Weak<Lane>>>,
}

impl Outlet {
    /// The outlet of the client that owns `own`.
    pub(crate) fn new(exporter: Arc<dyn TracingExporter>, own: Arc<Lane>, config: &Config) -> Self {
        let gates = Gates::new(&limits(config, exporter.destination().signal()));
        Self {
            exporter,
            own: Mutex::new(own),
            accepted: AtomicU64::new(0),
            gates: gates.within(Allowance::new(config, Instant::now())),
            reopened: Wakeup::default(),
            lanes: Mutex::default(),
        }
    }

    /// The client's own lane is another one from now on.
    pub(crate) fn set_own(&self, own: Arc<Lane>) {
        *self.own.lock().unpoisoned() = own;
    }

    fn own(&self) -> Arc<Lane> {
        self.own.lock().unpoisoned().clone()
    }

    /// Lets no request begin until `resume`. Returns whether they could before.
    pub(crate) fn pause(&self) -> bool {
        let is_news = self.gates.allowance().lock().unpoisoned().set_paused(true);
        // They show it.
        self.wake_lanes();
        is_news
    }

    /// Ends a pause. Returns whether there was one.
    pub(crate) fn resume(&self) -> bool {
        let is_news = self.gates.allowance().lock().unpoisoned().set_paused(false);
        if is_news {
            self.note_reopened();
            self.wake_lanes();
        }
        is_news
    }

    /// Raised when an outage or a pause is over.
    pub(crate) fn reopened(&self) -> &Wakeup {
        &self.reopened
    }

    pub(super) fn note_reopened(&self) {
        self.reopened.raise();
    }

    pub(crate) fn exporter(&self) -> &Arc<dyn TracingExporter> {
        &self.exporter
    }

    pub(super) fn gates(&self) -> &Gates {
        &self.gates
    }

    /// Requests that the endpoint has accepted.
    pub(super) fn accepted(&self) -> u64 {
        self.accepted.load(Acquire)
    }

    /// Lets the next request pass at once, of whatever lane.
    pub(super) fn wake_gates(&self) {
        self.gates.wake(Instant::now());
    }

    /// `lane` is delivered from now on.
    pub(super) fn add(&self, lane: &Arc<Lane>) {
        self.lock_lanes().push(Arc::downgrade(lane));
    }

    /// The endpoint has accepted a request, which other lanes may wait for: it clears the items that they suspect.
    pub(super) fn note_accepted(&self) {
        self.accepted.fetch_add(1, AcqRel);
        self.own().add_counter(HeaderCounter::BatchesSent, 1);
        if self.lock_lanes().len() > 1 {
            self.wake_lanes();
        }
    }

    /// A gate has changed: makes the threads of all lanes look at it.
    pub(super) fn wake_lanes(&self) {
        let mut lanes = self.lock_lanes();
        lanes.retain(|lane| match lane.upgrade() {
            Some(lane) => {
                lane.delivery_wakeup().raise();
                true
            }
            None => false,
        });
    }

    /// The receiver took a request but for so many records.
    pub(super) fn note_partially_rejected(&self, records: u64) {
        self.own().add_counter(HeaderCounter::PartiallyRejected, records);
    }

    fn lock_lanes(&self) -> MutexGuard<'_, Vec<Weak<Lane>>> {
        self.lanes.lock().unpoisoned()
    }
}

/// What the settings say of requests. `signal`: what the items are, where they are not JSON.
pub(super) fn limits(config: &Config, signal: Option<Signal>) -> Limits {
    Limits {
        most_piece_bytes: signal.map(|_| config.max_batch_bytes),
        backoff: Backoff::new(config.base_delay, config.max_delay, config.jitter),
        max_delay: config.max_delay,
        max_retries: config.max_retries,
        max_in_flight: config.max_in_flight,
    }
}
