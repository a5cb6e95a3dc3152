//! The ingest is down, busy, closed to us or breaks off: nothing is lost, and delivery goes on by itself.

use std::time::Duration;

use testkit::TempDir;
use testkit::client::{
    BACKOFF, HOLD, NEVER_MS, Received, arrived, assert_all_delivered, batch_id, enqueue, open,
    wait_for_requests, wait_for_state,
};
use testkit::host::down;
use testkit::ingest::{Answer, Fault, Ingest, Request};
use testkit::script::scripted;
use testkit::wait::{PATIENCE, eventually};

/// All requests are the same batch with the same bytes.
fn assert_same_batch(requests: &[Request]) {
    for request in requests {
        assert_eq!(batch_id(request), batch_id(&requests[0]));
        assert!(request.body == requests[0].body, "the bytes changed");
    }
}

/// Sends three items to an ingest that fails with `failure` twice.
fn survives(failure: Answer) {
    let dir = TempDir::new("outage");
    let ingest = scripted(vec![failure; 2]);
    let client = open(&dir.join("spool"), &ingest.url(), &[]);
    enqueue(&client, 0..3);
    client.flush(PATIENCE).unwrap();
    assert_all_delivered(&client, 3);
    let requests = ingest.requests();
    assert_eq!(requests.len(), 3);
    assert_same_batch(&requests);
}

#[test]
fn ingest_that_comes_up_late_gets_everything() {
    let dir = TempDir::new("outage");
    let down = down();
    let client = open(&dir.join("spool"), &down.url(), &[]);
    enqueue(&client, 0..1000);
    eventually("a few attempts fail", || client.stats().unwrap().retries >= 3);
    enqueue(&client, 1000..2000);
    assert_eq!(client.stats().unwrap().delivered, 0);
    let up = Ingest::start_on(down.port(), |_| Answer::status(200)).unwrap();
    eventually("everything is delivered", || client.stats().unwrap().delivered == 2000);
    assert_all_delivered(&client, 2000);
    assert_eq!(arrived(&up), Vec::from_iter(0..2000));
}

#[test]
fn ingest_that_comes_and_goes_gets_everything_once() {
    let dir = TempDir::new("outage");
    let received = Received::default();
    let start = |port| {
        let received = received.clone();
        Ingest::start_on(port, move |request| received.take(request)).unwrap()
    };
    let mut ingest = start(0);
    let client = open(&dir.join("spool"), &ingest.url(), &[("max_batch_size", "10")]);
    for lap in 0..5 {
        enqueue(&client, lap * 100..(lap + 1) * 100);
        eventually("all delivered", || client.stats().unwrap().delivered == (lap + 1) * 100);
        ingest.stop();
        ingest = start(ingest.port());
    }
    assert_all_delivered(&client, 500);
    assert_eq!(received.numbers(), Vec::from_iter(0..500));
}

#[test]
fn busy_ingest_gets_the_same_batch_again() {
    for status in [503, 500, 408, 409, 425, 429] {
        survives(Answer::status(status));
    }
}

#[test]
fn connection_that_breaks_off_costs_nothing_but_a_resend() {
    for fault in [
        Fault::ResetAfterRead,
        Fault::CloseWithoutAnswer,
        Fault::RawBytes(b"nonsense\r\n\r\n".to_vec()),
        Fault::RawBytes(b"HTTP/1.1 200 OK\r\nContent-Le".to_vec()),
    ] {
        survives(Answer::status(200).fault(fault));
    }
}

#[test]
fn ingest_that_says_nothing_is_given_up_after_request_timeout() {
    let dir = TempDir::new("outage");
    let ingest = scripted(vec![Answer::status(200).fault(Fault::Hang(Duration::from_secs(3600)))]);
    let client = open(&dir.join("spool"), &ingest.url(), &[("request_timeout_ms", "200")]);
    enqueue(&client, 0..3);
    client.flush(PATIENCE).unwrap();
    assert_same_batch(&ingest.requests());
    assert_all_delivered(&client, 3);
}

/// The time between the first and the second request when the first is answered 429 with this header.
fn gap_after(header: &str, value: &str) -> Duration {
    let dir = TempDir::new("outage");
    let ingest = scripted(vec![Answer::status(429).header(header, value)]);
    let client = open(&dir.join("spool"), &ingest.url(), &[("base_delay_ms", "1"), ("max_delay_ms", "1")]);
    enqueue(&client, 0..3);
    wait_for_requests(&ingest, 2);
    let requests = ingest.requests();
    requests[1].arrived - requests[0].arrived
}

#[test]
fn wait_that_the_ingest_asks_for_is_honoured_beyond_max_delay() {
    assert!(gap_after("Retry-After", "2") >= Duration::from_secs(2));
    assert!(gap_after("retry-after-ms", "700") >= Duration::from_millis(700));
}

