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
fn after_an_outage_requests_begin_slowly_and_reach_full_speed() {
    for threads in [1, 8] {
        let mut sim = Sim::new(threads, batches(1000, 1, one_key));
        sim.run(MAX * 20, &|request| if request.time < MAX * 3 { retry(503, None) } else { accepted() });
        let times: Vec<Duration> =
            sim.requests.iter().filter(|(.., sign)| *sign == '+').map(|(time, ..)| *time).collect();
        assert_eq!(times.len(), 1000);
        let gaps: Vec<Duration> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let sum = |range: std::ops::Range<usize>| gaps[range].iter().sum::<Duration>();
        // Each gap is random within a half, so they get shorter on average.
        assert!(gaps[0] >= Duration::from_millis(1500), "{threads} threads: {gaps:?}");
        assert!(sum(0..20) > sum(20..40) && sum(20..40) > sum(40..60), "{threads} threads: {gaps:?}");
        assert!(times[200] - times[0] < MAX * 4, "{threads} threads: {gaps:?}");
        assert!(gaps[200..].iter().all(|gap| *gap <= LATENCY), "{threads} threads: {gaps:?}");
    }
}
