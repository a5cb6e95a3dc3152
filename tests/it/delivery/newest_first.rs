//! `order=newest_first`: after an outage or a restart new items are sent at once, and the backlog in its order beside them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use spanspool::{BatchTraceProcessor, Stats};
use testkit::TempDir;
use testkit::client::{
    arrived, assert_all_delivered, assert_ledger, config, enqueue, item, lanes, open, settled,
    wait_for_requests,
};
use testkit::ingest::{Answer, Ingest, items_of};
use testkit::wait::{PATIENCE, eventually, until};

const BATCH: u64 = 10;
const BACKLOG: u64 = 500;
/// How long a request takes: much longer than it takes to make a lane.
const SLOW: Duration = Duration::from_millis(40);

/// An ingest that answers slowly, with 503 while `up` is not set.
fn slow_ingest(up: &Arc<AtomicBool>) -> Ingest {
    let up = up.clone();
    let answer = move |_: &_| {
        if !up.load(SeqCst) {
            return Answer::status(503);
        }
        std::thread::sleep(SLOW);
        Answer::status(200)
    };
    Ingest::start(answer).unwrap()
}

fn settings(max_in_flight: &str) -> Vec<(&str, &str)> {
    vec![
        ("order", "newest_first"),
        ("max_batch_size", "10"),
        ("max_in_flight", max_in_flight),
        ("journal_bytes", "64KiB"),
        ("adopt_interval_ms", "50"),
    ]
}

/// A client whose backlog, which `fill` enqueues, has been handed over after an outage, and its ingest.
fn after_an_outage_of(
    spool: &Path,
    more: &[(&str, &str)],
    fill: impl Fn(&BatchTraceProcessor),
) -> (Ingest, BatchTraceProcessor) {
    let (up, is_handed_over) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let ingest = slow_ingest(&up);
    let mut config = config(spool, &ingest.url(), more);
    let told = is_handed_over.clone();
    config.set_log(move |_, line| {
        told.store(told.load(SeqCst) || line.contains("new items go before"), SeqCst)
    });
    let client = BatchTraceProcessor::open(config).unwrap();
    fill(&client);
    eventually("an attempt fails", || client.stats().unwrap().retries > 0);
    assert_eq!(lanes(spool).len(), 1);
    up.store(true, SeqCst);
    eventually("the backlog is handed over", || is_handed_over.load(SeqCst));
    assert_eq!(lanes(spool).len(), 2);
    (ingest, client)
}

fn after_an_outage(spool: &Path, more: &[(&str, &str)]) -> (Ingest, BatchTraceProcessor) {
    after_an_outage_of(spool, more, |client| enqueue(client, 0..BACKLOG))
}

/// What came of `numbers`, in the order of arrival.
fn of(arrived: &[u64], numbers: std::ops::Range<u64>) -> Vec<u64> {
    arrived.iter().copied().filter(|n| numbers.contains(n)).collect()
}

/// Where in the arrivals the item `n` stands.
fn place_of(arrived: &[u64], n: u64) -> usize {
    arrived.iter().position(|it| *it == n).unwrap()
}

/// The accepted items of the batches that came, without those that were answered 503.
fn accepted(ingest: &Ingest) -> Vec<u64> {
    let (mut seen, all) = (BTreeMap::new(), arrived(ingest));
    seen.extend(all.iter().enumerate().map(|(place, n)| (*n, place)));
    let mut places: Vec<(usize, u64)> = seen.into_iter().map(|(n, place)| (place, n)).collect();
    places.sort_unstable();
    places.into_iter().map(|(_, n)| n).collect()
}

fn assert_one_lane_is_left(spool: &Path) {
    eventually("the backlog's lane is removed", || lanes(spool).len() == 1);
}

