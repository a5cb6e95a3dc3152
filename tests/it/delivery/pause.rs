//! `pause`: items are taken and durable, and nothing is sent until `wake`.

use std::time::{Duration, Instant};

use spanspool::ErrorKind;
use testkit::TempDir;
use testkit::client::{
    HOLD, arrived, assert_all_delivered, enqueue, lanes, open, wait_for_requests, wait_for_state,
};
use testkit::host::accepting;
use testkit::wait::{PATIENCE, eventually};

/// In this time a client that is not paused sends what it has, many times over.
const LONG: Duration = Duration::from_millis(400);

#[test]
fn nothing_is_sent_between_pause_and_wake() {
    for in_flight in ["1", "8"] {
        for order in ["oldest_first", "newest_first"] {
            let (dir, ingest) = (TempDir::new("pause"), accepting());
            let settings = [("max_in_flight", in_flight), ("order", order), ("max_batch_size", "10")];
            let client = open(&dir.join("spool"), &ingest.url(), &settings);
            enqueue(&client, 0..20);
            client.flush(PATIENCE).unwrap();
            client.pause().unwrap();
            client.pause().unwrap();
            let before = ingest.requests().len();
            enqueue(&client, 20..200);
            client.set_api_key("sk-1").unwrap();
            client.set_named_key("team", "sk-2").unwrap();
            let error = client.flush(LONG).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Timeout);
            assert!(error.message().contains("paused; 180 items stay in the spool"), "{error}");
            assert_eq!(ingest.requests().len(), before, "{in_flight} in flight, {order}");
            client.wake().unwrap();
            client.flush(PATIENCE).unwrap();
            assert_all_delivered(&client, 200);
            let mut came = arrived(&ingest);
            came.sort_unstable();
            assert_eq!(came, Vec::from_iter(0..200));
        }
    }
}

#[test]
fn status_says_that_it_is_paused() {
    let (dir, ingest) = (TempDir::new("pause-status"), accepting());
    let spool = dir.join("spool");
    let client = open(&spool, &ingest.url(), &[]);
    client.pause().unwrap();
    wait_for_state(&client, HOLD);
    let lane = lanes(&spool).remove(0);
    assert!(lane.reason.contains("paused"), "{}", lane.reason);
    assert_eq!(lane.next_attempt_unix_ms, 0);
    client.wake().unwrap();
    wait_for_state(&client, 0);
}

#[test]
fn a_flush_that_waits_goes_on_after_wake() {
    let (dir, ingest) = (TempDir::new("pause-flush"), accepting());
    let client = open(&dir.join("spool"), &ingest.url(), &[]);
    client.pause().unwrap();
    client.flush(Duration::ZERO).unwrap();
    enqueue(&client, 0..10);
    std::thread::scope(|scope| {
        let flushing = scope.spawn(|| client.flush(PATIENCE));
        std::thread::sleep(LONG);
        assert!(!flushing.is_finished() && ingest.requests().is_empty());
        client.wake().unwrap();
        flushing.join().unwrap().unwrap();
    });
    assert_all_delivered(&client, 10);
}

#[test]
fn a_shutdown_does_not_wait_for_the_end_of_a_pause() {
    let (dir, ingest) = (TempDir::new("pause-shutdown"), accepting());
    let spool = dir.join("spool");
    let client = open(&spool, &ingest.url(), &[]);
    client.pause().unwrap();
    enqueue(&client, 0..10);
    let began = Instant::now();
    let error = client.shutdown(PATIENCE).unwrap_err();
    assert!(began.elapsed() < PATIENCE / 2, "it waited");
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.message().contains("paused; 10 items stay in the spool"), "{error}");
    assert_eq!(client.pause().unwrap_err().kind(), ErrorKind::ShutDown);
    drop(client);
    assert!(ingest.requests().is_empty());
    let next = open(&spool, &ingest.url(), &[]);
    next.flush(PATIENCE).unwrap();
    assert_all_delivered(&next, 10);
}

#[test]
fn orphans_wait_for_the_end_of_a_pause_too() {
    let (dir, ingest) = (TempDir::new("pause-orphans"), accepting());
    let spool = dir.join("spool");
    let settings = [("adopt_interval_ms", "20")];
    let client = open(&spool, &ingest.url(), &settings);
    client.pause().unwrap();
    wait_for_state(&client, HOLD);
    let dead = open(&spool, &ingest.url(), &settings);
    dead.pause().unwrap();
    enqueue(&dead, 0..10);
    drop(dead);
    eventually("the orphan is adopted", || client.stats().unwrap().lanes_adopted == 1);
    std::thread::sleep(LONG);
    assert!(ingest.requests().is_empty());
    client.wake().unwrap();
    wait_for_requests(&ingest, 1);
    eventually("it is delivered and gone", || {
        lanes(&spool).len() == 1 && client.stats().unwrap().delivered == 10
    });
}
