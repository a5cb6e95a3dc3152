//! Trial: items that a client hands to an ingest which first does something hostile, and what must hold whatever it
//! did.

#![allow(dead_code, clippy::unwrap_used)]

use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use spanspool::{LaneStatus, RejectedItem, SpoolView, Stats};
use testkit::footprint::{Footprint, Peak};
use testkit::form::Form;
use testkit::host::{Host, assert_same_batches, ids_of, settings};
use testkit::ingest::{Answer, Ingest, Request};
use testkit::wait::PATIENCE;
use testkit::{TempDir, caller};

/// The backoff in trials: a client that tries more often is busy for nothing.
const BASE_DELAY: Duration = Duration::from_millis(2);
const MAX_DELAY: Duration = Duration::from_millis(8);
/// What an attempt for each `flush`, which opens the gate twice, adds to those of the backoff.
const ATTEMPTS_OF_A_FLUSH: usize = 2;
/// The key under whose name half of the items go, if there are two, and what it is.
const TEAM: &str = "team";
const TEAM_KEY: &str = "sk-team";
/// What a client may take more than in the beginning, whatever the ingest does. Each request may have a connection.
const MAX_GROWTH: Footprint = Footprint { rss_kib: 8 << 10, fds: 3, threads: 1, disk_kib: 0 };

/// Items of two keys are sorted in segments, by a pool of seven threads with a cache of 8 MiB; another
/// thread puts items back on their way.
const SORTING: Footprint = Footprint { rss_kib: 8 << 10, fds: 3, threads: 8, disk_kib: 0 };

/// A client in a process of its own, and the ingest that it knows. Another one's may have the same spool.
pub struct Scene {
    pub client: Host,
    in_flight: usize,
    two_keys: bool,
    url: String,
    pub ingest: Ingest,
    pub spool: PathBuf,
    stage: Arc<Mutex<Stage>>,
    peak: Option<Peak>,
    enqueued: BTreeSet<String>,
    arrived: BTreeSet<String>,
    /// Of the last delivery: when it ended, and how many retries there had been.
    since: Instant,
    retries: u64,
    /// How many flushes and items there were since then.
    flushes: usize,
    items: usize,
}

/// What the ingest is to answer next, and the requests that came.
#[derive(Default)]
struct Stage {
    script: VecDeque<Answer>,
    requests: Vec<Request>,
}

/// How a client is started.
#[derive(Clone)]
pub struct Way<'a> {
    pub form: Form,
    pub in_flight: usize,
    /// Half of the items go under a key of their own.
    pub two_keys: bool,
    /// Settings besides those of every trial.
    pub settings: &'a [&'a str],
    pub variables: &'a [(&'a str, &'a str)],
}

impl Default for Way<'_> {
    fn default() -> Self {
        Self { form: Form::Json, in_flight: 1, two_keys: false, settings: &[], variables: &[] }
    }
}

impl Scene {
    pub fn new(dir: &TempDir, way: &Way) -> Self {
        Self::at("127.0.0.1", dir, way)
    }

    /// With an ingest that the client knows as `host`.
    pub fn at(host: &str, dir: &TempDir, way: &Way) -> Self {
        let stage: Arc<Mutex<Stage>> = Arc::default();
        let ingest = start_ingest(&stage, 0);
        let url = way.form.url(&ingest).replace("127.0.0.1", host);
        let spool = dir.join("spool");
        Self {
            client: open(dir, &spool, &url, way),
            in_flight: way.in_flight,
            two_keys: way.two_keys,
            url,
            ingest,
            spool,
            stage,
            peak: None,
            enqueued: BTreeSet::new(),
            arrived: BTreeSet::new(),
            since: Instant::now(),
            retries: 0,
            flushes: 0,
            items: 0,
        }
    }

    /// Stops the ingest and starts it again on the same port.
    pub fn restart_ingest(&mut self) {
        self.ingest.stop();
        self.ingest = start_ingest(&self.stage, self.ingest.port());
    }

    /// Enqueues `count` items that the ingest answers with `answers` first, and then takes; gives the requests.
    pub fn trial(&mut self, name: &str, count: usize, answers: Vec<Answer>) -> Vec<Request> {
        self.hand_over(name, count, answers);
        self.deliver(name)
    }

