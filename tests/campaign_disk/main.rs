//! The disk fails every call in turn: with no space left, with I/O errors, with writes cut short, once or for a while.
//!
//! A client in C runs with a library before libc that makes the calls fail. It must never end, hang or lose an item it
//! was told is delivered; a file whose sync failed is never synced again; when the disk is well all goes on by itself.
//!
//! `SPANSPOOL_TRIALS=100000 cargo test --test campaign_disk -- --nocapture` tries every call; fewer trials are a
//! random choice that `SPANSPOOL_SEED` repeats.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

use testkit::client::{Noise, Received, lanes, open, rejected};
use testkit::faults::{Faults, Word};
use testkit::ingest::{Answer, Ingest, items_of};
use testkit::run::output_within;
use testkit::wait::PATIENCE;
use testkit::{TempDir, caller, campaign, compile_c, have, tool};

const THREADS: usize = 2;
/// Items that each of the program's threads enqueues.
const ITEMS: usize = 120;
/// The program's mark for an item that was handed to enqueue and not answered.
const HANDED: u8 = 255;
const OK: u8 = 0;
const SMOKE_TRIALS: u64 = 24;

/// What the disk does, and from which call on.
#[derive(Debug, Clone, Copy)]
struct Trouble {
    call: u64,
    /// 0: writes are cut short.
    error: i32,
    lasts: bool,
    only_syncs: bool,
    power: bool,
}

/// What came of a run.
#[derive(Debug, Default)]
struct Figures {
    calls: u64,
    faults: u64,
    failed_syncs: u64,
    accepted: usize,
    turned_away: usize,
    duplicates: usize,
}

/// Long enough for much to happen meanwhile.
const SYNC_US: u64 = 2000;

/// The faults of `trouble` below `folder`, by the file `path`.
fn faults_of(trouble: Option<Trouble>, folder: &Path, path: &Path) -> Faults {
    let faults = Faults::below(folder, path);
    faults.set(Word::SyncUs, SYNC_US);
    if let Some(trouble) = trouble {
        faults.set(Word::Last, if trouble.lasts { u64::MAX } else { trouble.call });
        faults.set(Word::Error, trouble.error as u64);
        faults.set(Word::OnlySyncs, trouble.only_syncs.into());
        faults.set(Word::First, trouble.call);
    }
    faults
}

struct Scene {
    program: PathBuf,
    shim: PathBuf,
    dir: TempDir,
}

impl Scene {
    fn new() -> Self {
        let dir = TempDir::in_memory("campaign_disk");
        Self {
            program: compile_c("tests/c/troubled_disk.c", dir.path()),
            shim: Faults::compile(dir.path()),
            dir,
        }
    }

    /// Runs the program on an empty spool with `trouble`, and checks what it and the ingest saw.
    fn run(&self, name: &str, trouble: Option<Trouble>) -> Figures {
        let dir = self.dir.join(name);
        fs::create_dir_all(&dir).unwrap();
        let (spool, results) = (dir.join("spool"), dir.join("results"));
        fs::write(&results, vec![HANDED; THREADS * ITEMS]).unwrap();
        let faults = faults_of(trouble, &spool, &dir.join("faults"));
        let received = Received::default();
        let ingest = refusing_ingest(&received);
        let mut command = caller(&self.program);
        command.arg(&results).arg(dir.join("faults")).arg(ITEMS.to_string());
        command.args(settings(&spool, &ingest.url(), trouble.is_some_and(|trouble| trouble.power)));
        faults.load(&self.shim, &mut command);
        let output = output_within(PATIENCE, &mut command, &format!("the program with {trouble:?}"));
        let said = [output.stdout, output.stderr].concat();
        let context = format!("{trouble:?}: {}: {}", output.status, String::from_utf8_lossy(&said));
        assert!(output.status.success() && said.is_empty(), "{context}");
        assert_eq!(
            faults.get(Word::RetriedSyncs),
            0,
            "a file was synced again after a failed sync: {context}"
        );

        let answers = fs::read(&results).unwrap();
        let mut figures = Figures {
            calls: faults.get(Word::Calls),
            faults: faults.get(Word::Made),
            failed_syncs: faults.get(Word::FailedSyncs),
            ..Figures::default()
        };
        // What no trouble may leave behind for ever is settled by the next client.
        let client = open(&spool, &ingest.url(), &[]);
        client.flush(PATIENCE).unwrap();
        drop(client);
        check(&spool, &received.items(), &answers, trouble, &context, &mut figures);
        fs::remove_dir_all(&dir).unwrap();
        figures
    }
}

