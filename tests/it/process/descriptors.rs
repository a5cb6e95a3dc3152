//! Descriptors: a host that closes all of them, as daemons and forked workers do, and opens its own under their numbers.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use testkit::TempDir;
use testkit::host::{Host, accepting, assert_each_once, files_below, settings, silent, wait_for_items};
use testkit::wait::eventually;

/// Of the host's: a folder, and in it a file `own`.
fn folder(dir: &TempDir) -> String {
    let folder = dir.join("host's");
    fs::create_dir(&folder).unwrap();
    folder.to_str().unwrap().to_owned()
}

fn assert_untouched(folder: &str) {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.collect::<Vec<_>>(), ["own"]);
    assert!(
        fs::read(Path::new(folder).join("own")).unwrap().is_empty(),
        "the library wrote to the host's file"
    );
}

#[test]
fn a_child_that_closes_what_it_inherited_has_its_lane_in_the_spool() {
    for way in ["fork", "clone"] {
        let (dir, ingest) = (TempDir::new(&format!("descriptors-{way}")), accepting());
        let (program, spool, own) = (Host::compile(&dir), dir.join("spool"), folder(&dir));
        let mut host = Host::start(&program, &settings(&spool, &ingest.url(), &["journal_bytes=128KiB"]));
        assert_eq!(host.ask("enqueue parent 500 1000"), "0 500");
        assert_eq!(host.ask("flush 60000"), "0");
        let commands = "enqueue child 10; sync; flush 60000; free; taken";
        assert_eq!(host.ask(&format!("{way} take {own}; {commands}")), "64");
        assert_eq!(host.line(), "0 10");
        assert_eq!([host.line(), host.line(), host.line()], ["0", "0", "0"]);
        assert_eq!(host.line(), "0", "what the child opened is open");
        assert_eq!(host.line(), "0", "it ended well");
        assert_untouched(&own);
        assert_eq!(host.ask("enqueue after 10"), "0 10");
        assert_eq!(host.ask("flush 60000"), "0");
        assert_each_once(&ingest, &[("parent", 500), ("child", 10), ("after", 10)]);
        host.end();
    }
}

#[test]
fn a_host_that_closes_ours_has_its_own_left_alone_and_loses_nothing() {
    let (dir, ingest) = (TempDir::new("descriptors-host"), accepting());
    let (program, spool, own) = (Host::compile(&dir), dir.join("spool"), folder(&dir));
    let more = ["journal_bytes=128KiB", "sync_interval_ms=20"];
    let mut host = Host::start(&program, &settings(&spool, &ingest.url(), &more));
    assert_eq!(host.ask("enqueue before 10 1000"), "0 10");
    assert_eq!(host.ask("flush 60000"), "0");
    // Its connection, the lane's folder, lock and journal.
    assert_eq!(host.ask(&format!("take {own}")), "64");
    eventually("the journal is synced", || host.ask("sync") == "0");
    assert_eq!(host.ask("enqueue after 500 1000"), "0 500");
    assert_eq!(host.ask("flush 60000"), "0");
    assert_each_once(&ingest, &[("before", 10), ("after", 500)]);
    assert_eq!(host.ask("free"), "0");
    assert_eq!(host.ask("taken"), "0");
    assert_untouched(&own);
    host.end();
}

#[test]
fn what_stands_in_segments_is_delivered_after_the_host_closed_them() {
    let (dir, mute, ingest) = (TempDir::new("descriptors-segments"), silent(), accepting());
    let (program, spool, own) = (Host::compile(&dir), dir.join("spool"), folder(&dir));
    let more = ["journal_bytes=128KiB", "sync_interval_ms=20"];
    let mut host = Host::start(&program, &settings(&spool, &mute.url(), &more));
    assert_eq!(host.ask("enqueue before 1000 1000"), "0 1000");
    // A write that is under way can't be called back.
    eventually("nothing is written to segments", || {
        let databases: Vec<_> = files_below(&spool).into_iter().filter(|path| path.ends_with("db")).collect();
        let written = databases.iter().map(|path| path.metadata().unwrap().modified().unwrap());
        let is_old = |at: SystemTime| at.elapsed().is_ok_and(|age| age > Duration::from_millis(500));
        !databases.is_empty() && written.into_iter().all(is_old)
    });
    assert_eq!(host.ask(&format!("take {own}")), "64");
    assert_eq!(host.ask("enqueue after 1000 1000"), "0 1000");
    eventually("the journal is synced", || host.ask("sync") == "0");
    assert_eq!(host.ask("taken"), "0");
    host.kill();
    assert_untouched(&own);
    let mut next =
        Host::start(&program, &settings(&spool, &ingest.url(), &["adopt=any", "adopt_interval_ms=50"]));
    wait_for_items(&ingest, 2000);
    assert_eq!(next.ask("flush 60000"), "0");
    assert_each_once(&ingest, &[("before", 1000), ("after", 1000)]);
    next.end();
}
