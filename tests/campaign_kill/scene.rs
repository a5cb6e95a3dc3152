//! Scene: a spool on which workers are killed, and how a trial goes.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use spanspool::{BackendSpanExporter, BatchTraceProcessor, ErrorKind, RejectedItem, Stats, TracingExporter};

use crate::findings::{Findings, Handed, SENT_ANEW, prepared};
use crate::items::{Counters, Kind, PREPARED, Progress, text};
use crate::record::{Recorder, Sent};
use testkit::client::Noise;
use testkit::wait::{PATIENCE, eventually};
use testkit::{TempDir, caller, compile_c, compile_shim};

/// Items that each of the lanes has that were there before.
const PREPARED_ITEMS: u64 = 90;
/// Threads from here on are the checker's own.
const WITNESSES: usize = 70;
/// Of these, the items of before the ingest went down.
const SETTLED_ITEMS: u64 = 30;

/// How a trial goes.
#[derive(Debug, Clone)]
pub struct Setup {
    pub threads: u64,
    pub items: u64,
    pub ingest: Weather,
    /// Whether the spool has two lanes of the dead to begin with.
    pub orphans: bool,
    pub power: bool,
    pub small_journal: bool,
    pub max_in_flight: u64,
    pub max_batch_size: u64,
}

/// What a worker finds at its endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    Up,
    Failing,
    Down,
}

impl Setup {
    pub fn new(noise: &mut Noise) -> Self {
        Self {
            threads: 1 + noise.below(8),
            items: if noise.below(10) == 0 { 2000 } else { 16 + noise.below(100) },
            ingest: [Weather::Up, Weather::Up, Weather::Failing, Weather::Down][noise.below(4) as usize],
            orphans: noise.below(3) > 0,
            power: noise.below(4) == 0,
            small_journal: noise.below(4) > 0,
            max_in_flight: if noise.below(3) == 0 { 4 } else { 1 },
            max_batch_size: if noise.below(2) == 0 { 16 } else { 128 },
        }
    }

    /// Batches that a death can make be sent again: the lane's own, and that of the lane being adopted.
    pub fn max_resent(&self) -> u64 {
        self.max_in_flight + 1
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = vec![
            ("api_key", "key-default".to_owned()),
            ("schedule_delay_ms", "2".into()),
            ("base_delay_ms", "2".into()),
            ("max_delay_ms", "20".into()),
            ("adopt_interval_ms", "5".into()),
            ("sync_interval_ms", "5".into()),
            ("max_in_flight", self.max_in_flight.to_string()),
            ("max_batch_size", self.max_batch_size.to_string()),
        ];
        if self.power {
            settings.push(("durability", "power".into()));
        }
        if self.small_journal {
            settings.push(("journal_bytes", "128 KiB".into()));
        }
        // Each life sends to an ingest of its own.
        settings.push(("adopt", "any".into()));
        settings
    }

    /// A client in this process. It knows the team's key before it takes over anything, as a worker does not.
    fn open(&self, spool: &Path, url: &str) -> BatchTraceProcessor {
        let settings = self.settings();
        let settings: Vec<_> = settings.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let config = testkit::client::config(spool, url, &settings);
        let exporter = BackendSpanExporter::new(&config).unwrap();
        exporter.set_named_key("team", "key-team");
        BatchTraceProcessor::with_exporter(config, Arc::new(exporter)).unwrap()
    }
}

/// What all trials have in common: the compiled worker, and a spool with two orphans to begin with.
pub struct Stage {
    dir: TempDir,
    worker: PathBuf,
    orphans: PathBuf,
    sent: Vec<Sent>,
}

impl Stage {
    pub fn new(name: &str) -> Self {
        let dir = TempDir::new(name);
        let worker = compile_c("tests/c/kill_worker.c", dir.path());
        let orphans = dir.join("orphans");
        let sent = prepare_orphans(&orphans);
        Self { dir, worker, orphans, sent }
    }
}

