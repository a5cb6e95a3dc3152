//! A process that enqueues from eight threads dies by SIGKILL at any moment: the next one delivers what was taken.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

#[path = "common/client.rs"]
mod client;
mod common;
#[path = "common/forever.rs"]
mod forever;
#[path = "../src/bin/spanspool/ingest.rs"]
mod ingest;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use client::{Noise, PATIENCE, batch_id, eventually, lane_dir, open, segment_dirs};
use common::{TempDir, have, tool};
use forever::{Counters, Forever, Progress};
use ingest::{Answer, Ingest, Request, items_of};
use spanspool::Stats;

const ROUNDS: u64 = 50;
/// More items than a process takes before it is killed.
const MAX_ITEMS: u64 = 10_000;

/// How a round goes.
#[derive(Debug)]
struct Round {
    ingest_up: bool,
    small_journal: bool,
    power: bool,
    max_in_flight: usize,
    kills: usize,
    /// Items taken before the first kill.
    items: u64,
}

impl Round {
    fn new(number: u64, noise: &mut Noise) -> Self {
        let power = number % 12 == 5;
        Self {
            ingest_up: noise.below(2) == 0,
            small_journal: number % 3 == 1,
            power,
            max_in_flight: if number % 10 == 9 { 4 } else { 1 },
            kills: if number % 5 == 4 { 3 } else { 1 },
            items: noise.below(if power { 200 } else { MAX_ITEMS }),
        }
    }

    fn settings(&self) -> Vec<(&'static str, &'static str)> {
        let mut settings = vec![("schedule_delay_ms", "5"), ("base_delay_ms", "5"), ("max_delay_ms", "50")];
        if self.small_journal {
            settings.push(("journal_bytes", "256 KiB"));
        }
        if self.power {
            settings.push(("durability", "power"));
        }
        if self.max_in_flight > 1 {
            settings.push(("max_in_flight", "4"));
        }
        settings
    }
}

/// A spool that processes are killed on.
struct Scene {
    program: Forever,
    counters: Counters,
    spool: PathBuf,
    ingest: Ingest,
    /// Items in the middle of whose enqueue the process died: they may have been taken or not.
    uncertain: HashSet<(usize, u64)>,
}

impl Scene {
    fn new(dir: &TempDir) -> Self {
        Self {
            program: Forever::compile(dir.path()),
            counters: Counters::new(dir.join("counters")),
            spool: dir.join("spool"),
            ingest: Ingest::start(|_| Answer::status(200)).unwrap(),
            uncertain: HashSet::new(),
        }
    }

    /// Runs the program until it has taken `items` more and a moment has passed, and kills it.
    fn kill_after(&mut self, items: u64, moment: Duration, settings: &[(&str, &str)], ingest_up: bool) {
        let before = self.counters.acknowledged();
        // Port 9 (discard) of the loopback address: nobody listens.
        let url = if ingest_up { self.ingest.url() } else { "http://127.0.0.1:9/".to_owned() };
        let mut all = vec![("spool_dir", self.spool.to_str().unwrap()), ("endpoint", &url)];
        all.extend(settings);
        let running = self.program.start(&self.counters, 300, &all);
        eventually("items are taken", || self.counters.acknowledged() >= before + items);
        thread::sleep(moment);
        running.kill();
        for (thread, progress) in self.counters.read().iter().enumerate() {
            self.uncertain.extend((progress.acknowledged..progress.handed).map(|n| (thread, n)));
        }
    }

    /// Delivers what the dead left; gives the counters of the lane's whole life.
    fn deliver_rest(&self, settings: &[(&str, &str)]) -> Stats {
        let client = open(&self.spool, &self.ingest.url(), settings);
        client.flush(PATIENCE).unwrap();
        client.stats().unwrap()
    }

    fn findings(&self) -> Findings {
        let mut found = findings(&self.ingest.requests(), &self.counters.read());
        found.missing.retain(|item| !self.uncertain.contains(item));
        found
    }
}

/// What arrived, held against what was handed to enqueue.
#[derive(Debug, Default)]
struct Findings {
    /// Different items that arrived.
    arrived: u64,
    /// Acknowledged and never arrived.
    missing: Vec<(usize, u64)>,
    /// Arrived and never handed to enqueue.
    invented: Vec<(usize, u64)>,
    /// Arrived in two batches.
    in_two_batches: Vec<(usize, u64)>,
    /// Arrived for the first time after a later one of the same thread.
    out_of_order: Vec<(usize, u64)>,
    /// Requests that repeat an earlier batch.
    resent_batches: usize,
}

fn thread_and_number(item: &str) -> (usize, u64) {
    #[derive(serde::Deserialize)]
    struct Item {
        thread: usize,
        n: u64,
    }
    let item: Item = serde_json::from_str(item).unwrap();
    (item.thread, item.n)
}

