//! What a dead process left is delivered by any living one, once, and nothing of its lane stays behind.

use std::fs::{self, File};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use spanspool::{Batch, BatchTraceProcessor, Outcome, TracingExporter};
use testkit::cli::spanspool;
use testkit::client::{assert_all_delivered, config, enqueue, number_of, open_offline};
use testkit::host::{
    Host, accepting, assert_each_once, kill, lane_names, settings, status, total, wait_for_items,
};
use testkit::ingest::{Answer, Ingest, items_of};
use testkit::wait::{PATIENCE, eventually};
use testkit::{TempDir, succeed};

const OFFLINE: &str = "exporter=none";
const OFTEN: &str = "adopt_interval_ms=50";

/// Whether each item taken in `spool` is accounted for, over all lanes.
fn balances(spool: &Path) -> bool {
    let status = status(spool);
    let settled: u64 = ["delivered", "pending", "rejected"].iter().map(|name| total(&status, name)).sum();
    total(&status, "accepted") == settled
}

#[test]
fn what_a_killed_process_left_is_delivered_without_a_restart() {
    let (dir, ingest) = (TempDir::new("adopt"), accepting());
    let (program, spool) = (Host::compile(&dir), dir.join("spool"));
    let mut living = Host::start(&program, &settings(&spool, &ingest.url(), &[OFTEN]));
    let mut dying = Host::start(&program, &settings(&spool, &ingest.url(), &[OFFLINE]));
    assert_eq!(dying.ask("enqueue left 300"), "0 300");
    assert_eq!(living.ask("enqueue own 10"), "0 10");
    assert_eq!(total(&status(&spool), "accepted"), 310);
    dying.kill();
    eventually("the lane is removed", || lane_names(&spool).len() == 1);
    assert_eq!(living.ask("flush 60000"), "0");
    assert_each_once(&ingest, &[("left", 300), ("own", 10)]);
    assert_eq!(living.ask("stats"), "310 310 0 0 1", "the adopter's ledger has the lane's");
    let after = status(&spool);
    assert_eq!((total(&after, "accepted"), total(&after, "delivered")), (310, 310));
    living.end();
}

/// Of many lanes, a look goes through a part. These stand between the client's own and the others.
#[test]
fn an_orphan_among_many_living_lanes_is_found() {
    let (dir, ingest) = (TempDir::new("adopt-many"), accepting());
    let (program, spool) = (Host::compile(&dir), dir.join("spool"));
    let mut living = Host::start(&program, &settings(&spool, &ingest.url(), &[OFTEN]));
    let own = u64::from_str_radix(&lane_names(&spool)[0], 16).unwrap();
    let owned: Vec<File> = (1..=300)
        .map(|n| {
            let made = dir.join("owned");
            fs::create_dir(&made).unwrap();
            let folder = File::open(&made).unwrap();
            folder.lock().unwrap();
            // Locked before the client can see it, which takes over others.
            fs::rename(&made, spool.join("lanes").join(format!("{:016x}", own + n))).unwrap();
            folder
        })
        .collect();
    for turn in 1..=3 {
        let mut dying = Host::start(&program, &settings(&spool, &ingest.url(), &[OFFLINE]));
        assert_eq!(dying.ask(&format!("enqueue left{turn} 20")), "0 20");
        dying.kill();
        wait_for_items(&ingest, 20 * turn);
    }
    eventually("their lanes are removed", || lane_names(&spool).len() == 1 + owned.len());
    living.end();
    assert_each_once(&ingest, &[("left1", 20), ("left2", 20), ("left3", 20)]);
}

