//! A key that is named while its items are being set aside for want of it still finds them.

use std::collections::BTreeSet;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use spanspool::{Batch, BatchTraceProcessor, Outcome, TracingExporter};
use testkit::TempDir;
use testkit::client::{config, item, number_of, open_offline};
use testkit::wait::{PATIENCE, eventually};

/// Knows keys, notes what came, and holds back its answers until it is told to go on.
#[derive(Default)]
struct Keyring {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    keys: BTreeSet<String>,
    goes_on: bool,
    waiting: bool,
    arrived: Vec<u64>,
}

impl Keyring {
    fn go_on(&self) {
        self.state.lock().unwrap().goes_on = true;
        self.changed.notify_all();
    }

    fn is_waiting(&self) -> bool {
        self.state.lock().unwrap().waiting
    }

    fn arrived(&self) -> Vec<u64> {
        let mut arrived = self.state.lock().unwrap().arrived.clone();
        arrived.sort_unstable();
        arrived
    }
}

impl TracingExporter for Keyring {
    /// What it answers is decided before it waits, as by an exporter that is interrupted right there.
    fn export(&self, batch: &Batch, _deadline: Option<Instant>) -> Outcome {
        let mut state = self.state.lock().unwrap();
        let has_key = batch.key_name().is_empty() || state.keys.contains(batch.key_name());
        state.waiting = true;
        let mut state = self.changed.wait_while(state, |state| !state.goes_on).unwrap();
        if !has_key {
            return Outcome::NoKey;
        }
        let items = batch.items().map(|item| number_of(std::str::from_utf8(item).unwrap()));
        state.arrived.extend(items);
        Outcome::Accepted { status: 200 }
    }

    fn set_named_key(&self, name: &str, _key: &str) {
        self.state.lock().unwrap().keys.insert(name.into());
    }

    fn has_named_key(&self, name: &str) -> bool {
        self.state.lock().unwrap().keys.contains(name)
    }
}

fn open(dir: &TempDir, keyring: &Arc<Keyring>) -> BatchTraceProcessor {
    let config = config(&dir.join("spool"), "http://127.0.0.1:9/", &[("adopt_interval_ms", "20")]);
    BatchTraceProcessor::with_exporter(config, keyring.clone()).unwrap()
}

#[test]
fn key_that_comes_while_its_items_are_refused_finds_them() {
    let (dir, keyring) = (TempDir::new("late-key"), Arc::new(Keyring::default()));
    let client = open(&dir, &keyring);
    client.enqueue_as("team", item(1).as_bytes()).unwrap();
    eventually("the batch is under way", || keyring.is_waiting());
    client.set_named_key("team", "sk-1").unwrap();
    keyring.go_on();
    eventually("the item arrives", || keyring.arrived() == [1]);
    eventually("the ledger has it once, and nothing is set aside", || {
        let stats = client.stats().unwrap();
        (stats.accepted, stats.delivered, stats.rejected) == (1, 1, 0)
    });
}

#[test]
fn key_that_comes_while_an_orphan_is_drained_finds_its_items() {
    let (dir, keyring) = (TempDir::new("late-key-orphan"), Arc::new(Keyring::default()));
    // Two lanes: one becomes the next client's own, the other one is adopted.
    let dead = [open_offline(&dir.join("spool"), &[]), open_offline(&dir.join("spool"), &[])];
    for (n, client) in dead.iter().enumerate() {
        client.enqueue_as("team", item(n as u64).as_bytes()).unwrap();
    }
    drop(dead);
    let client = open(&dir, &keyring);
    eventually("a batch is under way", || keyring.is_waiting());
    client.set_named_key("team", "sk-1").unwrap();
    keyring.go_on();
    eventually("both items arrive", || keyring.arrived() == [0, 1]);
    eventually("nothing is set aside", || client.stats().unwrap().rejected == 0);
}

#[test]
fn threads_that_name_one_key_at_once_send_its_items_once() {
    let (dir, keyring) = (TempDir::new("late-key-threads"), Arc::new(Keyring::default()));
    keyring.go_on();
    let client = open(&dir, &keyring);
    for n in 0..1000 {
        client.enqueue_as("team", item(n).as_bytes()).unwrap();
    }
    client.flush(PATIENCE).unwrap();
    assert_eq!(client.stats().unwrap().rejected, 1000);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| client.set_named_key("team", "sk-1").unwrap());
        }
    });
    client.flush(PATIENCE).unwrap();
    let arrived = keyring.arrived();
    assert!(arrived.iter().copied().eq(0..1000), "{} items arrived, not each of 1000 once", arrived.len());
    assert_eq!(client.stats().unwrap().rejected, 0);
}
