//! Damage: a journal that does not say any more where its items go. They tell what they are themselves.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use spanspool::BatchTraceProcessor;
use testkit::TempDir;
use testkit::client::{
    assert_all_delivered, enqueue, lane_dir, let_go, open_offline, rejected, segment_dirs, view,
};
use testkit::ingest::{Answer, Ingest, items_of};
use testkit::wait::{PATIENCE, eventually};

use super::delivery::base;
use super::{item, names_in, open, otlp_config, times};

/// Where the journal says where its items go, and the bytes that this takes here.
const DESTINATION: (u64, usize) = (4096, 60);

/// Three spans in the spool, in a lane of which `change` damages what says where they go.
fn leave_damaged(spool: &Path, change: impl Fn(&mut [u8])) {
    let config = otlp_config(spool, "http://127.0.0.1:9", &[]);
    let client = BatchTraceProcessor::open_offline(config).unwrap();
    ["a", "b", "c"].iter().for_each(|name| client.enqueue(&item(name)).unwrap());
    drop(client);
    damage(spool, change);
}

/// Lets `change` damage what the spool's only lane says of where its items go.
fn damage(spool: &Path, change: impl Fn(&mut [u8])) {
    let journal = lane_dir(spool).join("journal");
    let journal = File::options().read(true).write(true).open(journal).unwrap();
    let (at, len) = DESTINATION;
    let mut bytes = vec![0; len];
    journal.read_exact_at(&mut bytes, at).unwrap();
    assert!(bytes[8..].starts_with(b"otlp traces http"), "{bytes:?}");
    change(&mut bytes);
    journal.write_all_at(&bytes, at).unwrap();
}

/// What may become of the part that says where the items go: a bit of it turns, or its block is lost.
const DAMAGES: [fn(&mut [u8]); 2] = [|bytes| bytes[20] ^= 1, |bytes| bytes.fill(0)];

#[test]
fn items_of_a_damaged_journal_go_to_a_client_for_such_items_only() {
    for damage in DAMAGES {
        let dir = TempDir::new("otlp-damage");
        leave_damaged(dir.path(), damage);
        assert_eq!(view(dir.path()).unreadable().unwrap().len(), 1);
        assert!(testkit::client::lanes(dir.path()).is_empty());
        let receiver = Ingest::start(|_| Answer::status(200)).unwrap();
        let adopting = [("adopt", "any"), ("adopt_interval_ms", "10")];
        // One for JSON, and one for logs, look around and leave it alone.
        let json = testkit::client::open(dir.path(), &receiver.url(), &adopting);
        let logs = open(dir.path(), &base(&receiver), &[&adopting[..], &[("signal", "logs")]].concat());
        enqueue(&json, [7]);
        json.flush(PATIENCE).unwrap();
        logs.flush(PATIENCE).unwrap();
        assert_eq!(view(dir.path()).unreadable().unwrap().len(), 1);
        let traces = open(dir.path(), &base(&receiver), &[("adopt_interval_ms", "10")]);
        eventually("they are delivered", || traces.stats().unwrap().delivered == 3);
        assert_all_delivered(&json, 1);
        let requests = receiver.requests();
        assert_eq!(times(requests.iter().filter(|request| request.path == "/v1/traces")).len(), 3);
        assert_eq!(requests.iter().flat_map(items_of).count(), 1);
        assert_eq!(rejected(dir.path()).len(), 0);
        // They were recovered, not gone on with: what is damaged is kept.
        drop((json, logs));
        eventually("what is damaged is kept", || kept(dir.path()) == 1);
        assert_eq!(traces.stats().unwrap().dropped_corrupt, 0);
    }
}

/// How many files and folders the lanes have in quarantine.
fn kept(spool: &Path) -> usize {
    view(spool).check().unwrap().iter().map(|lane| lane.quarantine.len()).sum()
}

