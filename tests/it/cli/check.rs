//! `spanspool check` says what is damaged, and `--repair` has back what is whole, once.

use std::fs;
use std::path::{Path, PathBuf};

use testkit::TempDir;
use testkit::cli::{Ended, run, run_with_input};

const THREE: &str = "{\"id\":\"a\"}\n{\"id\":\"b\"}\n{\"id\":\"c\"}\n";

fn check(dir: &str, more: &[&str]) -> Ended {
    run(&[&["check", "--spool-dir", dir], more].concat())
}

fn journal(dir: &str) -> PathBuf {
    let lane = fs::read_dir(Path::new(dir).join("lanes")).unwrap().next().unwrap().unwrap().path();
    lane.join("journal")
}

/// Changes the bytes of the spool's only journal, knowing where the first `what` is.
fn change(dir: &str, what: &[u8], change: impl FnOnce(&mut [u8], usize)) {
    let path = journal(dir);
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(what.len()).position(|window| window == what).unwrap();
    change(&mut bytes, at);
    fs::write(&path, bytes).unwrap();
}

/// Overwrites the beginning of the first `what` in the spool's only journal.
fn damage(dir: &str, what: &[u8]) {
    change(dir, what, |bytes, at| bytes[at..at + 4].fill(b'X'));
}

fn spool() -> (TempDir, String) {
    let folder = TempDir::new("cli");
    let dir = folder.argument("spool");
    run_with_input(&["enqueue", "--spool-dir", &dir], THREE.as_bytes()).with(0);
    (folder, dir)
}

#[test]
fn a_whole_spool_is_whole_and_repairing_it_changes_nothing() {
    let (_folder, dir) = spool();
    let before = fs::read(journal(&dir)).unwrap();
    assert!(check(&dir, &[]).with(0).out.contains("whole, 3 pending items can be read, 0 can't"));
    assert_eq!(check(&dir, &["--repair", "--json"]).with(0).json()["whole"], true);
    assert!(fs::read(journal(&dir)).unwrap() == before);
}

#[test]
fn a_damaged_item_is_named_and_the_others_are_had_back() {
    let (_folder, dir) = spool();
    damage(&dir, b"{\"id\":\"b\"}");
    let said = check(&dir, &[]).with(1);
    assert!(said.out.contains("damaged, 2 pending items can be read, 1 can't"), "{}", said.out);
    let repaired = check(&dir, &["--repair", "--json"]).with(1).json();
    assert_eq!(
        (&repaired["repaired"][0]["salvaged"], &repaired["repaired"][0]["lost"]),
        (&2.into(), &1.into())
    );
    assert!(Path::new(repaired["repaired"][0]["kept"].as_str().unwrap()).join("journal").exists());
    assert_eq!(repaired["whole"], true);
    let again = check(&dir, &["--repair", "--json"]).with(0).json();
    assert_eq!((&again["repaired"], &again["lanes"]), (&serde_json::json!([]), &repaired["lanes"]));
    assert_eq!(run(&["cat", "--spool-dir", &dir]).with(0).out, "{\"id\":\"a\"}\n{\"id\":\"c\"}\n");
    let status = run(&["status", "--spool-dir", &dir, "--json"]).with(0).json();
    assert_eq!(
        (&status["accepted"], &status["pending"], &status["dropped_corrupt"]),
        (&3.into(), &2.into(), &1.into())
    );
}

#[test]
fn a_tail_that_is_damaged_besides_an_item_costs_no_other_item() {
    const AT_TAIL: usize = 64;
    const RECORD_HEADER: usize = 40;
    let (_folder, dir) = spool();
    change(&dir, b"{\"id\":\"b\"}", |bytes, at| {
        bytes[at - RECORD_HEADER..at].fill(b'X');
        bytes[AT_TAIL..AT_TAIL + 8].fill(0);
    });
    let said = check(&dir, &[]).with(1);
    assert!(said.out.contains("damaged, 2 pending items can be read, 1 can't"), "{}", said.out);
    check(&dir, &["--repair"]).with(1);
    assert_eq!(run(&["cat", "--spool-dir", &dir]).with(0).out, "{\"id\":\"a\"}\n{\"id\":\"c\"}\n");
}

/// CRC-32 as in zlib.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        let bit = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        (0..8).fold(crc ^ u32::from(*byte), bit)
    };
    !bytes.iter().fold(!0, step)
}

#[test]
fn a_ledger_that_does_not_add_up_is_seen() {
    const AT_ACTIVE: usize = 512;
    const AT_SLOTS: [usize; 2] = [576, 832];
    const DROPPED: usize = 13 * 8;
    const CHECK: usize = 21 * 8;
    let (folder, dir) = (TempDir::new("cli"), "spool");
    let dir = folder.argument(dir);
    let settings = ["max_queue_size=2", "overflow=drop_oldest", "max_batch_size=1", "exporter=none"];
    let settings = settings.iter().flat_map(|setting| ["--set", setting]);
    let enqueue: Vec<&str> = ["enqueue", "--spool-dir", &dir].into_iter().chain(settings).collect();
    run_with_input(&enqueue, THREE.as_bytes()).with(0);
    assert!(check(&dir, &[]).with(0).out.contains("whole, 2 pending items can be read"));
    change(&dir, b"SPANJRNL", |bytes, _| {
        let at = AT_SLOTS[usize::from(bytes[AT_ACTIVE] & 1)];
        let slot = &mut bytes[at..];
        assert_eq!(slot[DROPPED], 1);
        slot[DROPPED] = 6;
        let crc = crc32(&slot[..CHECK]);
        slot[CHECK..CHECK + 4].copy_from_slice(&crc.to_le_bytes());
    });
    let status = run(&["status", "--spool-dir", &dir, "--json"]).with(0).json();
    assert_eq!(
        (&status["accepted"], &status["pending"], &status["dropped_overflow"]),
        (&3.into(), &2.into(), &6.into())
    );
    let said = check(&dir, &["--repair"]).with(1);
    assert!(said.out.contains("the ledger is off by 5 items"), "{}", said.out);
    assert!(said.out.contains("2 pending items can be read, 0 can't"), "{}", said.out);
}

#[test]
fn a_lane_that_cannot_be_read_is_shown_and_had_back() {
    let (_folder, dir) = spool();
    damage(&dir, b"SPANJRNL");
    let status = run(&["status", "--spool-dir", &dir]).with(0);
    assert!(status.out.contains("can't be read: ") && status.out.contains("not a journal"), "{}", status.out);
    let json = run(&["status", "--spool-dir", &dir, "--json"]).with(0).json();
    assert_eq!((&json["lanes"], &json["unreadable"][0]["damaged"]), (&serde_json::json!([]), &true.into()));
    check(&dir, &[]).with(1);
    check(&dir, &["--repair"]).with(0);
    check(&dir, &[]).with(0);
    assert_eq!(run(&["cat", "--spool-dir", &dir]).with(0).out, THREE);
}
