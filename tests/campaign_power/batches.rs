//! Batches: a power cut between the request and the note of its answer must not make one key stand for two things.

use std::time::Duration;

use super::disk::{Disk, Kind, can_make};
use super::mounts;
use super::witness::{Mood, Witness};
use testkit::client::{NEVER_MS, item, open};
use testkit::form::Form;
use testkit::wait::{PATIENCE, eventually};

/// The keys in order of arrival, those that come again left out.
fn keys(ingest: &Witness) -> Vec<String> {
    let mut keys: Vec<String> = ingest.record().iter().map(|seen| seen.key.clone()).collect();
    keys.dedup();
    keys
}

#[test]
fn a_batch_that_was_sent_is_the_same_batch_after_a_power_cut() {
    if !can_make(Kind::Ext4, "campaign_power") {
        return;
    }
    mounts::keep_own();
    let disk = Disk::new(Kind::Ext4, true);
    let ingest = Witness::start();
    ingest.set_mood(Mood::Down);
    // Nothing but the sending of the batch is a reason to sync.
    let settings = [
        ("durability", "power"),
        ("sync_interval_ms", NEVER_MS),
        ("schedule_delay_ms", NEVER_MS),
        ("adopt", "any"),
    ];
    let client = open(&disk.live().join("spool"), &ingest.url(Form::Json), &settings);
    for n in 0..3 {
        client.enqueue(item(n).as_bytes()).unwrap();
    }
    client.flush(Duration::from_millis(1)).unwrap_err();
    eventually("the batch is sent", || !ingest.record().is_empty());

    let remains = disk.mount(disk.capture());
    let after = Witness::start();
    let smaller = [("max_batch_size", "2"), ("durability", "power"), ("adopt", "any")];
    let recovered = open(&remains.folder().join("spool"), &after.url(Form::Json), &smaller);
    recovered.flush(PATIENCE).unwrap();
    drop(recovered);
    assert_eq!(keys(&after), keys(&ingest));
    assert_eq!(after.record()[0].hash, ingest.record()[0].hash);
}

#[test]
fn a_number_that_a_power_cut_took_comes_back_under_another_key() {
    if !can_make(Kind::Ext4, "campaign_power") {
        return;
    }
    mounts::keep_own();
    let disk = Disk::new(Kind::Ext4, true);
    let ingest = Witness::start();
    let settings = [("sync_interval_ms", NEVER_MS), ("adopt", "any")];
    let client = open(&disk.live().join("spool"), &ingest.url(Form::Json), &settings);
    client.enqueue(item(1).as_bytes()).unwrap();
    client.flush(PATIENCE).unwrap();

    let remains = disk.mount(disk.capture());
    let after = Witness::start();
    let recovered = open(&remains.folder().join("spool"), &after.url(Form::Json), &settings);
    assert_eq!(recovered.stats().unwrap().accepted, 0, "the cut came too late for this test");
    recovered.enqueue(item(2).as_bytes()).unwrap();
    recovered.flush(PATIENCE).unwrap();
    drop(recovered);
    assert_ne!(keys(&after), keys(&ingest), "the ingest would take item 2 for item 1, which it has");
}
