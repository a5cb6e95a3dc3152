//! Report: what the sheets say, as Markdown for PERFORMANCE.md.

use std::fmt::Write as _;

use crate::sheet::{Row, Sheet};

const HEAD: &str = "| what | spanspool | peer | ratio | reach | |\n|---|---|---|---:|---:|---|\n";

/// The table of ratios and failures, and the figures and remarks below it.
pub fn markdown(sheets: &[Sheet]) -> String {
    let rows = || sheets.iter().flat_map(|sheet| sheet.rows().iter().map(|row| (sheet.section(), row)));
    let is_in_table = |row: &Row| matches!(row, Row::Ratio { .. } | Row::Failure(_));
    let mut text = String::from(HEAD);
    for (section, row) in rows().filter(|(_, row)| is_in_table(row)) {
        let _ = writeln!(text, "{}", line(section, row));
    }
    text += "\n";
    let others: Vec<_> = rows().filter(|(_, row)| !is_in_table(row)).collect();
    let alike = |a: &(&str, &Row), b: &(&str, &Row)| a.0 == b.0 && columns(a.1) == columns(b.1);
    for group in others.chunk_by(alike) {
        match group {
            [(_, Row::Figures { .. }), _, ..] => text += &table(group.iter().map(|(_, row)| *row)),
            _ => group.iter().for_each(|(section, row)| text += &format!("{}\n", line(section, row))),
        }
    }
    text
}

/// One row as a line of Markdown.
pub fn line(section: &str, row: &Row) -> String {
    match row {
        Row::Ratio { what, ours, peer, ratio, reach } => {
            let mark = if reach.holds(*ratio) { "✓" } else { "✗" };
            format!("| {what} | {ours} | {peer} | {ratio:.2} | {reach} | {mark} |")
        }
        Row::Failure(error) => format!("| section {section} | failed: {} | | | | ✗ |", cell(error)),
        Row::Figures { what, figures } => {
            let figures: Vec<_> = figures.iter().map(|(name, figure)| format!("{name} {figure}")).collect();
            format!("- {what}: {}.", figures.join(", "))
        }
        Row::Note(text) => format!("- {text}"),
    }
}

/// Rows of the same columns as a table, set off by empty lines.
fn table<'a>(rows: impl Iterator<Item = &'a Row>) -> String {
    let mut text = String::new();
    for row in rows {
        let Row::Figures { what, figures } = row else { continue };
        if text.is_empty() {
            let _ = writeln!(text, "\n| | {} |", columns(row).join(" | "));
            let _ = writeln!(text, "|---|{}", "---:|".repeat(figures.len()));
        }
        let figures: Vec<_> = figures.iter().map(|(_, figure)| figure.to_string()).collect();
        let _ = writeln!(text, "| {what} | {} |", figures.join(" | "));
    }
    text + "\n"
}

fn columns(row: &Row) -> Vec<&'static str> {
    match row {
        Row::Figures { figures, .. } => figures.iter().map(|(name, _)| *name).collect(),
        _ => Vec::new(),
    }
}

/// `text` on one line, without a bar that would end its cell.
fn cell(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|")
}
