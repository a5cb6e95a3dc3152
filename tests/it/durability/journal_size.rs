//! A changed `journal_bytes` takes effect at the next start, also for a lane that a dead process left.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use testkit::TempDir;
use testkit::client::{
    Received, assert_ledger, enqueue, lane_dir, lanes, let_go, long_item, open, segment_dirs,
};
use testkit::ingest::{Answer, Ingest};
use testkit::wait::{PATIENCE, eventually};

const KIB: u64 = 1024;

fn journal_bytes(spool: &Path) -> u64 {
    fs::metadata(lane_dir(spool).join("journal")).unwrap().len()
}

#[test]
fn a_lane_that_is_taken_over_gets_a_journal_of_the_size_that_is_set() {
    for (before, after) in [(128, 1024), (1024, 128), (192, 256)] {
        let dir = TempDir::new("journal-size");
        let spool = dir.join("spool");
        let (received, is_down) = (Received::default(), Arc::new(AtomicBool::new(false)));
        let ingest = Ingest::start({
            let (received, is_down) = (received.clone(), is_down.clone());
            move |request| match is_down.load(Relaxed) {
                true => Answer::status(503),
                false => received.take(request),
            }
        });
        let ingest = ingest.unwrap();
        let (before_kib, after_kib) = (format!("{before} KiB"), format!("{after} KiB"));
        let old = [("journal_bytes", &*before_kib)];
        let new = [("journal_bytes", &*after_kib)];
        // The ring goes round several times.
        let client = open(&spool, &ingest.url(), &old);
        enqueue(&client, 0..20_000);
        client.flush(PATIENCE).unwrap();
        let_go(client, &spool);
        is_down.store(true, Relaxed);
        let client = open(&spool, &ingest.url(), &old);
        assert_eq!(journal_bytes(&spool), before * KIB);
        enqueue(&client, 20_000..20_200);
        // These do not fit into a ring of 64 KiB, and those of the last case into any half.
        let bytes = if before == 192 { 30 } else { 2000 };
        for n in 20_200..20_300 {
            client.enqueue(long_item(n, bytes).as_bytes()).unwrap();
        }
        assert!(before != 128 || !segment_dirs(&spool).is_empty());
        enqueue(&client, 20_300..20_310);
        let_go(client, &spool);

        let client = open(&spool, &ingest.url(), &new);
        let expected = if before == 1024 { [128 * KIB, 1024 * KIB] } else { [after * KIB; 2] };
        let sizes: Vec<u64> = lanes(&spool).iter().map(|lane| size_of(&spool, &lane.id)).collect();
        assert!(
            sizes.iter().all(|size| expected.contains(size)) && sizes.contains(&(after * KIB)),
            "{sizes:?}"
        );
        let stats = client.stats().unwrap();
        assert_ledger(&stats);
        enqueue(&client, 20_310..20_320);
        let_go(client, &spool);
        is_down.store(false, Relaxed);
        let client = open(&spool, &ingest.url(), &new);
        eventually("all is delivered", || received.items().len() == 20_320);
        client.flush(PATIENCE).unwrap();
        let mut numbers = received.numbers();
        if before != 1024 {
            assert_eq!(numbers, Vec::from_iter(0..20_320));
            assert_eq!(client.stats().unwrap().accepted, 20_320);
        }
        numbers.sort_unstable();
        assert_eq!(numbers, Vec::from_iter(0..20_320));
    }
}

fn size_of(spool: &Path, lane: &str) -> u64 {
    fs::metadata(spool.join("lanes").join(lane).join("journal")).unwrap().len()
}
