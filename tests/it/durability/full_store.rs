//! The disk is full and items are refused: the others go on, and the refused ones are kept until there is room for them.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use testkit::cli::spanspool;
use testkit::faults::{Faults, Word};
use testkit::host::{Host, arrivals, settings, status, total};
use testkit::ingest::{Answer, Ingest};
use testkit::wait::eventually;
use testkit::{TempDir, caller, compile_c, succeed};

/// An ingest that refuses items whose names begin with "bad", and is down until it is told otherwise.
fn ingest() -> (Ingest, Arc<AtomicBool>) {
    let is_up = Arc::new(AtomicBool::new(false));
    let seen = is_up.clone();
    let answer = move |request: &testkit::ingest::Request| {
        let is_bad = request.body.windows(4).any(|bytes| bytes == b"\"bad");
        Answer::status(match (seen.load(Relaxed), is_bad) {
            (false, _) => 503,
            (true, true) => 400,
            (true, false) => 200,
        })
    };
    (Ingest::start(answer).unwrap(), is_up)
}

fn start(dir: &TempDir, faults: &Faults, endpoint: &str) -> Host {
    let mut command = caller(compile_c("tests/c/host.c", dir.path()));
    let own = [
        "journal_bytes=64KiB",
        "schedule_delay_ms=10",
        "base_delay_ms=10",
        "max_delay_ms=20",
        "enqueue_timeout_ms=1000",
    ];
    command.args(settings(&dir.join("spool"), endpoint, &own));
    command.arg(format!("log={}", dir.join("log").display()));
    faults.load(&Faults::compile(dir.path()), &mut command);
    let host = Host::run(&mut command);
    assert_eq!(host.line(), "ready");
    host
}

#[test]
fn a_refused_item_keeps_nothing_back_while_the_disk_is_full() {
    refuse_on_a_full_disk(false);
}

#[test]
fn a_refused_item_keeps_nothing_back_in_the_next_process_either() {
    refuse_on_a_full_disk(true);
}

fn refuse_on_a_full_disk(is_killed: bool) {
    let dir = TempDir::new("full-store");
    let (spool, (ingest, is_up)) = (dir.join("spool"), ingest());
    let faults = Faults::below(&spool.join("lanes"), &dir.join("faults"));
    let mut host = start(&dir, &faults, &ingest.url());
    is_up.store(true, Relaxed);
    faults.set(Word::Full, 1);
    assert_eq!(host.ask("enqueue good 10"), "0 10");
    assert_eq!(host.ask("enqueue bad 2"), "0 2");
    // Many times what the journal holds.
    for round in 0..6 {
        assert_eq!(host.ask(&format!("enqueue more{round} 150 200")), "0 150");
        eventually("all others are settled", || {
            total(&status(&spool), "delivered") == 10 + 150 * (round + 1)
        });
    }
    let seen = status(&spool);
    assert_eq!((total(&seen, "accepted"), total(&seen, "pending"), total(&seen, "rejected")), (912, 2, 0));
    eventually("it is shown", || status(&spool)["lanes"][0]["reason"].to_string().contains("No space left"));
    // A flush is not done as long as they are pending.
    assert_eq!(host.ask("flush 100"), "21");

    if is_killed {
        host.kill();
        host = start(&dir, &faults, &ingest.url());
    }
    faults.set(Word::Full, 0);
    // A new process has to find out again that it is the items and not the ingest.
    let after = u64::from(is_killed);
    assert_eq!(host.ask(&format!("enqueue after {after}")), format!("0 {after}"));
    assert_eq!(host.ask("flush 60000"), "0");
    assert_eq!(host.ask("stats"), format!("{} {} 2 0 0", 912 + after, 910 + after));
    let log = std::fs::read_to_string(dir.join("log")).unwrap();
    let told = log.lines().filter(|line| line.contains("/rejected: No space left")).count();
    assert!((1..=1 + after as usize).contains(&told), "{log}");
    let list = ["rejected", "list", "--json", "--spool-dir", spool.to_str().unwrap()];
    let listed = succeed(&mut spanspool(&list)).stdout;
    assert_eq!(String::from_utf8(listed).unwrap().matches("bad-").count(), 2);
    host.end();
    // They were not sent again and again.
    let most = arrivals(&ingest).into_values().max();
    assert!(most < Some(20), "{most:?}");
}

#[test]
fn the_journal_may_be_full_when_an_item_is_refused() {
    let dir = TempDir::new("full-journal");
    let (spool, (ingest, is_up)) = (dir.join("spool"), ingest());
    let faults = Faults::below(&spool.join("lanes"), &dir.join("faults"));
    let mut host = start(&dir, &faults, &ingest.url());
    faults.set(Word::Full, 1);
    assert_eq!(host.ask("enqueue bad 1"), "0 1");
    let answer = host.ask("enqueue good 1000 200");
    let (status_of_last, taken) = answer.split_once(' ').unwrap();
    assert_eq!(status_of_last, "20", "the journal is full");
    is_up.store(true, Relaxed);
    let taken: u64 = taken.parse().unwrap();
    eventually("the others are settled", || total(&status(&spool), "delivered") == taken);
    assert_eq!(host.ask("enqueue late 100 200"), "0 100");
    eventually("these, too", || total(&status(&spool), "delivered") == taken + 100);
    assert_eq!(total(&status(&spool), "pending"), 1);
    faults.set(Word::Full, 0);
    assert_eq!(host.ask("flush 60000"), "0");
    assert_eq!(host.ask("stats"), format!("{} {} 1 0 0", taken + 101, taken + 100));
    host.end();
}
