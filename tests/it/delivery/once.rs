//! What was accepted is not sent again, whatever becomes of the lane that it was in.

use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use spanspool::{Batch, BatchTraceProcessor, Outcome, TracingExporter};
use testkit::TempDir;
use testkit::client::{assert_ledger, config, item, lanes, let_go, number_of, open_offline};
use testkit::wait::{PATIENCE, eventually};

/// An adopted lane that gets no further for longer than this gives way.
const GIVES_WAY_AFTER: Duration = Duration::from_millis(1100);

/// An ingest that puts off the key "busy", and one that answers only when the client gives up what is in flight.
#[derive(Default)]
struct Fake {
    state: Mutex<State>,
    changed: Condvar,
    answers_late: bool,
}

#[derive(Default)]
struct State {
    is_well: bool,
    is_given_up: bool,
    put_off: usize,
    arrived: Vec<u64>,
}

impl Fake {
    fn arrived(&self) -> Vec<u64> {
        let mut arrived = self.state.lock().unwrap().arrived.clone();
        arrived.sort_unstable();
        arrived
    }

    fn put_off(&self) -> usize {
        self.state.lock().unwrap().put_off
    }
}

impl TracingExporter for Fake {
    fn export(&self, batch: &Batch, _deadline: Option<Instant>) -> Outcome {
        let mut state = self.state.lock().unwrap();
        if batch.key_name() == "busy" && !state.is_well {
            state.put_off += 1;
            return Outcome::Retry { status: 429, after: None, reason: "HTTP 429".into() };
        }
        state.arrived.extend(batch.items().map(|item| number_of(std::str::from_utf8(item).unwrap())));
        let _late = self.changed.wait_while(state, |state| self.answers_late && !state.is_given_up).unwrap();
        Outcome::Accepted { status: 200 }
    }

    fn shutdown(&self) {
        self.state.lock().unwrap().is_given_up = true;
        self.changed.notify_all();
    }

    fn has_named_key(&self, _name: &str) -> bool {
        true
    }
}

fn open(dir: &TempDir, fake: &Arc<Fake>) -> BatchTraceProcessor {
    let settings = [("adopt_interval_ms", "20"), ("max_batch_size", "2")];
    let config = config(&dir.join("spool"), "http://127.0.0.1:9/", &settings);
    BatchTraceProcessor::with_exporter(config, fake.clone()).unwrap()
}

#[test]
fn lane_that_gives_way_while_one_of_its_keys_is_put_off_sends_no_item_twice() {
    let (dir, fake) = (TempDir::new("once-gives-way"), Arc::new(Fake::default()));
    let client = open(&dir, &fake);
    let dead = open_offline(&dir.join("spool"), &[]);
    for n in 0..10 {
        dead.enqueue_as(if n == 0 { "busy" } else { "free" }, item(n).as_bytes()).unwrap();
    }
    drop(dead);
    eventually("the others arrive", || fake.arrived().len() >= 9);
    let (start, put_off) = (Instant::now(), fake.put_off());
    eventually("the lane had several turns", || start.elapsed() > GIVES_WAY_AFTER * 3);
    assert_eq!(fake.arrived(), (1..10).collect::<Vec<_>>());
    assert!(fake.put_off() > put_off, "the key is still tried");
    fake.state.lock().unwrap().is_well = true;
    eventually("the lane is removed", || lanes(&dir.join("spool")).len() == 1);
    assert_eq!(fake.arrived(), (0..10).collect::<Vec<_>>());
    let stats = client.stats().unwrap();
    assert_ledger(&stats);
    assert_eq!(stats.delivered, 10);
}

#[test]
fn batch_that_is_accepted_while_the_client_stops_is_not_sent_again() {
    let (dir, fake) = (TempDir::new("once-stops"), Arc::new(Fake { answers_late: true, ..Fake::default() }));
    let client = open(&dir, &fake);
    client.enqueue(item(1).as_bytes()).unwrap();
    eventually("the batch is under way", || fake.arrived() == [1]);
    let _ = client.shutdown(Duration::ZERO);
    assert_eq!(client.stats().unwrap().pending, 0);
    let_go(client, &dir.join("spool"));

    let next = Arc::new(Fake::default());
    let client = open(&dir, &next);
    client.enqueue(item(2).as_bytes()).unwrap();
    client.flush(PATIENCE).unwrap();
    assert_eq!(next.arrived(), [2]);
    assert_ledger(&client.stats().unwrap());
}
