//! The order of calls: all writes, syncs, renames and removals of a run, from a log of them (tests/c/order_shim.c), are
//! held against the rules on which the promise rests. Two calls in the wrong order fail at once, not by luck of a cut.

mod disk;
mod log;
mod rules;
mod scene;

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;

use scene::{Orders, Scene};
use testkit::wait::eventually;

/// Nothing is synced but by what the test is about.
const QUIET: [&str; 2] = ["sync_interval_ms=3600000", "schedule_delay_ms=1"];

/// Fills the journal several times over while the ingest is down, and lets all be delivered.
fn backlog(scene: &mut Scene, durability: &str) {
    let mut host = scene.start(&["journal_bytes=128KiB", durability]);
    scene.ingest_is(503);
    scene.order(Orders { hold_us: 3000, ..Orders::default() });
    assert_eq!(host.ask("enqueue a 300 1000 -"), "0");
    assert_eq!(host.ask("long b 100000"), "0");
    assert_eq!(host.ask("enqueue c 100 1000 -"), "0");
    scene.ingest_is(200);
    assert_eq!(host.ask("flush 60000"), "0");
    assert_eq!(host.ask("enqueue d 300 1000 -"), "0");
    assert_eq!(host.ask("flush 60000"), "0");
    host.end();
}

#[test]
fn a_backlog_is_spilled_and_delivered_in_order() {
    for durability in ["durability=process", "durability=power"] {
        let Some(mut scene) = Scene::new("order_backlog") else { return };
        backlog(&mut scene, durability);
        scene.judge(&["made", "promise", "ring", "spill", "passed"]);
    }
}

#[test]
fn a_segment_gives_way_to_the_next_in_order() {
    let Some(mut scene) = Scene::new("order_roll") else { return };
    let mut host = scene.start(&["journal_bytes=128KiB", "max_item_bytes=40MiB", QUIET[0]]);
    scene.ingest_is(503);
    for name in ["a", "b", "c"] {
        assert_eq!(host.ask(&format!("long {name} 17000000")), "0");
    }
    scene.ingest_is(200);
    assert_eq!(host.ask("flush 60000"), "0");
    host.end();
    assert!(scene.judge(&["spill", "passed"])["passed"] > 1);
}

#[test]
fn a_segment_that_a_dead_owner_settled_goes_in_order() {
    for _ in 0..10 {
        let Some(mut scene) = Scene::new("order_reopened") else { return };
        let settings = ["journal_bytes=128KiB", QUIET[0], QUIET[1]];
        let mut host = scene.start(&settings);
        scene.ingest_is(503);
        assert_eq!(host.ask("enqueue a 200 1000 -"), "0");
        scene.ingest_is(200);
        assert_eq!(host.ask("flush 60000"), "0");
        // At its end it would sync the header and remove the segment. It may have done so already.
        scene.order(Orders { die_at_header: 1, ..Orders::default() });
        if scene.dies(&mut host) {
            scene.order(Orders::default());
            scene.start(&settings).end();
            scene.judge(&["passed"]);
            return;
        }
    }
    panic!("it never died with its segment there");
}

#[test]
fn the_space_of_a_dead_owners_items_is_used_again_in_order() {
    let Some(mut scene) = Scene::new("order_recovered_ring") else { return };
    let settings = ["journal_bytes=192KiB", QUIET[0], QUIET[1]];
    let mut host = scene.start(&settings);
    // Less than half of the ring: no header has been synced when the owner dies.
    assert_eq!(host.ask("enqueue a 55 1000 -"), "0");
    assert_eq!(host.ask("flush 60000"), "0");
    host.kill();
    scene.ingest_is(503);
    scene.order(Orders { hold_us: 20_000, ..Orders::default() });
    let mut host = scene.start(&settings);
    assert_eq!(host.ask("enqueue b 300 1000 -"), "0");
    scene.ingest_is(200);
    assert_eq!(host.ask("flush 60000"), "0");
    host.end();
    scene.judge(&["ring"]);
}

#[test]
fn rejected_items_are_set_aside_and_put_back_in_order() {
    let Some(mut scene) = Scene::new("order_rejected") else { return };
    let settings = ["journal_bytes=1MiB", QUIET[0], QUIET[1]];
    let mut host = scene.start(&settings);
    scene.ingest_is(503);
    // Without its key it is set aside; the others stand in batches before and after.
    assert_eq!(host.ask("enqueue good 5 10 -"), "0");
    assert_eq!(host.ask("enqueue bad 3 10 -"), "0");
    assert_eq!(host.ask("enqueue keyed 3 10 late"), "0");
    assert_eq!(host.ask("enqueue fine 5 10 -"), "0");
    scene.ingest_is(200);
    assert_eq!(host.ask("flush 60000"), "0");
    assert_eq!(scene.delivered(), 10);
    assert_eq!(host.ask("name late"), "0");
    assert_eq!(host.ask("flush 60000"), "0");
    assert_eq!(scene.delivered(), 13);
    assert!(scene.judge(&["rejected", "requeued"])["rejected"] > 1);
    host.kill();

    // The others go back by the program, out of the lane that it takes over.
    scene.run(&["rejected", "requeue", "--all"]).with(0);
    scene.judge(&["requeued"]);
}

