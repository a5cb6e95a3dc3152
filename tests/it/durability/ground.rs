//! The spool is held: names that change, folders that are moved or deleted, locks that are cleaned away, disks that do
//! not read for a while. Nothing that had an OK is lost, or the call did not say OK.

mod long;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use spanspool::SpoolView;
use testkit::faults::{Faults, Word};
use testkit::host::{
    Host, accepting, arrivals, assert_each_once, down, drain, lane_names, settings, silent, status, total,
    wait_for_items,
};
use testkit::ingest::{Answer, Ingest};
use testkit::wait::eventually;
use testkit::{TempDir, caller, compile_c, succeed};

const SMALL: [&str; 2] = ["journal_bytes=64KiB", "sync_interval_ms=50"];
const DEAD: &str = "http://127.0.0.1:9/";

fn log_of(dir: &TempDir) -> String {
    fs::read_to_string(dir.join("log")).unwrap_or_default()
}

/// Starts a host on `spool` with a small journal and a log in `dir`.
fn start(dir: &TempDir, spool: &Path, endpoint: &str, more: &[&str]) -> Host {
    let log = format!("log={}", dir.join("log").display());
    let all: Vec<&str> = SMALL.iter().chain(more).copied().chain([log.as_str()]).collect();
    Host::start(&Host::compile(dir), &settings(spool, endpoint, &all))
}

/// Deletes the folder, and what is made again in it meanwhile.
fn delete(dir: &Path) {
    eventually("it is deleted", || fs::remove_dir_all(dir).is_ok());
}

#[test]
fn a_relative_spool_dir_counts_from_where_it_was_set() {
    let (dir, ingest) = (TempDir::new("ground-relative"), accepting());
    let program = Host::compile(&dir);
    let mut command = caller(&program);
    command.args(settings(Path::new("spool"), DEAD, &SMALL)).current_dir(dir.path());
    let mut host = Host::run(&mut command);
    assert_eq!(host.line(), "ready");
    assert_eq!(host.ask("chdir /"), "0");
    assert_eq!(host.ask("enqueue daemon 5000 100"), "0 5000");
    host.kill();
    drain(&dir.join("spool"), &ingest.url());
    assert_each_once(&ingest, &[("daemon", 5000)]);
}

#[test]
fn a_spool_that_is_moved_goes_on_where_it_is() {
    let (dir, ingest) = (TempDir::new("ground-moved"), accepting());
    let (spool, away) = (dir.join("spool"), dir.join("away"));
    let mut host = start(&dir, &spool, &ingest.url(), &["exporter=none"]);
    assert_eq!(host.ask("enqueue before 3000 100"), "0 3000");
    fs::rename(&spool, &away).unwrap();
    assert_eq!(host.ask("enqueue soon 1"), "0 1");
    eventually("it is noticed", || log_of(&dir).contains("was moved away"));
    assert_eq!(host.ask("enqueue after 3000 100"), "0 3000");
    assert!(!spool.exists(), "nothing is made under the old name");
    host.kill();
    assert_eq!(log_of(&dir).matches("was moved away").count(), 1);
    drain(&away, &ingest.url());
    assert_each_once(&ingest, &[("before", 3000), ("soon", 1), ("after", 3000)]);
}

#[test]
fn a_spool_that_is_away_for_a_while_delivers_all_meanwhile() {
    let (dir, ingest) = (TempDir::new("ground-away"), accepting());
    let (spool, away, link) = (dir.join("spool"), dir.join("away"), dir.join("link"));
    fs::create_dir(&spool).unwrap();
    symlink(&spool, &link).unwrap();
    let mut host = start(&dir, &link, &ingest.url(), &["schedule_delay_ms=60000", "max_batch_size=64"]);
    assert_eq!(host.ask("enqueue held 3000 100"), "0 3000");
    // The link leads elsewhere, and the folder has another name.
    fs::remove_file(&link).unwrap();
    fs::create_dir(dir.join("other")).unwrap();
    symlink(dir.join("other"), &link).unwrap();
    fs::rename(&spool, &away).unwrap();
    assert_eq!(host.ask("enqueue more 3000 100"), "0 3000");
    assert_eq!(host.ask("flush 60000"), "0");
    fs::rename(&away, &spool).unwrap();
    host.end();
    assert_each_once(&ingest, &[("held", 3000), ("more", 3000)]);
    assert_eq!(fs::read_dir(dir.join("other")).unwrap().count(), 0);
}

