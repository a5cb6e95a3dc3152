//! Refusals: bad items at the door, and what receivers do not take.

use std::io::Write;
use std::sync::{Arc, Mutex};

use flate2::Compression;
use flate2::write::GzEncoder;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest as Traces;
use prost::Message;
use spanspool::{BatchTraceProcessor, ErrorKind};
use testkit::TempDir;
use testkit::client::{NEVER_MS, assert_all_delivered, assert_ledger, rejected};
use testkit::ingest::{Answer, Ingest, Request};
use testkit::wait::PATIENCE;

use super::delivery::base;
use super::{item, item_of, names_in, open, otlp_config, partly, times};

#[test]
fn a_bad_item_is_refused_with_its_place_and_nothing_is_stored() {
    let dir = TempDir::new("otlp-bad");
    let client = open(dir.path(), "http://127.0.0.1:9", &[]);
    let good = item("good");
    let mut bad_text = good.clone();
    let at = good.windows(4).position(|part| part == b"good").unwrap();
    bad_text[at] = 0xff;
    let mut long = good.clone();
    long[1] += 1;
    for (bad, parts) in [
        (Vec::new(), &["empty"][..]),
        (br#"{"resourceSpans":[]}"#.to_vec(), &["byte 0", "JSON"]),
        (b"not protobuf".to_vec(), &["byte 0"]),
        (good[..good.len() - 1].to_vec(), &["byte 0", "resource_spans", "beyond the end"]),
        (long, &["byte 0", "resource_spans", "beyond the end"]),
        (bad_text, &[&*format!("byte {at}"), "resource_spans.scope_spans.spans.name", "UTF-8"]),
        (b"\x0a\x04\x12\x02\x10\x05".to_vec(), &["byte 4", "resource_spans.scope_spans.spans", "wire type"]),
        (b"\x0a\x00".to_vec(), &["no span"]),
        ([good.clone(), b"\x12\x00".to_vec()].concat(), &["field 1"]),
    ] {
        let error = client.enqueue(&bad).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidItem);
        parts.iter().for_each(|part| assert!(error.message().contains(part), "{part}: {error}"));
    }
    assert_eq!(client.stats().unwrap().accepted, 0);
    let logs = open(dir.path(), "http://127.0.0.1:9", &[("signal", "logs")]);
    let error = logs.enqueue(&good).unwrap_err();
    assert!(error.message().contains("of logs") && error.message().contains("log_records"), "{error}");
    let unchecked = open(dir.path(), "http://127.0.0.1:9", &[("validation", "none")]);
    unchecked.enqueue(b"anything").unwrap();
    assert!(unchecked.enqueue(b"").is_err());
}

/// Refuses, with `status`, each request that has a span whose name begins with "bad".
fn choosy(status: u16) -> Ingest {
    let is_bad = |request: &Request| names_in(request).iter().any(|name| name.starts_with("bad"));
    Ingest::start(move |request| match is_bad(request) {
        true => Answer::status(status).body("no\u{1b}[2J"),
        false => Answer::status(200),
    })
    .unwrap()
}

#[test]
fn halving_goes_on_between_the_records_of_an_item() {
    for (status, in_flight) in [(400, "1"), (422, "8"), (413, "1")] {
        let (dir, receiver) = (TempDir::new(&format!("otlp-halving-{status}")), choosy(status));
        let settings = [("max_in_flight", in_flight), ("schedule_delay_ms", NEVER_MS)];
        let client = open(dir.path(), &base(&receiver), &settings);
        let groups: [&[&str]; 5] = [&["a"], &["bad-1", "with-1"], &["b"], &["bad-2"], &["c", "d"]];
        client.enqueue(&item("before")).unwrap();
        client.enqueue(&item_of(&groups)).unwrap();
        client.enqueue(&item("after")).unwrap();
        client.enqueue(&item_of(&[&["e"], &["f"]])).unwrap();
        client.flush(PATIENCE).unwrap();
        let stats = client.stats().unwrap();
        assert_ledger(&stats);
        assert_eq!((stats.delivered, stats.rejected), (3, 1), "{stats:?}");
        let rejected = rejected(dir.path());
        let [bad] = &rejected[..] else { panic!("{rejected:?}") };
        let kept = Traces::decode(&bad.json[..]).unwrap();
        assert_eq!(kept.encode_to_vec(), item_of(&[groups[1], groups[3]]), "what was refused, and no more");
        let is_good = |request: &&Request| names_in(request).iter().all(|name| !name.starts_with("bad"));
        let times = times(receiver.requests().iter().filter(is_good));
        let expected = ["a", "after", "b", "before", "c", "d", "e", "f"];
        assert_eq!(times.keys().collect::<Vec<_>>(), expected);
        assert!(times.values().all(|times| *times == 1), "{times:?}");
    }
}

