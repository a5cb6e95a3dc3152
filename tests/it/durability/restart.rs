//! What a client finds in the spool: another client's settings, half made lanes, damage. It goes on with all of it.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use spanspool::{BatchTraceProcessor, Config, ErrorKind, SpoolView, Stats};
use testkit::client::{
    BACKOFF, NEVER_MS, arrived, assert_all_delivered, assert_ledger, batch_id, config, enqueue, lane_dir,
    lanes, let_go, long_item, open, open_offline, segment_dirs, view, wait_for_state,
};
use testkit::host::silent;
use testkit::ingest::{Answer, Ingest};
use testkit::wait::{PATIENCE, eventually};
use testkit::{TempDir, caller, compile_c, have, succeed, tool};

fn willing() -> Ingest {
    Ingest::start(|_| Answer::status(200)).unwrap()
}

#[test]
fn items_left_at_a_clean_end_are_sent_by_a_client_with_other_settings() {
    let dir = TempDir::new("restart");
    let spool = dir.join("spool");
    let client = open_offline(&spool, &[]);
    enqueue(&client, 0..1000);
    assert_eq!(client.shutdown(Duration::ZERO).unwrap_err().kind(), ErrorKind::Timeout);

    let ingest = willing();
    let settings = [("max_batch_size", "7"), ("journal_bytes", "1 MiB"), ("durability", "power")];
    let client = open(&spool, &ingest.url(), &settings);
    assert_eq!(client.stats().unwrap().pending, 1000);
    client.flush(PATIENCE).unwrap();
    assert_eq!(arrived(&ingest), Vec::from_iter(0..1000));
    assert_all_delivered(&client, 1000);
    assert_eq!(ingest.requests().len(), 1000_usize.div_ceil(7));
}

#[test]
fn batch_that_was_tried_stays_the_same_under_other_settings() {
    let dir = TempDir::new("restart");
    let spool = dir.join("spool");
    let busy = Ingest::start(|_| Answer::status(503)).unwrap();
    let client = open(
        &spool,
        &busy.url(),
        &[("max_batch_size", "50"), ("base_delay_ms", NEVER_MS), ("max_delay_ms", NEVER_MS)],
    );
    enqueue(&client, 0..100);
    wait_for_state(&client, BACKOFF);
    let_go(client, &spool);

    let ingest = willing();
    let client = open(&spool, &ingest.url(), &[("max_batch_size", "7"), ("adopt", "any")]);
    client.flush(PATIENCE).unwrap();
    assert_eq!(arrived(&ingest), Vec::from_iter(0..100));
    let (tried, sent) = (busy.requests().remove(0), ingest.requests().remove(0));
    assert_eq!(batch_id(&tried), batch_id(&sent));
    assert!(tried.body == sent.body, "the bytes changed");
}

#[test]
fn what_the_last_owner_waited_for_is_not_what_this_one_does() {
    let dir = TempDir::new("restart");
    let spool = dir.join("spool");
    let busy = Ingest::start(|_| Answer::status(503)).unwrap();
    let silent = silent();
    let open = |url: &str| {
        open(&spool, url, &[("base_delay_ms", NEVER_MS), ("max_delay_ms", NEVER_MS), ("adopt", "any")])
    };
    enqueue(&open(&busy.url()), 0..1);
    // Once would do, if delivery did not show its own state soon.
    for _ in 0..10 {
        let client = open(&busy.url());
        wait_for_state(&client, BACKOFF);
        let_go(client, &spool);
        let stats = open(&silent.url()).stats().unwrap();
        assert_eq!((stats.pending, stats.state().is_waiting()), (1, false));
    }
}

#[test]
fn shutdown_delivers_until_its_deadline() {
    let dir = TempDir::new("restart");
    let ingest = willing();
    let client = open(&dir.join("spool"), &ingest.url(), &[("schedule_delay_ms", NEVER_MS)]);
    enqueue(&client, 0..10);
    client.shutdown(PATIENCE).unwrap();
    assert_eq!(arrived(&ingest), Vec::from_iter(0..10));
}