/// Makes two lanes that nobody owns: items delivered, rejected, in segments and in the journal of each.
fn prepare_orphans(spool: &Path) -> Vec<Sent> {
    let recorder = Recorder::start(Vec::new(), 200);
    let setup = Setup {
        threads: 0,
        items: 0,
        ingest: Weather::Up,
        orphans: false,
        power: false,
        small_journal: true,
        max_in_flight: 1,
        max_batch_size: 16,
    };
    let clients = [0, 1].map(|lane| (lane, setup.open(spool, &recorder.ingest.url())));
    let enqueue = |numbers: std::ops::Range<u64>| {
        for (lane, client) in &clients {
            for n in numbers.clone() {
                let (name, json) = (Kind::of((PREPARED + lane, n)).key_name(), text((PREPARED + lane, n)));
                let accepted = match name {
                    "" => client.enqueue(json.as_bytes()),
                    _ => client.enqueue_as(name, json.as_bytes()),
                };
                accepted.unwrap();
            }
        }
    };
    enqueue(0..SETTLED_ITEMS);
    for (_, client) in &clients {
        client.flush(PATIENCE).unwrap();
    }
    recorder.answer_with(503);
    enqueue(SETTLED_ITEMS..PREPARED_ITEMS);
    let lanes = spool.join("lanes");
    let has_segments = |lane: &String| !entries(&lanes.join(lane).join("segments")).is_empty();
    eventually("segments are written", || entries(&lanes).iter().all(has_segments));
    drop(clients);
    recorder.sent()
}

/// A spool that workers are killed on.
pub struct Scene<'a> {
    stage: &'a Stage,
    pub setup: Setup,
    pub spool: PathBuf,
    dir: TempDir,
    recorder: Recorder,
    counters: Counters,
    uncertain: HashSet<(usize, u64)>,
    deaths: u64,
    /// The threads of the checker's own items, of which each has one.
    witnesses: Vec<usize>,
}

impl<'a> Scene<'a> {
    pub fn new(stage: &'a Stage, setup: Setup) -> Self {
        let dir = TempDir::new("kill");
        let spool = dir.join("spool");
        let sent = if setup.orphans {
            copy_folder(&stage.orphans, &spool);
            stage.sent.clone()
        } else {
            Vec::new()
        };
        let recorder = Recorder::start(sent, if setup.ingest == Weather::Up { 200 } else { 503 });
        let counters = Counters::new(dir.join("counters"));
        Self {
            stage,
            setup,
            spool,
            dir,
            recorder,
            counters,
            uncertain: HashSet::new(),
            deaths: 0,
            witnesses: Vec::new(),
        }
    }

    /// A worker, for so many rounds.
    pub fn worker(&self, rounds: u64, mode: &str) -> Command {
        let mut command = caller(&self.stage.worker);
        let mode = if self.setup.ingest == Weather::Up { mode.to_owned() } else { format!("{mode}d") };
        let (threads, items) = (self.setup.threads.to_string(), self.setup.items.to_string());
        command.arg(self.counters.path()).args([&threads, &rounds.to_string(), &items, &mode]);
        // Port 9 (discard) of the loopback address: nobody listens.
        let url = match self.setup.ingest {
            Weather::Down => "http://127.0.0.1:9/".to_owned(),
            _ => self.recorder.ingest.url(),
        };
        command.arg(format!("spool_dir={}", self.spool.display())).arg(format!("endpoint={url}"));
        command.args(self.setup.settings().iter().map(|(key, value)| format!("{key}={value}")));
        command
    }

    /// Preloads a library before the worker that keeps the journal's writes from its file.
    pub fn without_journal_writes(&self, worker: &mut Command) {
        worker.env("LD_PRELOAD", compile_shim("tests/c/private_journal.c", self.dir.path()));
    }

    /// Items that were accepted so far.
    pub fn acknowledged(&self) -> u64 {
        self.counters.read().iter().map(|progress| progress.acknowledged).sum()
    }

    /// The folders of all segments.
    pub fn segments(&self) -> Vec<PathBuf> {
        let lanes = self.spool.join("lanes");
        let of_lane = |lane: &String| {
            let segments = lanes.join(lane).join("segments");
            entries(&segments).into_iter().map(move |name| segments.join(name)).collect::<Vec<_>>()
        };
        entries(&lanes).iter().flat_map(of_lane).collect()
    }

