//! The gate by itself, and against whatever a random ingest and dropped permits do to it.

#![allow(clippy::unwrap_used)]

use super::*;

const BASE: Duration = Duration::from_secs(1);
const PROBE: Duration = Duration::from_secs(30);
const MS: Duration = Duration::from_millis(1);

fn gate() -> (Gate, Instant) {
    (Gate::new(Backoff::new(BASE, PROBE, 0.0), PROBE), Instant::now())
}

fn failed(after: Option<Duration>) -> Reply {
    Reply::Retry { reason: "HTTP 503".into(), after }
}

fn refused_key() -> Reply {
    Reply::Hold("HTTP 401".into())
}

/// Until when a gate that nothing passes is shut, from `now` on.
fn shut_for(gate: &Gate, now: Instant) -> Duration {
    gate.wait(now).map_or(Duration::ZERO, |until| until - now)
}

#[test]
fn while_it_is_shut_nothing_passes_and_then_one_request_does() {
    let (mut gate, now) = gate();
    let (first, _second) = (gate.enter(now).unwrap(), gate.enter(now).unwrap());
    assert_eq!(gate.answer(first, failed(None), now), Some(News::Shut));
    assert_eq!(gate.enter(now).unwrap_err(), now + BASE);
    let probe = gate.enter(now + BASE).unwrap();
    assert_eq!(gate.enter(now + BASE).unwrap_err(), now + BASE + PROBE);
    assert_eq!(gate.answer(probe, Reply::Accepted, now + BASE), Some(News::Opened));
    let _both = (gate.enter(now + BASE).unwrap(), gate.enter(now + BASE).unwrap());
}

#[test]
fn after_an_outage_requests_keep_to_a_pace_and_after_one_failure_they_do_not() {
    for (probes, asked) in [(0, None), (1, None), (0, Some(BASE * 5))] {
        let (mut gate, mut now) = gate();
        let first = gate.enter(now).unwrap();
        gate.answer(first, failed(asked), now);
        for _ in 0..probes {
            now = gate.wait(now).unwrap();
            let probe = gate.enter(now).unwrap();
            gate.answer(probe, failed(None), now);
        }
        now = gate.wait(now).unwrap();
        let probe = gate.enter(now).unwrap();
        gate.answer(probe, Reply::Accepted, now);
        assert!(gate.is_open());
        assert_eq!(gate.wait(now).is_some(), probes > 0 || asked.is_some(), "{probes} probes, {asked:?}");
    }
}

#[test]
fn a_probe_that_is_dropped_makes_the_gate_due_and_one_that_hangs_does_later() {
    let (mut gate, now) = gate();
    gate.close(1, "no key".into(), now);
    let probe = gate.enter(now + PROBE).unwrap();
    assert!(gate.enter(now + PROBE).is_err());
    drop(probe);
    let hanging = gate.enter(now + PROBE).unwrap();
    assert_eq!(gate.enter(now + PROBE).unwrap_err(), now + PROBE * 2);
    let other = gate.enter(now + PROBE * 2).unwrap();
    // The first one's answer counts all the same: answers may take longer than the time between probes.
    gate.answer(hanging, Reply::Accepted, now + PROBE * 2);
    assert!(gate.is_open());
    drop(other);
    assert!(gate.is_open());
}

#[test]
fn requests_that_fail_together_are_one_failure() {
    let (mut gate, now) = gate();
    let under_way: Vec<Permit> = (0..8).map(|_| gate.enter(now).unwrap()).collect();
    for permit in under_way {
        gate.answer(permit, failed(None), now);
    }
    assert_eq!(shut_for(&gate, now), BASE);
    let probe = gate.enter(now + BASE).unwrap();
    gate.answer(probe, failed(None), now + BASE);
    assert_eq!(shut_for(&gate, now + BASE), BASE * 2);
    let probe = gate.enter(now + BASE * 3).unwrap();
    gate.answer(probe, Reply::Refused, now + BASE * 3);
    let now = now + BASE * 4;
    let again = gate.enter(now).unwrap();
    gate.answer(again, failed(None), now);
    assert_eq!(shut_for(&gate, now), BASE, "an answer resets the backoff");
}