/// Between the two steps of a takeover a lane is empty, and its items count where they were taken over.
#[test]
fn a_lane_that_was_taken_over_and_not_removed_is_not_gone_on_with() {
    let (dir, ingest) = (TempDir::new("adopt-halfway"), accepting());
    let (spool, log) = (dir.join("spool"), Arc::new(Mutex::new(String::new())));
    let dying = BatchTraceProcessor::open(config(&spool, &ingest.url(), &[])).unwrap();
    enqueue(&dying, 0..3);
    dying.flush(PATIENCE).unwrap();
    let taken_over = lane_names(&spool).remove(0);
    let mut often = config(&spool, &ingest.url(), &[("adopt_interval_ms", "50")]);
    let told = log.clone();
    often.set_log(move |_, line| told.lock().unwrap().push_str(line));
    let living = BatchTraceProcessor::open(often).unwrap();
    let adopter = lane_names(&spool).into_iter().find(|name| *name != taken_over).unwrap();

    // Its last step fails: another process is removing a lane of this name.
    let lanes = spool.join("lanes");
    let (made, gone) = (dir.join("gone"), lanes.join(format!("{taken_over}.gone")));
    fs::create_dir_all(made.join("full")).unwrap();
    let lock = File::open(&made).unwrap();
    lock.lock().unwrap();
    // Locked before the client can see it, which sweeps up others.
    fs::rename(&made, &gone).unwrap();
    drop(dying);
    eventually("it fails", || log.lock().unwrap().contains("taking over empty lanes"));
    drop(living);
    drop(lock);
    fs::remove_dir_all(gone).unwrap();
    fs::remove_dir_all(lanes.join(adopter)).unwrap();

    let next = BatchTraceProcessor::open(config(&spool, &ingest.url(), &[])).unwrap();
    enqueue(&next, 3..5);
    next.flush(PATIENCE).unwrap();
    assert_all_delivered(&next, 2);
    eventually("it is removed", || !lane_names(&spool).contains(&taken_over));
}

#[test]
fn a_lane_with_segments_is_adopted_whole() {
    let (dir, ingest) = (TempDir::new("adopt-segments"), accepting());
    let (program, spool) = (Host::compile(&dir), dir.join("spool"));
    let mut living = Host::start(&program, &settings(&spool, &ingest.url(), &[OFTEN]));
    let mut dying =
        Host::start(&program, &settings(&spool, &ingest.url(), &[OFFLINE, "journal_bytes=128KiB"]));
    assert_eq!(dying.ask("enqueue left 2000 500"), "0 2000");
    dying.kill();
    eventually("the lane is removed", || lane_names(&spool).len() == 1);
    assert_each_once(&ingest, &[("left", 2000)]);
    assert_eq!(living.ask("stats"), "2000 2000 0 0 1");
}

#[test]
fn two_adopters_share_the_orphans_and_send_each_item_once() {
    const ORPHANS: usize = 24;
    let (dir, ingest) = (TempDir::new("adopt-race"), accepting());
    let (program, spool) = (Host::compile(&dir), dir.join("spool"));
    let offline =
        settings(&spool, &ingest.url(), &[OFFLINE, "journal_bytes=128KiB", "max_spool_bytes=16MiB"]);
    let names: Vec<String> = (0..ORPHANS).map(|n| format!("orphan{n}")).collect();
    let mut dying: Vec<Host> = names.iter().map(|_| Host::start(&program, &offline)).collect();
    for (host, name) in dying.iter_mut().zip(&names) {
        assert_eq!(host.ask(&format!("enqueue {name} 40")), "0 40");
    }
    assert_eq!(lane_names(&spool).len(), ORPHANS);
    let online = settings(&spool, &ingest.url(), &[OFTEN]);
    let mut living = [Host::start(&program, &online), Host::start(&program, &online)];
    dying.iter_mut().for_each(Host::kill);
    let expected: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 40)).collect();
    eventually("the lanes are removed", || lane_names(&spool).len() == living.len());
    assert_each_once(&ingest, &expected);
    let adopted: u64 = living.iter_mut().map(|host| last_number(&host.ask("stats"))).sum();
    assert_eq!(adopted, ORPHANS as u64);
    let after = status(&spool);
    assert_eq!(
        (total(&after, "accepted"), total(&after, "delivered")),
        (40 * ORPHANS as u64, 40 * ORPHANS as u64)
    );
}

/// Holds back the first two batches until it is told to go on.
#[derive(Default)]
struct Stuck {
    state: Mutex<StuckState>,
    changed: Condvar,
}

