//! Pace: when the next request is made.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use testkit::TempDir;
use testkit::client::{enqueue, open, open_offline};
use testkit::ingest::{Answer, Ingest};
use testkit::wait::eventually;

/// An ingest that answers 503 to these requests, counted from 0, and notes when each came.
pub fn failing(fails: impl Fn(usize) -> bool + Send + Sync + 'static) -> (Ingest, Arc<Mutex<Vec<Instant>>>) {
    let times = Arc::new(Mutex::new(Vec::new()));
    let count = AtomicUsize::new(0);
    let ingest = Ingest::start({
        let times = times.clone();
        move |_| {
            times.lock().unwrap().push(Instant::now());
            Answer::status(if fails(count.fetch_add(1, Relaxed)) { 503 } else { 200 })
        }
    });
    (ingest.unwrap(), times)
}

#[test]
fn a_backoff_begins_again_after_an_answer() {
    let dir = TempDir::new("pace");
    // Eight failures, a success, one failure.
    let (ingest, times) = failing(|n| n < 8 || n == 9);
    let settings = [("base_delay_ms", "10"), ("max_delay_ms", "60000")];
    let client = open(&dir.join("spool"), &ingest.url(), &settings);
    enqueue(&client, [1]);
    eventually("the first item arrives", || client.stats().unwrap().delivered == 1);
    enqueue(&client, [2]);
    eventually("the request after the failure", || times.lock().unwrap().len() == 11);
    let times = times.lock().unwrap().clone();
    let (grown, again) = (times[8] - times[7], times[10] - times[9]);
    // The delay was doubled seven times: 1280 ms, of which 10 are left.
    assert!(grown >= Duration::from_millis(1280), "{grown:?}");
    assert!(again < grown, "{again:?} after one failure, {grown:?} after eight in a row");
}

/// All processes of a fleet may start again when the power is back.
#[test]
fn a_process_goes_on_slowly_where_the_last_one_waited() {
    let dir = TempDir::new("pace");
    let spool = dir.join("spool");
    let settings = [("max_batch_size", "1"), ("max_delay_ms", "30000"), ("adopt", "any")];
    let (ingest, _) = failing(|_| true);
    let client = open(&spool, &ingest.url(), &settings);
    enqueue(&client, 0..20);
    let waited = || client.stats().unwrap().oldest_pending_age_ms > 2000;
    eventually("the items are two seconds old", || client.stats().unwrap().retries > 0 && waited());
    client.shutdown(Duration::ZERO).unwrap_err();
    let (ingest, times) = failing(|_| false);
    let client = open(&spool, &ingest.url(), &settings);
    eventually("all are delivered", || times.lock().unwrap().len() == 20);
    drop(client);
    let times = times.lock().unwrap().clone();
    // A 64th of two seconds, less a half at random.
    assert!(times[1] - times[0] >= Duration::from_micros(15_600), "{:?}", times[1] - times[0]);
}

#[test]
fn an_ingest_that_is_down_is_probed_once_for_all_lanes() {
    let dir = TempDir::new("pace");
    let spool = dir.join("spool");
    let left: Vec<_> = (0..4).map(|_| open_offline(&spool, &[])).collect();
    for (client, n) in left.iter().zip(0..) {
        enqueue(client, [n]);
    }
    for client in left {
        client.shutdown(Duration::ZERO).unwrap_err();
    }
    let (ingest, times) = failing(|_| true);
    let settings = [("base_delay_ms", "500"), ("max_delay_ms", "500")];
    let client = open(&spool, &ingest.url(), &settings);
    enqueue(&client, [4]);
    eventually("all lanes are delivered", || client.stats().unwrap().lanes_adopted == 3);
    // Each lane may have had a request under way when the gate was shut.
    let seen = times.lock().unwrap().len() + 4;
    eventually("some probes", || times.lock().unwrap().len() >= seen + 5);
    let times = times.lock().unwrap().clone();
    for pair in times[seen..].windows(2) {
        // Half of it is room for answers that take long.
        assert!(pair[1] - pair[0] >= Duration::from_millis(250), "{:?}", pair[1] - pair[0]);
    }
}

#[test]
fn a_lone_item_waits_for_the_schedules_delay() {
    let dir = TempDir::new("pace");
    let (ingest, times) = failing(|_| false);
    let client = open(&dir.join("spool"), &ingest.url(), &[("schedule_delay_ms", "1000")]);
    let begin = Instant::now();
    enqueue(&client, [1]);
    eventually("a request", || !times.lock().unwrap().is_empty());
    let waited = times.lock().unwrap()[0] - begin;
    assert!(waited >= Duration::from_millis(990), "{waited:?}");
}