#[test]
fn new_items_do_not_wait_for_what_an_outage_has_left() {
    for in_flight in ["1", "8"] {
        let dir = TempDir::new("newest-first");
        let spool = dir.join("spool");
        let (ingest, client) = after_an_outage(&spool, &settings(in_flight));
        enqueue(&client, BACKLOG..BACKLOG + 30);
        client.flush(PATIENCE).unwrap();
        assert_all_delivered(&client, BACKLOG + 30);
        let came = accepted(&ingest);
        let last_new = place_of(&came, BACKLOG + 29);
        assert!(last_new < came.len() - 50, "{in_flight} in flight: the last new item came {last_new}th");
        if in_flight == "1" {
            assert_eq!(of(&came, 0..BACKLOG), Vec::from_iter(0..BACKLOG), "the backlog keeps its order");
            assert_eq!(of(&came, BACKLOG..BACKLOG + 30), Vec::from_iter(BACKLOG..BACKLOG + 30));
        }
        assert_one_lane_is_left(&spool);
        assert_all_delivered(&client, BACKLOG + 30);
        enqueue(&client, BACKLOG + 30..BACKLOG + 40);
        client.shutdown(PATIENCE).unwrap();
        assert_all_delivered(&client, BACKLOG + 40);
    }
}

#[test]
fn control_in_order_new_items_come_last() {
    let dir = TempDir::new("oldest-first");
    let up = Arc::new(AtomicBool::new(false));
    let ingest = slow_ingest(&up);
    let client = open(&dir.join("spool"), &ingest.url(), &[("max_batch_size", "10")]);
    enqueue(&client, 0..100);
    eventually("an attempt fails", || client.stats().unwrap().retries > 0);
    up.store(true, SeqCst);
    eventually("the outage is over", || client.stats().unwrap().delivered > 0);
    enqueue(&client, 100..110);
    client.flush(PATIENCE).unwrap();
    assert_eq!(accepted(&ingest), Vec::from_iter(0..110));
}

#[test]
fn new_items_do_not_wait_for_what_a_restart_has_found() {
    for in_flight in ["1", "8"] {
        let dir = TempDir::new("newest-restart");
        let spool = dir.join("spool");
        let up = Arc::new(AtomicBool::new(false));
        let ingest = slow_ingest(&up);
        let before = open(&spool, &ingest.url(), &settings(in_flight));
        enqueue(&before, 0..BACKLOG);
        before.shutdown(Duration::ZERO).unwrap_err();
        drop(before);
        // No outage ends from here on, so no lane is handed over again.
        up.store(true, SeqCst);
        let client = open(&spool, &ingest.url(), &settings(in_flight));
        assert_eq!(lanes(&spool).len(), 2, "new items have a lane of their own at once");
        enqueue(&client, BACKLOG..BACKLOG + 30);
        let stats = client.stats().unwrap();
        assert_ledger(&stats);
        assert_eq!(stats.accepted, BACKLOG + 30, "the counters are those of both lanes");
        client.flush(PATIENCE).unwrap();
        assert_all_delivered(&client, BACKLOG + 30);
        let came = accepted(&ingest);
        assert!(place_of(&came, BACKLOG + 29) < came.len() - 50, "{in_flight} in flight: {came:?}");
        assert_one_lane_is_left(&spool);
        assert_all_delivered(&client, BACKLOG + 30);
    }
}

#[test]
fn few_items_that_wait_need_no_lane_of_their_own() {
    let dir = TempDir::new("newest-few");
    let spool = dir.join("spool");
    let up = Arc::new(AtomicBool::new(true));
    let ingest = slow_ingest(&up);
    let before = open(&spool, "http://127.0.0.1:9/", &settings("1"));
    enqueue(&before, 0..BATCH);
    before.shutdown(Duration::ZERO).unwrap_err();
    drop(before);
    let mut all = settings("1");
    all.push(("adopt", "any"));
    let client = open(&spool, &ingest.url(), &all);
    assert_eq!(lanes(&spool).len(), 1);
    client.flush(PATIENCE).unwrap();
    assert_all_delivered(&client, BATCH);
}