#[derive(Default)]
struct StuckState {
    held_back: usize,
    goes_on: bool,
    arrived: Vec<u64>,
}

impl Stuck {
    fn arrived(&self) -> usize {
        self.state.lock().unwrap().arrived.len()
    }
}

impl TracingExporter for Stuck {
    fn export(&self, batch: &Batch, _deadline: Option<Instant>) -> Outcome {
        let mut state = self.state.lock().unwrap();
        if state.held_back < 2 {
            state.held_back += 1;
            state = self.changed.wait_while(state, |state| !state.goes_on).unwrap();
        }
        state.arrived.extend(batch.items().map(|item| number_of(std::str::from_utf8(item).unwrap())));
        Outcome::Accepted { status: 200 }
    }
}

#[test]
fn an_orphan_that_is_not_accepted_yet_delays_no_other() {
    const LANES: u64 = 8;
    let dir = TempDir::new("adopt-stuck");
    let spool = dir.join("spool");
    let dead: Vec<BatchTraceProcessor> = (0..LANES).map(|_| open_offline(&spool, &[])).collect();
    dead.iter().zip(0..).for_each(|(client, n)| enqueue(client, [n]));
    drop(dead);
    let stuck = Arc::new(Stuck::default());
    let config = config(&spool, "http://127.0.0.1:9/", &[("adopt_interval_ms", "50")]);
    let client = BatchTraceProcessor::with_exporter(config, stuck.clone()).unwrap();
    // One of the two that are held back may be of the client's own lane.
    eventually("the others arrive", || stuck.arrived() as u64 == LANES - 2);
    stuck.state.lock().unwrap().goes_on = true;
    stuck.changed.notify_all();
    eventually("all arrive", || stuck.arrived() as u64 == LANES);
    eventually("the lanes are removed", || lane_names(&spool).len() == 1);
    let stats = client.stats().unwrap();
    assert_eq!(
        (stats.accepted, stats.delivered, stats.lanes_adopted),
        (LANES, LANES, LANES - 1),
        "{stats:?}"
    );
}

