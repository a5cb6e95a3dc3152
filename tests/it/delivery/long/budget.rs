//! `max_bytes_per_s`: what requests upload, and who goes first.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use testkit::TempDir;
use testkit::client::{
    BACKOFF, assert_all_delivered, enqueue, lanes, long_item, number_of, open, wait_for_state,
};
use testkit::host::down;
use testkit::ingest::{Answer, Ingest, Request, items_of};
use testkit::wait::{PATIENCE, eventually};

const PER_S: u64 = 40_000;

/// How many bytes came, and in which time: without the last request, whose end is not known.
fn rate(requests: &[Request]) -> (u64, Duration) {
    let (last, others) = requests.split_last().unwrap();
    let bytes = others.iter().map(|request| request.body.len() as u64).sum();
    (bytes, last.arrived - others[0].arrived)
}

#[test]
fn no_more_is_uploaded_than_so_many_bytes_a_second() {
    for in_flight in ["1", "8"] {
        for (key, compression) in [("", "none"), ("team", "gzip")] {
            let dir = TempDir::new("budget");
            let spool = dir.join("spool");
            let ingest = Ingest::start(|_| Answer::status(200)).unwrap();
            let settings = [
                ("max_bytes_per_s", "40000"),
                ("max_batch_bytes", "4KiB"),
                ("max_in_flight", in_flight),
                ("request_compression", compression),
            ];
            let client = open(&spool, &ingest.url(), &settings);
            client.set_named_key("team", "sk-team").unwrap();
            for n in 0..100 {
                let item = long_item(n, 1000);
                match key {
                    "" => client.enqueue(item.as_bytes()).unwrap(),
                    _ => client.enqueue_as(key, item.as_bytes()).unwrap(),
                }
            }
            wait_for_state(&client, BACKOFF);
            eventually("status says why", || {
                lanes(&spool)[0].reason == "max_bytes_per_s is used up"
                    && lanes(&spool)[0].next_attempt_unix_ms > 0
            });
            client.flush(PATIENCE).unwrap();
            assert_all_delivered(&client, 100);
            let (bytes, time) = rate(&ingest.requests());
            // Eight requests may begin before the first one is counted.
            let most = PER_S as f64 * time.as_secs_f64() + 8.0 * 4096.0;
            assert!(bytes as f64 <= most, "{bytes} bytes in {time:?}, {in_flight} in flight, {compression}");
            assert!(compression == "gzip" || time > Duration::from_secs(1), "{time:?}");
        }
    }
}

#[test]
fn attempts_that_upload_nothing_cost_nothing() {
    let dir = TempDir::new("budget-down");
    let down = down();
    let client = open(&dir.join("spool"), &down.url(), &[("max_bytes_per_s", "100")]);
    enqueue(&client, 0..3);
    eventually("many attempts fail", || client.stats().unwrap().retries >= 20);
    let up = Ingest::start_on(down.port(), |_| Answer::status(200)).unwrap();
    client.flush(PATIENCE).unwrap();
    assert_eq!(up.requests().len(), 1);
}

#[test]
fn new_items_go_before_a_backlog() {
    let dir = TempDir::new("budget-new");
    let spool = dir.join("spool");
    let up = Arc::new(AtomicBool::new(false));
    let is_up = up.clone();
    let answer = move |_: &Request| Answer::status(if is_up.load(SeqCst) { 200 } else { 503 });
    let ingest = Ingest::start(answer).unwrap();
    let settings = [("order", "newest_first"), ("max_batch_bytes", "8KiB"), ("max_bytes_per_s", "40000")];
    let before = open(&spool, &ingest.url(), &settings[..2]);
    for n in 0..400 {
        before.enqueue(long_item(n, 1000).as_bytes()).unwrap();
    }
    before.shutdown(Duration::ZERO).unwrap_err();
    drop(before);
    up.store(true, SeqCst);
    let client = open(&spool, &ingest.url(), &settings);
    eventually("the backlog is on its way", || client.stats().unwrap().delivered > 0);
    for n in 400..420 {
        client.enqueue(long_item(n, 100).as_bytes()).unwrap();
    }
    let numbers =
        || -> Vec<u64> { ingest.requests().iter().flat_map(items_of).map(|item| number_of(&item)).collect() };
    eventually("the new items come", || (400..420).all(|n| numbers().contains(&n)));
    let came = numbers();
    assert!(came.iter().filter(|n| **n < 400).count() < 350, "{came:?}");
}

#[test]
fn what_a_dead_process_left_saves_up_for_its_requests() {
    for order in ["oldest_first", "newest_first"] {
        let dir = TempDir::new("budget-orphan");
        let spool = dir.join("spool");
        let ingest = Ingest::start(|_| Answer::status(200)).unwrap();
        let settings = [("order", order), ("max_bytes_per_s", "40000"), ("adopt_interval_ms", "20")];
        let client = open(&spool, &ingest.url(), &settings);
        let dead = open(&spool, &ingest.url(), &[]);
        dead.pause().unwrap();
        enqueue(&dead, 0..100);
        drop(dead);
        eventually("the orphan is delivered", || client.stats().unwrap().delivered == 100);
    }
}
