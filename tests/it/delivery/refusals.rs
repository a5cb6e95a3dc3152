//! The ingest refuses items: what it can take arrives, the offenders are set aside with its answer, and an ingest
//! that refuses everything costs nothing.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use spanspool::{BatchTraceProcessor, ErrorKind};
use testkit::TempDir;
use testkit::client::{
    HOLD, NEVER_MS, Received, arrived, assert_all_delivered, assert_ledger, batch_id, enqueue, item, lanes,
    long_item, number_of, open, open_offline, rejected, wait_for_requests, wait_for_state,
};
use testkit::ingest::{Answer, Ingest, Request, items_of};
use testkit::wait::{PATIENCE, eventually};

/// An ingest that refuses requests while told to, and says why.
struct Picky {
    ingest: Ingest,
    received: Received,
    refuses: Arc<AtomicBool>,
}

impl Picky {
    fn new(status: u16, dislikes: impl Fn(&Request) -> bool + Send + Sync + 'static) -> Self {
        let (received, refuses) = (Received::default(), Arc::new(AtomicBool::new(true)));
        let answer = {
            let (received, refuses) = (received.clone(), refuses.clone());
            move |request: &Request| {
                if refuses.load(Relaxed) && dislikes(request) {
                    Answer::status(status).body("data[0]: no, thank you")
                } else {
                    received.take(request)
                }
            }
        };
        Self { ingest: Ingest::start(answer).unwrap(), received, refuses }
    }

    fn relent(&self) {
        self.refuses.store(false, Relaxed);
    }
}

fn holds(request: &Request, numbers: &[u64]) -> bool {
    items_of(request).iter().any(|item| numbers.contains(&number_of(item)))
}

/// So many items are delivered and rejected, and none is pending.
#[track_caller]
fn assert_settled(client: &BatchTraceProcessor, delivered: u64, rejected: u64) {
    let stats = client.stats().unwrap();
    assert_ledger(&stats);
    assert_eq!((stats.delivered, stats.rejected, stats.pending), (delivered, rejected, 0), "{stats:?}");
}

#[test]
fn one_bad_item_costs_the_others_nothing() {
    for status in [400, 422] {
        let dir = TempDir::new("refusals");
        let spool = dir.join("spool");
        let picky = Picky::new(status, |request| holds(request, &[77]));
        let client = open(&spool, &picky.ingest.url(), &[("schedule_delay_ms", NEVER_MS)]);
        enqueue(&client, 0..128);
        client.flush(PATIENCE).unwrap();

        assert_eq!(picky.received.numbers(), Vec::from_iter((0..128).filter(|n| *n != 77)));
        assert_settled(&client, 127, 1);
        let aside = rejected(&spool).remove(0);
        assert_eq!((aside.status, &*aside.reason), (status, "refused"));
        assert_eq!(aside.json, item(77).as_bytes());
        assert_eq!(aside.answer, b"data[0]: no, thank you");
        assert_eq!(aside.batch_id, batch_id(&picky.ingest.requests()[0]));
        assert_eq!((&*aside.key_name, aside.rejected_unix_ms > 0), ("", true));

        picky.relent();
        assert_eq!(
            client.requeue_rejected(&["nobody-7".into()]).unwrap_err().kind(),
            ErrorKind::InvalidArgument
        );
        assert_eq!(client.requeue_rejected(std::slice::from_ref(&aside.id)).unwrap(), 1);
        client.flush(PATIENCE).unwrap();
        assert_eq!(picky.received.numbers().last(), Some(&77));
        assert!(rejected(&spool).is_empty());
        assert_all_delivered(&client, 128);
        assert_eq!(client.stats().unwrap().rejected, 0);
    }
}

#[test]
fn bad_items_all_over_are_found() {
    const BAD: [u64; 6] = [0, 1, 127, 128, 300, 511];
    let dir = TempDir::new("refusals");
    let spool = dir.join("spool");
    let picky = Picky::new(400, |request| holds(request, &BAD));
    let client = open(&spool, &picky.ingest.url(), &[("schedule_delay_ms", NEVER_MS)]);
    enqueue(&client, 0..512);
    client.flush(PATIENCE).unwrap();
    assert_eq!(picky.received.numbers(), Vec::from_iter((0..512).filter(|n| !BAD.contains(n))));
    let aside: Vec<String> =
        rejected(&spool).into_iter().map(|r| String::from_utf8(r.json).unwrap()).collect();
    assert_eq!(aside, BAD.map(item));
    assert_settled(&client, 506, 6);
}