#[test]
fn a_dead_processs_lane_is_taken_over_in_order() {
    let Some(mut scene) = Scene::new("order_adoption") else { return };
    let mut own = scene.start(&["adopt_interval_ms=20", QUIET[0]]);
    assert_eq!(own.ask("enqueue own 1 10 -"), "0");
    let mut other = scene.start(&QUIET);
    scene.ingest_is(503);
    assert_eq!(other.ask("enqueue good 5 10 -"), "0");
    assert_eq!(other.ask("enqueue bad 3 10 -"), "0");
    assert_eq!(other.ask("enqueue fine 5 10 -"), "0");
    other.kill();
    scene.ingest_is(200);
    eventually("one lane is left", || testkit::host::lane_names(&scene.spool()).len() == 1);

    // Of one that had settled all and synced nothing there is only the rest to take over.
    let mut idle = scene.start(&QUIET);
    scene.ingest_is(503);
    assert_eq!(idle.ask("enqueue good 5 10 -"), "0");
    assert_eq!(idle.ask("enqueue bad 3 10 -"), "0");
    assert_eq!(idle.ask("enqueue fine 5 10 -"), "0");
    scene.ingest_is(200);
    assert_eq!(idle.ask("flush 60000"), "0");
    idle.kill();
    eventually("one lane is left", || testkit::host::lane_names(&scene.spool()).len() == 1);
    own.end();
    assert!(scene.judge(&["rejected", "handed over", "absorbed", "gone"])["absorbed"] > 1);
}

#[test]
fn a_damaged_lane_is_recovered_in_order() {
    let Some(mut scene) = Scene::new("order_damaged") else { return };
    let mut other = scene.start(&QUIET);
    scene.ingest_is(503);
    assert_eq!(other.ask("enqueue a 20 10 -"), "0");
    let lane = testkit::client::lane_dir(&scene.spool());
    other.kill();
    // Its magic number.
    let journal = OpenOptions::new().write(true).open(lane.join("journal")).unwrap();
    journal.write_all_at(&[0; 8], 0).unwrap();
    let mut own = scene.start(&["adopt_interval_ms=20", QUIET[0]]);
    eventually("one lane is left", || testkit::host::lane_names(&scene.spool()).len() == 1);
    scene.ingest_is(200);
    assert_eq!(own.ask("flush 60000"), "0");
    own.end();
    scene.judge(&["recovered"]);
    assert_eq!(scene.delivered(), 20);
}

#[test]
fn a_journal_that_cannot_be_synced_is_renewed_in_order() {
    let Some(mut scene) = Scene::new("order_renewed") else { return };
    let mut host = scene.start(&["journal_bytes=128KiB"]);
    scene.ingest_is(503);
    assert_eq!(host.ask("enqueue a 100 1000 -"), "0");
    scene.order(Orders { fail_header_syncs: 1, hold_us: 20_000, ..Orders::default() });
    assert_eq!(host.ask("enqueue b 200 1000 -"), "0");
    assert_eq!(host.ask("sync"), "0");
    scene.ingest_is(200);
    assert_eq!(host.ask("flush 60000"), "0");
    host.end();
    scene.judge(&["renewed", "ring"]);
    assert_eq!(scene.delivered(), 300);
}

#[test]
fn an_oversize_item_has_no_ok_while_no_sync_succeeds() {
    let Some(mut scene) = Scene::new("order_no_sync") else { return };
    let mut host = scene.start(&["journal_bytes=128KiB", "durability=power"]);
    scene.ingest_is(503);
    assert_eq!(host.ask("enqueue a 1 10 -"), "0");
    // The segment of the first is there, so that the journal's own syncs are what fails.
    assert_eq!(host.ask("long b 100000"), "0");
    scene.order(Orders { fail_journal_syncs: 1, ..Orders::default() });
    assert_ne!(host.ask("long c 100000"), "0");
    scene.order(Orders::default());
    scene.ingest_is(200);
    assert_eq!(host.ask("flush 60000"), "0");
    host.end();
    scene.judge(&["spill"]);
}
