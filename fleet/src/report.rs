//! Report: tables in Markdown.

use crate::measure::Measured;
use crate::scenario::Scenario;

/// What is reached for.
const PEAK: f64 = 1.2;
const DRAINED: f64 = 1.3;
const REFUSED: f64 = 0.1;
const AGE_S: f64 = 60.0;

/// The heading of the table of scenarios or policies.
pub fn heading(first: &str) -> String {
    let columns = "peak/capacity | refused/accepted | 50 % | 99 % | 100 % | ideal 99 % | ratio | age p50 | p99 | fair | twice";
    format!("| {first} | {columns} |\n|---|{}", "---:|".repeat(11))
}

/// One run as a row.
pub fn row(name: &str, scenario: &Scenario, measured: &Measured) -> String {
    let ideal = scenario.ideal(0.99, &measured.seconds) as f64;
    let seconds =
        |ms: Option<u64>| ms.map_or("never".to_owned(), |ms| format!("{:.0} s", ms as f64 / 1000.0));
    let [half, most, all] = measured.drained;
    let ratio = most.map_or(f64::INFINITY, |ms| ms as f64 / ideal);
    let (peak, refused) = (measured.peak() / scenario.ingest.capacity, measured.refused());
    let is_newest = scenario.order != crate::client::Order::OldestFirst;
    let age = measured.age.map(|ms| ms / 1000.0);
    format!(
        "| {name} | {peak:.2}{} | {refused:.3}{} | {} | {} | {} | {:.0} s | {ratio:.2}{} | {:.0} s | {:.0} s{} | {:.2} | {:.3} |",
        miss(peak > PEAK),
        miss(refused > REFUSED),
        seconds(half),
        seconds(most),
        seconds(all),
        ideal / 1000.0,
        miss(ratio > DRAINED || all.is_none()),
        age[0],
        age[1],
        miss(is_newest && age[1] > AGE_S),
        measured.fairness,
        measured.duplicates(),
    )
}

fn miss(is_missed: bool) -> &'static str {
    if is_missed { " ✗" } else { "" }
}
