//! Drain: delivers what the spool holds, from every process that has exited.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use clap::{Args, ValueHint};
use spanspool::{
    BatchTraceProcessor, Config, Destination, ErrorKind, ExportState, ForeignLane, LaneStatus, Level,
    SpoolView, UnreadableLane,
};

use crate::cli::human::{count, counted, duration};
use crate::cli::key_file;
use crate::cli::ledger::{equation, totals};
use crate::cli::named_keys::{Held, NamedKeys};
use crate::cli::outcome::{Done, Failure};
use crate::cli::progress::{Progress, warn};
use crate::cli::report::{waiting, write_json, write_unreadable};
use crate::cli::spool::Spool;

/// Deliver what the spool holds
///
/// Adopts the lanes of dead processes and delivers their items until nothing is
/// left or the time is up, each lane's to the endpoint that its process used.
/// With '--set endpoint=URL' only what goes there is delivered, and what was
/// accepted with exporter=none; with '--set adopt=any' everything goes there.
/// Items that were enqueued under the name of a key need that key; those that
/// were set aside for want of it are delivered, too.
/// Ctrl-C loses nothing: undelivered items stay in the spool. The lanes of
/// running processes are named and left to them.
/// It waits for an ingest that is down. When the ingest refuses all that is left,
/// a key or an address is wrong, a file can't be read or the disk is full, it ends
/// and says so, unless '--timeout-ms' gives it time.
///
/// Exit code: 0 all is delivered, 1 something is left or was rejected, 2 wrong usage.
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Drain {
    #[command(flatten)]
    spool: Spool,
    /// Give up after N milliseconds; default: no limit
    #[arg(long, value_name = "N", value_parser = whole_number)]
    timeout_ms: Option<u64>,
    /// The file with the API key; default: the environment's OPENAI_API_KEY
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    api_key_file: Option<PathBuf>,
    #[command(flatten)]
    named_keys: NamedKeys,
    /// Write the final counters as 'spanspool status --json' does
    #[arg(long)]
    json: bool,
}

fn whole_number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "a whole number from 0 is allowed".into())
}

/// No new items come, so no batch waits to be filled; orphans are looked for often.
const DEFAULTS: &[(&str, &str)] = &[("schedule_delay_ms", "100"), ("adopt_interval_ms", "500")];

/// As good as none, and short enough to be added to a clock.
const NO_LIMIT: Duration = Duration::from_secs(365 * 86_400);
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// All that is left waits for something outside to change: for as long it may still do so.
const STANDSTILL: Duration = Duration::from_secs(5);