fn last_number(line: &str) -> u64 {
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn what_a_crash_left_half_made_or_half_removed_vanishes() {
    let (dir, ingest) = (TempDir::new("adopt-crash"), accepting());
    let (program, spool) = (Host::compile(&dir), dir.join("spool"));
    let all = spool.join("lanes");
    fs::create_dir_all(all.join("00000000aaaaaaaa.new")).unwrap();
    fs::write(all.join("00000000aaaaaaaa.new/journal.new"), [0; 100]).unwrap();
    fs::create_dir_all(all.join("00000000bbbbbbbb.gone/segments/00000000000000000007/blobs")).unwrap();
    fs::write(all.join("00000000bbbbbbbb.gone/journal"), [0; 100]).unwrap();
    // Neither is ours to remove, and neither may keep a lane from being adopted.
    fs::write(all.join("a file.new"), "").unwrap();
    std::os::unix::fs::symlink(dir.path(), all.join("a link.gone")).unwrap();

    let _living = Host::start(&program, &settings(&spool, &ingest.url(), &[OFTEN]));
    let mut dying = Host::start(&program, &settings(&spool, &ingest.url(), &[OFFLINE]));
    assert_eq!(dying.ask("enqueue left 5"), "0 5");
    dying.kill();
    eventually("only the living lane and what is not ours is left", || lane_names(&spool).len() == 3);
    assert_each_once(&ingest, &[("left", 5)]);
    assert!(all.join("a file.new").exists() && all.join("a link.gone").is_symlink());
    assert!(!dir.join("lock").exists(), "nothing is made behind the link");
}

#[test]
fn a_lane_that_is_being_made_is_not_swept_up() {
    let dir = TempDir::new("adopt-making");
    let (program, spool) = (Host::compile(&dir), dir.join("spool"));
    let ingest = accepting();
    let _sweeper = Host::start(&program, &settings(&spool, &ingest.url(), &["adopt_interval_ms=1"]));
    for _ in 0..30 {
        let mut host =
            Host::start(&program, &settings(&spool, &ingest.url(), &[OFFLINE, "journal_bytes=64KiB"]));
        assert_eq!(host.ask("enqueue made 1"), "0 1");
    }
}

#[test]
fn rejected_items_move_to_the_adopters_store_with_their_answer() {
    let dir = TempDir::new("adopt-rejected");
    let (program, spool) = (Host::compile(&dir), dir.join("spool"));
    let lenient = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let ingest = Ingest::start({
        let lenient = lenient.clone();
        move |request| {
            let bad = items_of(request).iter().any(|item| item.contains("bad"));
            if bad && !lenient.load(std::sync::atomic::Ordering::SeqCst) {
                Answer::status(400).body("no bad items please")
            } else {
                Answer::status(200)
            }
        }
    })
    .unwrap();
    let mut living = Host::start(&program, &settings(&spool, &ingest.url(), &[OFTEN]));
    let mut dying = Host::start(&program, &settings(&spool, &ingest.url(), &[]));
    assert_eq!(dying.ask("enqueue good 4"), "0 4");
    assert_eq!(dying.ask("enqueue bad 3"), "0 3");
    assert_eq!(dying.ask("flush 60000"), "0");
    assert_eq!(dying.ask("stats"), "7 4 3 0 0");
    let before = rejected(&spool);
    dying.kill();
    eventually("the lane is removed", || lane_names(&spool).len() == 1);

    assert!(balances(&spool));
    let moved = rejected(&spool);
    assert_eq!(moved.len(), 3);
    let own = lane_names(&spool).remove(0);
    for (old, new) in before.iter().zip(&moved) {
        assert!(new["id"].as_str().unwrap().starts_with(&own), "{new}");
        assert_eq!((&new["status"], &new["batch_id"]), (&400.into(), &old["batch_id"]));
        assert!(new.to_string().contains("no bad items please"), "{new}");
    }
    assert_eq!(living.ask("stats"), "7 4 3 0 0", "nothing was pending, so nothing was adopted");

    lenient.store(true, std::sync::atomic::Ordering::SeqCst);
    succeed(&mut spanspool(&["rejected", "requeue", "--all", "--spool-dir", spool.to_str().unwrap()]));
    eventually("the requeued items are delivered", || total(&status(&spool), "delivered") == 7);
    assert_eq!(rejected(&spool).len(), 0);
    assert!(balances(&spool));
    assert_eq!(total(&status(&spool), "accepted"), 7);
}

fn rejected(spool: &Path) -> Vec<serde_json::Value> {
    let output =
        succeed(&mut spanspool(&["rejected", "list", "--json", "--spool-dir", spool.to_str().unwrap()]));
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_lane_is_adopted_while_a_child_of_its_dead_owner_lives() {
    let (dir, ingest) = (TempDir::new("adopt-child"), accepting());
    let (program, spool) = (Host::compile(&dir), dir.join("spool"));
    let mut parent =
        Host::start(&program, &settings(&spool, &ingest.url(), &[OFFLINE, "journal_bytes=128KiB"]));
    // So many that there are segments, whose files sled locks.
    assert_eq!(parent.ask("enqueue parent 2000 500"), "0 2000");
    let idle_child = parent.ask("stay");
    assert_eq!(parent.ask("stay enqueue child 3"), "0 3");
    let busy_child = parent.line();
    assert_eq!(lane_names(&spool).len(), 2, "a child that calls nothing has no lane");
    parent.kill();

    let third = Host::start(&program, &settings(&spool, &ingest.url(), &[OFTEN]));
    wait_for_items(&ingest, 2000);
    let alive = |pid: &str| Path::new("/proc").join(pid).exists();
    assert!(alive(&idle_child) && alive(&busy_child));
    kill(&busy_child);
    kill(&idle_child);
    eventually("the child's lane is removed too", || lane_names(&spool).len() == 1);
    assert_each_once(&ingest, &[("parent", 2000), ("child", 3)]);
    drop(third);
}
