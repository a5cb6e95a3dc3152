//! History: one line of JSON for each run, appended to `benches/history.jsonl`.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use serde_json::{Value, json};

use crate::Result;
use crate::machine::Machine;
use crate::sheet::{Reach, Row, Sheet};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/history.jsonl");

/// Appends what `sheets` say. A debug build measures nothing worth keeping and appends nothing.
pub fn append(machine: &Machine, sheets: &[Sheet]) -> Result<()> {
    if cfg!(debug_assertions) {
        println!("A debug build: not appended to {FILE}.");
        return Ok(());
    }
    let line = json!({
        "date": humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        "commit": commit(),
        "machine": {
            "cpus": machine.cpus,
            "cpu": machine.cpu,
            "memory_gib": machine.memory_gib,
            "kernel": machine.kernel,
            "file_system": machine.file_system,
            "load": machine.load,
        },
        "rows": sheets.iter().flat_map(rows).collect::<Vec<_>>(),
    });
    let mut file = OpenOptions::new().append(true).create(true).open(FILE)?;
    Ok(writeln!(file, "{line}")?)
}

/// The commit measured, with `-dirty` after it if there were changes on top of it.
fn commit() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut git = Command::new("git");
    git.current_dir(root).args(["describe", "--always", "--exclude=*", "--abbrev=12", "--dirty"]);
    let told = git.output().ok().filter(|output| output.status.success());
    told.map_or_else(|| "unknown".into(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn rows(sheet: &Sheet) -> Vec<Value> {
    let section = sheet.section();
    let mut values = Vec::new();
    for row in sheet.rows() {
        match row {
            Row::Ratio { what, ours, peer, ratio, reach } => {
                let (bound, name) = match reach {
                    Reach::AtMost(most) => (most, "at_most"),
                    Reach::AtLeast(least) => (least, "at_least"),
                };
                values.push(json!({
                    "section": section,
                    "what": what,
                    "ours": rounded(ours.value),
                    "peer": rounded(peer.value),
                    "unit": ours.unit.symbol(),
                    "ratio": rounded(*ratio),
                    name: bound,
                    "reached": reach.holds(*ratio),
                }));
            }
            Row::Figures { what, figures } => values.extend(figures.iter().map(|(name, figure)| {
                json!({
                    "section": section,
                    "what": format!("{what}: {name}"),
                    "ours": rounded(figure.value),
                    "unit": figure.unit.symbol(),
                })
            })),
            Row::Note(text) => values.push(json!({ "section": section, "note": text })),
            Row::Failure(error) => values.push(json!({ "section": section, "error": error })),
        }
    }
    values
}

/// Three decimals are more than any figure is good for.
fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}
