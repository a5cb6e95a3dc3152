//! A fleet of clients that come back after an outage.
//!
//! ```text
//! cargo run --release [scenario ...]    all scenarios, or those whose names contain one of these words
//! cargo run --release -- check          the model next to real clients, in real time
//! ```
//! A whole run takes two minutes on two cores. Tables go to standard output, pictures to `plots/`. The exit status is 1 if a
//! prediction of the check misses.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use fleet::measure::Measured;
use fleet::policy::Kind;
use fleet::run::run;
use fleet::scenario::Scenario;
use fleet::{Result, check, picture, report};

/// Of this one all policies are drawn.
const DRAWN: &str = "usual";

fn main() -> Result<ExitCode> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == "check") {
        return check::check();
    }
    let is_wanted = |s: &Scenario| words.is_empty() || words.iter().any(|word| s.name.contains(&**word));
    let mut ours = Scenario::all();
    ours.retain(is_wanted);
    let mut compared = Scenario::compared();
    compared.retain(is_wanted);
    let mut jobs: Vec<(&Scenario, Kind)> = ours.iter().map(|scenario| (scenario, Kind::Ours)).collect();
    jobs.extend(compared.iter().flat_map(|scenario| Kind::ALL.map(|kind| (scenario, kind))));
    let mut runs = run_all(&jobs)?.into_iter();

    println!("{}", report::heading("scenario"));
    for (scenario, measured) in ours.iter().zip(&mut runs) {
        println!("{}", report::row(scenario.name, scenario, &measured));
    }
    for scenario in &compared {
        let runs: Vec<_> = Kind::ALL.into_iter().zip(&mut runs).collect();
        println!("\n{}", report::heading(&format!("{}, a fifth as many clients", scenario.name)));
        for (kind, measured) in &runs {
            println!("{}", report::row(kind.name(), scenario, measured));
        }
        if scenario.name == DRAWN {
            draw(scenario, &runs)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs the scenarios on two threads. What comes of each depends on its seed only.
fn run_all(jobs: &[(&Scenario, Kind)]) -> Result<Vec<Measured>> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    let work = || {
        while let Some((at, (scenario, kind))) = take(&next, jobs) {
            let measured = run(scenario, *kind);
            eprintln!("{}", report::row(&format!("{}: {}", kind.name(), scenario.name), scenario, &measured));
            done.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push((at, measured));
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        scope.spawn(work);
    });
    let mut done = done.into_inner()?;
    done.sort_by_key(|(at, _)| *at);
    Ok(done.into_iter().map(|(_, measured)| measured).collect())
}

fn take<'a, T>(next: &AtomicUsize, jobs: &'a [T]) -> Option<(usize, &'a T)> {
    let at = next.fetch_add(1, Relaxed);
    Some((at, jobs.get(at)?))
}

fn draw(scenario: &Scenario, runs: &[(Kind, Measured)]) -> Result<()> {
    let plots = Path::new(env!("CARGO_MANIFEST_DIR")).join("plots");
    std::fs::create_dir_all(&plots)?;
    for (file, svg) in picture::pictures(scenario, runs)? {
        std::fs::write(plots.join(file), svg)?;
    }
    Ok(())
}
