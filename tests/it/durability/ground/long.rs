//! What waits for seconds that no condition can shorten.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, symlink};

use testkit::TempDir;
use testkit::host::{Host, accepting, arrivals, lane_names, wait_for_items};
use testkit::wait::eventually;

use super::{DEAD, first_segment, start, wait_for_readable_segments};

#[test]
fn segments_that_can_not_be_read_for_a_while_are_read_later_with_eight_requests_in_flight() {
    wait_for_readable_segments(8);
}

#[test]
fn a_damaged_lane_that_can_not_be_read_for_a_while_keeps_no_other_one() {
    let (dir, ingest) = (TempDir::new("ground-damaged"), accepting());
    let (spool, elsewhere) = (dir.join("spool"), dir.join("elsewhere"));
    let mut hosts: Vec<Host> = (0..2).map(|_| start(&dir, &spool, DEAD, &["exporter=none"])).collect();
    let names = lane_names(&spool);
    for (n, host) in hosts.iter_mut().enumerate() {
        assert_eq!(host.ask(&format!("enqueue of{n} 3000 100")), "0 3000");
        host.kill();
    }
    for name in &names {
        let journal = spool.join("lanes").join(name).join("journal");
        File::options().write(true).open(journal).unwrap().write_all_at(&[0; 4096], 0).unwrap();
    }
    let away = first_segment(&spool.join("lanes").join(&names[0])).join("db");
    fs::rename(&away, &elsewhere).unwrap();
    symlink(&elsewhere, &away).unwrap();
    let mut host = start(&dir, &spool, &ingest.url(), &["adopt_interval_ms=100"]);
    wait_for_items(&ingest, 3000);
    fs::rename(&elsewhere, &away).unwrap();
    eventually("it is recovered", || lane_names(&spool).len() == 1);
    assert_eq!(host.ask("flush 60000"), "0");
    host.end();
    let arrived = arrivals(&ingest);
    assert_eq!(arrived.len(), 6000);
}
