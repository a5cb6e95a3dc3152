//! Dispatch, gates and trial together, against pretended ingests and simulated threads and time.

#![allow(clippy::single_range_in_vec_init, reason = "the parts of a batch are ranges, often one")]
#![allow(clippy::unwrap_used)]

mod lanes;
mod rate;
mod sim;
mod table;

use std::ops::Range;

use sim::{Ingest, LATENCY, Request, Sim};

use super::*;
use crate::batch::Batch;
use crate::delivery::gate::Why;
use crate::export::Answer;
use crate::spool::ExportState;

const BASE: Duration = Duration::from_secs(1);
const MAX: Duration = Duration::from_secs(30);

fn accepted() -> Outcome {
    Outcome::Accepted { status: 200 }
}

fn answer(status: u16) -> Answer {
    Answer { status, body: b"no".to_vec() }
}

fn refused() -> Outcome {
    Outcome::Refused(answer(400))
}

fn retry(status: u16, after: Option<Duration>) -> Outcome {
    Outcome::Retry { status, after, reason: format!("HTTP {status}") }
}

fn hold(status: u16) -> Outcome {
    Outcome::Hold { status, reason: format!("HTTP {status}") }
}

fn batches(
    count: u64,
    len: u64,
    key: impl Fn(u64) -> &'static str,
) -> impl Iterator<Item = (Range<u64>, &'static str)> {
    (0..count).map(move |n| (n * len..(n + 1) * len, key(n)))
}

fn one_key(_: u64) -> &'static str {
    ""
}

#[test]
fn a_named_key_that_is_not_to_be_tried_again_holds_up_no_other() {
    for threads in [1, 2, 8] {
        let mut sim = Sim::new(threads, batches(40, 1, |n| if n % 2 == 0 { "spent" } else { "good" }));
        // As the ingest says with x-should-retry: false.
        sim.run(MAX / 2, &|request| if request.key == "spent" { hold(429) } else { accepted() });
        assert_eq!((sim.delivered(), sim.set_aside.len()), (20, 0), "{threads} threads");
        assert!(sim.requests.len() <= 20 + threads, "{} requests, {threads} threads", sim.requests.len());
        sim.run(MAX * 2, &|_| accepted());
        assert_eq!(sim.delivered(), 40, "{threads} threads");
    }
}

#[test]
fn a_batch_that_always_fails_holds_up_the_others_for_a_while_only() {
    for status in [408, 409, 425, 500, 502, 504] {
        for threads in [1, 2, 8] {
            let mut sim = Sim::new(threads, batches(20, 1, one_key));
            sim.run(MAX * 20, &|request| {
                if request.items.start == 3 { retry(status, None) } else { accepted() }
            });
            // Only 500 says so much against the batch that it is set aside.
            let delivered = sim.settled.iter().filter(|(_, delivered, _)| *delivered == 1).count();
            assert_eq!(delivered, 19, "{status}, {threads} threads");
            let most = 20 + 8 + 20 + threads;
            assert!(
                sim.requests.len() <= most,
                "{} requests, {status}, {threads} threads",
                sim.requests.len()
            );
        }
    }
}

#[test]
fn a_key_that_comes_just_after_it_was_missed_is_not_waited_for() {
    let mut sim = Sim::new(1, batches(1, 1, one_key));
    let wakes = sim.gates.keys().wakes();
    let Task::Take { .. } = sim.dispatch.next(sim.now, 0) else { unreachable!() };
    let job = sim.dispatch.took(sim.lane.pop_front().unwrap());
    sim.wake();
    sim.dispatch.hold_key(job, "no API key".into(), wakes, sim.now);
    sim.run(BASE, &|_| accepted());
    assert_eq!(sim.delivered(), 1);
}

#[test]
fn a_batch_that_is_not_to_be_sent_any_more_spends_no_probe() {
    let mut sim = Sim::new(1, batches(3, 1, one_key));
    sim.run(BASE / 2, &|_| retry(503, None));
    sim.now = sim.start + MAX;
    for first in 0..2 {
        let Task::Look(mut job) = (match sim.dispatch.next(sim.now, 0) {
            Task::Take { .. } => Task::Look(sim.dispatch.took(sim.lane.pop_front().unwrap())),
            task => task,
        }) else {
            unreachable!()
        };
        assert_eq!(job.first(), first);
        job.drop_rest();
        sim.settle(job);
    }
    sim.run(MAX * 2, &|_| accepted());
    assert_eq!(sim.settled[2], (2, 1, 0));
}

