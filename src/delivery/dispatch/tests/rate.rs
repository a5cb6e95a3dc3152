//! How fast requests follow one another at an ingest that fails now and then, and at one that was down.

use super::*;

#[test]
fn an_ingest_that_fails_now_and_then_costs_little() {
    let time_for = |fails_one_in: u64| {
        let mut sim = Sim::new(8, batches(20_000, 1, one_key));
        let requests = std::cell::Cell::new(0);
        sim.run(MAX * 100, &|_| {
            requests.set(requests.get() + 1);
            let is_failure = requests.get() * 7919 % fails_one_in == 1;
            if is_failure { retry(503, None) } else { accepted() }
        });
        assert_eq!(sim.delivered(), 20_000);
        // The last ones that failed have to wait for their turn.
        let (most, ..) = sim.requests.iter().filter(|(.., sign)| *sign == '+').nth(19_000).unwrap();
        *most
    };
    let (without, with) = (time_for(u64::MAX), time_for(100));
    assert!(with < without * 11 / 10, "{with:?}, and {without:?} without failures");
}

#[test]
fn one_request_in_flight_that_fails_shuts_the_gate() {
    let mut sim = Sim::new(1, batches(10, 1, one_key));
    sim.run(MAX, &|request| if request.time < BASE { retry(503, None) } else { accepted() });
    assert_eq!((sim.requests_between(Duration::ZERO, BASE), sim.delivered()), (1, 10));
}

#[test]
fn after_an_outage_requests_begin_slowly_and_reach_full_speed_soon() {
    for threads in [1, 8] {
        let mut sim = Sim::new(threads, batches(1000, 1, one_key));
        sim.run(MAX * 20, &|request| if request.time < MAX * 3 { retry(503, None) } else { accepted() });
        let times: Vec<Duration> =
            sim.requests.iter().filter(|(.., sign)| *sign == '+').map(|(time, ..)| *time).collect();
        assert_eq!(times.len(), 1000);
        let gaps: Vec<Duration> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        // Each gap is random within a half to either side.
        assert!(gaps[0] >= MAX / 128, "{threads} threads: {gaps:?}");
        assert!(times[12] - times[0] <= MAX / 16 + LATENCY * 12, "{threads} threads: {gaps:?}");
        assert!(gaps[12..].iter().all(|gap| *gap <= LATENCY), "{threads} threads: {gaps:?}");
    }
}

#[test]
fn a_request_that_is_refused_soon_after_an_outage_slows_a_client_down_for_a_while() {
    let end = MAX * 3;
    let time_for = |refused_for: Duration| {
        let mut sim = Sim::new(8, batches(1000, 1, one_key));
        let answered = std::cell::Cell::new(Duration::ZERO);
        sim.run(end * 10, &|request| {
            if request.time >= end && answered.get().is_zero() {
                answered.set(request.time);
                return accepted();
            }
            if request.time < answered.get().max(end) + refused_for { retry(503, None) } else { accepted() }
        });
        assert_eq!(sim.delivered(), 1000);
        sim.requests.last().unwrap().0 - answered.get()
    };
    let (without, with) = (time_for(Duration::ZERO), time_for(BASE));
    assert!(without < BASE * 4, "{without:?} without a refusal");
    assert!((MAX / 2..MAX * 2).contains(&with), "{with:?}, and {without:?} without a refusal");
}
