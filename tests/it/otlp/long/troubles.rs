//! Troubles: a Collector that dies again and again, finds bodies too long, has no room, or asks for a certificate.

use std::collections::BTreeSet;

use serde_json::json;
use spanspool::BatchTraceProcessor;
use testkit::TempDir;
use testkit::client::{BACKOFF, HOLD, NEVER_MS, assert_all_delivered, assert_ledger, rejected};
use testkit::tls::fixture;
use testkit::wait::{PATIENCE, eventually};

use super::collector::{Collector, built};
use crate::otlp::{item, item_of, open};

/// The names of the spans, each of which came once but for requests that came twice.
fn names(collector: &Collector) -> BTreeSet<String> {
    collector.arrivals().spans_by(|span| span["name"].as_str()).into_keys().collect()
}

fn numbered(count: usize) -> BTreeSet<String> {
    (0..count).map(|n| format!("span-{n:05}")).collect()
}

fn enqueue(client: &BatchTraceProcessor, names: &BTreeSet<String>) {
    names.iter().for_each(|name| client.enqueue(&item(name)).unwrap());
}

#[test]
#[ignore = "needs a Collector: `just collector`"]
fn collector_that_is_killed_again_and_again_gets_all() {
    let Some(program) = built("collector_that_is_killed_again_and_again_gets_all") else { return };
    for (in_flight, compression) in [("1", "none"), ("8", "gzip")] {
        let (dir, mut collector) = (TempDir::new("killed-collector"), Collector::new(&program));
        let settings =
            [("max_in_flight", in_flight), ("request_compression", compression), ("max_batch_size", "8")];
        let client = open(dir.path(), &collector.url(), &settings);
        let names_sent = numbered(20_000);
        enqueue(&client, &names_sent);
        for _ in 0..8 {
            collector.start();
            let delivered = || client.stats().unwrap().delivered;
            let before = delivered();
            eventually("more is delivered", || delivered() > (before + 500).min(19_999));
            collector.kill();
        }
        collector.start();
        eventually("all is delivered", || client.flush(PATIENCE).is_ok());
        assert_all_delivered(&client, 20_000);
        assert_eq!(names(&collector), names_sent);
        let repeated = collector.arrivals().repeated;
        assert!(repeated <= 8 * in_flight.parse::<usize>().unwrap(), "{repeated}");
        println!(
            "{in_flight} in flight: 20000 spans, 8 kills of the Collector, {repeated} requests repeated"
        );
    }
}

#[test]
#[ignore = "needs a Collector: `just collector`"]
fn bodies_above_the_collectors_limit_are_halved() {
    let Some(program) = built("bodies_above_the_collectors_limit_are_halved") else { return };
    for compression in ["none", "gzip"] {
        let dir = TempDir::new("limit");
        let mut collector = Collector::with_http(&program, json!({"max_request_body_size": 20_000}));
        collector.start();
        let settings = [("schedule_delay_ms", NEVER_MS), ("request_compression", compression)];
        let client = open(dir.path(), &collector.url(), &settings);
        let mut expected = numbered(500);
        enqueue(&client, &expected);
        // One that has to be cut between its records, and one whose only record is too long.
        let parts: Vec<String> = (0..40).map(|n| format!("part-{n}-{}", "x".repeat(1000))).collect();
        let groups: Vec<[&str; 1]> = parts.iter().map(|name| [name.as_str()]).collect();
        client.enqueue(&item_of(&groups.iter().map(|group| &group[..]).collect::<Vec<_>>())).unwrap();
        client.enqueue(&item(&"long".repeat(10_000))).unwrap();
        expected.extend(parts);
        eventually("nothing is pending", || {
            client.flush(PATIENCE).is_ok() && client.stats().unwrap().pending == 0
        });
        let stats = client.stats().unwrap();
        assert_ledger(&stats);
        assert_eq!((stats.delivered, stats.rejected), (501, 1), "{stats:?}");
        assert_eq!(names(&collector), expected);
        assert_eq!(collector.arrivals().repeated, 0);
        let [refused] = &rejected(dir.path())[..] else { panic!("one is refused") };
        assert_eq!((refused.status, refused.reason.as_str()), (400, "refused"), "{refused:?}");
    }
}

#[test]
#[ignore = "needs a Collector: `just collector`"]
fn collector_with_a_full_queue_gets_all_later() {
    let Some(program) = built("collector_with_a_full_queue_gets_all_later") else { return };
    let (dir, mut behind) = (TempDir::new("full-queue"), Collector::new(&program));
    let mut collector = Collector::forwarding(&program, behind.url());
    collector.start();
    let client = open(dir.path(), &collector.url(), &[("max_batch_size", "1")]);
    let expected = numbered(50);
    enqueue(&client, &expected);
    eventually("its queue is full", || client.stats().unwrap().last_http_status == 503);
    behind.start();
    eventually("all is delivered", || client.flush(PATIENCE).is_ok());
    assert_all_delivered(&client, 50);
    eventually("all is passed on", || names(&behind) == expected);
}

#[test]
#[ignore = "needs a Collector: `just collector`"]
fn collector_that_asks_for_a_certificate_gets_all() {
    let Some(program) = built("collector_that_asks_for_a_certificate_gets_all") else { return };
    let path = |name: &str| fixture(name).to_str().unwrap().to_owned();
    let tls = json!({
        "cert_file": path("server.pem"), "key_file": path("server.key"), "client_ca_file": path("client-ca.pem"),
    });
    let (dir, mut collector) =
        (TempDir::new("mutual-tls"), Collector::with_http(&program, json!({"tls": tls})));
    collector.start();
    let (ca, cert, key) = (path("ca.pem"), path("client-pkcs8.pem"), path("client-pkcs8.key"));
    let expected = numbered(200);
    let stranger = open(dir.path(), &collector.url(), &[("ca_file", &ca)]);
    enqueue(&stranger, &expected);
    wait_until_it_waits(&stranger);
    drop(stranger);
    assert_eq!(names(&collector), BTreeSet::new());
    let settings = [("ca_file", &*ca), ("client_cert_file", &cert), ("client_key_file", &key)];
    let client = open(dir.path(), &collector.url(), &settings);
    eventually("all is delivered", || client.flush(PATIENCE).is_ok() && names(&collector) == expected);
    assert_eq!(collector.arrivals().repeated, 0);
}

/// Waits until the client has tried, and tries again later.
fn wait_until_it_waits(client: &BatchTraceProcessor) {
    eventually("it waits", || [BACKOFF, HOLD].contains(&client.stats().unwrap().export_state));
}