/// Where the journal has no item that tells what it is.
#[test]
fn items_outside_the_journal_tell_it_as_well() {
    let dir = TempDir::new("otlp-damage-outside");
    let picky = Ingest::start(|request| match names_in(request).iter().any(|name| name == "bad") {
        true => Answer::status(400),
        false => Answer::status(200),
    })
    .unwrap();
    let small = [("journal_bytes", "128 KiB")];
    let client = open(dir.path(), &base(&picky), &small);
    ["good", "bad"].iter().for_each(|name| client.enqueue(&item(name)).unwrap());
    client.flush(PATIENCE).unwrap();
    drop(client);
    damage(dir.path(), |bytes| bytes.fill(0));
    assert_eq!(rejected(dir.path())[0].destination.as_str(), "otlp traces");
    assert_eq!(view(dir.path()).unreadable().unwrap().len(), 1);

    let dir = TempDir::new("otlp-damage-outside");
    let client = BatchTraceProcessor::open_offline(otlp_config(dir.path(), &base(&picky), &small)).unwrap();
    let oversize = "x".repeat(100_000);
    client.enqueue(&item(&oversize)).unwrap();
    drop(client);
    damage(dir.path(), |bytes| bytes.fill(0));
    let json = testkit::client::open(dir.path(), &picky.url(), &[("adopt_interval_ms", "10")]);
    json.flush(PATIENCE).unwrap();
    assert_eq!(view(dir.path()).unreadable().unwrap().len(), 1);
    let traces = open(dir.path(), &base(&picky), &[("adopt_interval_ms", "10")]);
    eventually("it is delivered", || traces.stats().unwrap().delivered == 1);
    assert_eq!(times(&picky.requests()).get(&oversize), Some(&1));
}

/// What is whole before something that can't be read now would be sent again at each try.
#[test]
fn a_lane_is_recovered_once_all_of_it_can_be_read() {
    let (dir, receiver) = (TempDir::new("otlp-damage-away"), Ingest::start(|_| Answer::status(200)).unwrap());
    let spool = dir.join("spool");
    let config = |more: &[_]| otlp_config(&spool, &base(&receiver), more);
    let oversize = ["a", "b"].map(|name| name.repeat(100_000));
    for name in &oversize {
        let client = BatchTraceProcessor::open_offline(config(&[("journal_bytes", "128 KiB")])).unwrap();
        client.enqueue(&item(name)).unwrap();
        let_go(client, &spool);
    }
    let segments = segment_dirs(&spool);
    assert_eq!(segments.len(), 2);
    let (database, elsewhere) = (segments[1].join("db"), dir.join("elsewhere"));
    fs::rename(&database, &elsewhere).unwrap();
    damage(&spool, |bytes| bytes.fill(0));
    let (mut config, tried) = (config(&[("adopt_interval_ms", "10")]), Arc::new(AtomicBool::new(false)));
    let was_tried = tried.clone();
    config.set_log(move |_, line| {
        if line.contains("is missing") {
            tried.store(true, Relaxed);
        }
    });
    let client = BatchTraceProcessor::open(config).unwrap();
    eventually("it is tried", || was_tried.load(Relaxed));
    fs::rename(&elsewhere, &database).unwrap();
    eventually("they are delivered", || client.stats().unwrap().delivered >= 2);
    drop(client);
    let arrived = times(&receiver.requests());
    assert!(oversize.iter().all(|name| arrived.get(name) == Some(&1)), "{:?}", arrived.values());
}

#[test]
fn a_repair_leaves_them_to_any_client_for_such_items() {
    let dir = TempDir::new("otlp-damage");
    leave_damaged(dir.path(), |bytes| bytes[20] ^= 1);
    let mut config = spanspool::Config::new();
    config.set("spool_dir", dir.path().to_str().unwrap()).unwrap();
    assert_eq!(spanspool::repair(&config).unwrap()[0].salvaged, 3);
    let lanes = testkit::client::lanes(dir.path());
    assert_eq!(lanes[0].destination.as_str(), "otlp traces");
    // Another client's items get a lane of their own.
    drop(open_offline(dir.path(), &[]));
    let receiver = Ingest::start(|_| Answer::status(200)).unwrap();
    let traces = open(dir.path(), &base(&receiver), &[("adopt_interval_ms", "10")]);
    eventually("they are delivered", || traces.stats().unwrap().delivered == 3);
    assert_eq!(times(&receiver.requests()).len(), 3);
}
