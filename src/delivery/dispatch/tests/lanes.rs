//! Lanes that are delivered through the same gates.

use super::*;

/// Time that one lane may be ahead of the others.
const SLICE: Duration = Duration::from_millis(100);

/// Lanes of one client, each with a thread and `count` batches of one item. Items of the lane `n` begin at `n` times 1000.
fn lanes(number: u64, count: u64) -> Vec<Sim> {
    lanes_with(number, count, |_| "")
}

/// The same; item `n` of each lane is sent with the key that `key` names.
fn lanes_with(number: u64, count: u64, key: fn(u64) -> &'static str) -> Vec<Sim> {
    let mut sims: Vec<Sim> = (0..number)
        .map(|lane| Sim::new(1, (0..count).map(move |n| (lane * 1000 + n..lane * 1000 + n + 1, key(n)))))
        .collect();
    let (gates, start) = (sims[0].gates.clone(), sims[0].start);
    for sim in &mut sims {
        let limits = Limits { backoff: Backoff::new(BASE, MAX, 0.0), ..sim.dispatch.limits };
        sim.dispatch = Dispatch::new(limits, gates.clone());
        (sim.gates, sim.start, sim.now) = (gates.clone(), start, start);
    }
    sims
}

/// Runs all lanes from `from` to `to`.
fn run(sims: &mut [Sim], (from, to): (Duration, Duration), ingest: Ingest) {
    let mut end = from;
    while end < to {
        end += SLICE;
        for at in 0..sims.len() {
            // A lane that waits is woken by what the others do.
            sims[at].now = sims[at].start + end - SLICE;
            sims[at].run(end, ingest);
            let accepted = sims.iter().map(|sim| sim.accepted).max().unwrap();
            sims.iter_mut().for_each(|sim| sim.accepted = accepted);
        }
    }
}

fn requests(sims: &[Sim], from: Duration, to: Duration) -> usize {
    sims.iter().map(|sim| sim.requests_between(from, to)).sum()
}

/// Runs all lanes for eight of the longest delays, after two of them.
#[track_caller]
fn assert_probed_once_for_all(sims: &mut [Sim], ingest: Ingest) {
    run(sims, (MAX * 2, MAX * 10), ingest);
    let most = requests(sims, MAX * 2, MAX * 10);
    assert!((7..=9).contains(&most), "{most} requests in eight delays");
}

#[test]
fn what_another_lane_delivers_proves_the_endpoint_too() {
    let mut sim = Sim::new(1, [(0..1, "")]);
    sim.run(MAX / 2, &|_| refused());
    assert_eq!(sim.events, ["-0..1", "hold"]);
    sim.accepted += 1;
    sim.run(MAX * 2, &|_| refused());
    assert_eq!(sim.events, ["-0..1", "hold", "-0..1", "settled 0/1"]);
}

#[test]
fn an_ingest_that_is_down_is_probed_once_for_all_lanes() {
    for outcome in [|| retry(503, None), || hold(404)] {
        let mut sims = lanes(5, 100);
        run(&mut sims, (Duration::ZERO, MAX * 2), &|_| outcome());
        assert_probed_once_for_all(&mut sims, &|_| outcome());
        run(&mut sims, (MAX * 10, MAX * 12), &|_| accepted());
        assert!(sims.iter().all(|sim| sim.delivered() == 100));
    }
}

#[test]
fn lanes_that_are_refused_everything_probe_one_after_another() {
    let mut sims = lanes(5, 100);
    run(&mut sims, (Duration::ZERO, MAX * 10), &|_| refused());
    for delay in 2..10 {
        let most = requests(&sims, MAX * delay, MAX * (delay + 1));
        assert!((1..=6).contains(&most), "{most} requests in a delay");
    }
    assert_eq!(sims.iter().map(|sim| sim.settled.len()).sum::<usize>(), 0);
    run(&mut sims, (MAX * 10, MAX * 12), &|_| accepted());
    assert!(sims.iter().all(|sim| sim.delivered() == 100));
}

#[test]
fn a_lane_that_is_refused_everything_holds_up_no_other() {
    let mut sims = lanes(2, 100);
    let waiting = std::mem::take(&mut sims[1].lane);
    let ingest = |request: &Request| if request.items.start < 1000 { refused() } else { accepted() };
    run(&mut sims, (Duration::ZERO, BASE), &ingest);
    assert_eq!(sims[0].dispatch.status(sims[0].now).state, ExportState::Hold);
    sims[1].lane = waiting;
    run(&mut sims, (BASE, BASE * 3), &ingest);
    assert_eq!(sims[1].delivered(), 100);
    // What the other lane delivers proves that the endpoint is well, as long as it does.
    assert!(sims[0].settled.len() >= 2);
}

#[test]
fn a_wake_lets_one_probe_pass_at_once() {
    let mut sims = lanes(3, 100);
    run(&mut sims, (Duration::ZERO, MAX * 4), &|_| retry(503, None));
    let before = requests(&sims, Duration::ZERO, MAX * 5);
    let now = sims[0].start + MAX * 4;
    sims[0].gates.wake(now);
    sims.iter_mut().for_each(|sim| sim.dispatch.wake());
    run(&mut sims, (MAX * 4, MAX * 4 + BASE), &|_| retry(503, None));
    assert_eq!(requests(&sims, Duration::ZERO, MAX * 5), before + 1);
}

#[test]
fn a_key_that_is_to_wait_is_probed_once_for_all_lanes_and_holds_up_no_other() {
    for (name, outcome) in
        [("", || hold(401)), ("busy", || retry(429, None)), ("busy", || retry(503, Some(BASE)))]
            as [(&str, fn() -> Outcome); 3]
    {
        let keys: fn(u64) -> &'static str = match name {
            "" => |n| if n % 2 == 0 { "" } else { "good" },
            _ => |n| if n % 2 == 0 { "busy" } else { "good" },
        };
        let mut sims = lanes_with(5, 20, keys);
        let ingest = |request: &Request| if request.key == name { outcome() } else { accepted() };
        run(&mut sims, (Duration::ZERO, MAX * 2), &ingest);
        assert!(sims.iter().all(|sim| sim.delivered() == 10));
        assert_probed_once_for_all(&mut sims, &ingest);
        run(&mut sims, (MAX * 10, MAX * 13), &|_| accepted());
        assert!(sims.iter().all(|sim| sim.delivered() == 20));
    }
}

#[test]
fn a_named_key_that_is_refused_to_one_lane_is_set_aside_in_all() {
    let mut sims = lanes_with(5, 20, |n| if n % 2 == 0 { "bad" } else { "good" });
    let ingest = |request: &Request| if request.key == "bad" { hold(403) } else { accepted() };
    run(&mut sims, (Duration::ZERO, MAX * 3 / 4), &ingest);
    for sim in &sims {
        assert_eq!((sim.delivered(), sim.set_aside.len()), (10, 10));
    }
    let asked = sims.iter().flat_map(|sim| &sim.requests).filter(|(.., sign)| *sign != '+').count();
    assert_eq!(asked, 1, "requests with a key that is refused");
}