#[test]
fn the_backlog_gets_its_share_of_requests_while_there_are_new_items() {
    for (share, expected) in [("0", 0..=2), ("0.25", 6..=14), ("0.75", 26..=34)] {
        let dir = TempDir::new("newest-share");
        let spool = dir.join("spool");
        let mut all = settings("1");
        all.push(("backlog_share", share));
        let (ingest, client) = after_an_outage(&spool, &all);
        // All of them are there at once: forty batches.
        let first = BACKLOG..BACKLOG + 40 * BATCH;
        enqueue(&client, first.clone());
        let is_new = |request: &testkit::ingest::Request| {
            items_of(request).iter().any(|it| first.contains(&testkit::client::number_of(it)))
        };
        let requests =
            until(Instant::now() + PATIENCE, "forty requests come since the first new item", || {
                let requests = ingest.requests();
                let begin = requests.iter().position(is_new)?;
                requests.get(begin..begin + 40).map(<[_]>::to_vec)
            });
        let old = requests.iter().filter(|request| !is_new(request)).count();
        assert!(expected.contains(&old), "share {share}: {old} of 40 requests were the backlog's");
    }
}

#[test]
fn items_of_two_keys_keep_their_order_each() {
    for in_flight in ["1", "8"] {
        let dir = TempDir::new("newest-keys");
        let spool = dir.join("spool");
        let enqueue_both = |client: &BatchTraceProcessor, numbers: std::ops::Range<u64>| {
            for n in numbers {
                let key = if n % 2 == 0 { "" } else { "team" };
                match key {
                    "" => client.enqueue(item(n).as_bytes()).unwrap(),
                    _ => client.enqueue_as(key, item(n).as_bytes()).unwrap(),
                }
            }
        };
        let (ingest, client) = after_an_outage_of(&spool, &settings(in_flight), |client| {
            client.set_named_key("team", "sk-team").unwrap();
            enqueue_both(client, 0..BACKLOG);
        });
        enqueue_both(&client, BACKLOG..BACKLOG + 40);
        client.flush(PATIENCE).unwrap();
        assert_all_delivered(&client, BACKLOG + 40);
        let came = accepted(&ingest);
        assert!(place_of(&came, BACKLOG + 39) < came.len() - 50, "{in_flight} in flight: {came:?}");
        if in_flight == "1" {
            for key in [0, 1] {
                for numbers in [0..BACKLOG, BACKLOG..BACKLOG + 40] {
                    let of_key: Vec<u64> =
                        of(&came, numbers.clone()).into_iter().filter(|n| n % 2 == key).collect();
                    assert!(of_key.is_sorted(), "{numbers:?} {of_key:?}");
                }
            }
        }
        assert_one_lane_is_left(&spool);
    }
}

/// Looks at the counters all the time: no sum may be wrong for a moment.
fn watch(client: &BatchTraceProcessor, over: &AtomicBool) -> Stats {
    let mut last = client.stats().unwrap();
    while !over.load(SeqCst) {
        let stats = client.stats().unwrap();
        assert_ledger(&stats);
        assert!(
            stats.accepted >= last.accepted
                && settled(&stats) >= settled(&last)
                && stats.batches_sent >= last.batches_sent,
            "{stats:?} after {last:?}"
        );
        last = stats;
    }
    last
}

