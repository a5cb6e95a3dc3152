//! Status: what is in the spool and what became of it.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::thread;
use std::time::Duration;

use clap::Args;
use spanspool::{LaneStatus, SpoolView, Stats};

use crate::cli::human::{bytes, count, counted, duration, one_line};
use crate::cli::ledger::{dropped, equation, totals};
use crate::cli::outcome::{Done, Failure};
use crate::cli::progress::warn;
use crate::cli::report::{SHOWN_CHARS, waiting, write_json, write_unreadable};
use crate::cli::spool::Spool;

/// Show what the spool holds and what became of every item
///
/// Shows the totals of the spool and a row for each lane, the part of the spool
/// that one process owns. The lane of a dead process is an orphan; any running
/// client delivers what it holds. Nothing is changed: owners may be running, and
/// permission to read the spool is enough. What waits is added up by where it
/// goes. A lane that can't be read is named with the reason; 'spanspool check'
/// says more.
///
/// With --json the object has the totals, the same for each of "lanes", and
/// "unreadable", a list of lanes with "id", "reason" and whether they are
/// "damaged". 'spanspool view' shows the traces, too, in a browser.
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Status {
    #[command(flatten)]
    spool: Spool,
    /// Show it again each second until interrupted
    #[arg(long)]
    watch: bool,
    /// Write one JSON object
    #[arg(long)]
    json: bool,
}

/// The time between two pictures of `--watch`.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

impl Status {
    pub fn run(&self, out: &mut dyn Write) -> Result<Done, Failure> {
        let view = self.spool.view()?;
        if self.watch {
            return self.watch(out);
        }
        self.write_picture(&view, out)?;
        Ok(Done::All)
    }

    /// Shows the spool until the reader is gone, as a pager or `head` is when it has enough. It is opened each time: what
    /// was there at first may have been replaced, and what is away may come back.
    fn watch(&self, out: &mut dyn Write) -> Result<Done, Failure> {
        let on_terminal = io::stdout().is_terminal();
        let mut said = None;
        loop {
            let mut picture = Vec::new();
            let trouble = match self.spool.view().and_then(|view| self.write_picture(&view, &mut picture)) {
                Err(Failure::Failed(why)) => Some(why),
                shown => {
                    shown?;
                    self.show(picture, on_terminal, out)?;
                    None
                }
            };
            if trouble != said
                && let Some(why) = &trouble
            {
                warn(&format!("spanspool status: {why}"));
            }
            said = trouble;
            thread::sleep(WATCH_INTERVAL);
        }
    }

    fn show(&self, mut picture: Vec<u8>, on_terminal: bool, out: &mut dyn Write) -> Result<(), Failure> {
        if on_terminal {
            if !self.json {
                writeln!(picture, "\n  'spanspool view' shows the traces, too")?;
            }
            out.write_all(&drawn_over(&picture))?;
        } else {
            out.write_all(&picture)?;
            if !self.json {
                writeln!(out)?;
            }
        }
        Ok(out.flush()?)
    }

    fn write_picture(&self, view: &SpoolView, out: &mut dyn Write) -> Result<(), Failure> {
        let (lanes, unreadable) = (view.lanes()?, view.unreadable()?);
        if self.json {
            return write_json(&lanes, &unreadable, out);
        }
        write_totals(self.spool.dir()?, &lanes, out)?;
        write_lanes(&lanes, out)?;
        write_destinations(&lanes, out)?;
        write_unreadable(&unreadable, out)
    }
}

/// `picture` with the escape sequences that draw it over the last one: it starts in the top left corner and clears the
/// rest of each line, and then of the screen. Clearing first would flicker.
fn drawn_over(picture: &[u8]) -> Vec<u8> {
    let mut drawn = b"\x1b[H".to_vec();
    for line in picture.split_inclusive(|byte| *byte == b'\n') {
        let (text, end) = line.split_at(line.len() - usize::from(line.ends_with(b"\n")));
        drawn.extend([text, b"\x1b[K", end].concat());
    }
    drawn.extend(b"\x1b[J");
    drawn
}

