//! Check: what the model predicts next to what real clients do.

use std::process::ExitCode;

use crate::delivery::Settings;
use crate::ingest::{Down, Manners, RetryAfter};
use crate::measure::{Measured, SHARES};
use crate::policy::Kind;
use crate::scenario::Scenario;
use crate::{Result, real, run};

/// A prediction may be off by so much.
const TOLERANCE: f64 = 0.2;
/// The model is run as often, each time with other random numbers; its prediction is the median.
const SEEDS: u64 = 15;

/// 200 clients, an outage of 20 s, and an ingest that takes twice what they make.
pub fn scenario() -> Scenario {
    let settings = Settings { base_delay: 250, max_delay: 4_000, ..Settings::DEFAULT };
    let ingest = Manners {
        capacity: 250.0,
        cold: 1.0,
        warms_in: 0,
        longest_wait: 250,
        refusal: 0.1,
        handshake: 0.0,
        retry_after: RetryAfter::Absent,
        down: Down::Unavailable,
        round_trip: 2,
        ..Scenario::usual().ingest
    };
    Scenario {
        name: "200 real clients",
        clients: 200,
        outage: 20_000,
        items_per_s: 5.0,
        batch: 8,
        schedule_delay: 1_000,
        settings,
        ingest,
        ..Scenario::usual()
    }
}

/// Runs both and prints them side by side. Fails if a prediction misses.
pub fn check() -> Result<ExitCode> {
    let scenario = scenario();
    let predicted: Vec<Measured> =
        (1..=SEEDS).map(|seed| run::run(&Scenario { seed, ..scenario.clone() }, Kind::Ours)).collect();
    let measured = real::run(&scenario)?;
    println!("| {} | predicted | lowest | highest | measured | off by | |", scenario.name);
    println!("|---|---:|---:|---:|---:|---:|---|");
    let mut misses = 0;
    for (what, of) in figures() {
        let mut all: Vec<f64> = predicted.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        let (model, real) = (all[all.len() / 2], of(&measured));
        let off = real / model - 1.0;
        let hits = off.abs() <= TOLERANCE;
        misses += usize::from(!hits);
        let (least, most) = (all[0], all[all.len() - 1]);
        let mark = if hits { "✓" } else { "✗" };
        println!(
            "| {what} | {model:.2} | {least:.2} | {most:.2} | {real:.2} | {:+.0} % | {mark} |",
            off * 100.0
        );
    }
    Ok(if misses == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

type Of = fn(&Measured) -> f64;

/// What is compared, in seconds and requests a second.
fn figures() -> Vec<(&'static str, Of)> {
    fn drained(measured: &Measured, at: usize) -> f64 {
        measured.drained[at].map_or(f64::INFINITY, |ms| ms as f64 / 1000.0)
    }
    debug_assert_eq!(SHARES, [0.5, 0.99, 1.0]);
    vec![
        ("50 % drained, s", |measured| drained(measured, 0)),
        ("99 % drained, s", |measured| drained(measured, 1)),
        ("100 % drained, s", |measured| drained(measured, 2)),
        ("most requests a second after 2 s", Measured::peak),
        ("requests refused for each accepted", Measured::refused),
    ]
}
