//! Picture: one scenario under several policies, over time.

#[path = "../../benches/src/plot.rs"]
mod plot;

use crate::Result;
use crate::measure::{Measured, Second};
use crate::policy::Kind;
use crate::scenario::Scenario;
use plot::{Axis, Line};

/// What a picture shows of each second.
struct Curve {
    file: &'static str,
    title: &'static str,
    axis: &'static str,
    most: f64,
    of: fn(&Second) -> f64,
    /// Each second's figure is added to those before it.
    is_sum: bool,
}

const CURVES: [Curve; 3] = [
    Curve {
        file: "requests",
        title: "requests made after the ingest's return",
        axis: "share of the capacity",
        most: 2.0,
        of: |second| f64::from(second.offered),
        is_sum: false,
    },
    Curve {
        file: "goodput",
        title: "requests accepted after the ingest's return",
        axis: "share of the capacity",
        most: 1.2,
        of: |second| f64::from(second.accepted - second.duplicates.min(second.accepted)),
        is_sum: false,
    },
    Curve {
        file: "drained",
        title: "backlog delivered after the ingest's return",
        axis: "share of the backlog",
        most: 1.0,
        of: |second| second.drained as f64,
        is_sum: true,
    },
];

/// The pictures of `scenario`: the name of each one's file, and the SVG.
pub fn pictures(scenario: &Scenario, runs: &[(Kind, Measured)]) -> Result<Vec<(String, String)>> {
    let ours = runs.iter().find(|(kind, _)| *kind == Kind::Ours);
    let end = ours.map_or(1.0, |(_, measured)| measured.seconds.len() as f64 * 2.0);
    let x = Axis { title: "seconds", marks: marks(end, 6.0, ""), is_log: false };
    let name = scenario.name.replace([' ', ':', ','], "-").replace("--", "-").to_lowercase();
    let mut pictures = Vec::new();
    for curve in CURVES {
        let y = Axis { title: curve.axis, marks: marks(curve.most, 6.0, " %"), is_log: false };
        let lines: Vec<Line> = runs.iter().map(|run| line(&curve, scenario, run, end)).collect();
        let title = format!("{}: {}", scenario.name, curve.title);
        pictures.push((format!("{name}-{}.svg", curve.file), plot::svg(&title, &x, &y, &lines)?));
    }
    Ok(pictures)
}

fn line(curve: &Curve, scenario: &Scenario, (kind, measured): &(Kind, Measured), end: f64) -> Line {
    let whole = if curve.is_sum { measured.backlog as f64 } else { scenario.ingest.capacity };
    let mut sum = 0.0;
    let seconds = measured.seconds.iter().enumerate();
    let points = seconds.take(end as usize).map(|(at, second)| {
        sum = (curve.of)(second) + if curve.is_sum { sum } else { 0.0 };
        (at as f64, sum / whole)
    });
    Line { name: kind.name().to_owned(), points: points.collect() }
}

/// `count` steps from 0 to `end`.
fn marks(end: f64, count: f64, unit: &str) -> Vec<(f64, String)> {
    let scale = if unit == " %" { 100.0 } else { 1.0 };
    let step = |n: u32| end * f64::from(n) / count;
    (0..=count as u32).map(|n| (step(n), format!("{:.0}{unit}", step(n) * scale))).collect()
}