#[test]
fn a_success_that_began_before_a_failure_does_not_end_it() {
    let (mut gate, now) = gate();
    let (fails, succeeds) = (gate.enter(now).unwrap(), gate.enter(now).unwrap());
    gate.answer(fails, failed(None), now);
    assert_eq!(gate.answer(succeeds, Reply::Accepted, now), None);
    assert_eq!(shut_for(&gate, now), BASE);
}

#[test]
fn a_wait_that_is_asked_for_is_honoured_whole_whatever_else_is_said() {
    for order in [[true, false], [false, true]] {
        let (mut gate, now) = gate();
        let under_way = order.map(|asks| (gate.enter(now).unwrap(), asks));
        let succeeds = gate.enter(now).unwrap();
        for (permit, asks) in under_way {
            gate.answer(permit, failed(asks.then_some(BASE * 5)), now);
        }
        gate.answer(succeeds, Reply::Accepted, now);
        let wait = shut_for(&gate, now);
        assert!((BASE * 5..BASE * 10).contains(&wait), "{wait:?}");
    }
    // Also when it comes while a probe is under way, or after the gate was opened.
    for opens in [false, true] {
        let (mut gate, now) = gate();
        let (fails, asks) = (gate.enter(now).unwrap(), gate.enter(now).unwrap());
        gate.answer(fails, failed(None), now);
        let now = now + BASE;
        let mut probe = Some(gate.enter(now).unwrap());
        if opens {
            gate.answer(probe.take().unwrap(), Reply::Accepted, now);
        }
        gate.answer(asks, failed(Some(BASE * 5)), now);
        if let Some(probe) = probe {
            gate.answer(probe, Reply::Accepted, now);
        }
        assert!(shut_for(&gate, now) >= BASE * 5, "opened first: {opens}");
    }
}

#[test]
fn a_wait_that_is_asked_for_is_spread() {
    let waits: Vec<Duration> = (0..200)
        .map(|_| {
            let (mut gate, now) = gate();
            let permit = gate.enter(now).unwrap();
            gate.answer(permit, failed(Some(PROBE * 2)), now);
            shut_for(&gate, now)
        })
        .collect();
    assert!(waits.iter().all(|wait| (PROBE * 2..PROBE * 4).contains(wait)), "{waits:?}");
    assert!(waits.iter().any(|w| *w < PROBE * 5 / 2) && waits.iter().any(|w| *w > PROBE * 7 / 2));
}

#[test]
fn what_is_said_to_a_request_from_before_a_wake_does_not_shut_the_gate() {
    let (mut gate, now) = gate();
    let late = gate.enter(now).unwrap();
    gate.wake(now);
    assert_eq!(gate.answer(late, refused_key(), now), None);
    assert!(gate.is_open());

    let fails = gate.enter(now).unwrap();
    gate.answer(fails, refused_key(), now);
    gate.wake(now);
    let late = gate.enter(now).unwrap();
    gate.wake(now);
    gate.answer(late, refused_key(), now);
    assert_eq!(gate.wait(now), None);
    let probe = gate.enter(now).unwrap();
    gate.answer(probe, refused_key(), now);
    assert_eq!(shut_for(&gate, now), PROBE);
    gate.wake(now);
    assert_eq!(gate.close(gate.epoch() - 1, "all is refused".into(), now), None);
    assert_eq!(gate.wait(now), None);
}

#[test]
fn waking_in_a_loop_lets_one_request_a_second_pass_while_a_wait_runs() {
    for answer_takes in [0, 3, 30, 300] {
        let (mut gate, start) = gate();
        let permit = gate.enter(start).unwrap();
        gate.answer(permit, failed(Some(BASE * 60)), start);
        let (mut requests, mut under_way) = (0, Vec::new());
        for tick in 1..10_000 {
            let now = start + MS * tick;
            if tick % 10 == 0 {
                gate.wake(now);
            }
            if let Ok(permit) = gate.enter(now) {
                requests += 1;
                under_way.push((tick + answer_takes, permit));
            }
            while let Some(at) = under_way.iter().position(|(due, _)| *due <= tick) {
                gate.answer(under_way.remove(at).1, failed(Some(BASE * 60)), now);
            }
        }
        assert!((5..=11).contains(&requests), "{requests} requests in 10 s, answers take {answer_takes} ms");
    }
}

