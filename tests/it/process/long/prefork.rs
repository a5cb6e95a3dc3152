//! A prefork server whose workers are killed and replaced at random: every item that a worker had OK for arrives.
//!
//! `SPANSPOOL_PREFORK_S` is for how many seconds; 5 when it is not set.

use std::collections::HashMap;
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use testkit::host::{Host, assert_same_batches, ids_of, lane_names, settings, status, total};
use testkit::ingest::{Answer, Ingest, Request};
use testkit::wait::eventually;
use testkit::{TempDir, caller, compile_c, is_instrumented};

#[test]
fn the_survivor_delivers_what_all_the_killed_had_taken() {
    let dir = TempDir::new("prefork");
    let (spool, counters) = (dir.join("spool"), dir.join("counters"));
    let requests = AtomicUsize::new(0);
    // Every fifth request fails, so that there are backoffs and retries to be killed in.
    let ingest = Ingest::start(move |_| {
        let fails = requests.fetch_add(1, Ordering::Relaxed) % 5 == 4;
        Answer::status(if fails { 503 } else { 200 })
    })
    .unwrap();
    let seconds = std::env::var("SPANSPOOL_PREFORK_S").unwrap_or_else(|_| "5".into());
    let program = compile_c("tests/c/prefork.c", dir.path());
    // The small journal makes workers write segments when they fall behind.
    let more = [
        "journal_bytes=128KiB",
        "max_spool_bytes=64MiB",
        "adopt_interval_ms=200",
        "schedule_delay_ms=100",
        "base_delay_ms=50",
        "max_delay_ms=200",
    ];
    let mut command = caller(program);
    command.arg(&counters).arg(&seconds).args(settings(&spool, &ingest.url(), &more));
    let mut master = Host::run(&mut command);

    let lives = last_number(&until_line(&master, "lives "));
    // The master has the handle that it forked with, and so a lane; the survivor has one.
    eventually("the lanes of the dead are removed", || lane_names(&spool).len() == 2);
    eventually("nothing is pending", || total(&status(&spool), "pending") == 0);
    let last = until_line(&master, "survivor ");
    assert!(last.starts_with("survivor 0 "), "{last}");

    let acknowledged = acknowledged(&fs::read(&counters).unwrap(), lives);
    let requests = ingest.requests();
    let arrived = arrived(&requests);
    let mut extra = 0;
    for (life, accepted) in acknowledged.iter().enumerate() {
        let seen = arrived.get(&(life as u64)).copied().unwrap_or_default();
        // Between the OK and the counter a worker may be killed: then one more is there.
        assert!(
            (*accepted..=accepted + 1).contains(&seen),
            "life {life}: {accepted} acknowledged, {seen} arrived"
        );
        extra += seen - accepted;
    }
    let all: u64 = acknowledged.iter().sum();
    let after = status(&spool);
    assert_eq!(total(&after, "delivered"), all + extra, "the ledger counts each item once");
    assert_eq!(total(&after, "accepted"), all + extra);
    assert_same_batches(&requests);
    println!("{lives} lives in {seconds} s, {all} items acknowledged and delivered");
    let least_lives = if is_instrumented() { 8 } else { 20 };
    assert!(all > 1000 && lives > least_lives, "{lives} lives with {all} items are no load");
    master.end();
}

fn last_number(line: &str) -> u64 {
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

fn until_line(host: &Host, start: &str) -> String {
    loop {
        let line = host.line();
        if line.starts_with(start) {
            return line;
        }
    }
}

/// How many items each life had OK for.
fn acknowledged(counters: &[u8], lives: u64) -> Vec<u64> {
    let words = counters.as_chunks::<8>().0.iter();
    words.take(lives as usize).map(|word| u64::from_ne_bytes(*word)).collect()
}

/// How many items of each life came; that they are LIFE-0, LIFE-1 … without a gap is asserted.
fn arrived(requests: &[Request]) -> HashMap<u64, u64> {
    let mut numbers: HashMap<u64, Vec<u64>> = HashMap::new();
    for id in requests.iter().flat_map(ids_of) {
        let (life, number) = id.split_once('-').unwrap();
        numbers.entry(life.parse().unwrap()).or_default().push(number.parse().unwrap());
    }
    let whole = |(life, mut numbers): (u64, Vec<u64>)| {
        numbers.sort_unstable();
        numbers.dedup();
        assert!(numbers.iter().copied().eq(0..numbers.len() as u64), "life {life} has gaps");
        (life, numbers.len() as u64)
    };
    numbers.into_iter().map(whole).collect()
}
