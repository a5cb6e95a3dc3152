//! Report: the table of ratios, and the plain figures under it, in Markdown.

use std::fmt::Write as _;

use crate::latency::median;

/// What a ratio is to be.
#[derive(Clone, Copy)]
pub enum Reach {
    /// This much, or less.
    AtMost(f64),
    /// This much, or more.
    AtLeast(f64),
}

/// A measured pair.
struct Row {
    what: String,
    ours: String,
    peer: String,
    ratio: f64,
    reach: Reach,
}

/// Everything that was measured in one run.
#[derive(Default)]
pub struct Report {
    rows: Vec<Row>,
    figures: String,
}

impl Report {
    /// A ratio and what it is made of; it is told at once.
    pub fn ratio(&mut self, what: &str, ours: String, peer: String, ratio: f64, reach: Reach) {
        let row = Row { what: what.to_owned(), ours, peer, ratio, reach };
        println!("  {}", row.text());
        self.rows.push(row);
    }

    /// The medians of `rounds`, each ours and the peer's, and of the ratio in a round.
    pub fn rounds(&mut self, what: &str, rounds: &[(f64, f64)], show: fn(f64) -> String, reach: Reach) {
        let ours = show(median(rounds.iter().map(|round| round.0)));
        let peer = show(median(rounds.iter().map(|round| round.1)));
        self.ratio(what, ours, peer, median(rounds.iter().map(|(ours, peer)| ours / peer)), reach);
    }

    /// A line of text below the table.
    pub fn figure(&mut self, line: &str) {
        println!("  {line}");
        self.figures += line;
        self.figures += "\n";
    }

    /// The whole report.
    pub fn text(&self) -> String {
        let mut text =
            String::from("| what | spanspool | peer | ratio | reach | |\n|---|---|---|---:|---:|---|\n");
        for row in &self.rows {
            text += &row.text();
            text += "\n";
        }
        let _ = write!(text, "\n{}", self.figures);
        text
    }
}

impl Row {
    fn text(&self) -> String {
        let (reach, is_reached) = match self.reach {
            Reach::AtMost(most) => (format!("≤ {most}"), self.ratio <= most),
            Reach::AtLeast(least) => (format!("≥ {least}"), self.ratio >= least),
        };
        let mark = if is_reached { "✓" } else { "✗" };
        let Self { what, ours, peer, ratio, .. } = self;
        format!("| {what} | {ours} | {peer} | {ratio:.2} | {reach} | {mark} |")
    }
}

/// Nanoseconds, as people write them.
pub fn ns(value: f64) -> String {
    match value {
        v if v < 10_000.0 => format!("{v:.0} ns"),
        v if v < 10_000_000.0 => format!("{:.1} µs", v / 1e3),
        v => format!("{:.1} ms", v / 1e6),
    }
}

/// Items a second.
pub fn rate(value: f64) -> String {
    match value {
        v if v < 10_000.0 => format!("{v:.0}/s"),
        v if v < 1_000_000.0 => format!("{:.0} k/s", v / 1e3),
        v => format!("{:.2} M/s", v / 1e6),
    }
}

/// Bytes.
pub fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