impl Drain {
    pub fn run(&self, out: &mut dyn Write) -> Result<Done, Failure> {
        let limit = self.timeout_ms.map_or(NO_LIMIT, Duration::from_millis).min(NO_LIMIT);
        if self.spool.setting("exporter")?.is_some_and(|exporter| exporter == "none") {
            let why = "'--set exporter=none' delivers nothing; allowed: backend, otlp, console";
            return Err(Failure::Usage(why.into()));
        }
        let mut config = self.spool.config_to_change(DEFAULTS)?;
        if let Some(path) = &self.api_key_file {
            config.set("api_key", &key_file::read("--api-key-file", path)?)?;
        }
        let keys = self.named_keys.read()?;
        // Opened first: a mistyped folder is an error here, not a new spool.
        let view = self.spool.view()?;
        let (before, held_before) = (view.lanes()?, Held::of(&view, |_| true));
        let progress = Arc::new(Progress::new("delivered"));
        let log = Arc::clone(&progress);
        config.set_log(move |level, line| {
            if level <= Level::Warn {
                log.say(&format!("spanspool drain: {line}"));
            }
        });
        let started = Instant::now();
        let route = Route::new(&self.spool, config, keys, &before)?;
        let is_patient = self.timeout_ms.is_some();
        let result = deliver(&route, &view, started + limit, is_patient, &progress);
        progress.clear();
        let (seen, unreadable, held) = (view.lanes()?, view.unreadable()?, Held::of(&view, |_| true));
        // Nothing is left or the time is up, so there is nothing to wait for.
        route.processors().for_each(|processor| drop(processor.shutdown(Duration::ZERO)));
        let standing = result?;
        let stands = standing.is_some();
        // As they were while there was somebody who knew why.
        let lanes = standing.unwrap_or(seen);
        let (before, after) = (totals(&before), totals(&lanes));
        let refused = (after.rejected.saturating_sub(held.items()))
            .saturating_sub(before.rejected.saturating_sub(held_before.items()));
        if self.json {
            write_json(&lanes, &unreadable, out)?;
        } else {
            let left = (before.pending + held_before.items()).saturating_sub(after.pending + held.items());
            let (left, took) = (counted(left, "item"), duration(started.elapsed().as_millis() as u64));
            writeln!(out, "{}\n{left} left the spool in {took}", equation(&after))?;
            if refused > 0 {
                let refused = counted(refused, "item");
                writeln!(out, "{refused} rejected in this run; see 'spanspool rejected list'")?;
            }
            held.write(out)?;
            write_pending(&lanes, &route, out)?;
            if stands {
                writeln!(out, "nothing can be delivered until that changes; '--timeout-ms N' waits for it")?;
            }
            write_unreadable(&unreadable, out)?;
        }
        for ForeignLane { id, reason } in view.foreign()? {
            warn(&format!("spanspool drain: lane {id} {reason}"));
        }
        if let Some(why) = &held.unread {
            warn(&format!("spanspool drain: {why}"));
        }
        let is_unread = !unreadable.is_empty() || held.unread.is_some();
        let is_left = after.pending > 0 || held.items() > 0 || is_unread;
        Ok(Done::all_if(refused == 0 && !is_left))
    }
}

/// Flushes in threads of their own while this one shows the progress. Unless it `is_patient`, it ends when all that is left
/// waits for something outside to change, and returns the lanes as they are then.
fn deliver(
    route: &Route,
    view: &SpoolView,
    deadline: Instant,
    is_patient: bool,
    progress: &Progress,
) -> Result<Option<Vec<LaneStatus>>, Failure> {
    thread::scope(|scope| {
        let flush = |processor| scope.spawn(move || flush_until_empty(processor, route, view, deadline));
        let flushers: Vec<_> = route.processors().map(flush).collect();
        let have_ended = || flushers.iter().all(|flusher| flusher.is_finished());
        let standing = watch(route, view, is_patient, progress, have_ended);
        if !matches!(standing, Ok(None)) {
            // The flushes end with it.
            route.processors().for_each(|processor| drop(processor.shutdown(Duration::ZERO)));
        }
        let died = |_| Err(Failure::Failed("a thread of this program died".into()));
        flushers.into_iter().try_for_each(|flusher| flusher.join().unwrap_or_else(died))?;
        standing
    })
}

/// Shows the progress until the flushes `have_ended`. Returns the lanes as they are when, unless it `is_patient`, all that
/// is left waits for something outside to change.
fn watch(
    route: &Route,
    view: &SpoolView,
    is_patient: bool,
    progress: &Progress,
    have_ended: impl Fn() -> bool,
) -> Result<Option<Vec<LaneStatus>>, Failure> {
    let (mut total, mut standstill) = (0, Standstill::default());
    while !have_ended() {
        let foreign = view.foreign()?;
        let lanes = route.lanes(view, &foreign)?;
        let pending = totals(&lanes).pending;
        total = total.max(pending);
        let note = lanes.iter().find(|lane| lane.stats.state().is_waiting()).map(waiting);
        progress.show(total - pending, total, &note.unwrap_or_default());
        if !is_patient && standstill.lasts(&lanes, || damaged(view, &foreign))? {
            return Ok(Some(standstill.shown(view.lanes()?)));
        }
        thread::sleep(LOOK_INTERVAL);
    }
    Ok(None)
}

