//! Scene: a spool on which workers are killed, and how a trial goes.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use spanspool::{BatchTraceProcessor, ErrorKind, LaneStatus, RejectedItem};

use crate::findings::{Findings, Handed, SENT_ANEW, prepared};
use crate::items::{Counters, Kind, PREPARED, Progress, text};
use crate::record::{Recorder, Sent};
use crate::setup::{Crew, Setup, Weather};
use crate::trouble::Tools;
use testkit::form::Form;
use testkit::wait::{PATIENCE, eventually};
use testkit::{TempDir, caller, compile_c, compile_shim};

/// Items that each of the lanes has that were there before.
const PREPARED_ITEMS: u64 = 90;
/// Threads from here on are the checker's own.
const WITNESSES: usize = 70;
/// Of these, the items of before the ingest went down.
const SETTLED_ITEMS: u64 = 30;

/// What all trials have in common: the compiled worker, and for each form a spool with two orphans to begin with.
pub struct Stage {
    dir: TempDir,
    worker: PathBuf,
    orphans: [Orphans; 2],
    pub tools: Tools,
}

/// A spool with two orphans.
struct Orphans {
    form: Form,
    spool: PathBuf,
    /// What came from them, at each of two ports.
    sent: [Vec<Sent>; 2],
    ports: [u16; 2],
}

impl Stage {
    pub fn new(name: &str) -> Self {
        let dir = TempDir::new(name);
        let worker = compile_c("tests/c/kill_worker.c", dir.path());
        let tools = Tools::new(&dir);
        let orphans = Form::ALL.map(|form| Orphans::prepare(form, dir.join(form.exporter())));
        Self { dir, worker, orphans, tools }
    }

    fn orphans(&self, form: Form) -> &Orphans {
        self.orphans.iter().find(|orphans| orphans.form == form).unwrap()
    }
}

impl Orphans {
    fn prepare(form: Form, spool: PathBuf) -> Self {
        let recorders = prepare_orphans(form, &spool);
        let sent = recorders.each_ref().map(Recorder::sent);
        let ports = recorders.map(|recorder| recorder.ingest.port());
        Self { form, spool, sent, ports }
    }
}

/// Makes two lanes that nobody owns, for two ingests: items delivered, rejected, in segments and in the journal of each.
fn prepare_orphans(form: Form, spool: &Path) -> [Recorder; 2] {
    let recorders = [0, 1].map(|_| Recorder::start(0, Vec::new(), 200));
    let setup = Setup {
        form,
        threads: 0,
        items: 0,
        ingests: vec![Weather::Up; 2],
        crew: Crew::Welcome,
        orphans: false,
        power: false,
        small_journal: true,
        max_in_flight: 1,
        max_batch_size: 16,
        backlog_share: None,
        trouble: None,
    };
    let clients = [0, 1].map(|lane| (lane, setup.open(spool, &form.url(&recorders[lane].ingest))));
    let enqueue = |numbers: std::ops::Range<u64>| {
        for (lane, client) in &clients {
            for n in numbers.clone() {
                let key_name = Kind::of((PREPARED + lane, n)).key_name();
                let item = form.item(&text((PREPARED + lane, n)));
                let enqueue = || match key_name {
                    "" => client.enqueue(&item),
                    _ => client.enqueue_as(key_name, &item),
                };
                // The disk may not keep up.
                eventually("there is room", || match enqueue() {
                    Ok(()) => true,
                    Err(error) if error.kind() == ErrorKind::Full => false,
                    Err(error) => panic!("{error}"),
                });
            }
        }
    };
    enqueue(0..SETTLED_ITEMS);
    for (_, client) in &clients {
        client.flush(PATIENCE).unwrap();
    }
    recorders.iter().for_each(|recorder| recorder.answer_with(503));
    enqueue(SETTLED_ITEMS..PREPARED_ITEMS);
    let lanes = spool.join("lanes");
    let has_segments = |lane: &String| !entries(&lanes.join(lane).join("segments")).is_empty();
    eventually("segments are written", || entries(&lanes).iter().all(has_segments));
    drop(clients);
    recorders
}

/// A spool that workers are killed on.
pub struct Scene<'a> {
    stage: &'a Stage,
    pub setup: Setup,
    pub spool: PathBuf,
    _home: Option<TempDir>,
    dir: TempDir,
    /// One for each destination.
    recorders: Vec<Recorder>,
    counters: Counters,
    uncertain: HashSet<(usize, u64)>,
    deaths: u64,
    /// The threads of the checker's own items, of which each has one.
    witnesses: Vec<usize>,
}

