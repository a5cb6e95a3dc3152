//! Drain: delivers what the spool holds, whoever put it there.

use std::io::Write;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use spanspool::{BatchTraceProcessor, ErrorKind, LaneStatus, Level, SpoolView, Stats, UnreadableLane};

use crate::cli::args::Args;
use crate::cli::command::{Command, Done, Failure};
use crate::cli::human::{age, count, items};
use crate::cli::ledger::{equation, totals};
use crate::cli::progress::Progress;
use crate::commands::status::{waiting, write_json, write_unreadable};

pub const COMMAND: Command = Command {
    name: "drain",
    summary: "deliver what the spool holds",
    help: "Usage: spanspool drain --spool-dir DIR [--timeout-ms N]

Takes over what processes that are gone left in the spool and delivers it, until
nothing is left or the time is up. Ctrl-C loses nothing: what was not delivered
stays. Lanes of running processes are theirs to deliver; they are only named.

Options:
  --spool-dir DIR        the spool
  --timeout-ms N         give up after N milliseconds; default: no limit
  --api-key-file FILE    the API key is in FILE; else in OPENAI_API_KEY
  --json                 the final counters as 'spanspool status --json' shows them
  --set KEY=VALUE        a setting; see 'spanspool help settings'
  --help                 this text

Exit code: 0 all delivered, 1 something is left or was rejected, 2 wrong usage.",
    options: &["--spool-dir=", "--set=", "--json", "--timeout-ms=", "--api-key-file="],
    max_operands: 0,
    run,
};

/// Drain is here for what is old: nothing new comes that is worth a wait, and orphans are looked for often.
const DEFAULTS: &[(&str, &str)] = &[("schedule_delay_ms", "100"), ("adopt_interval_ms", "500")];

/// Longer than anybody waits, and short enough to be added to a clock.
const NO_LIMIT: Duration = Duration::from_secs(365 * 86_400);
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

fn run(args: &Args, out: &mut dyn Write) -> Result<Done, Failure> {
    let limit = args.number("--timeout-ms")?.map_or(NO_LIMIT, Duration::from_millis).min(NO_LIMIT);
    if args.setting("exporter")? == Some("none") {
        return Err(Failure::Usage(
            "'--set exporter=none' delivers nothing; allowed: backend, console".into(),
        ));
    }
    // Looked at first: a mistyped folder is an error here, not a new spool.
    let view = args.view()?;
    let before = totals(&view.lanes()?);
    let progress = Arc::new(Progress::new("delivered"));
    let mut config = args.config(DEFAULTS)?;
    let log = Arc::clone(&progress);
    config.set_log(move |level, line| {
        if level <= Level::Warn {
            log.say(&format!("spanspool drain: {line}"));
        }
    });
    let started = Instant::now();
    let processor = BatchTraceProcessor::open(config)?;
    let result = deliver(&processor, &view, started + limit, &progress);
    progress.clear();
    let (lanes, unreadable) = (view.lanes()?, view.unreadable()?);
    // The deadline has passed or nothing is left: there is nothing more to wait for.
    let _ = processor.shutdown(Duration::ZERO);
    result?;
    report(&before, &lanes, &unreadable, started.elapsed(), args, out)
}

/// Flushes in a thread of its own while this one shows how far it is.
fn deliver(
    processor: &BatchTraceProcessor,
    view: &SpoolView,
    deadline: Instant,
    progress: &Progress,
) -> Result<(), Failure> {
    thread::scope(|scope| {
        let flusher = scope.spawn(|| flush_until_empty(processor, view, deadline));
        let mut total = 0;
        while !flusher.is_finished() {
            let lanes = ours(view)?;
            let pending = totals(&lanes).pending;
            total = total.max(pending);
            let note = lanes.iter().find(|lane| lane.stats.state().is_waiting()).map(waiting);
            progress.show(total - pending, total, &note.unwrap_or_default());
            thread::sleep(LOOK_INTERVAL);
        }
        flusher.join().unwrap_or_else(|_| Err(Failure::Failed("a thread of this program has died".into())))
    })
}

fn flush_until_empty(
    processor: &BatchTraceProcessor,
    view: &SpoolView,
    deadline: Instant,
) -> Result<(), Failure> {
    loop {
        match processor.flush(deadline.saturating_duration_since(Instant::now())) {
            Err(error) if error.kind() == ErrorKind::Timeout => return Ok(()),
            result => result?,
        }
        // Orphans that a flush did not know yet are taken over within `adopt_interval_ms`.
        // In this order: a damaged lane's items are pending elsewhere before it is gone.
        let damaged = view.unreadable()?.iter().any(|lane| lane.damaged);
        let done = !damaged && totals(&ours(view)?).pending == 0;
        if done || Instant::now() >= deadline {
            return Ok(());
        }
        thread::sleep(LOOK_INTERVAL);
    }
}

/// The lanes that this process owns or may take over.
fn ours(view: &SpoolView) -> Result<Vec<LaneStatus>, Failure> {
    let mut lanes = view.lanes()?;
    lanes.retain(|lane| lane.owner_pid.is_none_or(|pid| pid == std::process::id()));
    Ok(lanes)
}

fn report(
    before: &Stats,
    lanes: &[LaneStatus],
    unreadable: &[UnreadableLane],
    took: Duration,
    args: &Args,
    out: &mut dyn Write,
) -> Result<Done, Failure> {
    let after = totals(lanes);
    let newly_rejected = after.rejected.saturating_sub(before.rejected);
    if args.has("--json") {
        write_json(lanes, unreadable, out)?;
    } else {
        writeln!(out, "{}", equation(&after))?;
        let gone = before.pending.saturating_sub(after.pending);
        writeln!(out, "{} left the spool in {}", items(gone, "item"), age(took.as_millis() as u64))?;
        if newly_rejected > 0 {
            let rejected = items(newly_rejected, "item");
            writeln!(out, "{rejected} rejected in this run; see 'spanspool rejected list'")?;
        }
        for lane in lanes.iter().filter(|lane| lane.stats.pending > 0) {
            let who = match lane.owner_pid {
                Some(pid) if pid != std::process::id() => format!("process {pid} has its lane {}", lane.id),
                None => format!("lane {}, which nobody has taken over", lane.id),
                _ => waiting(lane),
            };
            writeln!(out, "{} pending: {who}", count(lane.stats.pending))?;
        }
        write_unreadable(unreadable, out)?;
    }
    Ok(Done::all_if(after.pending == 0 && newly_rejected == 0 && unreadable.is_empty()))
}
