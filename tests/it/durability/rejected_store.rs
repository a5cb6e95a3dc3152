//! The rejected store: within the spool's limit, cheap however much is in it, and shared with other processes.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use spanspool::{Answer, Batch, BatchTraceProcessor, ErrorKind, Outcome, SpoolView, TracingExporter};
use testkit::client::{
    assert_ledger, config, disk_usage, enqueue, item, lane_dir, lanes, let_go, long_item, number_of,
    open_offline, rejected,
};
use testkit::mount::Mount;
use testkit::wait::{PATIENCE, eventually};
use testkit::{TempDir, is_root};

/// Refuses items with an even number, each alone, and knows no key until it is told one.
#[derive(Default)]
struct Picky {
    has_key: AtomicBool,
}

impl TracingExporter for Picky {
    fn export(&self, batch: &Batch, _deadline: Option<Instant>) -> Outcome {
        if !batch.key_name().is_empty() && !self.has_key.load(SeqCst) {
            return Outcome::NoKey;
        }
        let is_even = |item: &[u8]| number_of(std::str::from_utf8(item).unwrap()).is_multiple_of(2);
        if batch.key_name().is_empty() && batch.items().any(is_even) {
            return Outcome::Refused(Answer { status: 400, body: b"no".to_vec() });
        }
        Outcome::Accepted { status: 200 }
    }

    fn set_named_key(&self, _name: &str, _key: &str) {
        self.has_key.store(true, SeqCst);
    }

    fn has_named_key(&self, _name: &str) -> bool {
        self.has_key.load(SeqCst)
    }
}

fn open_picky(spool: &Path, settings: &[(&str, &str)]) -> BatchTraceProcessor {
    let config = config(spool, "http://127.0.0.1:9/", settings);
    BatchTraceProcessor::with_exporter(config, Arc::new(Picky::default())).unwrap()
}

