//! The ledger seen from another process: every single reading adds up while items flow, are delivered, rejected and
//! dropped.

use std::path::Path;

use spanspool::Stats;
use testkit::client::{Received, assert_ledger, lanes, settled};
use testkit::forever::{Counters, Forever};
use testkit::ingest::{Answer, Ingest, items_of};
use testkit::wait::eventually;
use testkit::{TempDir, have, tool};

const READINGS: usize = 10_000;
/// As many of them must differ from the one before.
const LEAST_CHANGES: usize = 20;

/// One reading; the lane must be there in each.
fn read(spool: &Path, nth: usize) -> Stats {
    let mut lanes = lanes(spool);
    assert_eq!(lanes.len(), 1, "reading {nth}");
    assert!(lanes[0].owner_pid.is_some(), "reading {nth}");
    lanes.remove(0).stats
}

/// Counts that only ever grow. What is dropped while it is under way counts as delivered if the ingest took it:
/// so of drops and deliveries only the sum does.
fn growing(stats: &Stats) -> [(&'static str, u64); 7] {
    [
        ("accepted", stats.accepted),
        ("delivered", stats.delivered),
        ("rejected", stats.rejected),
        ("dropped_expired", stats.dropped_expired),
        ("dropped_corrupt", stats.dropped_corrupt),
        ("settled", settled(stats)),
        ("batches_sent", stats.batches_sent),
    ]
}

/// Reads while the program runs with `settings`, until every reading was made and `seen_enough` says so.
fn watch(settings: &[(&str, &str)], seen_enough: impl Fn(&Stats) -> bool) {
    if !have(&tool("CC", "cc"), "--version", "ledger") {
        return;
    }
    let dir = TempDir::new("ledger");
    let (spool, received) = (dir.join("spool"), Received::default());
    let ingest = Ingest::start({
        let received = received.clone();
        move |request| {
            let disliked = items_of(request).iter().any(|item| item.contains(r#""n":500,"#));
            if disliked { Answer::status(400) } else { received.take(request) }
        }
    })
    .unwrap();
    let (program, counters) = (Forever::compile(dir.path()), Counters::new(dir.join("counters")));
    let url = ingest.url();
    let mut all =
        vec![("spool_dir", spool.to_str().unwrap()), ("endpoint", &url), ("schedule_delay_ms", "5")];
    all.extend(settings);
    let running = program.start(&counters, 300, &all);
    eventually("the first item", || counters.acknowledged() > 0);

    let mut last = read(&spool, 0);
    let mut changes = 0;
    let mut nth = 0;
    eventually("all was seen", || {
        for _ in 0..1000 {
            nth += 1;
            let stats = read(&spool, nth);
            assert_ledger(&stats);
            for ((what, now), (_, before)) in growing(&stats).into_iter().zip(growing(&last)) {
                assert!(
                    now >= before,
                    "reading {nth}: {what} went from {before} to {now}\n{last:?}\n{stats:?}"
                );
            }
            changes += usize::from(settled(&stats) != settled(&last));
            last = stats;
        }
        nth >= READINGS && changes > LEAST_CHANGES && seen_enough(&last)
    });
    running.kill();
    let left = lanes(&spool).remove(0);
    assert_ledger(&left.stats);
    assert_eq!(left.owner_pid, None);
    assert!(left.stats.delivered <= received.items().len() as u64);
}

#[test]
fn readings_add_up_while_items_are_delivered_and_rejected() {
    watch(&[], |stats| stats.delivered > 0 && stats.rejected > 0);
}

#[test]
fn readings_add_up_while_items_are_dropped() {
    let settings = [("max_queue_size", "300"), ("overflow", "drop_oldest")];
    watch(&settings, |stats| stats.delivered > 0 && stats.dropped_overflow > 0);
}

#[test]
fn readings_add_up_while_items_move_into_segments() {
    let settings = [("journal_bytes", "256 KiB"), ("max_in_flight", "3")];
    watch(&settings, |stats| stats.delivered > 0 && stats.rejected > 0);
}