/// Down at first, so that the journal fills; then it refuses every request that has an item marked so.
fn refusing_ingest(received: &Received) -> Ingest {
    let received = received.clone();
    let requests = AtomicUsize::new(0);
    Ingest::start(move |request| match requests.fetch_add(1, Relaxed) {
        0..8 => Answer::status(503),
        _ if items_of(request).iter().any(|item| item.contains(r#""refuse":true"#)) => Answer::status(400),
        _ => received.take(request),
    })
    .unwrap()
}

fn settings(spool: &Path, url: &str, power: bool) -> Vec<String> {
    let durability = if power { "power" } else { "process" };
    let settings = [
        ("spool_dir", spool.to_str().unwrap()),
        ("endpoint", url),
        ("durability", durability),
        ("journal_bytes", "128 KiB"),
        ("max_batch_size", "16"),
        ("schedule_delay_ms", "1"),
        ("sync_interval_ms", "5"),
        ("base_delay_ms", "1"),
        ("max_delay_ms", "20"),
        ("enqueue_timeout_ms", "5"),
    ];
    settings.iter().map(|(key, value)| format!("{key}={value}")).collect()
}

/// Every item that was accepted arrived or stands in the rejected store, each as it was handed over.
fn check(
    spool: &Path,
    delivered: &[String],
    answers: &[u8],
    trouble: Option<Trouble>,
    context: &str,
    figures: &mut Figures,
) {
    for lane in lanes(spool) {
        assert_eq!((lane.stats.pending, lane.stats.dropped_corrupt), (0, 0), "{context}");
    }
    let mut arrived: HashMap<(usize, usize), usize> = HashMap::new();
    let set_aside = rejected(spool).into_iter().map(|item| String::from_utf8(item.json).unwrap());
    let found = delivered.iter().cloned().chain(set_aside);
    for json in found.filter(|json| json != r#"{"late":true}"#) {
        let (thread, n) = number_of(&json);
        assert_eq!(json, item(thread, n), "torn or invented: {context}");
        *arrived.entry((thread, n)).or_default() += 1;
    }
    for (at, answer) in answers.iter().enumerate() {
        let item = (at / ITEMS, at % ITEMS);
        let times = arrived.remove(&item).unwrap_or(0);
        match *answer {
            OK => {
                figures.accepted += 1;
                assert!(times > 0, "lost: {item:?}: {context}");
            }
            _ => figures.turned_away += 1,
        }
        let may_arrive = *answer == OK || trouble.is_some_and(|trouble| trouble.power);
        assert!(times == 0 || may_arrive, "turned away and yet delivered: {item:?}: {context}");
        figures.duplicates += times.saturating_sub(1);
    }
    assert!(arrived.is_empty(), "invented: {arrived:?}: {context}");
}

/// As troubled_disk.c makes it.
fn item(thread: usize, n: usize) -> String {
    let pad = if n % 40 == 39 { 70_000 } else { n * 7919 % 3000 };
    let fill = char::from(b'a' + (n % 26) as u8).to_string().repeat(pad);
    format!(r#"{{"thread":{thread},"n":{n},"refuse":{},"pad":"{fill}"}}"#, n % 50 == 49)
}

fn number_of(json: &str) -> (usize, usize) {
    let numbers: Vec<usize> = json.split([':', ',']).filter_map(|part| part.parse().ok()).collect();
    (numbers[0], numbers[1])
}

/// Every kind of trouble at every call, in random order.
fn troubles(calls: u64, noise: &mut Noise) -> Vec<Trouble> {
    let mut troubles = Vec::new();
    for call in 1..=calls {
        for error in [libc::ENOSPC, libc::EIO, 0] {
            for (lasts, only_syncs) in [(false, false), (true, false), (true, true)] {
                let power = noise.below(2) == 0;
                troubles.push(Trouble { call, error, lasts, only_syncs, power });
            }
        }
    }
    troubles.retain(|trouble| !trouble.only_syncs || trouble.error == libc::EIO);
    for at in (1..troubles.len()).rev() {
        troubles.swap(at, noise.below(at as u64 + 1) as usize);
    }
    troubles
}

#[test]
fn no_failing_call_loses_an_item() {
    if !have(&tool("CC", "cc"), "--version", "no_failing_call_loses_an_item") {
        return;
    }
    let mut noise = Noise::new(campaign::seed("campaign disk"));
    let scene = Scene::new();
    let well = scene.run("well", None);
    assert_eq!((well.faults, well.duplicates), (0, 0), "{well:?}");
    assert!(well.calls > 100, "the shim sees the calls: {well:?}");

    let mut troubles = troubles(well.calls, &mut noise);
    troubles.truncate(campaign::trials(SMOKE_TRIALS) as usize);
    let trials = troubles.len();
    // Most of a trial is waiting: more of them at once than there are processors.
    let workers = 8;
    let mut sum = Figures::default();
    thread::scope(|scope| {
        let chunks = (0..workers).map(|worker| {
            let (scene, mine) = (&scene, troubles.iter().skip(worker).step_by(workers));
            scope.spawn(move || {
                mine.map(|trouble| scene.run(&format!("trial-{worker}"), Some(*trouble))).collect::<Vec<_>>()
            })
        });
        for figures in chunks.collect::<Vec<_>>().into_iter().flat_map(|worker| worker.join().unwrap()) {
            sum.faults += figures.faults;
            sum.failed_syncs += figures.failed_syncs;
            sum.accepted += figures.accepted;
            sum.turned_away += figures.turned_away;
            sum.duplicates += figures.duplicates;
        }
    });
    println!(
        "{trials} trials of {} calls: {} faults, {} of them syncs; {} items accepted, lost 0, invented 0, torn 0; {} turned away; {} twice",
        well.calls, sum.faults, sum.failed_syncs, sum.accepted, sum.turned_away, sum.duplicates
    );
    assert!(sum.faults > 0 && sum.accepted > 0);
}