#[test]
fn a_lane_that_is_deleted_is_made_again_and_no_item_in_its_journal_is_lost() {
    let (dir, ingest) = (TempDir::new("ground-deleted"), accepting());
    let spool = dir.join("spool");
    let mut host = start(&dir, &spool, DEAD, &["exporter=none", "journal_bytes=1MiB"]);
    assert_eq!(host.ask("enqueue before 1000 100"), "0 1000");
    let lane = spool.join("lanes").join(&lane_names(&spool)[0]);
    delete(&lane);
    assert_eq!(host.ask("enqueue soon 100 100"), "0 100");
    eventually("it is made again", || host.ask("sync") == "0");
    assert!(
        log_of(&dir).contains("1 ") && log_of(&dir).contains("was deleted while in use"),
        "{}",
        log_of(&dir)
    );
    assert_eq!(host.ask("enqueue after 5000 100"), "0 5000");
    host.kill();
    drain(&spool, &ingest.url());
    assert_each_once(&ingest, &[("before", 1000), ("soon", 100), ("after", 5000)]);
}

#[test]
fn a_journal_that_is_deleted_is_written_again() {
    let (dir, ingest) = (TempDir::new("ground-journal"), accepting());
    let spool = dir.join("spool");
    let mut host = start(&dir, &spool, DEAD, &["exporter=none"]);
    assert_eq!(host.ask("enqueue before 3000 100"), "0 3000");
    let lane = spool.join("lanes").join(&lane_names(&spool)[0]);
    let journal = lane.join("journal");
    fs::remove_file(&journal).unwrap();
    let is_synced = host.ask("sync") == "0";
    assert!(!is_synced || journal.exists(), "no OK without a durable place");
    eventually("it is written again", || host.ask("sync") == "0");
    assert_eq!(host.ask("enqueue after 3000 100"), "0 3000");
    host.kill();
    drain(&spool, &ingest.url());
    assert_each_once(&ingest, &[("before", 3000), ("after", 3000)]);
}

/// What somebody does to the journal of the lane `lane`, whose owner lives.
fn disturb(lane: &Path, how: &str) {
    let (journal, other) = (lane.join("journal"), lane.join("../../other"));
    match how {
        "renamed" => fs::rename(journal, lane.join("journal.bak")).unwrap(),
        "moved" => fs::rename(journal, other).unwrap(),
        // A backup by hard links keeps it from being without a name.
        "removed" => {
            fs::hard_link(&journal, other).unwrap();
            fs::remove_file(journal).unwrap();
        }
        _ => {
            fs::hard_link(&journal, other).unwrap();
            fs::copy(&journal, lane.join("copy")).unwrap();
            fs::rename(lane.join("copy"), journal).unwrap();
        }
    }
}

#[test]
fn a_journal_that_has_another_name_is_written_again_under_its_own() {
    for durability in ["process", "power"] {
        for how in ["renamed", "moved", "removed", "replaced"] {
            let (dir, ingest) = (TempDir::new("ground-name"), accepting());
            let (spool, durability) = (dir.join("spool"), format!("durability={durability}"));
            let mut host = start(&dir, &spool, DEAD, &["exporter=none", &durability]);
            assert_eq!(host.ask("enqueue before 20"), "0 20");
            disturb(&spool.join("lanes").join(&lane_names(&spool)[0]), how);
            // With `power` its own sync notices. That call may fail, and does not say OK then.
            eventually("it is noticed", || {
                host.ask("sync");
                log_of(&dir).contains("was deleted")
            });
            eventually("it is written again", || host.ask("sync") == "0");
            let answer = host.ask("enqueue after 20");
            assert_eq!(answer, "0 20", "{durability} {how} {}", log_of(&dir));
            host.kill();
            drain(&spool, &ingest.url());
            assert_each_once(&ingest, &[("before", 20), ("after", 20)]);
        }
    }
}