#[test]
fn the_counters_of_all_lanes_add_up_at_any_moment_of_many_outages() {
    for in_flight in ["1", "8"] {
        let dir = TempDir::new("newest-flaps");
        let spool = dir.join("spool");
        let up = Arc::new(AtomicBool::new(true));
        let ingest = slow_ingest(&up);
        let client = open(&spool, &ingest.url(), &settings(in_flight));
        let over = AtomicBool::new(false);
        let mut most = 0;
        std::thread::scope(|scope| {
            let watcher = scope.spawn(|| watch(&client, &over));
            for lap in 0..8 {
                up.store(false, SeqCst);
                enqueue(&client, lap * 60..(lap + 1) * 60);
                let retries = client.stats().unwrap().retries;
                eventually("an attempt fails", || client.stats().unwrap().retries > retries);
                let delivered = client.stats().unwrap().delivered;
                up.store(true, SeqCst);
                eventually("it goes on", || client.stats().unwrap().delivered > delivered);
                most = most.max(lanes(&spool).len());
            }
            client.flush(PATIENCE).unwrap();
            over.store(true, SeqCst);
            watcher.join().unwrap();
        });
        assert!((2..=4).contains(&most), "{most} lanes at once");
        assert_all_delivered(&client, 480);
        assert_one_lane_is_left(&spool);
        client.shutdown(PATIENCE).unwrap();
        assert_all_delivered(&client, 480);
        let mut came = accepted(&ingest);
        came.sort_unstable();
        assert_eq!(came, Vec::from_iter(0..480));
    }
}

#[test]
fn a_shutdown_leaves_both_lanes_to_the_next_client() {
    let dir = TempDir::new("newest-shutdown");
    let spool = dir.join("spool");
    let (ingest, client) = after_an_outage(&spool, &settings("1"));
    enqueue(&client, BACKLOG..BACKLOG + 30);
    let error = client.shutdown(Duration::ZERO).unwrap_err();
    let left = client.stats().unwrap();
    assert_ledger(&left);
    assert!(error.message().contains(&left.pending.to_string()), "{error}: {left:?}");
    drop(client);
    let next = open(&spool, &ingest.url(), &settings("1"));
    next.flush(PATIENCE).unwrap();
    eventually("all lanes are drained", || {
        lanes(&spool).len() == 1 && next.stats().unwrap().accepted == BACKLOG + 30
    });
    assert_all_delivered(&next, BACKLOG + 30);
}

#[test]
fn at_max_queue_size_the_backlog_is_dropped_first() {
    let dir = TempDir::new("newest-drop");
    let spool = dir.join("spool");
    let up = Arc::new(AtomicBool::new(false));
    let ingest = slow_ingest(&up);
    let mut all = settings("1");
    all.extend([("max_queue_size", "400"), ("overflow", "drop_oldest")]);
    let before = open(&spool, &ingest.url(), &all);
    enqueue(&before, 0..400);
    before.shutdown(Duration::ZERO).unwrap_err();
    drop(before);
    let client = open(&spool, &ingest.url(), &all);
    assert_eq!(lanes(&spool).len(), 2);
    enqueue(&client, 400..600);
    let stats = client.stats().unwrap();
    assert_ledger(&stats);
    assert!(stats.pending <= 400 && (200..=200 + BATCH).contains(&stats.dropped_overflow), "{stats:?}");
    up.store(true, SeqCst);
    client.flush(PATIENCE).unwrap();
    let mut came = accepted(&ingest);
    came.retain(|n| *n >= 210);
    came.sort_unstable();
    assert_eq!(came, Vec::from_iter(210..600), "what is new stays");
}

