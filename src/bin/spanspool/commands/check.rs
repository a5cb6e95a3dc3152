//! Check: whether all that the spool holds can be read, and the repair of what can't.

use std::io::Write;

use clap::Args;
use serde::Serialize;
use spanspool::{Finding, LaneCheck, LaneRepair};

use crate::cli::human::{bytes, count, counted, one_line};
use crate::cli::json;
use crate::cli::outcome::{Done, Failure};
use crate::cli::spool::Spool;

/// Look for damage, and repair it
///
/// Reads every record, batch and rejected item and says what is damaged, how many
/// pending items can be read and how many can't. It changes nothing, and owners
/// may be running.
///
/// A client handles damage by itself: it sends what is intact, counts what is lost
/// as dropped, and keeps the damaged file in the lane's folder "quarantine".
/// --repair does so at once, for lanes that no process owns. What is intact moves
/// into a new lane, for the next client to send. Damaged files move into
/// "quarantine", where they stay until you remove them or they exceed an eighth of
/// max_spool_bytes. Items of a lane whose header is damaged may be sent twice. A
/// second repair changes nothing.
///
/// Exit code: 0 nothing is damaged, or all was recovered; 1 something is damaged or
/// lost; 2 wrong usage.
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Check {
    #[command(flatten)]
    spool: Spool,
    /// Repair what is damaged
    #[arg(long)]
    repair: bool,
    /// Write one JSON object: "whole", "repaired" and "lanes"
    #[arg(long)]
    json: bool,
}

/// How much of a text is shown to people.
const SHOWN_CHARS: usize = 300;

impl Check {
    pub fn run(&self, out: &mut dyn Write) -> Result<Done, Failure> {
        let view = self.spool.view()?;
        let repaired =
            if self.repair { spanspool::repair(&self.spool.config_to_change(&[])?)? } else { Vec::new() };
        let lanes = view.check()?;
        if self.json {
            json::write_line(&Report::of(&repaired, &lanes), out)?;
        } else {
            repaired.iter().try_for_each(|lane| write_repair(lane, out))?;
            lanes.iter().try_for_each(|lane| write_lane(lane, out))?;
            if lanes.is_empty() {
                writeln!(out, "no lanes: nothing is damaged")?;
            }
        }
        let nothing_lost = repaired.iter().all(|lane| lane.lost == Some(0));
        Ok(Done::all_if(nothing_lost && lanes.iter().all(LaneCheck::is_whole)))
    }
}

fn write_repair(lane: &LaneRepair, out: &mut dyn Write) -> Result<(), Failure> {
    let lost = match lane.lost {
        Some(lost) => format!("{} lost", count(lost)),
        None => "it is not known how many are lost".into(),
    };
    writeln!(out, "lane {} repaired: {} recovered, {lost}", lane.id, counted(lane.salvaged, "item"))?;
    writeln!(out, "    its damaged files are kept in {}", lane.kept.display())?;
    Ok(())
}

fn write_lane(lane: &LaneCheck, out: &mut dyn Write) -> Result<(), Failure> {
    let owner = lane.owner_pid.map_or_else(String::new, |pid| format!(" of process {pid}"));
    let state = if lane.is_whole() { "whole" } else { "damaged" };
    let pending = counted(lane.readable, "pending item");
    writeln!(out, "lane {}{owner}: {state}, {pending} can be read, {} can't", lane.id, count(lane.lost))?;
    for Finding { file, what } in &lane.findings {
        writeln!(out, "    {file}: {}", one_line(what.as_bytes(), SHOWN_CHARS))?;
    }
    if !lane.is_whole() {
        let hint = match lane.repairable {
            true => "'spanspool check --repair' recovers what is intact",
            false if lane.ledger_is_off => "only its counters are wrong: its items can be read",
            false => "it can't be repaired now: a process owns it, or another version made it",
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
    /// Null when it is not known.
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

impl<'a> Report<'a> {
    fn of(repaired: &'a [LaneRepair], lanes: &'a [LaneCheck]) -> Self {
        let repaired = repaired.iter().map(|lane| Repaired {
            id: &lane.id,
            salvaged: lane.salvaged,
            lost: lane.lost,
            kept: lane.kept.display().to_string(),
        });
        Self {
            whole: lanes.iter().all(LaneCheck::is_whole),
            repaired: repaired.collect(),
            lanes: lanes.iter().map(Lane::of).collect(),
        }
    }
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