#[test]
fn what_is_accepted_after_a_segment_was_removed_or_replaced_is_in_a_new_one() {
    for is_replaced in [false, true] {
        let (dir, ingest) = (TempDir::new("ground-segment-gone"), accepting());
        let spool = dir.join("spool");
        let mut host = start(&dir, &spool, DEAD, &["exporter=none"]);
        assert_eq!(host.ask("enqueue before 2000 100"), "0 2000");
        let segment = first_segment(&spool.join("lanes").join(&lane_names(&spool)[0]));
        let (copy, away) = (dir.join("copy"), dir.join("away"));
        succeed(std::process::Command::new("cp").arg("-a").args([&segment, &copy]));
        fs::rename(&segment, &away).unwrap();
        if is_replaced {
            fs::rename(&copy, &segment).unwrap();
        }
        assert_eq!(host.ask("enqueue after 3000 100"), "0 3000");
        host.kill();
        assert!(log_of(&dir).contains("was removed or replaced while in use"), "{}", log_of(&dir));
        // What was there before is back: nothing is missing.
        drop(fs::remove_dir_all(&segment));
        fs::rename(&away, &segment).unwrap();
        drain(&spool, &ingest.url());
        assert_each_once(&ingest, &[("before", 2000), ("after", 3000)]);
    }
}

#[test]
fn the_folder_of_segments_goes_on_where_it_is_moved() {
    for is_delivered in [false, true] {
        let (dir, ingest) = (TempDir::new("ground-segments-moved"), accepting());
        let (spool, away) = (dir.join("spool"), dir.join("away"));
        let how = if is_delivered { "schedule_delay_ms=600000" } else { "exporter=none" };
        let mut host = start(&dir, &spool, &ingest.url(), &[how]);
        assert_eq!(host.ask("enqueue before 3000 100"), "0 3000");
        let segments = spool.join("lanes").join(&lane_names(&spool)[0]).join("segments");
        fs::rename(&segments, &away).unwrap();
        assert_eq!(host.ask("enqueue meanwhile 3000 100"), "0 3000");
        eventually("it is said", || log_of(&dir).contains("segments was moved away"));
        if is_delivered {
            assert_eq!(host.ask("flush 60000"), "0");
        }
        assert!(!segments.exists(), "nothing is made under the old name");
        fs::rename(&away, &segments).unwrap();
        assert_eq!(host.ask("enqueue after 3000 100"), "0 3000");
        eventually("it is said", || log_of(&dir).contains("segments is back in its place"));
        if is_delivered {
            assert_eq!(host.ask("flush 60000"), "0");
        }
        host.kill();
        assert_eq!(log_of(&dir).matches("segments was moved away").count(), 1);
        drain(&spool, &ingest.url());
        assert_each_once(&ingest, &[("before", 3000), ("meanwhile", 3000), ("after", 3000)]);
    }
}