/// Whether all that is left waits for something outside to change. This process has a few lanes at a time: one that gave
/// way to another counts as it was, until something is delivered.
#[derive(Default)]
struct Standstill {
    since: Option<Instant>,
    pending: u64,
    /// The lanes that this process had when they were on hold, as they were, by their ids.
    held: BTreeMap<String, LaneStatus>,
}

impl Standstill {
    /// Whether it lasts already. `lanes`: those that this process has or may have. It may recover those that are `damaged`,
    /// too; they are looked for only when nothing else moves.
    fn lasts(
        &mut self,
        lanes: &[LaneStatus],
        damaged: impl FnOnce() -> Result<Vec<UnreadableLane>, Failure>,
    ) -> Result<bool, Failure> {
        let pending = totals(lanes).pending;
        if std::mem::replace(&mut self.pending, pending) != pending {
            self.held.clear();
        }
        let mut left = lanes.iter().filter(|lane| lane.stats.pending > 0).peekable();
        let is_any_left = left.peek().is_some();
        // Each is noted, also after one that does not wait.
        let moving = left.filter(|lane| !self.note(lane)).count();
        let damaged = if moving == 0 { damaged()? } else { Vec::new() };
        if moving > 0 || !is_any_left && damaged.is_empty() {
            self.since = None;
            return Ok(false);
        }
        let is_over = self.since.get_or_insert_with(Instant::now).elapsed() >= STANDSTILL;
        Ok(is_over && !damaged.iter().any(|lane| lane.owned))
    }

    /// Notes how `lane` is. Returns whether it waits for something outside to change.
    fn note(&mut self, lane: &LaneStatus) -> bool {
        if lane.owner_pid != Some(std::process::id()) {
            return self.held.contains_key(&lane.id);
        }
        let is_held = lane.stats.state() == ExportState::Hold;
        if is_held {
            self.held.insert(lane.id.clone(), lane.clone());
        } else {
            self.held.remove(&lane.id);
        }
        is_held
    }

    /// `lanes`, with why those wait that gave way.
    fn shown(mut self, lanes: Vec<LaneStatus>) -> Vec<LaneStatus> {
        let shown = |lane: LaneStatus| match lane.owner_pid {
            None => self.held.remove(&lane.id).unwrap_or(lane),
            Some(_) => lane,
        };
        lanes.into_iter().map(shown).collect()
    }
}

fn flush_until_empty(
    processor: &BatchTraceProcessor,
    route: &Route,
    view: &SpoolView,
    deadline: Instant,
) -> Result<(), Failure> {
    loop {
        match processor.flush(deadline.saturating_duration_since(Instant::now())) {
            Err(error) if matches!(error.kind(), ErrorKind::Timeout | ErrorKind::ShutDown) => return Ok(()),
            result => result?,
        }
        // The flush does not wait for orphans that are not yet adopted; they are within `adopt_interval_ms`.
        // Damaged lanes are looked for first: their items are pending elsewhere before the lane is gone.
        let foreign = view.foreign()?;
        let is_any_damaged = !damaged(view, &foreign)?.is_empty();
        let lanes = route.lanes(view, &foreign)?;
        let done = !is_any_damaged && totals(&lanes).pending == 0 && !route.moves_items(view, &lanes)?;
        if done || Instant::now() >= deadline {
            return Ok(());
        }
        thread::sleep(LOOK_INTERVAL);
    }
}

/// Where this run delivers to: settings and a processor for each destination. All have the same named keys.
struct Route {
    ways: Vec<(Config, BatchTraceProcessor)>,
    keys: BTreeMap<String, String>,
}

