//! What waits holds up nothing else, is tried again when it can be, and no sooner than the ingest asked for.

use std::time::{Duration, Instant};

use testkit::TempDir;
use testkit::client::{enqueue, item, open, rejected};
use testkit::ingest::{Answer, Ingest};
use testkit::wait::{PATIENCE, eventually};

use spanspool::BatchTraceProcessor;

/// Items, sent in batches of four.
const ITEMS: u64 = 40;

fn enqueue_as(client: &BatchTraceProcessor, name: &str, numbers: std::ops::Range<u64>) {
    numbers.for_each(|n| client.enqueue_as(name, item(n).as_bytes()).unwrap());
}

#[test]
fn items_without_a_key_wait_for_no_ingest() {
    let dir = TempDir::new("fair");
    let down = Ingest::start(|_| Answer::status(503)).unwrap();
    let settings = [("base_delay_ms", "3600000"), ("max_delay_ms", "3600000"), ("max_in_flight", "2")];
    let other = open(&dir.join("other"), &down.url(), &settings);
    enqueue(&other, 0..1);
    eventually("the ingest is tried", || other.stats().unwrap().retries == 1);
    enqueue_as(&other, "nobody's", 1..2);
    eventually("it is set aside meanwhile", || rejected(&dir.join("other")).len() == 1);
}

#[test]
fn a_key_that_is_set_again_brings_back_what_was_set_aside_for_it() {
    let dir = TempDir::new("fair");
    let ingest = Ingest::start(|request| match request.header("authorization") {
        Some("Bearer sk-old") => Answer::status(401).body("revoked"),
        _ => Answer::status(200),
    })
    .unwrap();
    let client = open(&dir.join("spool"), &ingest.url(), &[("max_batch_size", "4")]);
    client.set_named_key("team", "sk-old").unwrap();
    enqueue_as(&client, "team", 0..ITEMS);
    client.flush(PATIENCE).unwrap();
    let aside = rejected(&dir.join("spool"));
    assert_eq!(aside.len() as u64, ITEMS);
    assert!(aside.iter().all(|r| r.reason == "key_refused:team" && r.status == 401), "{aside:?}");
    assert!(client.stats().unwrap().held_batches > 0);
    client.set_named_key("team", "sk-new").unwrap();
    client.flush(PATIENCE).unwrap();
    let stats = client.stats().unwrap();
    assert_eq!((stats.accepted, stats.delivered, stats.rejected), (ITEMS, ITEMS, 0));
    assert_eq!(stats.held_batches, 0);
}

/// Calls of `flush` while a wait runs that the ingest asked for make one request a second.
#[test]
fn flush_in_a_loop_does_not_shorten_a_wait() {
    let dir = TempDir::new("fair");
    let ingest = Ingest::start(|_| Answer::status(429).header("Retry-After", "60")).unwrap();
    let client = open(&dir.join("spool"), &ingest.url(), &[("max_in_flight", "4"), ("max_batch_size", "4")]);
    enqueue(&client, 0..ITEMS);
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(3) {
        assert!(client.flush(Duration::from_millis(10)).is_err());
    }
    let most = 4 + start.elapsed().as_secs() as usize + 1;
    assert!(ingest.requests().len() <= most, "{} requests", ingest.requests().len());
}