#[test]
fn what_was_in_a_deleted_folder_of_segments_is_counted_and_nothing_waits_for_it() {
    for is_idle in [false, true] {
        let (dir, port) = (TempDir::new("ground-segments-deleted"), down());
        let spool = dir.join("spool");
        // Two segments: the first is open when they are deleted.
        for _ in 0..2 {
            let mut filler = start(&dir, &spool, DEAD, &["exporter=none"]);
            assert_eq!(filler.ask("enqueue before 3000 100"), "0 3000");
            filler.kill();
        }
        let mut host = start(&dir, &spool, &port.url(), &["max_batch_size=64", "max_delay_ms=100"]);
        eventually("it is tried", || total(&status(&spool), "export_state") == 2);
        delete(&spool.join("lanes").join(&lane_names(&spool)[0]).join("segments"));
        if !is_idle {
            assert_eq!(host.ask("enqueue after 3000 100"), "0 3000");
            eventually("it is said", || log_of(&dir).contains("segments was deleted while in use"));
        }
        let ingest = Ingest::start_on(port.port(), |_| Answer::status(200)).unwrap();
        assert_eq!(host.ask("flush 60000"), "0");
        let shown = status(&spool);
        let (lost, accepted) = (total(&shown, "dropped_corrupt"), total(&shown, "accepted"));
        assert!(lost > 0 && lost < 6000, "{lost} lost");
        assert_eq!(total(&shown, "delivered") + lost, accepted);
        if !is_idle {
            assert_eq!(arrivals(&ingest).keys().filter(|id| id.starts_with("after-")).count(), 3000);
        }
        host.end();
        assert_eq!(log_of(&dir).matches("segments was deleted while in use").count(), 1, "{}", log_of(&dir));
    }
}

#[test]
fn a_spool_that_is_deleted_whole_takes_no_more_items() {
    let dir = TempDir::new("ground-gone");
    let spool = dir.join("spool");
    let mut host = start(&dir, &spool, DEAD, &["exporter=none"]);
    assert_eq!(host.ask("enqueue before 1000 100"), "0 1000");
    delete(&spool);
    assert_ne!(host.ask("sync"), "0", "no OK without a durable place");
    eventually("items are refused", || host.ask("enqueue late 1").starts_with("40 "));
    eventually("it is said", || log_of(&dir).contains("was deleted while in use"));
    assert!(!spool.exists(), "nothing above the lane is made again");
}

#[test]
fn a_lock_file_that_is_cleaned_away_lets_nobody_in() {
    let (dir, ingest) = (TempDir::new("ground-lock"), accepting());
    let spool = dir.join("spool");
    let mut first = start(&dir, &spool, DEAD, &["exporter=none"]);
    assert_eq!(first.ask("enqueue first 1000 100"), "0 1000");
    let lock = spool.join("lanes").join(&lane_names(&spool)[0]).join("lock");
    fs::remove_file(&lock).unwrap();
    let mut second = start(&dir, &spool, DEAD, &["exporter=none"]);
    assert_eq!(second.ask("enqueue second 1000 100"), "0 1000");
    assert_eq!(lane_names(&spool).len(), 2, "the second process has a lane of its own");
    assert_eq!(first.ask("enqueue more 1000 100"), "0 1000");
    eventually("it is noticed", || lock.exists());
    eventually("it is said", || log_of(&dir).contains("was removed while in use"));
    first.kill();
    second.kill();
    drain(&spool, &ingest.url());
    assert_each_once(&ingest, &[("first", 1000), ("second", 1000), ("more", 1000)]);
}

/// A host with 3000 items in segments, which are read with the read error `error`, and the ingest at `endpoint`.
fn with_backlog(dir: &TempDir, error: i32, endpoint: &str, more: &[&str]) -> (Host, Faults) {
    let spool = dir.join("spool");
    let program = Host::compile(dir);
    let mut filler =
        Host::start(&program, &settings(&spool, DEAD, &[&SMALL[..], &["exporter=none"]].concat()));
    assert_eq!(filler.ask("enqueue kept 3000 100"), "0 3000");
    filler.end();
    let segments = spool.join("lanes").join(&lane_names(&spool)[0]).join("segments");
    let faults = Faults::below(&segments, &dir.join("faults"));
    faults.set(Word::ReadError, error as u64);
    let log = format!("log={}", dir.join("log").display());
    let mut command = caller(&program);
    command.args(settings(&spool, endpoint, &[&SMALL[..], more, &[&log]].concat()));
    faults.load(&Faults::compile(dir.path()), &mut command);
    let host = Host::run(&mut command);
    assert_eq!(host.line(), "ready");
    (host, faults)
}

#[test]
fn segments_that_can_not_be_read_for_a_while_are_read_later() {
    wait_for_readable_segments(1);
}

