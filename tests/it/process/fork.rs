//! Fork: the child has a lane of its own, the parent's is untouched, nothing is sent twice and nobody hangs.

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use testkit::host::{
    Host, accepting, arrivals, assert_each_once, assert_same_batches, ids_of, lane_names, settings, status,
    total, wait_for_items,
};
use testkit::ingest::{Answer, Fault, Ingest};
use testkit::wait::{PATIENCE, eventually};
use testkit::{TempDir, caller, compile_c, is_instrumented, succeed};

#[test]
fn a_hundred_queued_items_are_sent_once_after_a_fork() {
    let (dir, ingest) = (TempDir::new("fork-queued"), accepting());
    let (program, spool) = (Host::compile(&dir), dir.join("spool"));
    let mut host = Host::start(&program, &settings(&spool, &ingest.url(), &[]));
    assert_eq!(host.ask("enqueue parent 100"), "0 100");
    assert_eq!(host.ask("fork enqueue child 10; flush 60000; stats; free"), "0 10");
    assert_eq!(host.line(), "0");
    assert_eq!(host.line(), "10 10 0 0 0", "the child's counters are its own lane's");
    assert_eq!((host.line(), host.line()), ("0".into(), "0".into()));
    assert_eq!(host.ask("flush 60000"), "0");
    // The child has ended: the parent may have absorbed the ledger of its lane by now.
    assert!(["100 100 0 0 0", "110 110 0 0 0"].contains(&&*host.ask("stats")));
    assert_each_once(&ingest, &[("parent", 100), ("child", 10)]);
    host.end();
}

#[test]
fn a_child_of_a_paused_process_sends_nothing_before_it_is_woken() {
    for order in ["oldest_first", "newest_first"] {
        let (dir, ingest) = (TempDir::new("fork-paused"), accepting());
        let (program, spool) = (Host::compile(&dir), dir.join("spool"));
        let mut host = Host::start(&program, &settings(&spool, &ingest.url(), &[&format!("order={order}")]));
        assert_eq!([host.ask("pause"), host.ask("enqueue parent 10")], ["0", "0 10"]);
        // 21: the time is over, while nothing is sent.
        assert_eq!(host.ask("fork enqueue child 10; flush 300; wake; flush 60000; free"), "0 10");
        assert_eq!([host.line(), host.line(), host.line()], ["21", "0", "0"]);
        assert_eq!([host.line(), host.line()], ["0", "0"], "the child ended well");
        assert_each_once(&ingest, &[("child", 10)]);
        assert_eq!([host.ask("flush 300"), host.ask("wake"), host.ask("flush 60000")], ["21", "0", "0"]);
        assert_each_once(&ingest, &[("parent", 10), ("child", 10)]);
        host.end();
    }
}

#[test]
fn a_child_of_a_raw_clone_has_a_lane_of_its_own() {
    let (dir, ingest) = (TempDir::new("fork-clone"), accepting());
    let (program, spool) = (Host::compile(&dir), dir.join("spool"));
    let mut host = Host::start(&program, &settings(&spool, &ingest.url(), &[]));
    assert_eq!(host.ask("enqueue parent 100"), "0 100");
    for n in 0..3 {
        let child = format!("enqueue child{n} 10; flush 60000; fork enqueue grandchild{n} 5; free");
        assert_eq!(host.ask(&format!("clone {child}")), "0 10");
        assert_eq!([host.line(), host.line()], ["0", "0 5"]);
        assert_eq!([host.line(), host.line(), host.line()], ["0", "0", "0"], "both ended well");
    }
    assert_eq!(host.ask("enqueue after 10"), "0 10");
    assert_eq!(host.ask("flush 60000"), "0");
    host.end();
    let mut reader = Host::start(&program, &settings(&spool, &ingest.url(), &["adopt_interval_ms=50"]));
    wait_for_items(&ingest, 100 + 3 * 15 + 10);
    assert_eq!(reader.ask("flush 60000"), "0");
    // One that is freed while it delivers what a child left leaves that to be sent again.
    assert_same_batches(&ingest.requests());
    for (id, times) in arrivals(&ingest) {
        assert!(times == 1 || id.starts_with("grandchild"), "{id} came {times} times");
    }
    reader.end();
}

#[test]
fn a_child_keeps_no_lane_of_its_parent_locked_however_many_there_are() {
    let (dir, spool) = (TempDir::new("fork-many"), TempDir::new("fork-many-spool"));
    let program = compile_c("tests/c/many_lanes.c", dir.path());
    let mut parent = Host::run(caller(program).arg(spool.path()));
    let child = parent.line();
    parent.end();
    let lanes = status(spool.path())["lanes"].as_array().unwrap().clone();
    testkit::host::kill(&child);
    assert!(lanes.len() > 512, "{} lanes", lanes.len());
    let locked = lanes.iter().filter(|lane| !lane["owner_pid"].is_null()).count();
    assert_eq!(locked, 0, "of {} lanes", lanes.len());
}

