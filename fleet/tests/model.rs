//! The model keeps its own rules, and the policy what it reaches for, with few clients.

#![allow(clippy::unwrap_used)]

use fleet::ingest::RetryAfter;
use fleet::measure::Measured;
use fleet::policy::Kind;
use fleet::run::run;
use fleet::scenario::Scenario;

/// The usual scenario with a hundredth of the clients and of the capacity.
fn small() -> Scenario {
    let mut scenario = Scenario::usual();
    scenario.clients /= 100;
    scenario.ingest.capacity /= 100.0;
    scenario
}

fn seconds(measured: &Measured) -> Vec<(u32, u32, u32, u64)> {
    measured.seconds.iter().map(|s| (s.offered, s.accepted, s.failed, s.drained)).collect()
}

#[test]
fn all_that_is_random_follows_from_the_seed() {
    let scenario = small();
    let other = Scenario { seed: 17, ..small() };
    for kind in Kind::ALL {
        let measured = seconds(&run(&scenario, kind));
        assert_eq!(measured, seconds(&run(&scenario, kind)), "{kind:?}");
        assert_ne!(measured, seconds(&run(&other, kind)), "{kind:?}");
    }
}

#[test]
fn policies_drain_the_backlog_once_and_no_faster_than_the_ingest_works() {
    let scenario = small();
    for kind in Kind::ALL {
        let measured = run(&scenario, kind);
        let delivered: u64 = measured.seconds.iter().map(|second| second.drained).sum();
        // Adaptive throttling still holds itself back for the requests that failed during the outage.
        let is_done = delivered == measured.backlog || kind == Kind::Adaptive && delivered < measured.backlog;
        assert!(is_done, "{kind:?}: {delivered} of {}", measured.backlog);
        assert_eq!(measured.duplicates(), 0.0, "{kind:?}");
        // A second's work may end in the next one.
        let most = scenario.ingest.capacity * 1.0
            + scenario.ingest.longest_wait as f64 / 1e3 * scenario.ingest.capacity;
        assert!(measured.seconds.iter().all(|second| f64::from(second.accepted) <= most), "{kind:?}");
    }
}

#[test]
fn a_wait_that_the_ingest_asks_for_is_waited_for() {
    let mut scenario = small();
    scenario.ingest.retry_after = RetryAfter::Constant(40_000);
    let measured = run(&scenario, Kind::Ours);
    let first = measured.seconds.iter().position(|second| second.offered > 0).unwrap();
    // All were told to wait until after the return: each comes once in 40 to 80 s.
    let most = measured.seconds[..40].iter().map(|second| second.failed).sum::<u32>();
    assert!(most <= scenario.clients, "{most} refusals in 40 s, the first request after {first} s");
}

#[test]
fn answers_that_are_lost_are_what_arrives_twice() {
    let mut scenario = small();
    scenario.ingest.lost = 0.05;
    let measured = run(&scenario, Kind::Ours);
    assert!((0.03..0.07).contains(&measured.duplicates()), "{}", measured.duplicates());
}
