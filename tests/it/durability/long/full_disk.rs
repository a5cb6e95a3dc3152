//! Another program fills the disk while items flow: callers are told, deliveries are still acknowledged, and all goes
//! on by itself when there is room again. On real file systems of three kinds.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use testkit::client::{Received, assert_ledger, lanes, open};
use testkit::forever::{Counters, Forever};
use testkit::ingest::Ingest;
use testkit::mount::{Kind, Mount};
use testkit::wait::{PATIENCE, eventually};
use testkit::{TempDir, have, tool};

/// xfs can't be made smaller.
const DISK_BYTES: u64 = 300 << 20;
/// More items than the journal holds.
const MORE: u64 = 20_000;
/// Items to be received and delivered while the disk is full. When btrfs is, each page that is written waits for it to
/// look for room in vain.
const SOME: u64 = 500;

/// Another program's file, which takes all the room there is, again and again.
struct Filler {
    path: PathBuf,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Filler {
    fn start(folder: &Path) -> Self {
        let (path, stop) = (folder.join("filler"), Arc::new(AtomicBool::new(false)));
        let mut file = File::create(&path).unwrap();
        let thread = thread::spawn({
            let stop = stop.clone();
            move || {
                let noise = vec![7; 1 << 20];
                let mut bytes = noise.len();
                while !stop.load(Relaxed) {
                    let written = file.write(&noise[..bytes]).and_then(|_| file.sync_data());
                    if written.is_err() {
                        bytes = if bytes > 4096 { bytes / 2 } else { noise.len() };
                        thread::sleep(Duration::from_millis(50));
                    }
                }
            }
        });
        Self { path, stop, thread: Some(thread) }
    }
}

impl Drop for Filler {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        self.thread.take().unwrap().join().unwrap();
        fs::remove_file(&self.path).unwrap();
    }
}

/// Waits until the program can't enqueue any more.
fn wait_for_standstill(counters: &Counters) {
    eventually("the spool is full", || {
        let before = counters.acknowledged();
        thread::sleep(Duration::from_millis(500));
        counters.acknowledged() == before
    });
}

fn survives_full_disk(kind: Kind, test: &str) {
    if !kind.is_available(test) || !have(&tool("CC", "cc"), "--version", test) {
        return;
    }
    let dir = TempDir::new("full_disk");
    kind.make(&dir.join("image"), DISK_BYTES);
    let disk = Mount::new(&dir.join("image"), "loop", dir.join("disk"));
    let spool = disk.path().join("spool");
    let program = Forever::compile(dir.path());
    let counters = Counters::new(dir.join("counters"));
    let received = Received::default();
    let start_ingest = |port| {
        let received = received.clone();
        Ingest::start_on(port, move |request| received.take(request)).unwrap()
    };
    let ingest = start_ingest(0);
    let (url, port) = (ingest.url(), ingest.port());
    drop(ingest);
    let settings = [
        ("spool_dir", spool.to_str().unwrap()),
        ("endpoint", url.as_str()),
        ("journal_bytes", "1 MiB"),
        ("schedule_delay_ms", "5"),
        ("base_delay_ms", "5"),
        ("max_delay_ms", "50"),
        ("enqueue_timeout_ms", "10"),
    ];
    let running = program.start(&counters, 300, &settings);
    eventually("items are received", || counters.acknowledged() >= MORE);

    let filler = Filler::start(disk.path());
    wait_for_standstill(&counters);
    let ingest = start_ingest(port);
    let before = counters.acknowledged();
    eventually("the full disk's items are delivered and new ones received", || {
        counters.acknowledged() >= before + SOME
    });
    drop(ingest);

    let before = counters.acknowledged();
    drop(filler);
    eventually("items are stored again", || counters.acknowledged() >= before + MORE);
    running.kill();

    let ingest = start_ingest(port);
    let client = open(&spool, &ingest.url(), &[]);
    client.flush(PATIENCE).unwrap();
    let stats = client.stats().unwrap();
    assert_ledger(&stats);
    assert_eq!((stats.pending, stats.dropped_corrupt), (0, 0), "{stats:?}");
    assert!(lanes(&spool).iter().all(|lane| lane.stats.pending == 0));
    drop(client);

    let arrived: HashSet<String> =
        received.items().iter().map(|item| item[..item.find(r#","fill"#).unwrap()].into()).collect();
    for (thread, progress) in counters.read().iter().enumerate() {
        for n in 0..progress.acknowledged {
            assert!(arrived.contains(&format!(r#"{{"thread":{thread},"n":{n}"#)), "lost: {thread} {n}");
        }
    }
}

#[test]
fn full_ext4_loses_nothing() {
    survives_full_disk(Kind::Ext4, "full_ext4_loses_nothing");
}

#[test]
fn full_xfs_loses_nothing() {
    survives_full_disk(Kind::Xfs, "full_xfs_loses_nothing");
}

#[test]
fn full_btrfs_loses_nothing() {
    survives_full_disk(Kind::Btrfs, "full_btrfs_loses_nothing");
}