impl<'a> Scene<'a> {
    pub fn new(stage: &'a Stage, setup: Setup) -> Self {
        let dir = TempDir::new("kill");
        let home = stage.tools.home_for(&setup);
        let spool = home.as_ref().unwrap_or(&dir).join("spool");
        let orphans = stage.orphans(setup.form);
        if setup.orphans {
            copy_folder(&orphans.spool, &spool);
        }
        let sent_before = |at: usize| match (setup.orphans, setup.destinations()) {
            (false, _) => Vec::new(),
            (true, 1) => orphans.sent.concat(),
            (true, _) => orphans.sent[at].clone(),
        };
        let recorder = |(at, weather): (usize, &Weather)| {
            let status = if *weather == Weather::Up { 200 } else { 503 };
            let recorder = Recorder::start(orphans.ports[at], sent_before(at), status);
            recorder.answer_crew_with(setup.crew.status());
            if *weather == Weather::Down {
                recorder.ingest.reset_unread(usize::MAX);
            }
            recorder
        };
        let recorders = setup.ingests.iter().enumerate().map(recorder).collect();
        let counters = Counters::new(dir.join("counters"));
        Self {
            stage,
            setup,
            spool,
            _home: home,
            dir,
            recorders,
            counters,
            uncertain: HashSet::new(),
            deaths: 0,
            witnesses: Vec::new(),
        }
    }

    /// A worker, for so many rounds.
    pub fn worker(&self, rounds: u64, mode: &str) -> Command {
        self.worker_of(rounds, self.setup.items, mode)
    }

    /// A worker whose rounds have so many `items` a thread.
    pub fn worker_of(&self, rounds: u64, items: u64, mode: &str) -> Command {
        let mut command = caller(&self.stage.worker);
        let mut mode = if self.setup.is_waited_for() { mode.to_owned() } else { format!("{mode}d") };
        let mut spool = self.spool.clone();
        if let Some(trouble) = self.setup.trouble {
            mode.push_str(trouble.mode());
            spool = trouble.name_of(&self.spool);
        }
        command.current_dir(self.spool.parent().unwrap());
        command.arg(self.counters.path());
        command.args([self.setup.threads, rounds, items].map(|number| number.to_string())).arg(mode);
        command.arg(self.endpoints().join(",")).arg(format!("spool_dir={}", spool.display()));
        command.args(self.setup.settings().iter().map(|(key, value)| format!("{key}={value}")));
        command
    }

    fn endpoints(&self) -> Vec<String> {
        match self.setup.ingests[..] {
            // Port 9 (discard) of the loopback address: nobody listens.
            [Weather::Down] => vec!["http://127.0.0.1:9/".to_owned()],
            _ => self.urls(),
        }
    }

    /// One for each destination.
    fn urls(&self) -> Vec<String> {
        self.recorders.iter().map(|recorder| self.setup.form.url(&recorder.ingest)).collect()
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
        let handed = self.handed(|_| true);
        let most: u64 = handed.progress.values().map(|progress| progress.handed).sum();
        let least = most - self.uncertain.len() as u64;
        self.deaths += self.setup.destinations() as u64;
        // Each death may have come while rejected items were sent again: then the ledger has them twice.
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

    /// What the threads handed over that are `wanted`.
    fn handed(&self, wanted: impl Fn(usize) -> bool) -> Handed {
        let workers = self.counters.read().into_iter().enumerate();
        let before = if self.setup.orphans { 2 } else { 0 };
        let before = (0..before).map(|lane| prepared(lane, PREPARED_ITEMS));
        let witnesses =
            self.witnesses.iter().map(|thread| (*thread, Progress { handed: 1, acknowledged: 1 }));
        Handed {
            progress: workers.chain(before).chain(witnesses).filter(|(thread, _)| wanted(*thread)).collect(),
            uncertain: self.uncertain.clone(),
        }
    }

    pub fn tools(&self) -> &'a Tools {
        &self.stage.tools
    }

    /// Another process on the spool that enqueues an item, and ends before long.
    pub fn visit(&mut self) {
        let url = self.urls().remove(0);
        let client = self.setup.open(&self.spool, &url);
        self.enqueue_witness(&client, 0);
    }

