//! Whatever the ingest answers, however many requests are in flight, to one key or one of two: nothing is lost, few
//! requests are made while it lasts, others are not held up, and all goes on when it is over.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use testkit::TempDir;
use testkit::client::{arrived, assert_ledger, config, enqueue, item, open, rejected};
use testkit::ingest::{Answer, Fault, Ingest};
use testkit::wait::{PATIENCE, eventually};

use spanspool::BatchTraceProcessor;

/// Items for each key, sent in batches of four.
const ITEMS: u64 = 40;
const MAX_DELAY: Duration = Duration::from_millis(200);
/// How long the ingest misbehaves.
const LASTS: Duration = Duration::from_millis(1000);
/// With a shorter time between requests than between probes, and a little for the machine.
const PROBES: usize = 10;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Concerns {
    /// Everything that goes to the endpoint.
    Endpoint,
    /// The key, which waits.
    Key,
    /// The key, whose batches are set aside until it is set again.
    RefusedKey,
    /// The items, if others are accepted.
    Items,
}

struct Case {
    name: &'static str,
    answer: fn() -> Answer,
    concerns: Concerns,
}

fn case(name: &'static str, concerns: Concerns, answer: fn() -> Answer) -> Case {
    Case { name, answer, concerns }
}

fn cases() -> Vec<Case> {
    use Concerns::{Endpoint, Items, Key, RefusedKey};
    vec![
        case("400", Items, || Answer::status(400)),
        case("401", RefusedKey, || Answer::status(401)),
        case("403", RefusedKey, || Answer::status(403)),
        case("404", Endpoint, || Answer::status(404)),
        case("408", Endpoint, || Answer::status(408)),
        case("413", Items, || Answer::status(413)),
        case("429", Key, || Answer::status(429)),
        case("429 with Retry-After", Key, || Answer::status(429).header("Retry-After", "2")),
        case("500", Endpoint, || Answer::status(500)),
        case("503", Endpoint, || Answer::status(503)),
        case("503 with Retry-After", Key, || Answer::status(503).header("Retry-After", "2")),
        case("reset", Endpoint, || Answer::status(200).fault(Fault::ResetAfterRead)),
        case("hang", Endpoint, || Answer::status(200).fault(Fault::Hang(Duration::from_secs(3600)))),
    ]
}

fn enqueue_as(client: &BatchTraceProcessor, name: &str, numbers: std::ops::Range<u64>) {
    numbers.for_each(|n| client.enqueue_as(name, item(n).as_bytes()).unwrap());
}

/// Requests while the ingest misbehaves: what a request of each thread, two batches tested down to their items and the
/// probes of the time come to.
fn most_requests(case: &Case, in_flight: usize) -> usize {
    match case.concerns {
        Concerns::Items => 2 * 7 + 3 * in_flight + 6 * PROBES,
        _ => 2 * in_flight + PROBES,
    }
}

fn run(case: &Case, in_flight: usize, two_keys: bool) {
    let what = format!("{}, {in_flight} in flight, two keys: {two_keys}", case.name);
    let (dir, well) = (TempDir::new("fair"), Arc::new(AtomicBool::new(false)));
    let ingest = Ingest::start({
        let (well, answer) = (well.clone(), case.answer);
        move |request| match request.header("authorization") {
            Some("Bearer sk-good") => Answer::status(200),
            _ if well.load(Relaxed) => Answer::status(200),
            _ => answer(),
        }
    })
    .unwrap();
    let in_flight_text = in_flight.to_string();
    let settings = [
        ("max_in_flight", &*in_flight_text),
        ("max_batch_size", "4"),
        ("base_delay_ms", "100"),
        ("max_delay_ms", "200"),
        ("request_timeout_ms", "300"),
    ];
    let client = open(&dir.join("spool"), &ingest.url(), &settings);
    client.set_named_key("bad", "sk-bad").unwrap();
    client.set_named_key("good", "sk-good").unwrap();
    enqueue_as(&client, "bad", 0..ITEMS);
    if two_keys {
        enqueue_as(&client, "good", ITEMS..2 * ITEMS);
    }
    let start = Instant::now();
    let others_go_on = two_keys && case.concerns != Concerns::Endpoint;
    if others_go_on {
        // At the ingest: the ledger counts items in the order of acceptance.
        let good = || {
            let different: BTreeSet<u64> = arrived(&ingest).into_iter().filter(|n| *n >= ITEMS).collect();
            different.len() as u64
        };
        eventually(&format!("others go on: {what}"), || good() == ITEMS);
    }
    std::thread::sleep((start + LASTS).saturating_duration_since(Instant::now()));
    let lasted = start.elapsed();
    let bad = ingest.requests().iter().filter(|r| r.header("authorization") == Some("Bearer sk-bad")).count();
    let most = most_requests(case, in_flight) + (lasted - LASTS).as_millis() as usize / 50;
    // Refusals of items that others prove bad go on to the end of what there is.
    let is_proven = two_keys && case.concerns == Concerns::Items;
    assert!(is_proven || bad <= most, "{bad} requests, not {most}: {what}");
    well.store(true, Relaxed);
    client.set_named_key("bad", "sk-bad").unwrap();
    client.flush(PATIENCE).unwrap();
    let stats = client.stats().unwrap();
    assert_ledger(&stats);
    assert_eq!(
        stats.delivered + stats.rejected,
        if two_keys { 2 * ITEMS } else { ITEMS },
        "{what}: {stats:?}"
    );
    assert!(is_proven || stats.rejected == 0, "{what}: {:?}", rejected(&dir.join("spool")));
}

fn run_all(in_flight: usize) {
    let cases = cases();
    for two_keys in [false, true] {
        std::thread::scope(|scope| {
            for case in &cases {
                scope.spawn(move || run(case, in_flight, two_keys));
            }
        });
    }
}

#[test]
fn every_answer_costs_only_what_it_concerns_with_one_request_in_flight() {
    run_all(1);
}

#[test]
fn every_answer_costs_only_what_it_concerns_with_two_requests_in_flight() {
    run_all(2);
}

#[test]
fn every_answer_costs_only_what_it_concerns_with_eight_requests_in_flight() {
    run_all(8);
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
fn ingest_that_was_down_until_everything_expired_is_tried_again() {
    for in_flight in ["1", "8"] {
        let (dir, well) = (TempDir::new("fair"), Arc::new(AtomicBool::new(false)));
        let ingest = Ingest::start({
            let well = well.clone();
            move |_| Answer::status(if well.load(Relaxed) { 200 } else { 503 })
        })
        .unwrap();
        let settings = [("max_in_flight", in_flight), ("max_age_s", "1"), ("max_batch_size", "4")];
        let config = config(&dir.join("spool"), &ingest.url(), &settings);
        let client = BatchTraceProcessor::open(config).unwrap();
        enqueue(&client, 0..40);
        eventually("all are too old", || client.stats().unwrap().dropped_expired == 40);
        well.store(true, Relaxed);
        enqueue(&client, 40..80);
        eventually("the new ones arrive", || client.stats().unwrap().delivered == 40);
        assert_ledger(&client.stats().unwrap());
    }
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
    assert!(MAX_DELAY < LASTS && stats.held_batches == 0);
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