#[test]
fn two_clients_on_one_spool_have_a_lane_each() {
    let dir = TempDir::new("restart");
    let spool = dir.join("spool");
    let ingests = [willing(), willing()];
    let clients = [open(&spool, &ingests[0].url(), &[]), open(&spool, &ingests[1].url(), &[])];
    let both = lanes(&spool);
    assert_eq!(both.len(), 2);
    assert!(both.iter().all(|lane| lane.owner_pid == Some(std::process::id())), "{both:?}");
    enqueue(&clients[0], 0..100);
    enqueue(&clients[1], 100..300);
    for client in &clients {
        client.flush(PATIENCE).unwrap();
    }
    assert_eq!(arrived(&ingests[0]), Vec::from_iter(0..100));
    assert_eq!(arrived(&ingests[1]), Vec::from_iter(100..300));
    assert_all_delivered(&clients[0], 100);
    assert_all_delivered(&clients[1], 200);
    drop(clients);
    let _client = open(&spool, &ingests[0].url(), &[]);
    // The other one is empty: whoever looks for orphans may have removed it already.
    assert!(lanes(&spool).len() <= 2, "a lane that nobody owns is taken over, not added to");
}

/// A client opens the spool, whose only lane is as `make` leaves it, and uses that lane.
fn takes_over(make: impl Fn(&Path)) {
    let dir = TempDir::new("restart");
    let spool = dir.join("spool");
    let lane = spool.join("lanes/0000000000000001");
    fs::create_dir_all(&lane).unwrap();
    make(&lane);
    let ingest = willing();
    let client = open(&spool, &ingest.url(), &[]);
    enqueue(&client, 0..10);
    client.flush(PATIENCE).unwrap();
    assert_eq!(arrived(&ingest), Vec::from_iter(0..10));
    assert_eq!(lane_dir(&spool), lane);
    assert!(!lane.join("journal.new").exists());
}

#[test]
fn lane_that_was_never_finished_is_taken_over() {
    takes_over(|_| {});
    takes_over(|lane| drop(File::create(lane.join("lock")).unwrap()));
    takes_over(|lane| fs::write(lane.join("journal.new"), b"").unwrap());
    takes_over(|lane| {
        fs::write(lane.join("lock"), b"").unwrap();
        fs::write(lane.join("journal.new"), vec![0xff; 1 << 20]).unwrap();
    });
}

/// A spool with ten items whose journal is changed.
fn spool_with_changed_journal(dir: &TempDir, change: impl Fn(&File)) -> PathBuf {
    let spool = dir.join("spool");
    let client = open_offline(&spool, &[]);
    enqueue(&client, 0..10);
    let_go(client, &spool);
    change(&OpenOptions::new().read(true).write(true).open(lane_dir(&spool).join("journal")).unwrap());
    spool
}

#[test]
fn journal_of_another_format_is_left_as_it_is() {
    const VERSION_AT: u64 = 8;
    const CHECK_AT: u64 = 40;
    let dir = TempDir::new("restart");
    let spool = spool_with_changed_journal(&dir, |journal| {
        journal.write_all_at(&3_u64.to_ne_bytes(), VERSION_AT).unwrap();
        // The words from the version up to their check.
        let mut fixed = [0; (CHECK_AT - VERSION_AT) as usize];
        journal.read_exact_at(&mut fixed, VERSION_AT).unwrap();
        journal.write_all_at(&u64::from(crc32fast::hash(&fixed)).to_ne_bytes(), CHECK_AT).unwrap();
    });
    let journal = lane_dir(&spool).join("journal");
    let before = fs::read(&journal).unwrap();
    let ingest = willing();
    let log = Arc::new(Mutex::new(String::new()));
    let mut config = config(&spool, &ingest.url(), &[("adopt_interval_ms", "1")]);
    config.set_log({
        let log = log.clone();
        move |level, line| *log.lock().unwrap() += &format!("{level:?} {line}\n")
    });
    let client = BatchTraceProcessor::open(config).unwrap();
    enqueue(&client, 10..20);
    client.flush(PATIENCE).unwrap();
    assert_all_delivered(&client, 10);
    assert_eq!(arrived(&ingest), Vec::from_iter(10..20));
    let unreadable = view(&spool).unreadable().unwrap();
    assert!(unreadable.len() == 1 && !unreadable[0].damaged, "{unreadable:?}");
    assert!(fs::read(&journal).unwrap() == before, "it was touched");
    let_go(client, &spool);
    let log = log.lock().unwrap();
    assert_eq!(log.matches("format version 3").count(), 1, "{log}");
    assert!(log.contains("Error "), "{log}");
}

