//! What spanspool costs next to its peers. Every ratio comes from one run on one machine.
//!
//! ```text
//! cargo run --release --manifest-path benches/Cargo.toml [section ...]
//! ```
//! The whole run takes about five minutes and 20 GiB in `TMPDIR`, which must be on the disk in question. Pictures go to
//! `benches/plots`, one line of JSON to `benches/history.jsonl`. The exit status is 1 if a section failed.

mod child;
mod drain;
mod figure;
mod history;
mod items;
mod latency;
mod machine;
mod ours;
mod peers;
mod plot;
mod report;
mod sections;
mod server;
mod sheet;

use std::path::Path;
use std::process::ExitCode;

use machine::Machine;
use sections::{SECTIONS, backlog, growth, memory};
use sheet::Sheet;

/// The result of any part of this program.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |n: usize| arguments.get(n).and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
    let dir = Path::new(arguments.get(1).map_or("", |word| word));
    match arguments.first().map(String::as_str) {
        Some("serve") => server::serve(server::Manners {
            delay_ms: number(1),
            fails_one_in: number(2),
            down_ms: number(3),
        })?,
        Some("backlog-fill") => backlog::fill(dir, number(2))?,
        Some("backlog-deliver") => backlog::deliver(dir, number(2))?,
        Some("growth-fill") => growth::fill(dir, number(2))?,
        Some("growth-deliver") => growth::deliver(dir, number(2))?,
        Some("memory-damage") => memory::damage(dir, number(2))?,
        Some("memory-recover") => memory::recover(dir)?,
        Some("memory-item") => memory::item(dir, number(2))?,
        Some("memory-send") => memory::send(dir)?,
        _ => return measure(&arguments),
    }
    Ok(ExitCode::SUCCESS)
}

/// Measures the named sections, or all.
fn measure(names: &[String]) -> Result<ExitCode> {
    if let Some(unknown) = names.iter().find(|name| !SECTIONS.iter().any(|section| section.name == **name)) {
        let all = SECTIONS.map(|section| section.name).join(", ");
        return Err(format!("unknown section {unknown:?}; the sections are {all}").into());
    }
    let machine = Machine::here(&std::env::temp_dir());
    println!("{machine}");
    let is_wanted = |name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
    let wanted = SECTIONS.iter().filter(|section| is_wanted(section.name));
    let sheets: Vec<Sheet> = wanted.map(|section| section.measure()).collect();
    println!("\n{}", report::markdown(&sheets));
    history::append(&machine, &sheets)?;
    let failed = sheets.iter().any(Sheet::has_failed);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