#[test]
fn an_endpoint_that_refuses_everything_is_probed_once_a_delay_and_takes_bounded_memory() {
    for threads in [1, 2, 4, 8, 32] {
        for status in [400, 413] {
            let mut sim = Sim::new(threads, batches(1000, 64, one_key));
            sim.run(MAX * 20, &|_| match status {
                400 => refused(),
                _ => Outcome::TooLarge(answer(413)),
            });
            // Two batches down to their items, and one batch of each thread down to its first item.
            let first = sim.requests_between(Duration::ZERO, MAX);
            assert!(first <= 2 * 127 + 7 * threads, "{first} requests, {threads} threads");
            for delay in 2..20 {
                let most = sim.requests_between(MAX * delay, MAX * (delay + 1));
                assert!((1..=6).contains(&most), "{most} requests in a delay, {threads} threads");
            }
            assert_eq!((sim.delivered(), sim.settled.len()), (0, 0));
            assert!(sim.lane.len() > 1000 - 25 - threads, "{} batches are left", sim.lane.len());
            sim.run(MAX * 40, &|_| accepted());
            assert_eq!(sim.delivered(), 64_000);
        }
    }
}

#[test]
fn memory_of_unproven_batches_is_bounded() {
    let mut long = Sim::new(4, []);
    for n in 0..40_u64 {
        let mut batch = Batch::new("lane", n, "");
        batch.push(&[b' '; 1 << 20]);
        long.lane.push_back(Arc::new(StoredBatch {
            batch,
            bytes_before: 0,
            newest_unix_ms: 0,
            oldest_unix_ms: 0,
        }));
    }
    long.run(MAX * 100, &|_| refused());
    assert!((16..=24).contains(&(40 - long.lane.len())), "{} batches are left", long.lane.len());
}

#[test]
fn a_refused_key_costs_other_keys_nothing() {
    for (threads, status) in [(1, 401), (2, 401), (8, 401), (1, 403), (8, 403)] {
        let key = |n| if n % 2 == 0 { "bad" } else { "good" };
        let mut sim = Sim::new(threads, batches(200, 1, key));
        sim.run(MAX / 2, &|request| if request.key == "bad" { hold(status) } else { accepted() });
        assert_eq!(sim.delivered(), 100, "{threads} threads");
        assert_eq!(sim.set_aside.len(), 100);
        assert!(sim.set_aside.iter().all(|(_, reason)| reason == "key_refused:bad"));
        // The key is not asked for again before its time.
        assert!(sim.requests.len() <= 100 + threads, "{} requests", sim.requests.len());
        assert!(sim.now - sim.start <= LATENCY * 102, "{:?}", sim.now - sim.start);
    }
}

#[test]
fn a_default_key_that_is_refused_waits_and_holds_up_no_named_one() {
    for threads in [1, 8] {
        let mut sim = Sim::new(threads, batches(200, 1, |n| if n % 2 == 0 { "" } else { "good" }));
        sim.run(MAX / 2, &|request| if request.key.is_empty() { hold(401) } else { accepted() });
        assert_eq!((sim.delivered(), sim.set_aside.len()), (100, 0));
        assert_eq!(sim.dispatch.status(sim.start + BASE * 5).state, ExportState::Hold);
        sim.run(MAX * 2, &|_| accepted());
        assert_eq!(sim.delivered(), 200);
    }
}

#[test]
fn a_key_that_is_to_wait_waits_and_others_go_on() {
    for threads in [1, 2, 8] {
        for (status, after) in [(429, Some(MAX * 2)), (503, Some(MAX * 2)), (429, None)] {
            let mut sim = Sim::new(threads, batches(200, 1, |n| if n % 2 == 0 { "busy" } else { "good" }));
            let busy = |request: &Request| match request.key {
                "busy" => retry(status, after),
                _ => accepted(),
            };
            sim.run(BASE * 3 / 4, &busy);
            assert_eq!(sim.delivered(), 100, "{threads} threads, {status} {after:?}");
            let of_busy = sim.requests.iter().filter(|(.., sign)| *sign == '!').count();
            assert!(of_busy <= threads, "{of_busy} requests");
            if let Some(after) = after {
                let before = sim.requests.len();
                sim.run(after, &busy);
                assert_eq!(sim.requests.len(), before, "the wait is honoured");
            }
            sim.run(MAX * 8, &|_| accepted());
            assert_eq!(sim.delivered(), 200);
        }
    }
}

/// Asking the lane for a batch takes time, in which the key may become due.
#[test]
fn a_key_that_becomes_due_while_the_lane_is_asked_is_not_slept_over() {
    let mut sim = Sim::new(1, [(0..1, "slow")]);
    assert_eq!(sim.step(), Ok(()));
    sim.answer(&|_| retry(429, Some(BASE)));
    let due = sim.step().unwrap_err().unwrap();
    let before = due - Duration::from_millis(1);
    assert!(matches!(sim.dispatch.next(before, sim.accepted), Task::Take { .. }));
    assert!(matches!(sim.dispatch.took_nothing(due, sim.accepted), Task::Look(_)));
}

#[test]
fn a_gate_that_becomes_due_while_the_lane_is_asked_is_not_slept_over() {
    for threads in [1, 2, 8] {
        let mut sim = Sim::new(threads, [(0..1, "")]);
        sim.asking = BASE * 2;
        sim.run(MAX * 10, &|request| if request.time < MAX * 2 { retry(503, None) } else { accepted() });
        assert_eq!(sim.delivered(), 1, "{threads} threads: {:?}", sim.events);
    }
}