    /// Enqueues an item for `destination`.
    fn enqueue_witness(&mut self, client: &BatchTraceProcessor, destination: usize) {
        let next = self.witnesses.last().map_or(WITNESSES, |last| last + 1);
        let is_fit = |thread: &usize| {
            Kind::of((*thread, 0)) == Kind::Plain && self.setup.home_of(*thread) == destination
        };
        let witness = (next..).find(is_fit).unwrap();
        match client.enqueue(&self.setup.form.item(&text((witness, 0)))) {
            Ok(()) => self.witnesses.push(witness),
            // What the dead left may fill the ring for a moment.
            Err(error) => assert_eq!(error.kind(), ErrorKind::Full, "{error}"),
        }
    }

    /// Opens the spool again, has everything delivered, and looks at what became of every item.
    pub fn deliver_rest(&mut self) -> Findings {
        for recorder in &self.recorders {
            recorder.answer_with(200);
            recorder.answer_crew_with(200);
            recorder.ingest.reset_unread(0);
        }
        let urls = self.urls();
        let clients: Vec<_> = urls.iter().map(|url| self.setup.open(&self.spool, url)).collect();
        for client in &clients {
            client.set_named_key("crew", "key-crew").unwrap();
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            // Bad items alone are held until something good comes after them.
            let flushed: Vec<_> = clients
                .iter()
                .enumerate()
                .map(|(at, client)| {
                    self.enqueue_witness(client, at);
                    client.flush(Duration::from_secs(2))
                })
                .collect();
            let lanes = entries(&self.spool.join("lanes"));
            if flushed.iter().all(Result::is_ok) && lanes.len() == clients.len() && !self.crew_is_aside() {
                break;
            }
            if Instant::now() > deadline {
                let amiss = vec![format!("{flushed:?} {:?}", testkit::client::lanes(&self.spool))];
                return Findings { amiss, ..Findings::default() };
            }
        }
        // Rejected items may be going back on their way until here; nothing moves in the ledger that is read
        // afterwards.
        clients.iter().for_each(|client| client.shutdown(PATIENCE).unwrap());
        drop(clients);
        // On a busy machine the threads may be a little behind the shutdown.
        eventually("nothing is left behind", || leftovers(&self.spool).is_empty());
        let lanes = testkit::client::lanes(&self.spool);
        let mut found = Findings::default();
        for (at, url) in urls.iter().enumerate() {
            let is_its = |lane: &&LaneStatus| lane.destination.endpoint() == Some(url);
            match lanes.iter().find(is_its) {
                Some(lane) => found.add(self.findings_at(at, lane)),
                None => found.amiss.push(format!("no lane for {url}: {lanes:?}")),
            }
        }
        found
    }

    /// Whether items are still set aside for want of the crew's key.
    fn crew_is_aside(&self) -> bool {
        testkit::client::rejected(&self.spool).iter().any(|item| item.key_name == "crew")
    }

    /// What became of the items of one destination, by what came there and by its own lane.
    fn findings_at(&self, at: usize, lane: &LaneStatus) -> Findings {
        let mut store = testkit::client::rejected(&self.spool);
        store.retain(|item: &RejectedItem| item.id.starts_with(&lane.id));
        let handed = self.handed(|thread| self.setup.home_of(thread) == at);
        Findings::of(&handed, &self.recorders[at].sent(), &store, &lane.stats)
    }

    /// Keeps the folder of a trial that failed.
    pub fn keep(self) -> PathBuf {
        let kept = self.stage.dir.path().with_extension("failed");
        // A copy that fails must not hide what the trial found.
        drop(fs::rename(self.dir.path(), &kept));
        kept
    }
}

/// What a spool with nothing to do must not have: a lock, a journal and a rejected store are all of a lane.
fn leftovers(spool: &Path) -> Vec<String> {
    let lanes = spool.join("lanes");
    let mut left = Vec::new();
    for lane in entries(&lanes).iter().map(|name| lanes.join(name)) {
        for name in entries(&lane) {
            let below = || entries(&lane.join(&name));
            match name.as_str() {
                "lock" | "journal" => {}
                "segments" if below().is_empty() => {}
                "rejected" if below().iter().all(|name| name.len() == 20) => {}
                _ => left.push(format!("left behind: {name} {:?}", below())),
            }
        }
    }
    left
}

pub fn entries(dir: &Path) -> Vec<String> {
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