/// A journal's header is damaged: every item arrives all the same, and the journal is kept.
fn salvages(reason: &str, change: impl Fn(&File)) {
    let dir = TempDir::new("restart");
    let spool = spool_with_changed_journal(&dir, change);
    let unreadable = view(&spool).unreadable().unwrap();
    assert!(unreadable.len() == 1 && unreadable[0].damaged, "{unreadable:?}");
    assert!(unreadable[0].reason.contains(reason), "{unreadable:?}");
    let ingest = willing();
    let client = open(&spool, &ingest.url(), &[("adopt_interval_ms", "1")]);
    eventually("the lane is salvaged", || view(&spool).unreadable().unwrap().is_empty());
    client.flush(PATIENCE).unwrap();
    assert_eq!(arrived(&ingest), Vec::from_iter(0..10));
    assert_ledger(&client.stats().unwrap());
    assert!(lane_dir(&spool).join("quarantine").join(&unreadable[0].id).join("journal").exists());
}

#[test]
fn lane_whose_journals_header_is_damaged_is_salvaged() {
    salvages("it is not a journal", |journal| journal.write_all_at(b"JOURNAL!", 0).unwrap());
    salvages("its header is damaged", |journal| journal.write_all_at(&[0xff], 32).unwrap());
    salvages("is no size of a journal", |journal| journal.set_len(1_234_567).unwrap());
    salvages("belongs to another lane", |journal| journal.write_all_at(&[0xff], 48).unwrap());
    salvages("its newest checkpoint is damaged", |journal| journal.write_all_at(&[0xff; 512], 576).unwrap());
}