    /// To be called after each death: what was under way may have been accepted or not. Looks at the ledger of the
    /// dead.
    pub fn after_death(&mut self) -> Result<(), String> {
        for (thread, progress) in self.counters.read().iter().enumerate() {
            self.uncertain.extend((progress.acknowledged..progress.handed).map(|n| (thread, n)));
        }
        if !self.spool.join("lanes").exists() {
            return Ok(());
        }
        let lanes = testkit::client::lanes(&self.spool);
        lanes.iter().for_each(|lane| testkit::client::assert_ledger(&lane.stats));
        let accepted: u64 = lanes.iter().map(|lane| lane.stats.accepted).sum();
        let handed = self.handed();
        let most: u64 = handed.progress.values().map(|progress| progress.handed).sum();
        let least = most - self.uncertain.len() as u64;
        self.deaths += 1;
        // Each death may have come while rejected items were sent anew: then the ledger has them twice.
        if (least..=most + self.deaths * SENT_ANEW).contains(&accepted) {
            return Ok(());
        }
        Err(format!("{accepted} items are accepted, of {least} to {most}: {lanes:?}"))
    }

    /// How often workers were shut down in good order. What is just being adopted then may lose its answer, and be sent
    /// again.
    pub fn shutdowns(&self) -> u64 {
        self.counters.shutdowns()
    }

    fn handed(&self) -> Handed {
        let workers = self.counters.read().into_iter().enumerate();
        let before = if self.setup.orphans { 2 } else { 0 };
        let before = (0..before).map(|lane| prepared(lane, PREPARED_ITEMS));
        let witnesses =
            self.witnesses.iter().map(|thread| (*thread, Progress { handed: 1, acknowledged: 1 }));
        Handed {
            progress: workers.chain(before).chain(witnesses).collect(),
            uncertain: self.uncertain.clone(),
        }
    }

    /// Opens the spool anew, has everything delivered, and looks at what became of every item.
    pub fn deliver_rest(&mut self) -> Findings {
        self.recorder.answer_with(200);
        let client = self.setup.open(&self.spool, &self.recorder.ingest.url());
        // Bad items alone are held until something good comes after them.
        let deadline = Instant::now() + PATIENCE;
        loop {
            let next = self.witnesses.last().map_or(WITNESSES, |last| last + 1);
            let witness = (next..).find(|thread| Kind::of((*thread, 0)) == Kind::Plain).unwrap();
            match client.enqueue(text((witness, 0)).as_bytes()) {
                Ok(()) => self.witnesses.push(witness),
                // What the dead left may fill the ring for a moment.
                Err(error) => assert_eq!(error.kind(), ErrorKind::Full, "{error}"),
            }
            let flushed = client.flush(Duration::from_secs(2));
            if flushed.is_ok() && entries(&self.spool.join("lanes")).len() == 1 {
                break;
            }
            if Instant::now() > deadline {
                let amiss = vec![format!("{flushed:?} {:?}", testkit::client::lanes(&self.spool))];
                return Findings { amiss, ..Findings::default() };
            }
        }
        // Rejected items may be going back on their way until here; nothing moves in the ledger that is read
        // afterwards.
        client.shutdown(PATIENCE).unwrap();
        drop(client);
        let store = testkit::client::rejected(&self.spool);
        // On a busy machine the threads may be a little behind the shutdown.
        eventually("nothing is left behind", || leftovers(&self.spool).is_empty());
        let lanes = testkit::client::lanes(&self.spool);
        self.findings(&store, &lanes[0].stats)
    }

    fn findings(&self, store: &[RejectedItem], stats: &Stats) -> Findings {
        Findings::of(&self.handed(), &self.recorder.sent(), store, stats)
    }

    /// Keeps the folder of a trial that failed.
    pub fn keep(self) -> PathBuf {
        let kept = self.stage.dir.path().with_extension("failed");
        // A copy that fails must not hide what the trial found.
        drop(fs::rename(self.dir.path(), &kept));
        kept
    }
}

/// What a spool with nothing to do must not have: one lane's lock, journal and rejected store are all.
fn leftovers(spool: &Path) -> Vec<String> {
    let lane = testkit::client::lane_dir(spool);
    let mut left = Vec::new();
    for name in entries(&lane) {
        let below = || entries(&lane.join(&name));
        match name.as_str() {
            "lock" | "journal" => {}
            "segments" if below().is_empty() => {}
            "rejected" if below().iter().all(|name| name.len() == 20) => {}
            _ => left.push(format!("left behind: {name} {:?}", below())),
        }
    }
    left
}

fn entries(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for name in entries(from) {
        let (from, to) = (from.join(&name), to.join(&name));
        if from.is_dir() {
            copy_folder(&from, &to);
        } else {
            fs::copy(from, to).unwrap();
        }
    }
}