fn findings(requests: &[Request], progress: &[Progress]) -> Findings {
    let mut found = Findings::default();
    let mut bodies: HashMap<&str, &[u8]> = HashMap::new();
    let mut seen: HashSet<(usize, u64)> = HashSet::new();
    let mut newest = vec![None; progress.len()];
    for request in requests {
        if let Some(before) = bodies.insert(batch_id(request), &request.body) {
            assert!(before == request.body, "batch {} came with other bytes", batch_id(request));
            found.resent_batches += 1;
            continue;
        }
        for item in items_of(request).iter().map(|item| thread_and_number(item)) {
            let (thread, n) = item;
            if progress.get(thread).is_none_or(|p| n >= p.handed) {
                found.invented.push(item);
            } else if !seen.insert(item) {
                found.in_two_batches.push(item);
            } else if newest[thread].replace(n) > Some(n) {
                found.out_of_order.push(item);
            }
        }
    }
    found.arrived = seen.len() as u64;
    for (thread, progress) in progress.iter().enumerate() {
        let all = (0..progress.acknowledged).map(|n| (thread, n));
        found.missing.extend(all.filter(|item| !seen.contains(item)));
    }
    found
}

fn seed() -> u64 {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64;
    let seed = std::env::var("SPANSPOOL_SEED").map_or_else(|_| now(), |text| text.parse().unwrap());
    println!("SPANSPOOL_SEED={seed} begins the same way again");
    seed
}

fn have_compiler() -> bool {
    have(&tool("CC", "cc"), "--version", "kill9")
}

#[test]
fn nothing_taken_is_lost_when_the_process_is_killed() {
    if !have_compiler() {
        return;
    }
    let mut noise = Noise::new(seed());
    let mut with_segments = 0;
    for number in 0..ROUNDS {
        let dir = TempDir::new("kill9");
        let mut scene = Scene::new(&dir);
        let round = Round::new(number, &mut noise);
        let settings = round.settings();
        for _ in 0..round.kills {
            scene.kill_after(
                round.items,
                Duration::from_micros(noise.below(5000)),
                &settings,
                round.ingest_up,
            );
        }
        with_segments += usize::from(!segment_dirs(&scene.spool).is_empty());
        let stats = scene.deliver_rest(&settings);
        let found = scene.findings();
        let told = format!("round {number} {round:?}: {found:?} {stats:?}");
        assert!(found.missing.is_empty(), "{told}");
        assert!(found.invented.is_empty(), "{told}");
        assert!(found.in_two_batches.is_empty(), "{told}");
        assert!(found.out_of_order.is_empty() || round.max_in_flight > 1, "{told}");
        assert!(found.resent_batches <= round.kills * round.max_in_flight, "{told}");
        assert_eq!(
            (stats.accepted, stats.delivered, stats.pending),
            (found.arrived, found.arrived, 0),
            "{told}"
        );
    }
    assert!(with_segments > 0, "no round was killed with items in segments");
}

#[test]
fn one_spool_outlives_many_deaths() {
    if !have_compiler() {
        return;
    }
    let mut noise = Noise::new(seed());
    let dir = TempDir::new("kill9");
    let mut scene = Scene::new(&dir);
    let mut deaths = 0;
    for number in 0..ROUNDS {
        // Order is kept by one request at a time only.
        let round = Round { max_in_flight: 1, power: number % 10 == 3, ..Round::new(number, &mut noise) };
        let items = round.items / 8;
        let moment = Duration::from_micros(noise.below(5000));
        scene.kill_after(items, moment, &round.settings(), round.ingest_up);
        deaths += 1;
    }
    let stats = scene.deliver_rest(&[]);
    let found = scene.findings();
    assert!(found.missing.is_empty() && found.invented.is_empty(), "{found:?}");
    assert!(found.in_two_batches.is_empty() && found.out_of_order.is_empty(), "{found:?}");
    assert!(found.resent_batches <= deaths, "{found:?}");
    assert_eq!(
        (stats.accepted, stats.delivered, stats.pending),
        (found.arrived, found.arrived, 0),
        "{stats:?}"
    );
}

#[test]
fn control_a_journal_that_vanishes_is_seen_as_loss() {
    if !have_compiler() {
        return;
    }
    let dir = TempDir::new("kill9");
    let mut scene = Scene::new(&dir);
    scene.kill_after(1000, Duration::ZERO, &[], false);
    fs::remove_file(lane_dir(&scene.spool).join("journal")).unwrap();
    assert_eq!(scene.deliver_rest(&[]).accepted, 0);
    let found = scene.findings();
    assert!(found.missing.len() >= 1000, "{} missing", found.missing.len());
}