    /// Enqueues `count` items that the ingest is to answer with `answers` first.
    pub fn hand_over(&mut self, name: &str, count: usize, answers: Vec<Answer>) {
        // After the first batch: what that needs for ever is no growth.
        if self.peak.is_none() && !self.enqueued.is_empty() {
            self.peak = Some(Peak::watch(self.client.pid()));
        }
        self.stage.lock().unwrap().script = answers.into();
        let of_team = if self.two_keys { count / 2 } else { 0 };
        let (theirs, own) = (format!("enqueue_as {TEAM} {name}-{TEAM}"), format!("enqueue {name}"));
        for (command, name, count) in
            [(theirs, format!("{name}-{TEAM}"), of_team), (own, name.to_owned(), count - of_team)]
        {
            assert_eq!(self.client.ask(&format!("{command} {count}")), format!("0 {count}"), "{name}");
            self.enqueued.extend((0..count).map(|n| format!("{name}-{n}")));
        }
        self.items += count;
    }

    /// What was set aside for the team's key goes on its way.
    fn name_key(&mut self) {
        if self.two_keys {
            assert_eq!(self.client.ask(&format!("named_key {TEAM} {TEAM_KEY}")), "0");
        }
    }

    /// Begins a flush; the client's next line is its status.
    pub fn begin_flush(&mut self, timeout_ms: u64) {
        self.flushes += 1;
        self.client.tell(&format!("flush {timeout_ms}"));
    }

    pub fn flush(&mut self, timeout_ms: u64) -> String {
        self.begin_flush(timeout_ms);
        self.client.line()
    }

    /// Flushes until every item is settled; gives the requests since the last call.
    pub fn deliver(&mut self, name: &str) -> Vec<Request> {
        let deadline = Instant::now() + PATIENCE;
        // An ingest may ask for a day's patience: only another flush goes against that.
        while self.flush(5000) != "0" || self.has_key_refused() {
            self.name_key();
            assert!(Instant::now() < deadline, "{name}: not delivered; {:?}", self.stats());
        }
        let mut requests = self.take_requests();
        // An ingest that answers ahead reads the request later.
        while !self.lost().is_empty() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
            requests.extend(self.take_requests());
        }
        let retries = self.stats().retries;
        let attempts = requests.len().max((retries - self.retries) as usize);
        // When the gate opens as many begin as may be in flight, also after each that is accepted.
        let openings = ATTEMPTS_OF_A_FLUSH * self.flushes + if self.in_flight > 1 { self.items } else { 0 };
        let bound = attempts_within(self.since.elapsed()) + openings * self.in_flight;
        assert!(attempts <= bound, "{name}: {attempts} attempts, not {bound}");
        self.assert_sound(name);
        (self.since, self.retries, self.flushes, self.items) = (Instant::now(), retries, 0, 0);
        requests
    }

    /// The requests since the last call, which must repeat nothing but whole batches.
    pub fn take_requests(&mut self) -> Vec<Request> {
        self.ingest.take_requests();
        let requests = std::mem::take(&mut self.stage.lock().unwrap().requests);
        // What was set aside for want of a good key comes again, as another batch.
        let is_of_team =
            |request: &&Request| request.header("authorization") == Some(&format!("Bearer {TEAM_KEY}"));
        let others: Vec<Request> = requests.iter().filter(|request| !is_of_team(request)).cloned().collect();
        assert_same_batches(&others);
        self.arrived.extend(requests.iter().flat_map(ids_of));
        let strangers: Vec<_> = self.arrived.difference(&self.enqueued).collect();
        assert!(strangers.is_empty(), "of another destination: {strangers:?}");
        requests
    }

    /// Nothing is pending, and all that holds at any time holds.
    pub fn assert_sound(&self, name: &str) {
        let stats = self.stats();
        let settled = (stats.accepted, stats.delivered + stats.rejected, stats.pending);
        assert_eq!(settled, (self.enqueued.len() as u64, stats.accepted, 0), "{name}: {stats:?}");
        assert_eq!(self.rejected().len() as u64, stats.rejected, "{name}");
        assert_eq!(self.lost(), [""; 0], "{name}");
        self.assert_modest(name);
    }

    /// The client takes no more of the machine than it may.
    pub fn assert_modest(&self, name: &str) {
        let (Some(now), Some(peak)) = (Footprint::of(self.client.pid()), &self.peak) else { return };
        let (first, most) = (peak.first(), peak.so_far());
        let sorted = if self.two_keys { SORTING } else { Footprint::default() };
        assert!(
            most.rss_kib <= first.rss_kib + MAX_GROWTH.rss_kib + sorted.rss_kib,
            "{name}: {first:?}, {most:?}, now {now:?}"
        );
        let fds = first.fds + MAX_GROWTH.fds + sorted.fds + self.in_flight as u64 - 1;
        assert!(most.fds <= fds, "{name}: {first:?}, {most:?}, now {now:?}");
        assert!(
            most.threads <= first.threads + MAX_GROWTH.threads + sorted.threads,
            "{name}: {first:?}, {most:?}, now {now:?}"
        );
    }

    /// Items that the client took and that neither arrived nor lie in the rejected store.
    pub fn lost(&self) -> Vec<String> {
        let aside = self.rejected().into_iter();
        let aside: Vec<String> =
            aside.map(|item| Form::of(&item.destination).text(&item.json).unwrap()).collect();
        let is_aside = |id: &&String| aside.iter().any(|json| json.contains(&format!("\"{id}\"")));
        let not_arrived = self.enqueued.iter().filter(|id| !self.arrived.contains(*id));
        not_arrived.filter(|id| !is_aside(id)).cloned().collect()
    }

    pub fn stats(&self) -> Stats {
        self.lane().stats
    }

    pub fn rejected(&self) -> Vec<RejectedItem> {
        let lane = self.lane().id;
        let mut rejected = SpoolView::open(&self.spool).unwrap().rejected().unwrap();
        rejected.retain(|item| item.id.starts_with(&lane));
        rejected
    }

    /// Whether items wait for their key to be named again, or go on their way because it was.
    fn has_key_refused(&self) -> bool {
        self.two_keys && (!self.rejected().is_empty() || self.stats().pending > 0)
    }

    /// The client's own lane.
    fn lane(&self) -> LaneStatus {
        let mut lanes = SpoolView::open(&self.spool).unwrap().lanes().unwrap();
        if lanes.len() > 1 {
            lanes.retain(|lane| lane.destination.endpoint() == Some(&self.url));
        }
        lanes.remove(0)
    }

    /// One line of what it took: the items, and the most memory and threads of the client beyond those at its start.
    pub fn figures(&self) -> String {
        let stats = self.stats();
        let growth = self.peak.as_ref().map_or_else(String::new, |peak| {
            let (first, most) = (peak.first(), peak.so_far());
            format!(
                "; client at most {} KiB more than {}, {} threads more than {}, {} fds more than {}",
                most.rss_kib - first.rss_kib,
                first.rss_kib,
                most.threads - first.threads,
                first.threads,
                most.fds - first.fds,
                first.fds
            )
        });
        format!(
            "{} items, {} delivered, {} rejected, {} lost, {} retries{growth}",
            stats.accepted,
            stats.delivered,
            stats.rejected,
            self.lost().len(),
            stats.retries
        )
    }
}