#[test]
fn record_whose_header_is_damaged_hides_none_behind_it() {
    let dir = TempDir::new("restart");
    for at in [0, 12, 16, 24] {
        let spool = dir.join(&format!("spool{at}"));
        let client = open_offline(&spool, &[]);
        for n in 0..10 {
            client.enqueue(long_item(n, 1000).as_bytes()).unwrap();
        }
        let_go(client, &spool);
        let path = lane_dir(&spool).join("journal");
        let bytes = fs::read(&path).unwrap();
        let item = bytes.windows(8).position(|window| window == br#"{"n":5,""#).unwrap();
        OpenOptions::new()
            .write(true)
            .open(&path)
            .unwrap()
            .write_all_at(b"XXXX", item as u64 - 40 + at)
            .unwrap();

        let checked = view(&spool).check().unwrap().remove(0);
        assert_eq!((checked.readable, checked.lost, checked.is_whole()), (9, 1, false), "{checked:?}");
        let ingest = willing();
        let client = open(&spool, &ingest.url(), &[]);
        client.flush(PATIENCE).unwrap();
        assert_eq!(arrived(&ingest), [0, 1, 2, 3, 4, 6, 7, 8, 9]);
        let stats = client.stats().unwrap();
        assert_ledger(&stats);
        assert_eq!((stats.accepted, stats.delivered, stats.dropped_corrupt), (10, 9, 1), "{stats:?}");
        assert_eq!(fs::read_dir(lane_dir(&spool).join("quarantine")).unwrap().count(), 1);
    }
}

#[test]
fn damaged_record_in_the_journal_costs_only_itself() {
    let dir = TempDir::new("restart");
    let spool = dir.join("spool");
    let client = open_offline(&spool, &[]);
    for n in 0..10 {
        client.enqueue(long_item(n, 1000).as_bytes()).unwrap();
    }
    let_go(client, &spool);
    let path = lane_dir(&spool).join("journal");
    let bytes = fs::read(&path).unwrap();
    let at = bytes.windows(8).position(|window| window == br#"{"n":5,""#).unwrap();
    OpenOptions::new().write(true).open(&path).unwrap().write_all_at(b"XXXX", at as u64 + 100).unwrap();

    let ingest = willing();
    let client = open(&spool, &ingest.url(), &[]);
    client.flush(PATIENCE).unwrap();
    assert_eq!(arrived(&ingest), [0, 1, 2, 3, 4, 6, 7, 8, 9]);
    let stats = client.stats().unwrap();
    assert_ledger(&stats);
    assert_eq!((stats.accepted, stats.delivered, stats.dropped_corrupt), (10, 9, 1), "{stats:?}");
}

/// A spool with `count` items of 1000 bytes, most of them in segments.
fn spool_with_segments(spool: &Path, count: u64) {
    let client = open_offline(spool, &[("journal_bytes", "256 KiB")]);
    for n in 0..count {
        client.enqueue(long_item(n, 1000).as_bytes()).unwrap();
    }
    let_go(client, spool);
    assert!(!segment_dirs(spool).is_empty());
}

fn database(spool: &Path) -> File {
    OpenOptions::new().read(true).write(true).open(segment_dirs(spool)[0].join("db")).unwrap()
}

/// Damages a spool of 5000 items and delivers it; gives how many are lost, which are counted.
fn lost_by(damage: impl Fn(&Path)) -> u64 {
    const ITEMS: u64 = 5000;
    let dir = TempDir::new("restart");
    let spool = dir.join("spool");
    spool_with_segments(&spool, ITEMS);
    damage(&spool);
    let ingest = willing();
    let client = open(&spool, &ingest.url(), &[]);
    enqueue(&client, ITEMS..ITEMS + 10);
    client.flush(PATIENCE).unwrap();
    let stats = client.stats().unwrap();
    assert_ledger(&stats);
    assert_eq!((stats.accepted, stats.pending), (ITEMS + 10, 0));
    assert_eq!(stats.delivered + stats.dropped_corrupt, ITEMS + 10, "{stats:?}");
    let arrived = arrived(&ingest);
    assert_eq!(arrived.len() as u64, stats.delivered);
    assert!(arrived.is_sorted_by(|a, b| a < b), "out of order or twice");
    assert!(arrived.ends_with(&Vec::from_iter(ITEMS..ITEMS + 10)), "later items suffer");
    stats.dropped_corrupt
}

#[test]
fn damaged_segment_costs_what_it_held_and_nothing_else() {
    assert_eq!(lost_by(|_| {}), 0);
    let one_spot = lost_by(|spool| {
        let file = database(spool);
        let middle = file.metadata().unwrap().len() / 4;
        file.write_all_at(&[0xa5; 100], middle).unwrap();
    });
    assert!((1..5000).contains(&one_spot), "{one_spot}");
    let half = lost_by(|spool| {
        let file = database(spool);
        file.set_len(file.metadata().unwrap().len() / 2).unwrap();
    });
    assert!(half > 0);
    for lost in [
        lost_by(|spool| database(spool).set_len(0).unwrap()),
        lost_by(|spool| fs::remove_file(segment_dirs(spool)[0].join("conf")).unwrap()),
        lost_by(|spool| fs::write(segment_dirs(spool)[0].join("conf"), b"nonsense").unwrap()),
    ] {
        assert!(lost <= 5000);
    }
}

#[test]
fn segment_that_is_missing_is_waited_for_until_a_repair_gives_it_up() {
    const ITEMS: u64 = 5000;
    let dir = TempDir::new("restart");
    let spool = dir.join("spool");
    spool_with_segments(&spool, ITEMS);
    fs::remove_dir_all(&segment_dirs(&spool)[0]).unwrap();
    let ingest = willing();
    let client = open(&spool, &ingest.url(), &[]);
    let reason = || SpoolView::open(&spool).unwrap().lanes().unwrap()[0].reason.clone();
    eventually("it is said", || reason().contains("missing"));
    let stats = client.stats().unwrap();
    assert_eq!((stats.pending, stats.dropped_corrupt), (ITEMS, 0));
    let_go(client, &spool);

    let mut config = Config::new();
    config.set_os("spool_dir", spool.as_os_str()).unwrap();
    let repaired = spanspool::repair(&config).unwrap();
    assert!(repaired[0].lost.unwrap() > 0, "{repaired:?}");
    let client = open(&spool, &ingest.url(), &[]);
    client.flush(PATIENCE).unwrap();
    eventually("all is delivered or counted", || {
        let lanes = SpoolView::open(&spool).unwrap().lanes().unwrap();
        let sum = |counter: fn(&Stats) -> u64| lanes.iter().map(|lane| counter(&lane.stats)).sum::<u64>();
        sum(|s| s.pending) == 0 && sum(|s| s.delivered) + sum(|s| s.dropped_corrupt) == ITEMS
    });
    assert_eq!(arrived(&ingest).len() as u64, ITEMS - repaired[0].lost.unwrap());
}

#[test]
fn damage_makes_the_library_print_nothing() {
    if !have(&tool("CC", "cc"), "--version", "restart") {
        return;
    }
    let dir = TempDir::new("restart");
    let spool = dir.join("spool");
    spool_with_segments(&spool, 5000);
    let file = database(&spool);
    file.set_len(file.metadata().unwrap().len() / 2).unwrap();
    let ingest = willing();
    let program = compile_c("tests/c/enqueue_file.c", dir.path());
    let mut command = caller(program);
    command.arg("/dev/null").arg("60000");
    command.arg(format!("spool_dir={}", spool.display())).arg(format!("endpoint={}", ingest.url()));
    let output = succeed(&mut command);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