fn files(spool: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(lane_dir(spool).join("rejected")) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// Puts `count` more groups into the rejected store, as if they had come from dead processes: copies of the one file
/// that is there.
fn multiply(spool: &Path, count: u64) {
    let file = files(spool).remove(0);
    for n in 0..count {
        fs::copy(&file, file.with_file_name(format!("{:020}", (1u64 << 48) + n))).unwrap();
    }
}

/// A spool in `dir` with one item that was delivered, and one that was refused and stands there `others` more times.
fn with_many_rejected(dir: &TempDir, others: u64) -> PathBuf {
    let spool = dir.join("spool");
    let client = open_picky(&spool, &[]);
    enqueue(&client, 0..2);
    client.flush(PATIENCE).unwrap();
    multiply(&spool, others);
    spool
}

/// Otherwise items that are just put back on their way would be rejected as well, where they are taken over.
#[test]
fn rejected_items_of_a_dead_process_are_not_taken_over_while_another_process_takes_them_out() {
    let dir = TempDir::new("rejected-locked");
    let (spool, log) = (dir.join("spool"), Arc::new(Mutex::new(String::new())));
    let dying = open_picky(&spool, &[]);
    enqueue(&dying, 0..2);
    dying.flush(PATIENCE).unwrap();
    let file = files(&spool).remove(0);
    let folder = File::open(file.parent().unwrap()).unwrap();
    let mut config = config(&spool, "http://127.0.0.1:9/", &[("adopt_interval_ms", "50")]);
    let told = log.clone();
    config.set_log(move |_, line| told.lock().unwrap().push_str(line));
    let living = BatchTraceProcessor::with_exporter(config, Arc::new(Picky::default())).unwrap();
    folder.lock().unwrap();
    drop(dying);
    let said = || log.lock().unwrap().clone();
    eventually("it is tried", || said().contains("another process is changing") || !file.exists());
    assert!(file.exists(), "{}", said());
    drop(folder);
    eventually("it is taken over", || lanes(&spool).len() == 1);
    assert_eq!((rejected(&spool).len(), living.stats().unwrap().rejected), (1, 1));
}

/// Moves the file `path` to `away` and leaves a link, through which nothing is read.
fn put_link(path: &Path, away: &Path) {
    fs::rename(path, away).unwrap();
    symlink(away, path).unwrap();
}

#[test]
fn rejected_items_that_can_not_be_read_for_a_while_are_taken_over_later() {
    let dir = TempDir::new("rejected-unreadable");
    let (spool, away) = (dir.join("spool"), dir.join("away"));
    let adopting = [("adopt_interval_ms", "20")];
    let dying = open_picky(&spool, &[]);
    enqueue(&dying, 0..2);
    dying.flush(PATIENCE).unwrap();
    let file = files(&spool).remove(0);
    put_link(&file, &away);
    let living = open_picky(&spool, &adopting);
    // Another lane that is empty is removed all the same.
    let other = open_picky(&spool, &[]);
    assert_eq!(lanes(&spool).len(), 3);
    drop(other);
    drop(dying);
    eventually("one lane is removed", || lanes(&spool).len() == 2);
    assert!(SpoolView::open(&spool).unwrap().rejected().is_err(), "it is not said that there is none");
    let findings: Vec<_> = SpoolView::open(&spool)
        .unwrap()
        .check()
        .unwrap()
        .into_iter()
        .flat_map(|lane| lane.findings)
        .collect();
    assert!(findings.len() == 1 && findings[0].what.contains("cannot read"), "{findings:?}");
    fs::rename(&away, &file).unwrap();
    eventually("the other is taken over", || lanes(&spool).len() == 1);
    assert_eq!((rejected(&spool).len(), living.stats().unwrap().rejected), (1, 1));
}

#[test]
fn a_damaged_lane_whose_rejected_items_can_not_be_read_for_a_while_is_sent_once() {
    let dir = TempDir::new("rejected-damaged-lane");
    let (spool, away) = (dir.join("spool"), dir.join("away"));
    let dying = open_picky(&spool, &[("schedule_delay_ms", "3600000")]);
    enqueue(&dying, 0..2);
    dying.flush(PATIENCE).unwrap();
    (1..10).for_each(|n| dying.enqueue(item(2 * n + 1).as_bytes()).unwrap());
    drop(dying);
    let (file, journal) = (files(&spool).remove(0), lane_dir(&spool).join("journal"));
    put_link(&file, &away);
    File::options().write(true).open(journal).unwrap().write_all_at(&[0; 4096], 0).unwrap();

    let said = Arc::new(AtomicBool::new(false));
    let mut config = config(&spool, "http://127.0.0.1:9/", &[("adopt_interval_ms", "20")]);
    let told = said.clone();
    config.set_log(move |_, line| told.store(told.load(SeqCst) || line.contains("cannot read"), SeqCst));
    let living = BatchTraceProcessor::with_exporter(config, Arc::new(Picky::default())).unwrap();
    eventually("it is tried", || said.load(SeqCst));
    fs::rename(&away, &file).unwrap();
    eventually("it is recovered", || living.stats().unwrap().lanes_adopted == 1);
    living.flush(PATIENCE).unwrap();
    let stats = living.stats().unwrap();
    // The damaged header no longer says which item was refused, so the ingest refuses it a second time.
    assert_eq!((stats.accepted, stats.rejected), (12, 2));
    assert_ledger(&stats);
}

#[test]
fn items_that_wait_for_a_key_and_can_not_be_read_when_it_comes_are_sent_later() {
    let dir = TempDir::new("held-unreadable");
    let (spool, away) = (dir.join("spool"), dir.join("away"));
    let client = open_picky(&spool, &[]);
    for (n, name) in ["a", "b"].into_iter().enumerate() {
        client.enqueue_as(name, item(n as u64).as_bytes()).unwrap();
        client.flush(PATIENCE).unwrap();
    }
    drop(client);
    let mut held = files(&spool);
    held.sort();
    put_link(&held[0], &away);
    let client = open_picky(&spool, &[("adopt_interval_ms", "20")]);
    ["a", "b"].iter().for_each(|name| client.set_named_key(name, "key").unwrap());
    eventually("the other is sent", || client.stats().unwrap().delivered == 1);
    fs::rename(&away, &held[0]).unwrap();
    eventually("it is sent", || client.stats().unwrap().delivered == 2);
    assert_ledger(&client.stats().unwrap());
}

#[test]
fn items_that_can_not_be_taken_out_of_the_store_are_sent_once() {
    if !is_root("items_that_can_not_be_taken_out_of_the_store_are_sent_once") {
        return;
    }
    let (dir, tries) = (TempDir::new("held-mounted"), Arc::new(AtomicUsize::new(0)));
    let (spool, tried) = (dir.join("spool"), tries.clone());
    let mut config = config(&spool, "http://127.0.0.1:9/", &[("adopt_interval_ms", "20")]);
    config.set_log(move |_, line| {
        if line.contains("requeueing items") {
            tried.fetch_add(1, SeqCst);
        }
    });
    let client = BatchTraceProcessor::with_exporter(config, Arc::new(Picky::default())).unwrap();
    client.enqueue_as("team", item(1).as_bytes()).unwrap();
    client.flush(PATIENCE).unwrap();
    let file = files(&spool).remove(0);
    // A file that something is mounted on can't be removed.
    let mounted = Mount::new(&file, "bind", file.clone());
    client.set_named_key("team", "key").unwrap();
    eventually("that is tried", || tries.load(SeqCst) >= 3);
    drop(mounted);
    eventually("it is taken out", || client.stats().unwrap().rejected == 0);
    client.flush(PATIENCE).unwrap();
    let stats = client.stats().unwrap();
    assert_eq!((stats.accepted, stats.delivered, stats.rejected), (1, 1, 0));
}

#[test]
fn rejected_items_take_no_more_than_the_spool_may() {
    const LIMIT: u64 = 1 << 20;
    let dir = TempDir::new("rejected-limit");
    let spool = dir.join("spool");
    let settings = [("max_spool_bytes", "1 MiB"), ("max_batch_size", "8"), ("max_queue_size", "64")];
    let client = open_picky(&spool, &settings);
    for round in 0..20 {
        for n in 0..32 {
            client.enqueue(long_item(32 * round + n, 4000).as_bytes()).unwrap();
        }
        client.flush(PATIENCE).unwrap();
        let used = disk_usage(&lane_dir(&spool));
        assert!(used <= LIMIT, "round {round}: {used} bytes on disk");
    }
    let stats = client.stats().unwrap();
    assert_ledger(&stats);
    assert_eq!((stats.accepted, stats.delivered, stats.pending), (640, 320, 0));
    // The newest are left.
    let left: Vec<u64> =
        rejected(&spool).iter().map(|it| number_of(std::str::from_utf8(&it.json).unwrap())).collect();
    assert_eq!(left.len() as u64, stats.rejected);
    assert!(
        left.len() > 20 && left.iter().rev().copied().eq((0..left.len() as u64).map(|n| 638 - 2 * n)),
        "{left:?}"
    );
    assert!(stats.disk_bytes <= LIMIT && stats.disk_bytes > LIMIT / 2, "{stats:?}");
}

#[test]
fn a_rejected_item_without_any_room_is_dropped_and_counted() {
    let dir = TempDir::new("rejected-no-room");
    let spool = dir.join("spool");
    let client = open_picky(&spool, &[("max_spool_bytes", "256 KiB"), ("journal_bytes", "128 KiB")]);
    enqueue(&client, [1]);
    client.flush(PATIENCE).unwrap();
    // Somebody else's file takes what the journal leaves.
    fs::create_dir_all(lane_dir(&spool).join("quarantine")).unwrap();
    fs::write(lane_dir(&spool).join("quarantine/kept"), vec![1; 120 << 10]).unwrap();
    enqueue(&client, [2, 3]);
    client.flush(PATIENCE).unwrap();
    let stats = client.stats().unwrap();
    assert_ledger(&stats);
    assert_eq!((stats.delivered, stats.rejected, stats.dropped_overflow), (2, 0, 1));
    assert_eq!(files(&spool), [""; 0].map(PathBuf::from));
}

#[test]
fn what_another_process_purges_is_room_again() {
    let dir = TempDir::new("rejected-purge");
    let spool = dir.join("spool");
    let client = open_picky(&spool, &[]);
    enqueue(&client, 0..2);
    client.flush(PATIENCE).unwrap();
    multiply(&spool, 500);
    let_go(client, &spool);
    let client = open_picky(&spool, &[]);
    // Each rejected item makes the client count what the lane takes.
    let mut n = 2;
    let mut counted = || {
        n += 2;
        enqueue(&client, [n, n + 1]);
        client.flush(PATIENCE).unwrap();
        client.stats().unwrap().disk_bytes
    };
    let full = counted();
    assert!(SpoolView::open(&spool).unwrap().purge(&[]).unwrap() > 500);
    eventually("the room is noticed", || counted() + (500 << 10) < full);
}

#[test]
fn two_that_take_items_out_of_one_file_do_not_put_them_back() {
    const ITEMS: u64 = 60;
    let dir = TempDir::new("rejected-two");
    let spool = dir.join("spool");
    let client = open_picky(&spool, &[]);
    for n in 0..ITEMS {
        client.enqueue_as("team", item(n).as_bytes()).unwrap();
    }
    client.flush(PATIENCE).unwrap();
    let ids: Vec<String> = rejected(&spool).into_iter().map(|it| it.id).collect();
    assert_eq!(ids.len() as u64, ITEMS);
    let purge = |ids: Vec<String>| {
        let view = SpoolView::open(&spool).unwrap();
        for id in ids {
            // One gives up after a while if the other keeps the file for so long, as on a slow machine it may.
            let purged = loop {
                match view.purge(std::slice::from_ref(&id)) {
                    Err(e) if e.kind() == ErrorKind::Locked => {}
                    purged => break purged.unwrap(),
                }
            };
            assert_eq!(purged, 1, "{id}");
        }
    };
    let (odd, even): (Vec<_>, Vec<_>) = ids.into_iter().enumerate().partition(|(n, _)| n % 2 == 1);
    thread::scope(|scope| {
        for half in [odd, even] {
            scope.spawn(|| purge(half.into_iter().map(|(_, id)| id).collect()));
        }
    });
    assert_eq!(rejected(&spool).len(), 0);
    assert!(files(&spool).is_empty(), "{:?}", files(&spool));
}

#[test]
fn a_key_finds_its_items_among_many_rejected_ones() {
    const OTHERS: u64 = 2000;
    let dir = TempDir::new("rejected-many");
    let spool = with_many_rejected(&dir, OTHERS);
    let client = open_picky(&spool, &[]);
    for n in 0..10 {
        client.enqueue_as("team", item(n).as_bytes()).unwrap();
    }
    client.flush(PATIENCE).unwrap();
    assert_eq!(client.stats().unwrap().held_batches, 1);
    client.set_named_key("team", "sk-1").unwrap();
    client.flush(PATIENCE).unwrap();
    let stats = client.stats().unwrap();
    assert_eq!((stats.delivered, stats.rejected, stats.held_batches), (11, 1, 0), "{stats:?}");
    assert_eq!(rejected(&spool).len() as u64, OTHERS + 1);
}

#[test]
fn all_rejected_items_go_back_on_their_way_once() {
    const OTHERS: u64 = 2000;
    let dir = TempDir::new("rejected-requeue");
    let spool = with_many_rejected(&dir, OTHERS);
    let client = open_offline(&spool, &[]);
    let begin = Instant::now();
    assert_eq!(client.requeue_rejected(&[]).unwrap(), OTHERS + 1);
    // One sync for each would take a multiple of it on any disk.
    println!("{:?} for {OTHERS} items", begin.elapsed());
    assert!(rejected(&spool).is_empty());
    // In a lane of the destination that they had.
    let lanes = SpoolView::open(&spool).unwrap().lanes().unwrap();
    let pending = lanes.iter().map(|lane| (lane.destination.as_str(), lane.stats.pending));
    assert_eq!(pending.filter(|(_, items)| *items > 0).collect::<Vec<_>>(), [("custom unnamed", OTHERS + 1)]);
}