#[test]
fn requests_are_made_as_small_as_the_ingest_wants_them() {
    const LIMIT: usize = 100_000;
    let dir = TempDir::new("refusals");
    let spool = dir.join("spool");
    let picky = Picky::new(413, |request| request.body.len() > LIMIT);
    let client = open(&spool, &picky.ingest.url(), &[("schedule_delay_ms", NEVER_MS)]);
    let items: Vec<String> =
        (0..300).map(|n| long_item(n, if n == 150 { LIMIT + 1 } else { 3000 })).collect();
    for item in &items {
        client.enqueue(item.as_bytes()).unwrap();
    }
    client.flush(PATIENCE).unwrap();
    assert_eq!(picky.received.items(), [&items[..150], &items[151..]].concat());
    let aside = rejected(&spool);
    assert_eq!(aside.len(), 1);
    assert_eq!((aside[0].status, &*aside[0].reason), (413, "too_large"));
    assert!(aside[0].json == items[150].as_bytes());
    assert_settled(&client, 299, 1);
}

#[test]
fn ingest_that_refuses_everything_costs_no_item_and_few_requests() {
    /// Two batches whole, and one item of each.
    const MAX_REQUESTS_A_PROBE: usize = 4;
    /// Down to its items, which happens to each batch once.
    const MAX_REQUESTS_A_BATCH: usize = 2 * 128 - 1;
    let dir = TempDir::new("refusals");
    let spool = dir.join("spool");
    let picky = Picky::new(400, |_| true);
    let settings = [("schedule_delay_ms", NEVER_MS), ("max_delay_ms", NEVER_MS)];
    let client = open(&spool, &picky.ingest.url(), &settings);
    enqueue(&client, 0..1024);
    wait_for_state(&client, HOLD);
    let stats = client.stats().unwrap();
    assert_ledger(&stats);
    assert_eq!((stats.pending, stats.delivered, stats.rejected), (1024, 0, 0));
    assert_eq!(stats.last_http_status, 400);
    // Each of two batches was halved down to its items.
    let mut requests = picky.ingest.requests().len();
    assert!(requests <= 2 * MAX_REQUESTS_A_BATCH, "{requests}");

    for probe in 0..10 {
        // There are eight batches, of which one more is tried each time.
        let most = MAX_REQUESTS_A_PROBE + if probe < 6 { MAX_REQUESTS_A_BATCH } else { 0 };
        client.wake().unwrap();
        eventually("a probe", || picky.ingest.requests().len() > requests);
        wait_for_state(&client, HOLD);
        let now = picky.ingest.requests().len();
        assert!(now - requests <= most, "{} requests in a probe", now - requests);
        requests = now;
    }
    assert!(rejected(&spool).is_empty());

    picky.relent();
    client.flush(PATIENCE).unwrap();
    assert_eq!(picky.received.numbers(), Vec::from_iter(0..1024));
    assert_all_delivered(&client, 1024);
}

#[test]
fn bad_item_alone_in_its_batch_is_set_aside_once_another_batch_is_accepted() {
    let dir = TempDir::new("refusals");
    let spool = dir.join("spool");
    let picky = Picky::new(400, |request| holds(request, &[0]));
    let client = open(&spool, &picky.ingest.url(), &[("max_delay_ms", NEVER_MS)]);
    enqueue(&client, [0]);
    wait_for_state(&client, HOLD);
    assert_eq!(client.stats().unwrap().rejected, 0);
    enqueue(&client, [1]);
    client.flush(PATIENCE).unwrap();
    assert_eq!(picky.received.numbers(), [1]);
    let aside = rejected(&spool);
    assert_eq!((aside.len(), &aside[0].json[..]), (1, item(0).as_bytes()));
    assert_settled(&client, 1, 1);
}

#[test]
fn bad_item_alone_is_set_aside_without_anybody_s_doing() {
    let dir = TempDir::new("refusals");
    let picky = Picky::new(400, |request| holds(request, &[0]));
    let client = open(&dir.join("spool"), &picky.ingest.url(), &[]);
    enqueue(&client, [0]);
    wait_for_state(&client, HOLD);
    enqueue(&client, [1]);
    eventually("both are settled", || client.stats().unwrap().pending == 0);
    assert_eq!(client.stats().unwrap().rejected, 1);
}

