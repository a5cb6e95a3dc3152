//! Check: whether all that the spool holds can be read, and what a repair can have back.

use std::io::Write;

use serde::Serialize;
use spanspool::{Finding, LaneCheck, LaneRepair};

use crate::cli::args::Args;
use crate::cli::command::{Command, Done, Failure};
use crate::cli::human::{bytes, count, items, one_line};

pub const COMMAND: Command = Command {
    name: "check",
    summary: "look for damage, and repair it",
    help: "Usage: spanspool check --spool-dir DIR [--repair] [--json]

Reads every record, batch and rejected item and says what is damaged, how many
pending items can be read and how many can't. Owners may be running: it changes
nothing and does not disturb them.

A client that delivers gets by with damage by itself: what is whole is sent, what
is lost is counted as dropped and its file kept in the lane's folder quarantine.

--repair does so at once, for lanes that no process owns: what is whole moves into
a new lane, for the next client to send, and the damaged files into quarantine,
where they stay until you remove them or they take an eighth of max_spool_bytes.
Items of a lane whose header is damaged may be sent twice. To repair twice changes
nothing more.

Options:
  --spool-dir DIR    the spool
  --repair           repair what is damaged
  --json             one JSON object: \"whole\", \"repaired\" and \"lanes\"
  --set KEY=VALUE    a setting; see 'spanspool help settings'
  --help             this text

Exit code: 0 all is whole, or all was had back; 1 something is damaged or lost;
2 wrong usage.",
    options: &["--spool-dir=", "--set=", "--json", "--repair"],
    max_operands: 0,
    run,
};

/// How much of a text a person is shown.
const SHOWN_CHARS: usize = 300;

fn run(args: &Args, out: &mut dyn Write) -> Result<Done, Failure> {
    let view = args.view()?;
    let repaired = if args.has("--repair") { spanspool::repair(&args.config(&[])?)? } else { Vec::new() };
    let lanes = view.check()?;
    if args.has("--json") {
        write_json(&repaired, &lanes, out)?;
    } else {
        repaired.iter().try_for_each(|lane| write_repair(lane, out))?;
        lanes.iter().try_for_each(|lane| write_lane(lane, out))?;
        if lanes.is_empty() {
            writeln!(out, "no lanes: nothing is damaged")?;
        }
    }
    let all_back = repaired.iter().all(|lane| lane.lost == Some(0));
    Ok(Done::all_if(all_back && lanes.iter().all(LaneCheck::is_whole)))
}

fn write_repair(lane: &LaneRepair, out: &mut dyn Write) -> Result<(), Failure> {
    let lost = match lane.lost {
        Some(lost) => format!("{} lost", count(lost)),
        None => "how many are lost is not known".into(),
    };
    writeln!(out, "lane {} repaired: {} had back, {lost}", lane.id, items(lane.salvaged, "item"))?;
    writeln!(out, "    its damaged files are kept in {}", lane.kept.display())?;
    Ok(())
}

fn write_lane(lane: &LaneCheck, out: &mut dyn Write) -> Result<(), Failure> {
    let owner = lane.owner_pid.map_or_else(String::new, |pid| format!(" of process {pid}"));
    let state = if lane.is_whole() { "whole" } else { "damaged" };
    let pending = items(lane.readable, "pending item");
    writeln!(out, "lane {}{owner}: {state}, {pending} can be read, {} can't", lane.id, count(lane.lost))?;
    for Finding { file, what } in &lane.findings {
        writeln!(out, "    {file}: {}", one_line(what.as_bytes(), SHOWN_CHARS))?;
    }
    if !lane.is_whole() {
        let hint = match lane.repairable {
            true => "'spanspool check --repair' has back what is whole",
            false => "it can't be repaired now: a process owns it, or another release made it",
        };
        writeln!(out, "    {hint}")?;
    }
    if !lane.quarantine.is_empty() {
        let size = bytes(lane.quarantine_bytes);
        writeln!(out, "    in quarantine, {size}: {}", lane.quarantine.join(", "))?;
    }
    Ok(())
}

#[derive(Serialize)]
struct Report<'a> {
    whole: bool,
    repaired: Vec<Repaired<'a>>,
    lanes: Vec<Lane<'a>>,
}

#[derive(Serialize)]
struct Repaired<'a> {
    id: &'a str,
    salvaged: u64,
    /// Null when nobody knows.
    lost: Option<u64>,
    kept: String,
}

#[derive(Serialize)]
struct Lane<'a> {
    id: &'a str,
    owner_pid: Option<u32>,
    whole: bool,
    repairable: bool,
    readable: u64,
    lost: u64,
    findings: Vec<Found<'a>>,
    quarantine: &'a [String],
    quarantine_bytes: u64,
}

#[derive(Serialize)]
struct Found<'a> {
    file: &'a str,
    what: &'a str,
}

fn write_json(repaired: &[LaneRepair], lanes: &[LaneCheck], out: &mut dyn Write) -> Result<(), Failure> {
    let repaired = repaired.iter().map(|lane| Repaired {
        id: &lane.id,
        salvaged: lane.salvaged,
        lost: lane.lost,
        kept: lane.kept.display().to_string(),
    });
    let report = Report {
        whole: lanes.iter().all(LaneCheck::is_whole),
        repaired: repaired.collect(),
        lanes: lanes.iter().map(Lane::of).collect(),
    };
    serde_json::to_writer(&mut *out, &report)?;
    writeln!(out)?;
    Ok(())
}

impl<'a> Lane<'a> {
    fn of(lane: &'a LaneCheck) -> Self {
        let findings = lane.findings.iter().map(|Finding { file, what }| Found { file, what });
        Self {
            id: &lane.id,
            owner_pid: lane.owner_pid,
            whole: lane.is_whole(),
            repairable: lane.repairable && !lane.is_whole(),
            readable: lane.readable,
            lost: lane.lost,
            findings: findings.collect(),
            quarantine: &lane.quarantine,
            quarantine_bytes: lane.quarantine_bytes,
        }
    }
}