impl Route {
    /// To where `config` says, if the command line says so in `spool`; else to where the items of `lanes` go.
    fn new(
        spool: &Spool,
        config: Config,
        keys: BTreeMap<String, String>,
        lanes: &[LaneStatus],
    ) -> Result<Self, Failure> {
        let is_told = |key| Ok::<_, Failure>(spool.setting(key)?.is_some());
        let takes_all = spool.setting("adopt")?.is_some_and(|which| which == "any");
        let mut configs = BTreeMap::new();
        if !takes_all && !is_told("endpoint")? && !is_told("exporter")? {
            for destination in lanes.iter().filter(|lane| is_ours(lane)).map(|lane| &lane.destination) {
                // Those of `exporter=none` go anywhere, and a program's own exporter is not here.
                let is_known = destination.endpoint().is_some() || destination.signal().is_some();
                if is_known || *destination == Destination::console() {
                    let mut config = config.clone();
                    config.set_destination(destination)?;
                    configs.insert(destination, config);
                }
            }
        }
        let configs = if configs.is_empty() { vec![config] } else { configs.into_values().collect() };
        let open = |config: Config| {
            let processor = BatchTraceProcessor::open(config.clone())?;
            keys.iter().try_for_each(|(name, key)| processor.set_named_key(name, key))?;
            Ok((config, processor))
        };
        let ways = configs.into_iter().map(open).collect::<Result<_, Failure>>()?;
        Ok(Self { ways, keys })
    }

    fn processors(&self) -> impl Iterator<Item = &BatchTraceProcessor> {
        self.ways.iter().map(|(_, processor)| processor)
    }

    fn takes(&self, destination: &Destination) -> bool {
        self.ways.iter().any(|(config, _)| config.adopts(destination))
    }

    /// Whether items in `lanes` will be put back on their way because their key is known here.
    fn moves_items(&self, view: &SpoolView, lanes: &[LaneStatus]) -> Result<bool, Failure> {
        if self.keys.is_empty() || totals(lanes).held_batches == 0 {
            return Ok(false);
        }
        Ok(Held::of(view, |id| lanes.iter().any(|lane| lane.id == id)).lacks(&self.keys))
    }

    /// The lanes that this process owns or may adopt, but for those of other users.
    fn lanes(&self, view: &SpoolView, foreign: &[ForeignLane]) -> Result<Vec<LaneStatus>, Failure> {
        let mut lanes = view.lanes()?;
        lanes.retain(|lane| !is_foreign(&lane.id, foreign) && is_ours(lane) && self.takes(&lane.destination));
        Ok(lanes)
    }
}

/// The lanes that a client recovers, once all of them can be read.
fn damaged(view: &SpoolView, foreign: &[ForeignLane]) -> Result<Vec<UnreadableLane>, Failure> {
    let mut unreadable = view.unreadable()?;
    unreadable.retain(|lane| lane.damaged && !is_foreign(&lane.id, foreign));
    Ok(unreadable)
}

/// Whether the lane `id` is another user's.
fn is_foreign(id: &str, foreign: &[ForeignLane]) -> bool {
    foreign.iter().any(|lane| lane.id == id)
}

/// Whether no other process owns `lane`.
fn is_ours(lane: &LaneStatus) -> bool {
    lane.owner_pid.is_none_or(|pid| pid == std::process::id())
}

fn write_pending(lanes: &[LaneStatus], route: &Route, out: &mut dyn Write) -> Result<(), Failure> {
    for lane in lanes.iter().filter(|lane| lane.stats.pending > 0) {
        let who = match lane.owner_pid {
            Some(pid) if pid != std::process::id() => format!("process {pid} has its lane {}", lane.id),
            None if !route.takes(&lane.destination) => {
                format!("lane {} goes to {}; '--set adopt=any' delivers it here", lane.id, lane.destination)
            }
            None => format!("lane {}, which no process has adopted", lane.id),
            _ => waiting(lane),
        };
        writeln!(out, "{} pending: {who}", count(lane.stats.pending))?;
    }
    Ok(())
}
