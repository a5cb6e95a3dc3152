//! Status: what is in the spool and what becomes of it.

use std::io::{self, IsTerminal, Write};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use spanspool::{LaneStatus, SpoolView, Stats, UnreadableLane};

use crate::cli::args::Args;
use crate::cli::command::{Command, Done, Failure};
use crate::cli::human::{age, bytes, count, items, one_line};
use crate::cli::ledger::{Report, dropped, equation, totals};

pub const COMMAND: Command = Command {
    name: "status",
    summary: "show what the spool holds and what became of every item",
    help: "Usage: spanspool status --spool-dir DIR [--json] [--watch]

Shows the totals of the spool and each lane: the part of one process. The owner
of a lane is a process; an orphan's is dead, and any living process delivers
what it left. It only looks: owners may be running, their counters are live, and
the right to read the spool is enough.
A lane of a dead process that can't be read is named with the reason; see
'spanspool help check'.

Options:
  --spool-dir DIR    the spool
  --watch            show it anew each second, until interrupted
  --json             one JSON object: the totals, the same of each of \"lanes\",
                     and \"unreadable\", a list of lanes with \"id\", \"reason\"
                     and whether they are \"damaged\"
  --set KEY=VALUE    a setting; see 'spanspool help settings'
  --help             this text",
    options: &["--spool-dir=", "--set=", "--json", "--watch"],
    max_operands: 0,
    run,
};

/// The time between two pictures of `--watch`.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

fn run(args: &Args, out: &mut dyn Write) -> Result<Done, Failure> {
    let view = args.view()?;
    if args.has("--watch") {
        watch(args, &view, out)
    } else {
        write_picture(args, &view, out)?;
        Ok(Done::All)
    }
}

/// Shows the spool again and again. It ends when nobody reads any more, which is how a pager or `head` says so.
fn watch(args: &Args, view: &SpoolView, out: &mut dyn Write) -> Result<Done, Failure> {
    let on_terminal = io::stdout().is_terminal();
    loop {
        let mut picture = Vec::new();
        write_picture(args, view, &mut picture)?;
        if on_terminal {
            out.write_all(&drawn_over(&picture))?;
        } else {
            out.write_all(&picture)?;
            if !args.has("--json") {
                writeln!(out)?;
            }
        }
        out.flush()?;
        thread::sleep(WATCH_INTERVAL);
    }
}

/// `picture` with the controls that draw it over the one before: from the top left corner on, the rest of each line
/// and of the screen cleared behind it. Clearing first would flicker.
fn drawn_over(picture: &[u8]) -> Vec<u8> {
    let mut drawn = b"\x1b[H".to_vec();
    for line in picture.split_inclusive(|byte| *byte == b'\n') {
        let (text, end) = line.split_at(line.len() - usize::from(line.ends_with(b"\n")));
        drawn.extend([text, b"\x1b[K", end].concat());
    }
    drawn.extend(b"\x1b[J");
    drawn
}

fn write_picture(args: &Args, view: &SpoolView, out: &mut dyn Write) -> Result<(), Failure> {
    let (lanes, unreadable) = (view.lanes()?, view.unreadable()?);
    if args.has("--json") {
        return write_json(&lanes, &unreadable, out);
    }
    write_totals(args.spool_dir()?, &lanes, out)?;
    write_lanes(&lanes, out)?;
    write_unreadable(&unreadable, out)
}

/// The form that `status --json` and `drain --json` share.
pub fn write_json(
    lanes: &[LaneStatus],
    unreadable: &[UnreadableLane],
    out: &mut dyn Write,
) -> Result<(), Failure> {
    serde_json::to_writer(&mut *out, &Report::of(lanes, unreadable))?;
    writeln!(out)?;
    Ok(())
}

pub fn write_unreadable(unreadable: &[UnreadableLane], out: &mut dyn Write) -> Result<(), Failure> {
    for lane in unreadable {
        writeln!(out, "  lane {} can't be read: {}", lane.id, one_line(lane.reason.as_bytes(), 300))?;
    }
    Ok(())
}

fn write_totals(dir: &str, lanes: &[LaneStatus], out: &mut dyn Write) -> Result<(), Failure> {
    let sum = totals(lanes);
    writeln!(out, "{dir}: {}, {} on disk", items(lanes.len() as u64, "lane"), bytes(sum.disk_bytes))?;
    writeln!(out, "{}\n", equation(&sum))?;
    let mut row = |name: &str, n: u64, note: String| {
        writeln!(out, "{}", format!("  {name:<10}{:>14}  {note}", count(n)).trim_end())
    };
    row("accepted", sum.accepted, String::new())?;
    row("delivered", sum.delivered, format!("in {}", items(sum.batches_sent, "request")))?;
    row("pending", sum.pending, pending_note(&sum))?;
    row("rejected", sum.rejected, String::new())?;
    row("dropped", dropped(&sum), dropped_note(&sum))?;
    row("retries", sum.retries, last_status_note(&sum))?;
    Ok(())
}

fn pending_note(stats: &Stats) -> String {
    match stats.pending {
        0 => String::new(),
        _ => format!("{}, the oldest for {}", bytes(stats.pending_bytes), age(stats.oldest_pending_age_ms)),
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
        let oldest = if stats.pending == 0 { "-".into() } else { age(stats.oldest_pending_age_ms) };
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

/// Why a lane waits and until when, as in `backoff: connection refused, next attempt in 3.0 s`.
pub fn waiting(lane: &LaneStatus) -> String {
    let mut text = lane.stats.state().name().to_owned();
    if !lane.reason.is_empty() {
        text += &format!(": {}", one_line(lane.reason.as_bytes(), 200));
    }
    let wait_ms = lane.next_attempt_unix_ms.saturating_sub(now_unix_ms());
    // Less would be shown as 0.0 s.
    if wait_ms >= 100 {
        text += &format!(", next attempt in {}", age(wait_ms));
    }
    text
}

pub fn now_unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