#[test]
fn refused_key_holds_until_there_is_a_new_one() {
    let dir = TempDir::new("outage");
    let ingest = Ingest::start(|request| match request.header("authorization") {
        Some("Bearer sk-new") => Answer::status(200),
        _ => Answer::status(401).body("no such key"),
    })
    .unwrap();
    let settings = [("api_key", "sk-old"), ("max_delay_ms", NEVER_MS)];
    let client = open(&dir.join("spool"), &ingest.url(), &settings);
    enqueue(&client, 0..3);
    wait_for_state(&client, HOLD);
    let stats = client.stats().unwrap();
    assert_eq!((stats.pending, stats.rejected, stats.last_http_status), (3, 0, 401));
    let lane = testkit::client::lanes(&dir.join("spool")).remove(0);
    assert!(lane.reason.contains("401") && lane.reason.contains("no such key"), "{}", lane.reason);
    assert!(lane.next_attempt_unix_ms > 0);

    client.set_api_key("sk-new").unwrap();
    eventually("all delivered", || client.stats().unwrap().delivered == 3);
    assert_same_batch(&ingest.requests());
    assert_eq!(ingest.requests().len(), 2);
    assert_eq!(client.stats().unwrap().export_state, 0);
}

#[test]
fn hold_is_probed_once_per_max_delay() {
    let dir = TempDir::new("outage");
    let ingest = scripted(vec![Answer::status(403); 3]);
    let client = open(&dir.join("spool"), &ingest.url(), &[("max_delay_ms", "300")]);
    enqueue(&client, 0..3);
    eventually("all delivered", || client.stats().unwrap().delivered == 3);
    let requests = ingest.requests();
    assert_same_batch(&requests);
    let gaps = requests.windows(2).map(|pair| pair[1].arrived - pair[0].arrived);
    assert!(gaps.clone().all(|gap| gap >= Duration::from_millis(300)), "{:?}", gaps.collect::<Vec<_>>());
}

#[test]
fn redirect_is_not_followed() {
    let dir = TempDir::new("outage");
    let elsewhere = Ingest::start(|_| Answer::status(200)).unwrap();
    for status in [301, 302, 307, 308] {
        let ingest = scripted(vec![Answer::status(status).header("Location", &elsewhere.url())]);
        let client = open(&dir.join(&status.to_string()), &ingest.url(), &[("max_delay_ms", NEVER_MS)]);
        enqueue(&client, 0..3);
        wait_for_state(&client, HOLD);
        assert_eq!(client.stats().unwrap().pending, 3);
        client.wake().unwrap();
        eventually("all delivered", || client.stats().unwrap().delivered == 3);
        assert_same_batch(&ingest.requests());
    }
    assert!(elsewhere.requests().is_empty());
}

#[test]
fn flush_and_wake_try_at_once_in_a_long_backoff() {
    let dir = TempDir::new("outage");
    let ingest = scripted(vec![Answer::status(503); 2]);
    let settings = [("base_delay_ms", NEVER_MS), ("max_delay_ms", NEVER_MS)];
    let client = open(&dir.join("spool"), &ingest.url(), &settings);
    enqueue(&client, 0..3);
    wait_for_state(&client, BACKOFF);
    client.wake().unwrap();
    eventually("the second attempt", || client.stats().unwrap().retries == 2);
    wait_for_state(&client, BACKOFF);
    client.flush(PATIENCE).unwrap();
    assert_all_delivered(&client, 3);
    assert_same_batch(&ingest.requests());
    assert_eq!(ingest.requests().len(), 3);
}

#[test]
fn flush_ends_at_its_deadline_and_loses_nothing() {
    let dir = TempDir::new("outage");
    let down = down();
    let client = open(&dir.join("spool"), &down.url(), &[]);
    enqueue(&client, 0..3);
    let error = client.flush(Duration::from_millis(50)).unwrap_err();
    assert_eq!(error.kind(), spanspool::ErrorKind::Timeout);
    let up = Ingest::start_on(down.port(), |_| Answer::status(200)).unwrap();
    client.flush(PATIENCE).unwrap();
    assert_eq!(arrived(&up), [0, 1, 2]);
}

#[test]
fn several_in_flight_deliver_each_item_once() {
    let dir = TempDir::new("outage");
    let ingest = scripted(vec![Answer::status(503); 20]);
    let client = open(&dir.join("spool"), &ingest.url(), &[("max_in_flight", "8"), ("max_batch_size", "10")]);
    enqueue(&client, 0..1000);
    client.flush(PATIENCE).unwrap();
    assert_all_delivered(&client, 1000);
    let mut batches: Vec<Request> = ingest.requests().split_off(20);
    batches.sort_by_key(|request| batch_id(request).to_owned());
    batches.dedup_by_key(|request| batch_id(request).to_owned());
    let mut numbers: Vec<u64> = batches
        .iter()
        .flat_map(testkit::ingest::items_of)
        .map(|item| testkit::client::number_of(&item))
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, Vec::from_iter(0..1000));
}

#[test]
fn no_more_than_max_in_flight_batches_are_unsettled_behind_a_slow_one() {
    let dir = TempDir::new("outage");
    let ingest = scripted(vec![Answer::status(200).fault(Fault::Hang(Duration::from_secs(3600)))]);
    let settings = [("max_in_flight", "4"), ("max_batch_size", "10")];
    let client = open(&dir.join("spool"), &ingest.url(), &settings);
    enqueue(&client, 0..1000);
    // A death now would send all of them again that the ingest has.
    assert_eq!(client.flush(Duration::from_millis(500)).unwrap_err().kind(), spanspool::ErrorKind::Timeout);
    let first_of = |request: &Request| testkit::client::number_of(&testkit::ingest::items_of(request)[0]);
    let requests = ingest.requests();
    // Several set out at once: it may be any of them that came first and hangs.
    let hanging = first_of(&requests[0]);
    let unsettled = requests.iter().filter(|request| first_of(request) >= hanging).count();
    assert!((1..=4).contains(&unsettled), "{unsettled} batches");
}
