//! An item that is too long only because of what the ingest's field limits cut away is taken, as it will be sent.

use std::path::Path;

use serde::Deserialize;
use serde_json::value::RawValue;
use spanspool::{BatchTraceProcessor, Error, ErrorKind};
use testkit::TempDir;
use testkit::client::{NEVER_MS, assert_all_delivered, config, open, view};
use testkit::ingest::{Answer, Ingest, items_of};
use testkit::wait::PATIENCE;

const OPENAI: &str = "https://api.openai.com/v1/traces/ingest";

const VECTORS: &str = include_str!("../../fixtures/sanitize-vectors.ndjson");

/// What the SDK makes of an item.
#[derive(Deserialize)]
struct Vector<'a> {
    #[serde(borrow, rename = "in")]
    input: &'a RawValue,
    #[serde(borrow)]
    out: &'a RawValue,
}

/// A span whose output has `bytes` bytes.
fn span(bytes: usize) -> String {
    let output = "é".repeat(bytes / 2);
    format!(
        r#"{{"object":"trace.span","id":"span_1","span_data":{{"type":"function","output":"{output}"}}}}"#
    )
}

/// A client that sends to the OpenAI ingest, but not before the test is over.
fn for_openai(spool: &Path, settings: &[(&str, &str)]) -> BatchTraceProcessor {
    open(spool, OPENAI, &[&[("schedule_delay_ms", NEVER_MS)], settings].concat())
}

fn pending(spool: &Path) -> Vec<String> {
    let mut items = Vec::new();
    let mut keep = |_: &spanspool::Destination, json: &[u8]| {
        items.push(String::from_utf8(json.to_vec()).unwrap());
        true
    };
    view(spool).pending(&mut keep).unwrap();
    items
}

fn assert_too_large(outcome: Result<(), Error>, parts: &[&str]) {
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ItemTooLarge, "{error}");
    parts.iter().for_each(|part| assert!(error.message().contains(part), "no {part} in {error}"));
}

#[test]
fn items_are_shortened_as_the_sdk_shortens_them() {
    let dir = TempDir::new("shortened-vectors");
    let mut tried = 0;
    for vector in VECTORS.lines() {
        let Vector { input, out } = serde_json::from_str(vector).unwrap();
        if out.get().len() < 1024 || out.get().len() >= input.get().len() {
            continue;
        }
        tried += 1;
        let (spool, limit) = (dir.join(&tried.to_string()), out.get().len().to_string());
        let client = for_openai(&spool, &[("max_item_bytes", &limit)]);
        client.enqueue(input.get().as_bytes()).unwrap();
        assert_eq!(pending(&spool), [out.get()]);
        drop(client);
        let less = (out.get().len() - 1).to_string();
        let client = for_openai(&dir.join(&format!("{tried}-less")), &[("max_item_bytes", &less)]);
        let numbers = [
            &*format!("{} bytes", input.get().len()),
            &format!("{limit} as it is sent"),
            &format!("max_item_bytes={less}"),
        ];
        assert_too_large(client.enqueue(input.get().as_bytes()), &numbers);
    }
    assert!(tried > 0);
}

#[test]
fn a_long_span_arrives_as_one_that_was_not_over_the_limit_of_items() {
    let dir = TempDir::new("shortened");
    let ingest = Ingest::start(|_| Answer::status(200)).unwrap();
    let item = span(24 << 20);
    let mut arrived = Vec::new();
    for (name, limit) in [("over", "16MiB"), ("within", "32MiB")] {
        let settings = [("sanitize", "always"), ("max_item_bytes", limit)];
        let client = open(&dir.join(name), &ingest.url(), &settings);
        client.enqueue(item.as_bytes()).unwrap();
        client.flush(PATIENCE).unwrap();
        assert_all_delivered(&client, 1);
        arrived.push(ingest.take_requests().iter().flat_map(items_of).collect::<Vec<_>>());
    }
    assert_eq!(arrived[0], arrived[1]);
    assert!((99_000..101_000).contains(&arrived[0][0].len()), "{} bytes", arrived[0][0].len());
}

#[test]
fn an_item_that_is_not_shortened_is_refused_with_its_size() {
    let dir = TempDir::new("shortened-not");
    let long = span(200_000);
    let (size, limit) = (format!("{} bytes", long.len()), [("max_item_bytes", "150000")]);
    let custom = open(&dir.join("custom"), "http://127.0.0.1:9/", &limit);
    assert_too_large(custom.enqueue(long.as_bytes()), &[&size, "max_item_bytes=150000"]);
    let never = for_openai(&dir.join("never"), &[limit[0], ("sanitize", "never")]);
    assert_too_large(never.enqueue(long.as_bytes()), &[&size, "max_item_bytes=150000"]);
    let openai = for_openai(&dir.join("openai"), &limit);
    openai.enqueue_as("team", long.as_bytes()).unwrap();
    // No field limit applies to a trace, and none to what is no JSON.
    let trace = format!(r#"{{"object":"trace","metadata":"{}"}}"#, "x".repeat(200_000));
    assert_too_large(openai.enqueue(trace.as_bytes()), &["max_item_bytes=150000"]);
    assert_too_large(openai.enqueue(&long.as_bytes()[..200_000]), &["200000 bytes", "max_item_bytes=150000"]);
    // Nor is an item looked at that takes too much memory.
    let huge = span(65 << 20);
    assert_too_large(openai.enqueue(huge.as_bytes()), &[&format!("{} bytes", huge.len())]);
}

#[test]
fn offline_nothing_is_shortened() {
    let dir = TempDir::new("shortened-offline");
    let mut config = config(&dir.join("spool"), OPENAI, &[]);
    config.set("exporter", "none").unwrap().set("max_item_bytes", "150000").unwrap();
    let client = BatchTraceProcessor::open(config).unwrap();
    assert_too_large(client.enqueue(span(200_000).as_bytes()), &["max_item_bytes=150000"]);
}