/// More of them than are tried before the endpoint is held responsible at first.
#[test]
fn bad_items_in_a_row_do_not_hold_up_the_good_ones_behind() {
    let dir = TempDir::new("refusals");
    let bad = Vec::from_iter(0..120);
    let picky = Picky::new(400, move |request| holds(request, &bad));
    let client =
        open(&dir.join("spool"), &picky.ingest.url(), &[("max_batch_size", "4"), ("max_delay_ms", "20")]);
    enqueue(&client, 0..132);
    eventually("all are settled", || client.stats().unwrap().pending == 0);
    assert_eq!(picky.received.numbers(), Vec::from_iter(120..132));
    assert_settled(&client, 12, 120);
}

/// Batches that are set aside without a request say nothing about the endpoint: the one after them does.
#[test]
fn bad_item_before_items_without_a_key_does_not_hold_up_the_good_ones_behind() {
    let dir = TempDir::new("refusals");
    let picky = Picky::new(400, move |request| holds(request, &[0]));
    let client =
        open(&dir.join("spool"), &picky.ingest.url(), &[("max_batch_size", "1"), ("max_delay_ms", "20")]);
    enqueue(&client, [0]);
    (1..40).for_each(|n| client.enqueue_as("nobody's", item(n).as_bytes()).unwrap());
    enqueue(&client, 40..45);
    eventually("all are settled", || client.stats().unwrap().pending == 0);
    assert_eq!(picky.received.numbers(), Vec::from_iter(40..45));
    assert_settled(&client, 5, 40);
}

/// While everything is refused one item of a batch is tried alone. What that costs must not be the others.
#[test]
fn bad_item_that_was_tried_alone_costs_the_others_nothing() {
    let dir = TempDir::new("refusals");
    let refuses_all = Arc::new(AtomicBool::new(true));
    let picky = Picky::new(400, {
        let refuses_all = refuses_all.clone();
        move |request| refuses_all.load(Relaxed) || holds(request, &[0])
    });
    let settings = [("max_batch_size", "4"), ("max_delay_ms", NEVER_MS), ("schedule_delay_ms", NEVER_MS)];
    let client = open(&dir.join("spool"), &picky.ingest.url(), &settings);
    enqueue(&client, 0..8);
    wait_for_state(&client, HOLD);
    refuses_all.store(false, Relaxed);
    client.flush(PATIENCE).unwrap();
    let mut received = picky.received.numbers();
    received.sort_unstable();
    assert_eq!(received, Vec::from_iter(1..8));
    assert_settled(&client, 7, 1);
}

/// Nothing ever comes after the last item of a dead process's lane.
#[test]
fn bad_item_left_by_a_dead_process_is_set_aside_once_anything_is_accepted() {
    let dir = TempDir::new("refusals");
    let spool = dir.join("spool");
    let ingest =
        Ingest::start(|request| Answer::status(if holds(request, &[0]) { 400 } else { 200 })).unwrap();
    let dead = open_offline(&spool, &[]);
    enqueue(&dead, [0]);
    let client = open(&spool, &ingest.url(), &[("adopt_interval_ms", "10")]);
    drop(dead);
    wait_for_requests(&ingest, 2);
    assert!(rejected(&spool).is_empty());
    enqueue(&client, [1]);
    eventually("the bad item is set aside", || rejected(&spool).len() == 1);
    eventually("the dead process's lane is gone", || lanes(&spool).len() == 1);
    assert_ledger(&client.stats().unwrap());
    assert!(arrived(&ingest).contains(&1));
}

#[test]
fn max_retries_gives_up_a_batch_into_the_rejected_store() {
    let dir = TempDir::new("refusals");
    let spool = dir.join("spool");
    let picky = Picky::new(503, |request| holds(request, &[0]));
    let client = open(&spool, &picky.ingest.url(), &[("max_retries", "2"), ("max_batch_size", "2")]);
    enqueue(&client, 0..4);
    client.flush(PATIENCE).unwrap();
    assert_eq!(picky.received.numbers(), [2, 3]);
    assert_eq!(picky.ingest.requests().len(), 3);
    let aside = rejected(&spool);
    assert_eq!(
        aside.iter().map(|r| &r.json[..]).collect::<Vec<_>>(),
        [item(0).as_bytes(), item(1).as_bytes()]
    );
    assert!(aside.iter().all(|r| r.status == 503 && r.reason == "max_retries"), "{aside:?}");
    assert_settled(&client, 2, 2);
}