#[test]
fn what_a_child_leaves_is_delivered_by_the_parent() {
    let (dir, ingest) = (TempDir::new("fork-left"), accepting());
    let (program, spool) = (Host::compile(&dir), dir.join("spool"));
    let mut host = Host::start(&program, &settings(&spool, &ingest.url(), &["adopt_interval_ms=50"]));
    assert_eq!(host.ask("fork enqueue child 10"), "0 10");
    assert_eq!(host.line(), "0");
    eventually("the child's lane is removed", || lane_names(&spool).len() == 1);
    assert_each_once(&ingest, &[("child", 10)]);
}

#[test]
fn a_child_that_only_frees_the_handle_touches_nothing() {
    let (dir, ingest) = (TempDir::new("fork-free"), accepting());
    let (program, spool) = (Host::compile(&dir), dir.join("spool"));
    let mut host = Host::start(&program, &settings(&spool, &ingest.url(), &[]));
    assert_eq!(host.ask("enqueue parent 5"), "0 5");
    assert_eq!((host.ask("fork free"), host.line()), ("0".into(), "0".into()));
    assert_eq!(lane_names(&spool).len(), 1);
    assert_eq!(host.ask("flush 60000"), "0");
    assert_each_once(&ingest, &[("parent", 5)]);
}

#[test]
fn a_fork_in_the_middle_of_an_export_neither_hangs_nor_repeats() {
    let dir = TempDir::new("fork-export");
    let (program, spool) = (Host::compile(&dir), dir.join("spool"));
    // What the parent sends is answered late: its export is under way all the while.
    let ingest = Ingest::start(|request| {
        let answer = Answer::status(200);
        if ids_of(request).iter().any(|id| id.starts_with("parent")) {
            answer.fault(Fault::DelayBefore(Duration::from_secs(4)))
        } else {
            answer
        }
    })
    .unwrap();
    let mut host = Host::start(&program, &settings(&spool, &ingest.url(), &[]));
    assert_eq!(host.ask("enqueue parent 20"), "0 20");
    assert_eq!(host.ask("flush 0"), "21", "ERR_TIMEOUT: it is on its way");
    assert!(ingest.wait_until(Instant::now() + PATIENCE, |requests| !requests.is_empty()));
    for n in 0..5 {
        assert_eq!(host.ask(&format!("fork enqueue child{n} 3; flush 60000")), "0 3");
        assert_eq!((host.line(), host.line()), ("0".into(), "0".into()));
    }
    assert_eq!(host.ask("flush 60000"), "0");
    let children = ["child0", "child1", "child2", "child3", "child4"].map(|name| (name, 3));
    assert_each_once(&ingest, &[&children[..], &[("parent", 20)]].concat());
}

#[test]
fn children_of_children_have_lanes_too() {
    let (dir, ingest) = (TempDir::new("fork-nest"), accepting());
    let (program, spool) = (Host::compile(&dir), dir.join("spool"));
    let mut host = Host::start(&program, &settings(&spool, &ingest.url(), &[]));
    assert_eq!(host.ask("enqueue parent 1"), "0 1");
    assert_eq!(host.ask("nest 4 generation"), "0");
    assert_eq!(host.ask("flush 60000"), "0");
    let generations = ["generation1", "generation2", "generation3", "generation4", "parent"];
    assert_each_once(&ingest, &generations.map(|name| (name, 1)));
}

#[test]
fn a_storm_of_forks_under_load_with_segments_loses_and_repeats_nothing() {
    let (dir, ingest) = (TempDir::new("fork-storm"), accepting());
    let spool = dir.join("spool");
    let program = compile_c("tests/c/fork_storm.c", dir.path());
    let more = ["journal_bytes=192KiB", "adopt_interval_ms=50"];
    let mut storm = Host::run(caller(program).arg(spool.join("lanes/*/segments/*")).args(settings(
        &spool,
        &ingest.url(),
        &more,
    )));
    let accepted: Vec<u64> = (0..4).map(|_| number(&storm.line())).collect();
    assert_eq!(storm.line(), "delivered");
    eventually("the children's lanes are removed", || lane_names(&spool).len() == 1);
    let names = (0..4).map(|n| format!("thread{n}")).chain((0..40).map(|n| format!("child{n}")));
    let mut arrived = arrivals(&ingest);
    for (name, count) in names.zip(accepted.iter().copied().chain([20; 40])) {
        for item in (0..count).map(|n| format!("{name}-{n}")) {
            let times = arrived.remove(&item).unwrap_or(0);
            // A child that leaves at once may do so between the ingest's answer to an orphan's batch and its note of
            // it: then that batch is sent once more.
            assert!(times == 1 || times > 1 && name.starts_with("child"), "{item} came {times} times");
        }
    }
    assert!(arrived.is_empty(), "{arrived:?}");
    assert_same_batches(&ingest.requests());
    assert_eq!(total(&status(&spool), "delivered"), accepted.iter().sum::<u64>() + 800);
    storm.end();
}