fn start_ingest(stage: &Arc<Mutex<Stage>>, port: u16) -> Ingest {
    let stage = stage.clone();
    let answer = move |request: &Request| {
        let mut stage = stage.lock().unwrap();
        stage.requests.push(request.clone());
        stage.script.pop_front().unwrap_or_else(|| Answer::status(200))
    };
    Ingest::start_on(port, answer).unwrap()
}

/// Starts a client process on `spool`, which sends nothing but by `flush`.
pub fn open(dir: &TempDir, spool: &Path, url: &str, way: &Way) -> Host {
    let base = format!("base_delay_ms={}", BASE_DELAY.as_millis());
    let max = format!("max_delay_ms={}", MAX_DELAY.as_millis());
    // The next process may find another address.
    let in_flight = format!("max_in_flight={}", way.in_flight);
    let exporter = format!("exporter={}", way.form.exporter());
    let common = [
        &exporter,
        "schedule_delay_ms=3600000",
        "journal_bytes=256 KiB",
        "adopt=any",
        &base,
        &max,
        &in_flight,
    ];
    let mut command = caller(Host::compile(dir));
    command.args(settings(spool, url, &[&common, way.settings].concat()));
    // A host that is not this machine would be asked for by way of a proxy.
    for name in ["ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY"] {
        command.env_remove(name).env_remove(name.to_ascii_lowercase());
    }
    let mut client = Host::run(command.envs(way.variables.iter().copied()));
    assert_eq!(client.line(), "ready");
    if way.two_keys {
        assert_eq!(client.ask(&format!("named_key {TEAM} {TEAM_KEY}")), "0");
    }
    client
}

/// How many attempts the backoff has room for: the first, one after the first of the longest delays, which may be as short
/// as the shortest, and those that the others leave room for; jitter only makes it fewer.
pub fn attempts_within(time: Duration) -> usize {
    let (mut attempts, mut delay, mut left) = (2, BASE_DELAY, time);
    while let Some(rest) = left.checked_sub(delay) {
        (left, delay, attempts) = (rest, (delay * 2).min(MAX_DELAY), attempts + 1);
    }
    attempts
}
