//! Key gates: one before each key that the ingest put off, for all lanes of a client.
//!
//! A key without one may be sent with at once.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::gate::Gate;
use crate::export::Backoff;

/// The gates by the keys' names; the default key's is empty.
pub(super) struct KeyGates {
    by_name: BTreeMap<String, KeyGate>,
    /// The last epoch of any gate that was taken down.
    last_epoch: u64,
    backoff: Backoff,
    max_delay: Duration,
}

/// The gate before a key.
pub(super) struct KeyGate {
    pub(super) gate: Gate,
    /// The status and the text with which the ingest refused the key: its batches do not wait but are set aside.
    pub(super) refused: Option<(u16, String)>,
}

impl KeyGate {
    /// The answer with which batches of the key are set aside now. While another batch probes the key, it may be that it
    /// is good again.
    pub(super) fn refusal(&self, now: Instant) -> Option<&(u16, String)> {
        let may_pass = self.gate.is_probing() || self.gate.wait(now).is_none();
        self.refused.as_ref().filter(|_| !may_pass)
    }
}

impl KeyGates {
    pub(super) fn new(backoff: Backoff, max_delay: Duration) -> Self {
        Self { by_name: BTreeMap::new(), last_epoch: 0, backoff, max_delay }
    }

    pub(super) fn get(&self, name: &str) -> Option<&KeyGate> {
        self.by_name.get(name)
    }

    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut KeyGate> {
        self.by_name.get_mut(name)
    }

    /// The gate before the key, which is put up if there is none.
    pub(super) fn put_up(&mut self, name: &str) -> &mut KeyGate {
        self.by_name.entry(name.to_owned()).or_insert_with(|| KeyGate {
            gate: Gate::new(self.backoff.another(), self.max_delay).after(self.last_epoch),
            refused: None,
        })
    }

    /// Until when no request with the key may be made; `None`: one may.
    pub(super) fn wait(&self, name: &str, now: Instant) -> Option<Instant> {
        self.get(name)?.gate.wait(now)
    }

    /// The key is good.
    pub(super) fn take_down(&mut self, name: &str) {
        if let Some(key) = self.by_name.remove(name) {
            self.last_epoch = self.last_epoch.max(key.gate.epoch());
        }
    }

    /// Lets the next request with each key pass at once.
    pub(super) fn wake(&mut self, now: Instant) {
        self.by_name.values_mut().for_each(|key| key.gate.wake(now));
    }
}
