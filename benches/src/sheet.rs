//! Sheet: what one section has measured. A section writes only on its own sheet.

use crate::figure::Figure;
use crate::latency::median;

/// The bound that a ratio is expected to keep.
#[derive(Clone, Copy)]
pub enum Reach {
    /// This much or less.
    AtMost(f64),
    /// This much or more.
    AtLeast(f64),
}

impl Reach {
    /// Whether `ratio` keeps the bound; NaN never does.
    pub fn holds(self, ratio: f64) -> bool {
        match self {
            Self::AtMost(most) => ratio <= most,
            Self::AtLeast(least) => ratio >= least,
        }
    }
}

impl std::fmt::Display for Reach {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtMost(most) => write!(f, "≤ {most}"),
            Self::AtLeast(least) => write!(f, "≥ {least}"),
        }
    }
}

/// One result.
pub enum Row {
    /// Ours next to a peer's.
    Ratio { what: String, ours: Figure, peer: Figure, ratio: f64, reach: Reach },
    /// Figures of ours that have no peer.
    Figures { what: String, figures: Vec<(&'static str, Figure)> },
    /// Something to know that is not a number.
    Note(String),
    /// Why the section ended early.
    Failure(String),
}

/// The rows and pictures of one section, in the order in which they were measured.
pub struct Sheet {
    section: &'static str,
    rows: Vec<Row>,
    pictures: Vec<(&'static str, String)>,
}

impl Sheet {
    /// An empty sheet for the section of this name.
    pub fn new(section: &'static str) -> Self {
        Self { section, rows: Vec::new(), pictures: Vec::new() }
    }

    /// Adds a ratio and the two figures it comes from.
    pub fn ratio(&mut self, what: &str, ours: Figure, peer: Figure, ratio: f64, reach: Reach) {
        self.push(Row::Ratio { what: what.to_owned(), ours, peer, ratio, reach });
    }

    /// Adds the medians of `rounds`, each ours and the peer's, and the median of the ratios of each round.
    pub fn rounds(&mut self, what: &str, rounds: &[(f64, f64)], figure: fn(f64) -> Figure, reach: Reach) {
        let ours = figure(median(rounds.iter().map(|round| round.0)));
        let peer = figure(median(rounds.iter().map(|round| round.1)));
        self.ratio(what, ours, peer, median(rounds.iter().map(|(ours, peer)| ours / peer)), reach);
    }

    /// Adds figures about one thing. Rows in sequence that have the same columns are shown as a table.
    pub fn figures(&mut self, what: &str, figures: &[(&'static str, Figure)]) {
        self.push(Row::Figures { what: what.to_owned(), figures: figures.to_vec() });
    }

    /// Adds a remark.
    pub fn note(&mut self, text: impl Into<String>) {
        self.push(Row::Note(text.into()));
    }

    /// Adds a picture: an SVG, and the name of the file that will hold it.
    pub fn picture(&mut self, file: &'static str, svg: String) {
        self.pictures.push((file, svg));
    }

    /// Says why the section ended early.
    pub fn fail(&mut self, error: impl Into<String>) {
        self.push(Row::Failure(error.into()));
    }

    /// The section's name.
    pub fn section(&self) -> &'static str {
        self.section
    }

    /// The rows so far.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The pictures so far, by file name.
    pub fn pictures(&self) -> &[(&'static str, String)] {
        &self.pictures
    }

    /// Whether the section ended early.
    pub fn has_failed(&self) -> bool {
        self.rows.iter().any(|row| matches!(row, Row::Failure(_)))
    }

    /// Adds a row and shows it at once: a run takes minutes.
    fn push(&mut self, row: Row) {
        println!("  {}", crate::report::line(self.section, &row));
        self.rows.push(row);
    }
}
