//! What spanspool costs, beside what its peers cost: every ratio is of one run on one machine.
//!
//! ```text
//! cargo run --release --manifest-path benches/Cargo.toml [section ...]
//! ```
//! The whole takes less than five minutes and 20 GiB in `TMPDIR`, which must be on the disk that is asked about. The pictures go to
//! `benches/plots`.

mod child;
mod items;
mod latency;
mod machine;
mod ours;
mod peers;
mod plot;
mod report;
mod sections;
mod server;

use std::path::Path;

use report::Report;
use sections::{backlog, drain, enqueue, footprint, growth, power, sustained, threads};

/// What any part of this program gives.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const SECTIONS: [&str; 8] =
    ["footprint", "enqueue", "threads", "power", "drain", "backlog", "growth", "sustained"];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |n: usize| arguments.get(n).and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
    let dir = Path::new(arguments.get(1).map_or("", |word| word));
    match arguments.first().map(String::as_str) {
        Some("serve") => server::serve(number(1)),
        Some("backlog-fill") => backlog::fill(dir, number(2)),
        Some("backlog-drain") => backlog::drain(dir, number(2)),
        Some("growth-fill") => growth::fill(dir, number(2)),
        Some("growth-drain") => growth::drain(dir, number(2)),
        _ => measure(&arguments),
    }
}

/// Measures the sections that are named, or all.
fn measure(names: &[String]) -> Result<()> {
    if let Some(unknown) = names.iter().find(|name| !SECTIONS.contains(&name.as_str())) {
        return Err(format!("no section {unknown:?}; there are {}", SECTIONS.join(", ")).into());
    }
    let mut report = Report::default();
    println!("{}", machine::describe(&std::env::temp_dir()));
    for name in SECTIONS {
        if !names.is_empty() && !names.iter().any(|wanted| wanted == name) {
            continue;
        }
        println!("{name}");
        let dir = tempfile::Builder::new().prefix("spanspool-bench-").tempdir()?;
        let (report, dir) = (&mut report, dir.path());
        match name {
            "enqueue" => keep("latency.svg", &enqueue::run(report, dir)?)?,
            "threads" => threads::run(report, dir)?,
            "power" => power::run(report, dir)?,
            "drain" => drain::run(report, dir)?,
            "backlog" => backlog::run(report, dir)?,
            "growth" => growth::run(report, dir)?,
            "footprint" => footprint::run(report, dir)?,
            _ => keep("throughput.svg", &sustained::run(report, dir)?)?,
        }
    }
    println!("\n{}", report.text());
    Ok(())
}

/// Puts a picture where PERFORMANCE.md shows it from.
fn keep(name: &str, svg: &str) -> Result<()> {
    let plots = Path::new(env!("CARGO_MANIFEST_DIR")).join("plots");
    std::fs::create_dir_all(&plots)?;
    Ok(std::fs::write(plots.join(name), svg)?)
}