fn number(line: &str) -> u64 {
    line.parse().unwrap_or_else(|_| panic!("no number: {line}"))
}

#[test]
fn a_child_of_a_process_that_used_segments_fills_its_journal_and_no_more() {
    const RING_BYTES: u64 = 128 << 10;
    let dir = TempDir::new("fork-full");
    let (program, spool) = (Host::compile(&dir), dir.join("spool"));
    // How long the parent may take to write a segment, and less than the ingest takes for a batch of the child's.
    let patience_ms = if is_instrumented() { 4000 } else { 1000 };
    static PARENTS_TURN: AtomicBool = AtomicBool::new(false);
    let ingest = Ingest::start(move |request| {
        let held = ids_of(request).iter().any(|id| id.starts_with("parent")) && !PARENTS_TURN.load(SeqCst);
        let fault = match ids_of(request).iter().any(|id| id.starts_with("child")) {
            // Slower than enqueue_timeout_ms, so that a child's journal becomes full.
            true => Fault::DelayBefore(Duration::from_millis(patience_ms + patience_ms / 2)),
            false if held => Fault::Hang(Duration::from_secs(600)),
            false => Fault::None,
        };
        Answer::status(200).fault(fault)
    })
    .unwrap();
    let more = ["journal_bytes=192KiB", &format!("enqueue_timeout_ms={patience_ms}")];
    let mut parent = Host::start(&program, &settings(&spool, &ingest.url(), &more));
    assert_eq!(parent.ask("enqueue parent 1000 1000"), "0 1000");
    eventually("there are segments", || has_segments(&spool));

    let again = "flush 60000; enqueue again 50 1000; flush 60000; stats; free";
    let answer = parent.ask(&format!("fork enqueue child 1000 1000; {again}"));
    let accepted = number(answer.strip_prefix("20 ").unwrap());
    // An item takes 1000 bytes and what is written round it, at most 100 more. An eighth of the ring is not for callers.
    assert!(accepted * 1100 > RING_BYTES / 8 * 7, "{accepted} of 1000 items were accepted");
    assert_eq!([parent.line(), parent.line(), parent.line()], ["0", "0 50", "0"]);
    assert_eq!(parent.line(), format!("{0} {0} 0 0 0", accepted + 50));
    assert_eq!([parent.line(), parent.line()], ["0", "0"]);

    PARENTS_TURN.store(true, SeqCst);
    let _living = Host::start(&program, &settings(&spool, &ingest.url(), &["adopt_interval_ms=50"]));
    parent.kill();
    wait_for_items(&ingest, 1000 + accepted as usize + 50);
    let mut arrived = arrivals(&ingest);
    for (name, count) in [("child", accepted), ("again", 50)] {
        (0..count).for_each(|n| assert_eq!(arrived.remove(&format!("{name}-{n}")), Some(1), "{name}-{n}"));
    }
    assert_eq!(arrived.len(), 1000);
    assert_same_batches(&ingest.requests());
}

fn has_segments(spool: &Path) -> bool {
    let folder = |lane: &String| spool.join("lanes").join(lane).join("segments");
    lane_names(spool).iter().any(|lane| fs::read_dir(folder(lane)).is_ok_and(|mut all| all.next().is_some()))
}

#[test]
fn a_started_program_inherits_no_descriptor_of_the_spool() {
    let (dir, ingest) = (TempDir::new("fork-exec"), accepting());
    let (program, spool) = (Host::compile(&dir), dir.join("spool"));
    let mut host = Host::start(&program, &settings(&spool, &ingest.url(), &["journal_bytes=128KiB"]));
    assert_eq!(host.ask("enqueue parent 500 1000"), "0 500");
    for way in ["vfork", "posix_spawn"] {
        host.tell(way);
        let mut shown = 0;
        loop {
            let line = host.line();
            if line.starts_with("ended ") {
                assert_eq!(line, "ended 0");
                break;
            }
            shown += 1;
            assert!(!line.contains(spool.to_str().unwrap()) && !line.contains("socket:"), "{way}: {line}");
        }
        assert!(shown > 3, "{way}: ls showed {shown} lines");
    }
    assert_eq!(host.ask("flush 60000"), "0");
    assert_each_once(&ingest, &[("parent", 500)]);
    host.end();
}

#[test]
fn a_child_prints_though_its_parent_waits_in_the_middle_of_printing() {
    let dir = TempDir::new("fork-console");
    let program = compile_c("tests/c/fork_console.c", dir.path());
    succeed(caller(program).arg(dir.join("spool")));
}