#[test]
fn a_reason_is_news_once_until_something_is_accepted() {
    let (mut gate, now) = gate();
    let mut say = |reply, at: u32| {
        let now = now + PROBE * at;
        let permit = gate.enter(now).unwrap();
        gate.answer(permit, reply, now)
    };
    assert_eq!(say(Reply::Accepted, 0), None);
    assert_eq!(say(failed(None), 0), Some(News::Shut));
    assert_eq!(say(failed(None), 1), None);
    assert_eq!(say(Reply::Refused, 2), None);
    assert_eq!(say(failed(None), 3), None);
    assert_eq!(say(refused_key(), 4), Some(News::Shut));
    assert_eq!(say(Reply::Accepted, 5), Some(News::Opened));
    assert_eq!(say(Reply::Accepted, 6), None);
    assert_eq!(say(failed(None), 7), Some(News::Shut));
}

/// splitmix64 (Steele et al. 2014).
struct Noise(u64);

impl Noise {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ z >> 31) % limit
    }
}

/// While something is pending and the gate is shut, a request passes within `max_delay` of the last one, and no second one
/// unless the first was dropped: whatever is answered, in whatever order, late or never.
#[test]
fn while_it_is_shut_there_is_a_probe_within_max_delay_and_not_two() {
    for seed in 0..400 {
        let mut noise = Noise(seed);
        let (mut gate, start) = gate();
        let (mut under_way, mut dropped) = (Vec::new(), false);
        // When a request passed last, or the gate was shut last.
        let (mut last, mut last_probe, mut asked_until) = (start, None, start);
        let mut now = start;
        for _ in 0..2_000 {
            now += MS * noise.below(3_000) as u32;
            let was_shut = !gate.is_open();
            match noise.below(12) {
                // A thread has something to send, most of the time.
                0..=6 => {
                    // It came to know of the gate's being due when it was.
                    now = gate.wait(now).filter(|_| noise.below(4) == 0).unwrap_or(now);
                    if let Ok(permit) = gate.enter(now) {
                        if was_shut {
                            let early = last_probe.is_some_and(|probe| now < probe + BASE);
                            assert!(!early || dropped, "seed {seed}: two probes");
                            (last_probe, dropped) = (Some(now), false);
                        }
                        last = now;
                        under_way.push((permit, was_shut));
                    } else {
                        let due = last.max(asked_until) + PROBE;
                        assert!(gate.wait(now).unwrap() <= due.max(now + PROBE), "seed {seed}: no probe");
                        assert!(now <= due, "seed {seed}: no request for too long");
                    }
                }
                7 if !under_way.is_empty() => {
                    let at = noise.below(under_way.len() as u64) as usize;
                    let (permit, _) = under_way.swap_remove(at);
                    dropped = true;
                    drop(permit);
                }
                8..=11 if !under_way.is_empty() => {
                    let at = noise.below(under_way.len() as u64) as usize;
                    let (permit, _) = under_way.swap_remove(at);
                    let after = (noise.below(3) == 0).then(|| BASE * noise.below(100) as u32);
                    let reply = match noise.below(10) {
                        0 => Reply::Accepted,
                        1 => Reply::Refused,
                        2..=3 => refused_key(),
                        _ => {
                            asked_until = after.map_or(asked_until, |after| asked_until.max(now + after * 2));
                            failed(after)
                        }
                    };
                    gate.answer(permit, reply, now);
                    last = last.max(now);
                    if gate.is_open() {
                        (last_probe, dropped) = (None, false);
                    }
                }
                _ => {}
            }
        }
    }
}