#[test]
fn both_lanes_together_keep_to_max_spool_bytes() {
    const MAX: u64 = 4 << 20;
    for overflow in ["reject", "drop_oldest"] {
        let dir = TempDir::new("newest-room");
        let spool = dir.join("spool");
        let up = Arc::new(AtomicBool::new(false));
        let ingest = slow_ingest(&up);
        let mut all = settings("1");
        all.extend([("max_spool_bytes", "4MiB"), ("overflow", overflow), ("enqueue_timeout_ms", "100")]);
        let fill = |client: &BatchTraceProcessor, numbers: std::ops::Range<u64>| -> u64 {
            let items = numbers.map(|n| testkit::client::long_item(n, 10_000));
            items.map(|item| u64::from(client.enqueue(item.as_bytes()).is_ok())).sum()
        };
        let before = open(&spool, &ingest.url(), &all);
        let taken = fill(&before, 0..300);
        assert!(taken > 200, "{overflow}: {taken}");
        before.shutdown(Duration::ZERO).unwrap_err();
        drop(before);
        let client = open(&spool, &ingest.url(), &all);
        assert_eq!(lanes(&spool).len(), 2, "there is room for a lane");
        let taken = taken + fill(&client, 300..800);
        let stats = client.stats().unwrap();
        assert_ledger(&stats);
        assert!(stats.disk_bytes <= MAX, "{overflow}: {stats:?}");
        if overflow == "drop_oldest" {
            assert!(taken == 800 || stats.dropped_overflow > 300, "{stats:?}");
        } else {
            assert!(stats.dropped_overflow == 0 && stats.pending == taken && taken < 800, "{stats:?}");
        }
        up.store(true, SeqCst);
        client.flush(PATIENCE).unwrap();
        let came = accepted(&ingest);
        assert!(overflow == "reject" || came.contains(&799), "what is newest stays");
        let stats = client.stats().unwrap();
        assert_ledger(&stats);
        assert_eq!((stats.pending, stats.accepted), (0, taken), "{stats:?}");
    }
}

#[test]
fn without_room_for_another_lane_items_go_in_order() {
    let dir = TempDir::new("newest-full");
    let spool = dir.join("spool");
    let up = Arc::new(AtomicBool::new(false));
    let ingest = slow_ingest(&up);
    let before = open(&spool, &ingest.url(), &[("max_spool_bytes", "1MiB"), ("enqueue_timeout_ms", "100")]);
    let mut taken = 0;
    while before.enqueue(testkit::client::long_item(taken, 10_000).as_bytes()).is_ok() {
        taken += 1;
    }
    before.shutdown(Duration::ZERO).unwrap_err();
    drop(before);
    let mut all = settings("1");
    all.push(("max_spool_bytes", "1MiB"));
    let client = open(&spool, &ingest.url(), &all);
    up.store(true, SeqCst);
    client.flush(PATIENCE).unwrap();
    wait_for_requests(&ingest, 1);
    assert_one_lane_is_left(&spool);
    assert_eq!(client.stats().unwrap().accepted, taken);
    assert_eq!(accepted(&ingest), Vec::from_iter(0..taken));
}

#[test]
fn a_folder_that_takes_no_lane_leaves_items_in_order() {
    let dir = TempDir::new("newest-folder");
    let spool = dir.join("spool");
    let up = Arc::new(AtomicBool::new(false));
    let ingest = slow_ingest(&up);
    let lines = Arc::new(std::sync::Mutex::new(Vec::new()));
    let kept = lines.clone();
    let mut config = config(&spool, &ingest.url(), &settings("1"));
    config.set_log(move |level, line| kept.lock().unwrap().push(format!("{level:?} {line}")));
    let client = BatchTraceProcessor::open(config).unwrap();
    enqueue(&client, 0..100);
    eventually("an attempt fails", || client.stats().unwrap().retries > 0);
    // What is held stays; nothing can be made in a folder that is deleted.
    let lane = testkit::client::lane_dir(&spool);
    let moved = dir.join("moved");
    std::fs::rename(&lane, &moved).unwrap();
    std::fs::remove_file(spool.join("lanes").join("lock")).ok();
    let _ = std::fs::remove_dir(spool.join("lanes"));
    up.store(true, SeqCst);
    eventually("the outage is over", || client.stats().unwrap().delivered > 0);
    enqueue(&client, 100..110);
    client.flush(PATIENCE).unwrap();
    assert_eq!(accepted(&ingest), Vec::from_iter(0..110));
    let lines = lines.lock().unwrap();
    let said = lines.iter().filter(|line| line.contains("new items go after")).count();
    assert_eq!(said, 1, "{lines:?}");
}