#[test]
fn an_item_that_is_too_long_is_sent_in_pieces() {
    let (dir, receiver) = (TempDir::new("otlp-pieces"), choosy(400));
    let client = open(dir.path(), &base(&receiver), &[("max_batch_bytes", "1 KiB")]);
    let names: Vec<String> = (0..50).map(|n| format!("span-{n}-{}", "x".repeat(100))).collect();
    let groups: Vec<Vec<&str>> = names.iter().map(|name| vec![name.as_str()]).collect();
    let item = item_of(&groups.iter().map(Vec::as_slice).collect::<Vec<_>>());
    client.enqueue(&item).unwrap();
    client.flush(PATIENCE).unwrap();
    assert_all_delivered(&client, 1);
    let requests = receiver.requests();
    assert!(requests.len() > 5 && requests.iter().all(|request| request.body.len() <= 1024));
    assert_eq!(requests.iter().flat_map(|it| it.body.clone()).collect::<Vec<_>>(), item);
    let ids: std::collections::BTreeSet<_> =
        requests.iter().map(|it| it.header("idempotency-key").unwrap()).collect();
    assert_eq!(ids.len(), requests.len(), "each has an id of its own");
    // One record can't be cut.
    client.enqueue(&super::item(&"y".repeat(2000))).unwrap();
    client.flush(PATIENCE).unwrap();
    assert_all_delivered(&client, 2);
}

#[test]
fn what_is_left_of_a_cut_item_waits_for_its_key_as_one() {
    let dir = TempDir::new("otlp-key");
    let refuses = Arc::new(Mutex::new(false));
    let of_receiver = refuses.clone();
    let receiver = Ingest::start(move |request| {
        let mut refuses = of_receiver.lock().unwrap();
        let status = if *refuses { 401 } else { 200 };
        *refuses |= names_in(request).contains(&"first".to_owned());
        Answer::status(status)
    })
    .unwrap();
    let client = open(dir.path(), &base(&receiver), &[("max_batch_bytes", "1 KiB")]);
    client.set_named_key("team", "sk-old").unwrap();
    let long = "x".repeat(800);
    client.enqueue_as("team", &item_of(&[&["first", &long], &["second", &long], &["third", &long]])).unwrap();
    client.flush(PATIENCE).unwrap();
    let aside = rejected(dir.path());
    let [left] = &aside[..] else { panic!("{aside:?}") };
    assert_eq!(left.reason, "key_refused:team");
    assert_eq!(left.json, item_of(&[&["second", &long], &["third", &long]]));
    *refuses.lock().unwrap() = false;
    client.set_named_key("team", "sk-new").unwrap();
    client.flush(PATIENCE).unwrap();
    let stats = client.stats().unwrap();
    assert_ledger(&stats);
    assert_eq!((stats.pending, stats.rejected), (0, 0), "{stats:?}");
    let accepted = receiver.requests();
    let accepted = accepted.iter().filter(|it| it.header("authorization") == Some("Bearer sk-new"));
    assert_eq!(times(accepted).keys().collect::<Vec<_>>(), ["second", "third", &long]);
}

