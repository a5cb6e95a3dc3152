//! Key gates: one before each key that the ingest put off, for all lanes of a client.
//!
//! A key without one may be sent with at once.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::gate::{Gate, News, Permit, Reply};
use crate::export::Backoff;

/// The gates by the keys' names; the default key's is empty.
pub(super) struct KeyGates {
    by_name: BTreeMap<String, KeyGate>,
    /// The last epoch of any gate that was taken down.
    last_epoch: u64,
    /// How often all were woken.
    wakes: u64,
    backoff: Backoff,
    max_delay: Duration,
}

/// What a request takes along of its key's gate.
pub(super) struct KeyPermit {
    /// `None`: there was no gate, or it was shut.
    pub(super) permit: Option<Permit>,
    /// How often the gates had been woken when it began: the key may be another one since.
    wakes: u64,
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
        Self { by_name: BTreeMap::new(), last_epoch: 0, wakes: 0, backoff, max_delay }
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

    /// Lets a request with the key begin.
    pub(super) fn enter(&mut self, name: &str, now: Instant) -> KeyPermit {
        let permit = self.get_mut(name).and_then(|key| key.gate.enter(now).ok());
        KeyPermit { permit, wakes: self.wakes }
    }

    /// The ingest put off the request with this permit.
    pub(super) fn failed(
        &mut self,
        name: &str,
        KeyPermit { permit, wakes }: KeyPermit,
        reply: Reply,
        now: Instant,
    ) -> Option<News> {
        let (is_new, was_woken) = (self.get(name).is_none(), self.wakes != wakes);
        let gate = &mut self.put_up(name).gate;
        let permit = match permit {
            Some(permit) => Some(permit),
            // As if it had begun at the gate that is put up only now.
            None if is_new => gate.enter(now).ok(),
            None => Some(gate.early(now)),
        };
        if is_new && was_woken {
            gate.wake(now);
        }
        gate.answer(permit?, reply, now)
    }

    /// How often all were woken.
    pub(super) fn wakes(&self) -> u64 {
        self.wakes
    }

    /// Whether they were woken since the request with this permit began.
    pub(super) fn were_woken(&self, permit: &KeyPermit) -> bool {
        self.wakes != permit.wakes
    }

    /// Lets the next request with each key pass at once.
    pub(super) fn wake(&mut self, now: Instant) {
        self.wakes += 1;
        self.by_name.values_mut().for_each(|key| key.gate.wake(now));
    }
}