fn wait_for_readable_segments(in_flight: u32) {
    let (dir, ingest) = (TempDir::new("ground-eio"), accepting());
    let (mut host, faults) =
        with_backlog(&dir, libc::EIO, &ingest.url(), &[&format!("max_in_flight={in_flight}")]);
    eventually("it is said", || log_of(&dir).contains("trying again"));
    eventually("it is shown", || total(&status(&dir.join("spool")), "export_state") == 2);
    let shown = status(&dir.join("spool"))["lanes"][0]["reason"].as_str().unwrap().to_owned();
    assert!(shown.contains("os error 5"), "{shown}");
    assert_eq!(host.ask("enqueue new 10"), "0 10");
    faults.set(Word::ReadError, 0);
    wait_for_items(&ingest, 3010);
    assert_eq!(host.ask("flush 60000"), "0");
    assert_eq!(host.ask("stats"), "3010 3010 0 0 0");
    host.end();
    assert_each_once(&ingest, &[("kept", 3000), ("new", 10)]);
    assert!(log_of(&dir).matches("trying again").count() < 3, "{}", log_of(&dir));
}

/// The oldest segment of the lane `lane`.
fn first_segment(lane: &Path) -> PathBuf {
    let segments = fs::read_dir(lane.join("segments")).unwrap().map(|entry| entry.unwrap().path());
    segments.min().unwrap()
}

#[test]
fn a_segment_that_is_away_for_a_while_is_waited_for() {
    for (file, is_linked, said) in
        [("", false, "missing"), ("db", false, "missing"), ("db", true, "not a file")]
    {
        let (dir, ingest) = (TempDir::new("ground-segment"), accepting());
        let (spool, elsewhere) = (dir.join("spool"), dir.join("elsewhere"));
        let mut host = start(&dir, &spool, DEAD, &["exporter=none"]);
        assert_eq!(host.ask("enqueue kept 3000 100"), "0 3000");
        host.kill();
        let away = first_segment(&spool.join("lanes").join(&lane_names(&spool)[0])).join(file);
        fs::rename(&away, &elsewhere).unwrap();
        if is_linked {
            symlink(&elsewhere, &away).unwrap();
        }
        let mut host = start(&dir, &spool, &ingest.url(), &[]);
        eventually("it is said", || log_of(&dir).contains(said));
        assert_eq!(total(&status(&spool), "dropped_corrupt"), 0);
        let mut shown = 0;
        let view = SpoolView::open(&spool).unwrap();
        let why = view
            .pending(&mut |_, _| {
                shown += 1;
                true
            })
            .unwrap_err();
        assert!(shown < 3000 && why.message().contains(said), "{shown} items, {why}");
        fs::rename(&elsewhere, &away).unwrap();
        assert_eq!(host.ask("flush 60000"), "0");
        host.end();
        assert_each_once(&ingest, &[("kept", 3000)]);
    }
}

#[test]
fn calls_return_in_time_while_a_segment_is_read() {
    let (dir, ingest) = (TempDir::new("ground-slow"), silent());
    let (mut host, faults) = with_backlog(&dir, 0, &ingest.url(), &[]);
    faults.set(Word::ReadUs, 20_000_000);
    let begin = Instant::now();
    assert_ne!(host.ask("flush 50"), "0");
    assert_eq!(host.ask("enqueue new 10"), "0 10");
    assert_ne!(host.ask("shutdown 0"), "0");
    assert!(begin.elapsed() < Duration::from_secs(15), "{:?}", begin.elapsed());
}

#[test]
fn what_a_host_without_standard_descriptors_prints_reaches_no_file_of_the_spool() {
    let (dir, ingest) = (TempDir::new("ground-closed"), accepting());
    let program = compile_c("tests/c/closed_standard.c", dir.path());
    succeed(caller(&program).args(settings(&dir.join("spool"), &ingest.url(), &SMALL)));
    assert_each_once(&ingest, &[("printed", 3000)]);
}