#[test]
fn rejected_store_has_a_limit_and_what_leaves_it_is_counted() {
    let dir = TempDir::new("refusals");
    let spool = dir.join("spool");
    let picky = Picky::new(413, |request| request.body.len() > 1000);
    let settings = [("max_rejected_bytes", "100 KiB"), ("max_batch_size", "10")];
    let client = open(&spool, &picky.ingest.url(), &settings);
    enqueue(&client, [1000]);
    client.flush(PATIENCE).unwrap();
    let items: Vec<String> = (0..50).map(|n| long_item(n, 10_000)).collect();
    for item in &items {
        client.enqueue(item.as_bytes()).unwrap();
    }
    client.flush(PATIENCE).unwrap();
    let aside = rejected(&spool);
    let stats = client.stats().unwrap();
    assert_ledger(&stats);
    assert_eq!(stats.rejected, aside.len() as u64);
    assert_eq!(stats.rejected + stats.dropped_overflow, 50, "{stats:?}");
    assert!((5..=10).contains(&aside.len()), "{}", aside.len());
    let newest: Vec<&[u8]> = items[50 - aside.len()..].iter().map(|item| item.as_bytes()).collect();
    assert!(aside.iter().map(|r| &r.json[..]).eq(newest), "the newest stay");
}

fn enqueue_as(client: &BatchTraceProcessor, name: &str, numbers: impl IntoIterator<Item = u64>) {
    for n in numbers {
        client.enqueue_as(name, item(n).as_bytes()).unwrap();
    }
}

/// The items that came with this key, in order.
fn with_key(ingest: &Ingest, key: &str) -> Vec<u64> {
    let authorization = format!("Bearer {key}");
    let requests = ingest.requests();
    let mine = requests.iter().filter(|r| r.header("authorization") == Some(&authorization));
    mine.flat_map(items_of).map(|item| number_of(&item)).collect()
}

#[test]
fn items_travel_with_the_key_of_their_name() {
    let dir = TempDir::new("refusals");
    let spool = dir.join("spool");
    let ingest = Ingest::start(|_| Answer::status(200)).unwrap();
    let settings = [("api_key", "sk-0"), ("schedule_delay_ms", NEVER_MS)];
    let client = open(&spool, &ingest.url(), &settings);
    client.set_named_key("A", "sk-a").unwrap();
    for n in (0..300).step_by(3) {
        enqueue(&client, [n]);
        enqueue_as(&client, "A", [n + 1]);
        enqueue_as(&client, "B", [n + 2]);
    }
    client.flush(PATIENCE).unwrap();
    let numbers = |rest| Vec::from_iter((0..300).filter(|n| n % 3 == rest));
    assert_eq!(with_key(&ingest, "sk-0"), numbers(0));
    assert_eq!(with_key(&ingest, "sk-a"), numbers(1));
    let aside = rejected(&spool);
    assert_eq!(aside.len(), 100);
    assert!(aside.iter().all(|r| r.reason == "no_key:B" && r.key_name == "B" && r.status == 0), "{aside:?}");
    assert_settled(&client, 200, 100);

    client.set_named_key("B", "sk-b").unwrap();
    client.flush(PATIENCE).unwrap();
    assert_eq!(with_key(&ingest, "sk-b"), numbers(2));
    assert!(rejected(&spool).is_empty());
    assert_all_delivered(&client, 300);
}

#[test]
fn names_of_keys_outlive_the_process_and_keys_do_not() {
    let dir = TempDir::new("refusals");
    let spool = dir.join("spool");
    let ingest = Ingest::start(|_| Answer::status(200)).unwrap();
    let first = open(&spool, &ingest.url(), &[("exporter", "none")]);
    first.set_named_key("A", "sk-a").unwrap();
    enqueue_as(&first, "A", 0..10);
    assert_eq!(first.shutdown(Duration::ZERO).unwrap_err().kind(), ErrorKind::Timeout);

    let second = open(&spool, &ingest.url(), &[]);
    second.flush(PATIENCE).unwrap();
    assert!(ingest.requests().is_empty());
    assert_eq!(rejected(&spool).len(), 10);
    second.set_named_key("A", "sk-a2").unwrap();
    second.flush(PATIENCE).unwrap();
    assert_eq!(with_key(&ingest, "sk-a2"), Vec::from_iter(0..10));
    assert_all_delivered(&second, 10);
}