fn write_totals(dir: &Path, lanes: &[LaneStatus], out: &mut dyn Write) -> Result<(), Failure> {
    let sum = totals(lanes);
    writeln!(
        out,
        "{}: {}, {} on disk",
        dir.display(),
        counted(lanes.len() as u64, "lane"),
        bytes(sum.disk_bytes)
    )?;
    writeln!(out, "{}\n", equation(&sum))?;
    let mut row = |name: &str, n: u64, note: String| {
        writeln!(out, "{}", format!("  {name:<10}{:>14}  {note}", count(n)).trim_end())
    };
    row("accepted", sum.accepted, String::new())?;
    row("delivered", sum.delivered, format!("in {}", counted(sum.batches_sent, "request")))?;
    row("pending", sum.pending, pending_note(&sum))?;
    row("rejected", sum.rejected, String::new())?;
    row("dropped", dropped(&sum), dropped_note(&sum))?;
    row("retries", sum.retries, last_status_note(&sum))?;
    Ok(())
}

fn pending_note(stats: &Stats) -> String {
    match stats.pending {
        0 => String::new(),
        _ => format!(
            "{}, the oldest for {}",
            bytes(stats.pending_bytes),
            duration(stats.oldest_pending_age_ms)
        ),
    }
}

fn dropped_note(stats: &Stats) -> String {
    match dropped(stats) {
        0 => String::new(),
        _ => format!(
            "overflow {}, expired {}, corrupt {}",
            count(stats.dropped_overflow),
            count(stats.dropped_expired),
            count(stats.dropped_corrupt)
        ),
    }
}

fn last_status_note(stats: &Stats) -> String {
    match stats.last_http_status {
        0 => String::new(),
        status => format!("last answer: HTTP {status}"),
    }
}

/// What waits for whom.
fn write_destinations(lanes: &[LaneStatus], out: &mut dyn Write) -> Result<(), Failure> {
    let mut pending = BTreeMap::new();
    for lane in lanes {
        *pending.entry(&lane.destination).or_insert(0) += lane.stats.pending;
    }
    for (destination, pending) in pending {
        let to = one_line(destination.as_str().as_bytes(), SHOWN_CHARS);
        let to = if destination.as_str().is_empty() { "any client".into() } else { to };
        writeln!(out, "  {} pending for {to}", count(pending))?;
    }
    Ok(())
}

fn write_lanes(lanes: &[LaneStatus], out: &mut dyn Write) -> Result<(), Failure> {
    if lanes.is_empty() {
        return Ok(());
    }
    let width = lanes.iter().map(|lane| lane.id.len()).max().unwrap_or_default().max(4);
    writeln!(
        out,
        "\n  {:<width$}  {:>8}  {:<8}{:>12}{:>12}{:>14}{:>12}{:>10}{:>10}",
        "LANE", "OWNER", "STATE", "PENDING", "BYTES", "OLDEST", "DELIVERED", "REJECTED", "DROPPED"
    )?;
    for LaneStatus { id, owner_pid, stats, .. } in lanes {
        let owner = owner_pid.map_or_else(|| "orphan".into(), |pid| pid.to_string());
        let oldest = if stats.pending == 0 { "-".into() } else { duration(stats.oldest_pending_age_ms) };
        writeln!(
            out,
            "  {id:<width$}  {owner:>8}  {:<8}{:>12}{:>12}{oldest:>14}{:>12}{:>10}{:>10}",
            stats.state().name(),
            count(stats.pending),
            bytes(stats.pending_bytes),
            count(stats.delivered),
            count(stats.rejected),
            count(dropped(stats))
        )?;
    }
    for lane in lanes.iter().filter(|lane| !lane.reason.is_empty()) {
        writeln!(out, "  lane {}: {}", lane.id, waiting(lane))?;
    }
    Ok(())
}
