//! What waits for seconds that no condition can shorten.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;
use std::sync::atomic::AtomicU16;
use std::sync::atomic::Ordering::Relaxed;

use testkit::TempDir;
use testkit::cli::{Ended, run, run_with_input, spanspool};
use testkit::client::{arrived, enqueue, lane_dir, let_go, open_offline, segment_dirs};
use testkit::faults::{Faults, Word};
use testkit::ingest::{Answer, Ingest, Request};
use testkit::run::output_within;
use testkit::wait::PATIENCE;

use super::spool_of;

#[test]
fn drain_ends_with_what_is_refused_and_nothing_proves() {
    let (_folder, dir) = spool_of("{\"id\":\"a\"}\n");
    static STATUS: AtomicU16 = AtomicU16::new(0);
    let ingest = Ingest::start(|_| Answer::status(STATUS.load(Relaxed))).unwrap();
    let endpoint = format!("endpoint={}", ingest.url());
    for (status, why) in [(400, "400"), (403, "403")] {
        STATUS.store(status, Relaxed);
        let ended = run(&["drain", "--spool-dir", &dir, "--set", &endpoint]).with(1);
        for part in ["1 pending: hold", why, "nothing can be delivered until that changes"] {
            assert!(ended.out.contains(part), "{part} in {}", ended.out);
        }
    }
    STATUS.store(200, Relaxed);
    run(&["drain", "--spool-dir", &dir, "--set", &endpoint]).with(0);
}

#[test]
fn drain_ends_with_more_lanes_on_hold_than_it_delivers_at_once() {
    const LANES: u64 = 9;
    let folder = TempDir::new("cli-many-on-hold");
    let dir = folder.argument("spool");
    // All at once: one would go on with the lane of another.
    let dead: Vec<_> = (0..LANES).map(|_| open_offline(&folder.join("spool"), &[])).collect();
    dead.iter().zip(0..).for_each(|(client, n)| enqueue(client, n..n + 1));
    drop(dead);
    let ingest = Ingest::start(|_| Answer::status(401)).unwrap();
    let endpoint = format!("endpoint={}", ingest.url());
    let ended = run(&["drain", "--spool-dir", &dir, "--set", &endpoint]).with(1);
    assert_eq!(ended.out.matches("1 pending: hold: HTTP 401").count(), LANES as usize, "{}", ended.out);
    assert!(ended.out.contains("nothing can be delivered until that changes"), "{}", ended.out);
    assert!(ingest.requests().len() <= LANES as usize, "{} requests", ingest.requests().len());
}

#[test]
fn drain_ends_with_what_can_not_be_read() {
    for is_damaged in [false, true] {
        let folder = TempDir::new("cli-unreadable");
        let (spool, elsewhere) = (folder.join("spool"), folder.join("elsewhere"));
        for n in 0..2 {
            let client = open_offline(&spool, &[("journal_bytes", "64KiB")]);
            enqueue(&client, n * 3000..(n + 1) * 3000);
            let_go(client, &spool);
        }
        if is_damaged {
            let journal = File::options().write(true).open(lane_dir(&spool).join("journal")).unwrap();
            journal.write_all_at(&[0; 4096], 0).unwrap();
        }
        let database = segment_dirs(&spool)[1].join("db");
        fs::rename(&database, &elsewhere).unwrap();
        symlink(&elsewhere, &database).unwrap();
        let ingest = Ingest::start(|_| Answer::status(200)).unwrap();
        let (dir, endpoint) = (folder.argument("spool"), format!("endpoint={}", ingest.url()));
        let ended = run(&["drain", "--spool-dir", &dir, "--set", &endpoint]).with(1);
        let said = ended.out.clone() + &ended.err;
        for part in ["db is not a file", "nothing can be delivered until that changes"] {
            assert!(said.contains(part), "{part} in {said}");
        }
        fs::rename(&elsewhere, &database).unwrap();
        run(&["drain", "--spool-dir", &dir, "--set", &endpoint]).with(0);
        let mut arrived = arrived(&ingest);
        arrived.sort_unstable();
        if is_damaged {
            // What the journal and a segment both have comes twice.
            arrived.dedup();
        }
        assert!(arrived.into_iter().eq(0..6000));
    }
}

#[test]
fn drain_ends_with_what_a_full_disk_can_not_set_aside() {
    let (folder, dir) = spool_of("{\"id\":\"bad\"}\n{\"id\":\"good\"}\n");
    let refuses = |request: &Request| String::from_utf8_lossy(&request.body).contains("bad");
    let ingest =
        Ingest::start(move |request| Answer::status(if refuses(request) { 422 } else { 200 })).unwrap();
    let endpoint = format!("endpoint={}", ingest.url());
    let drain = ["drain", "--spool-dir", &dir, "--set", &endpoint];
    let store = lane_dir(Path::new(&dir)).join("rejected");
    let faults = Faults::below(&store, &folder.join("faults"));
    faults.set(Word::Full, 1);
    let mut on_full_disk = spanspool(&drain);
    faults.load(&Faults::compile(folder.path()), &mut on_full_disk);
    let ended = Ended::from(output_within(PATIENCE, &mut on_full_disk, "drain")).with(1);
    for part in ["1 pending: hold", "os error 28", "nothing can be delivered until that changes"] {
        assert!(ended.out.contains(part), "{part} in {}", ended.out);
    }
    // What is accepted proves that the refusal is about the item.
    run_with_input(&["enqueue", "--spool-dir", &dir], b"{\"id\":\"another\"}\n").with(0);
    let ended = run(&drain).with(1);
    assert!(ended.out.contains("1 item rejected in this run"), "{}", ended.out);
}