#[test]
fn a_refusal_of_the_key_of_before_a_wake_is_asked_for_again() {
    let mut sim = Sim::new(1, [(0..1, "team")]);
    sim.step().unwrap();
    sim.wake();
    sim.answer(&|_| hold(401));
    sim.run(MAX / 2, &|_| accepted());
    assert_eq!((sim.delivered(), sim.set_aside.len()), (1, 0));
}

#[test]
fn while_a_refused_key_is_probed_its_batches_are_not_set_aside() {
    for threads in [2, 8] {
        let mut sim = Sim::new(threads, batches(1, 1, |_| "team"));
        sim.run(MAX / 2, &|_| hold(401));
        assert_eq!(sim.set_aside.len(), 1);
        sim.now = sim.start + BASE;
        sim.wake();
        sim.lane = Sim::new(1, (1..20).map(|n| (n..n + 1, "team"))).lane;
        sim.run(MAX / 2, &|_| accepted());
        assert_eq!((sim.delivered(), sim.set_aside.len()), (19, 1));
    }
}

#[test]
fn a_batch_that_is_always_answered_500_is_halved_while_others_are_accepted() {
    for threads in [1, 2, 8] {
        let mut sim = Sim::new(threads, batches(2000, 4, one_key));
        sim.run(MAX * 40, &|request| if request.items.contains(&5) { retry(500, None) } else { accepted() });
        assert_eq!(sim.delivered(), 7999, "{threads} threads");
        assert!(sim.settled.contains(&(4, 3, 1)), "{threads} threads");
        let tries = sim.requests.iter().filter(|(_, items, _)| *items == (4..8)).count();
        assert_eq!(tries, 8);
        // The others do not wait for it.
        let good = sim.requests.iter().filter(|(time, _, sign)| *sign == '+' && *time < MAX * 2).count();
        assert!(good > 1900, "{good}");
    }
}

#[test]
fn an_ingest_that_answers_500_to_everything_costs_nothing() {
    for threads in [1, 8] {
        let mut sim = Sim::new(threads, batches(20, 4, one_key));
        sim.run(MAX * 40, &|_| retry(500, None));
        assert_eq!((sim.settled.len(), sim.set_aside.len()), (0, 0));
        let requests = sim.requests_between(MAX * 10, MAX * 40);
        assert!((29..=31).contains(&requests), "{requests}");
        sim.run(MAX * 60, &|_| accepted());
        assert_eq!(sim.delivered(), 80);
    }
}

#[test]
fn a_batch_that_is_given_up_opens_nothing() {
    for threads in [1, 8] {
        let mut sim = Sim::new(threads, batches(1000, 1, one_key));
        sim.dispatch.limits.max_retries = 1;
        sim.run(MAX * 10, &|_| retry(503, None));
        let requests = sim.requests.len();
        assert!(requests <= 15 + threads, "{requests} requests, {threads} threads");
        assert_eq!(sim.set_aside.len(), requests);
    }
}

/// Whatever the ingest answers to whatever number of threads: nothing is lost, and once it is well all is delivered or
/// set aside.
#[test]
fn a_random_ingest_loses_nothing() {
    for seed in 0..300_u64 {
        let threads = [1, 2, 8][seed as usize % 3];
        let noise = std::cell::RefCell::new(seed);
        let below = |limit: u64| {
            let mut state = noise.borrow_mut();
            *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (*state >> 33) % limit
        };
        let count = 1 + below(60);
        let mut sim = Sim::new(threads, batches(count, 4, |n| ["", "a", "b"][n as usize % 3]));
        // Meanwhile a gate may become due.
        sim.asking = BASE * below(3) as u32;
        sim.run(MAX * (1 + below(10) as u32), &|request| match below(14) {
            0 => refused(),
            1 => Outcome::TooLarge(answer(413)),
            2 => retry(429, Some(BASE * below(50) as u32)),
            3 => retry(503, Some(BASE * below(50) as u32)),
            4 => retry(503, None),
            5 => retry(500, None),
            6 => hold(401),
            7 => hold(404),
            8 if request.key == "b" => Outcome::NoKey,
            9 if request.bytes > 20 => retry(0, None),
            _ => accepted(),
        });
        sim.run(MAX * 40, &|_| accepted());
        let kept: u64 = sim.settled.iter().map(|(_, delivered, bad)| delivered + *bad as u64).sum();
        let mut firsts: Vec<u64> = sim.settled.iter().map(|(first, ..)| *first).collect();
        firsts.extend(sim.set_aside.iter().map(|(first, _)| *first));
        firsts.sort_unstable();
        assert!(firsts.iter().copied().eq((0..count).map(|n| n * 4)), "seed {seed}: {firsts:?}");
        assert_eq!(kept, 4 * sim.settled.len() as u64, "seed {seed}");
        assert_eq!(sim.dispatch.waiting_bytes(), 0, "seed {seed}");
    }
}