#[test]
fn records_that_are_refused_in_a_success_are_counted_and_told() {
    let dir = TempDir::new("otlp-partial");
    let receiver = answering([
        partly(2, "no\u{1b}[2J\nspans"),
        partly(0, "beware"),
        partly(0, ""),
        Answer::status(204),
        Answer::status(200).body("{}"),
    ]);
    let (client, said) = open_with_log(&dir, &receiver);
    (0..5).for_each(|n| send(&client, n));
    assert_all_delivered(&client, 5);
    assert_eq!(client.stats().unwrap().partially_rejected, 2);
    assert_eq!(receiver.requests().len(), 5, "nothing is sent again");
    let said = said.lock().unwrap().clone();
    let warnings: Vec<_> = said.iter().filter(|line| line.contains("was accepted")).collect();
    assert_eq!(warnings.len(), 2, "{said:?}");
    assert!(warnings[0].ends_with("was accepted but for 2 of its records: no [2J spans"), "{warnings:?}");
    assert!(warnings[1].ends_with("was accepted with a warning: beware"), "{warnings:?}");
    client.shutdown(PATIENCE).unwrap();
    drop(client);
    // The counter outlives the process.
    let next = open(dir.path(), &base(&receiver), &[]);
    assert_eq!(next.stats().unwrap().partially_rejected, 2);
}

#[test]
fn a_partial_success_is_counted_however_it_is_written() {
    let dir = TempDir::new("otlp-partial-forms");
    let long = "x".repeat(200_000);
    let json = format!(r#"{{"partialSuccess":{{"rejectedSpans":"2","errorMessage":"{long}"}}}}"#);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(json.as_bytes()).unwrap();
    let answers = [
        Answer::status(200).header("content-type", "application/json").body(json),
        Answer::status(200).header("content-encoding", "gzip").body(gzip.finish().unwrap()),
        partly(2, &long),
        partly(-2, &long),
    ];
    let receiver = answering(answers);
    let (client, said) = open_with_log(&dir, &receiver);
    (1..5).for_each(|n| send(&client, n));
    assert_all_delivered(&client, 4);
    assert_eq!(client.stats().unwrap().partially_rejected, 6);
    let said = said.lock().unwrap().clone();
    let told = said.iter().filter(|line| line.contains("was accepted") && line.ends_with("xxx"));
    assert_eq!(told.count(), 4, "{said:?}");
}

#[test]
fn a_receiver_that_refuses_more_than_there_is_overflows_nothing() {
    let (dir, receiver) =
        (TempDir::new("otlp-partial-most"), answering([0; 4].map(|_| partly(i64::MAX, ""))));
    let client = open(dir.path(), &base(&receiver), &[]);
    let mut bytes = 0;
    for n in 0..4 {
        bytes += item(&n.to_string()).len() as u64;
        send(&client, n);
    }
    assert_eq!(client.stats().unwrap().partially_rejected, bytes);
}

/// A client of `receiver`, and what it logs.
fn open_with_log(dir: &TempDir, receiver: &Ingest) -> (BatchTraceProcessor, Arc<Mutex<Vec<String>>>) {
    let said = Arc::new(Mutex::new(Vec::new()));
    let (log, mut config) = (said.clone(), otlp_config(dir.path(), &base(receiver), &[]));
    config.set_log(move |_, line| log.lock().unwrap().push(line.to_owned()));
    (BatchTraceProcessor::open(config).unwrap(), said)
}

/// Sends the item `n` in a request of its own.
fn send(client: &BatchTraceProcessor, n: u64) {
    client.enqueue(&item(&n.to_string())).unwrap();
    client.flush(PATIENCE).unwrap();
}

/// Gives the `answers`, one after the other.
fn answering<const N: usize>(answers: [Answer; N]) -> Ingest {
    let answers = Mutex::new(answers.into_iter());
    Ingest::start(move |_| answers.lock().unwrap().next().unwrap()).unwrap()
}
