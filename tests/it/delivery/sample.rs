//! The sample items of the OpenAI Agents SDK, enqueued from C, arrive once, in order and byte for byte.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use serde_json::Value;
use testkit::client::{batch_id, open, the_header};
use testkit::ingest::{Answer, Ingest, Request, items_of};
use testkit::wait::PATIENCE;
use testkit::{TempDir, caller, compile_c, have, root, succeed, tool};

const SAMPLE: &str = "tests/fixtures/agents-sdk-sample.ndjson";

fn sample() -> Vec<String> {
    // Lines hold U+2028 and U+0085: only "\n" ends one.
    fs::read_to_string(root().join(SAMPLE)).unwrap().split_terminator('\n').map(str::to_owned).collect()
}

/// Enqueues the sample from C; gives what the program says of its counters, or nothing without a C compiler.
fn enqueue_from_c(dir: &TempDir, flush_ms: &str, url: &str, settings: &[&str]) -> Option<String> {
    if !have(&tool("CC", "cc"), "--version", "delivery") {
        return None;
    }
    let program = compile_c("tests/c/enqueue_file.c", dir.path());
    let mut command = caller(program);
    command.arg(root().join(SAMPLE)).arg(flush_ms);
    command.arg(format!("spool_dir={}", dir.join("spool").display())).arg(format!("endpoint={url}"));
    let output = succeed(command.args(settings));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "the library never prints");
    Some(String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

/// The ingest has the sample once, in order, in requests of `{"data":[…]}` and nothing else.
fn assert_has_sample(requests: &[Request]) {
    let sample = sample();
    assert_eq!(sample.len(), 319);
    let mut joined = Vec::new();
    for request in requests {
        let body = std::str::from_utf8(&request.body).unwrap();
        joined.push(body.strip_prefix(r#"{"data":["#).unwrap().strip_suffix("]}").unwrap());
    }
    assert!(joined.join(",") == sample.join(","), "the bodies are not the items' bytes joined by commas");
    let items: Vec<String> = requests.iter().flat_map(items_of).collect();
    let parsed = |items: &[String]| -> Vec<Value> {
        items.iter().map(|item| serde_json::from_str(item).unwrap()).collect()
    };
    assert!(parsed(&items) == parsed(&sample), "the items are not equal as JSON");
}

fn assert_batch_ids_differ(requests: &[Request]) {
    let ids: HashSet<&str> = requests.iter().map(batch_id).collect();
    assert_eq!(ids.len(), requests.len(), "{ids:?}");
}

#[test]
fn sample_arrives_whole_with_every_header() {
    let dir = TempDir::new("delivery");
    let ingest = Ingest::start(|_| Answer::status(200)).unwrap();
    let settings = ["api_key=sk-1", "organization=org-1", "project=proj-1", "header.X-Team=a b"];
    let Some(counters) = enqueue_from_c(&dir, "60000", &ingest.url(), &settings) else { return };
    assert_eq!(counters, "319 319 0");
    let requests = ingest.requests();
    assert_has_sample(&requests);
    assert_batch_ids_differ(&requests);
    for request in &requests {
        assert_eq!((&*request.method, &*request.path), ("POST", "/v1/traces/ingest"));
        assert!((1..=128).contains(&items_of(request).len()));
        for (name, value) in [
            ("authorization", "Bearer sk-1"),
            ("content-type", "application/json"),
            ("openai-beta", "traces=v1"),
            ("openai-organization", "org-1"),
            ("openai-project", "proj-1"),
            ("x-team", "a b"),
        ] {
            assert_eq!(the_header(request, name), value);
        }
    }
}

#[test]
fn headers_that_are_not_set_are_not_sent() {
    let dir = TempDir::new("delivery");
    let ingest = Ingest::start(|_| Answer::status(200)).unwrap();
    if enqueue_from_c(&dir, "60000", &ingest.url(), &[]).is_none() {
        return;
    }
    for request in ingest.requests() {
        for name in ["authorization", "openai-organization", "openai-project", "content-encoding"] {
            assert_eq!(request.header(name), None, "{name}");
        }
    }
}

#[test]
fn batches_keep_to_max_batch_size_and_max_batch_bytes() {
    const MAX_BYTES: usize = 8 << 10;
    let dir = TempDir::new("delivery");
    let ingest = Ingest::start(|_| Answer::status(200)).unwrap();
    let settings = ["max_batch_size=10", "max_batch_bytes=8 KiB"];
    if enqueue_from_c(&dir, "60000", &ingest.url(), &settings).is_none() {
        return;
    }
    let requests = ingest.requests();
    assert_has_sample(&requests);
    assert_batch_ids_differ(&requests);
    let sizes: Vec<(usize, usize)> = requests.iter().map(|r| (items_of(r).len(), r.body.len())).collect();
    let within = |(items, bytes): &(usize, usize)| *items == 1 || *items <= 10 && *bytes <= MAX_BYTES;
    assert!(sizes.iter().all(within), "{sizes:?}");
    // Both limits and the item that is over the limit alone were met.
    assert!(sizes.iter().any(|(items, _)| *items == 10));
    assert!(sizes.iter().any(|(items, bytes)| *items < 10 && *bytes > MAX_BYTES / 2));
    assert!(sizes.iter().any(|(_, bytes)| *bytes > MAX_BYTES));
}

#[test]
fn gzip_changes_nothing_in_the_body() {
    let dir = TempDir::new("delivery");
    let ingest = Ingest::start(|_| Answer::status(200)).unwrap();
    if enqueue_from_c(&dir, "60000", &ingest.url(), &["request_compression=gzip"]).is_none() {
        return;
    }
    let requests = ingest.requests();
    assert_has_sample(&requests);
    assert!(requests.iter().all(|r| r.header("content-encoding") == Some("gzip")));
}

#[test]
fn items_of_a_process_that_ended_are_sent_by_the_next() {
    let dir = TempDir::new("delivery");
    let ingest = Ingest::start(|_| Answer::status(200)).unwrap();
    let Some(counters) = enqueue_from_c(&dir, "0", &ingest.url(), &["exporter=none"]) else { return };
    assert_eq!(counters, "319 0 319");
    assert!(ingest.requests().is_empty());
    let client = open(Path::new(&dir.join("spool")), &ingest.url(), &[]);
    client.flush(PATIENCE).unwrap();
    testkit::client::assert_all_delivered(&client, 319);
    assert_has_sample(&ingest.requests());
    assert_batch_ids_differ(&ingest.requests());
}
