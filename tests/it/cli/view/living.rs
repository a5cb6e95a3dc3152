//! The page follows a spool that its owners use, and is in nobody's way.

use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Instant;

use serde_json::json;
use testkit::TempDir;
use testkit::client::{lanes, long_item, open, open_offline};
use testkit::host::{Host, settings};
use testkit::ingest::{Answer, Ingest, items_of};
use testkit::wait::{PATIENCE, eventually, until};

use super::{Viewer, agents_span, agents_trace};

#[test]
fn new_items_are_listed_and_those_that_left_are_counted() {
    let dir = TempDir::new("view-living");
    let spool = dir.join("spool");
    // For all items, and for the second one.
    static STATUS: AtomicU16 = AtomicU16::new(503);
    static OF_TWO: AtomicU16 = AtomicU16::new(422);
    let ingest = Ingest::start(|request| {
        let is_two = items_of(request).iter().any(|item| item.contains("step two"));
        let status = STATUS.load(Ordering::SeqCst);
        let status = if is_two && status == 200 { OF_TWO.load(Ordering::SeqCst) } else { status };
        Answer::status(status).body("<because>")
    })
    .unwrap();
    let client = open(&spool, &ingest.url(), &[("max_delay_ms", "10")]);
    let viewer = Viewer::of(&spool);
    viewer.loaded();
    assert_eq!(viewer.traces("").len(), 0);
    let enqueue = |item: String| client.enqueue(item.as_bytes()).unwrap();

    enqueue(agents_trace("trace_a", "Refunds"));
    enqueue(agents_span("trace_a", "one", None, 1));
    let first =
        viewer.traces_when("the trace is listed", |traces| traces.first().is_some_and(|it| it["spans"] == 1));
    enqueue(agents_span("trace_a", "two", Some("one"), 2));
    let trace = viewer.traces_when("the span is counted", |traces| traces[0]["spans"] == 2).remove(0);
    assert_eq!((&trace["waiting"], &trace["key"]), (&json!(2), &first[0]["key"]));
    let rows = viewer.spans_of(&trace);
    assert_eq!(viewer.span(&rows[1]).json()["state"], "waiting");
    let now = until(Instant::now() + PATIENCE, "the backoff is shown", || {
        Some(viewer.json("api/now")).filter(|now| now["lanes"][0]["export_state"] == "backoff")
    });
    assert!(now["lanes"][0]["reason"].as_str().unwrap().contains("<because>"), "{now}");
    assert_eq!(now["lanes"][0]["endpoint"], ingest.url());

    // One is refused, and the other delivered.
    STATUS.store(200, Ordering::SeqCst);
    // What is accepted after it shows that the item is to blame.
    enqueue(agents_span("trace_other", "other", None, 0));
    let trace = viewer.traces_when("it is rejected", |traces| traces[0]["rejected"] == 1).remove(0);
    assert_eq!((&trace["spans"], &trace["waiting"], &trace["delivered"]), (&json!(2), &json!(0), &json!(1)));
    assert_eq!(viewer.traces("rejected=1").len(), 1);
    let rejected = viewer.json("api/rejected");
    let row = rejected["rows"].as_array().unwrap().iter().find(|row| row["name"] == "step two").unwrap();
    let expected =
        json!({ "status": 422, "answer": "<because>", "reason": "refused", "trace_key": trace["key"] });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&row[name], value, "{name} of {row}");
    }
    let span = viewer.span(row).json();
    assert_eq!((&span["state"], &span["item"]["id"]), (&json!("rejected"), &json!("two")));
    // The command that is shown puts it back.
    OF_TWO.store(200, Ordering::SeqCst);
    let command: Vec<&str> = row["command"].as_str().unwrap().split(' ').skip(1).collect();
    testkit::cli::run(&command).with(0);
    eventually("it is no longer among the rejected", || viewer.json("api/rejected")["total"] == 0);
    assert_eq!(viewer.traces("rejected=1").len(), 0);

    // Delivered only after it was seen.
    STATUS.store(503, Ordering::SeqCst);
    enqueue(agents_span("trace_b", "three", None, 3));
    viewer.traces_when("it waits", |traces| traces[0]["id"] == "trace_b" && traces[0]["waiting"] == 1);
    STATUS.store(200, Ordering::SeqCst);
    let delivered = viewer.traces_when("it was seen and is delivered", |traces| {
        traces[0]["id"] == "trace_b" && traces[0]["delivered"] == 1
    });
    assert_eq!(delivered[0]["waiting"], 0);
    assert_eq!(viewer.spans_of(&delivered[0]).len(), 0);
    let key = delivered[0]["key"].as_str().unwrap();
    assert_eq!(viewer.json(&format!("api/trace?key={key}"))["delivered"], 1);
    let history = viewer.json("api/now")["history"]["points"].as_array().unwrap().clone();
    assert!(history.len() > 1 && history.last().unwrap()[1].as_u64() >= Some(5), "{history:?}");
}

#[test]
fn an_item_that_was_delivered_is_gone_and_its_place_says_so() {
    let dir = TempDir::new("view-gone");
    let spool = dir.join("spool");
    static STATUS: AtomicU16 = AtomicU16::new(503);
    let ingest = Ingest::start(|_| Answer::status(STATUS.load(Ordering::SeqCst))).unwrap();
    let client = open(&spool, &ingest.url(), &[("max_delay_ms", "10")]);
    client.enqueue(agents_span("trace_a", "one", None, 1).as_bytes()).unwrap();
    let viewer = Viewer::of(&spool);
    viewer.loaded();
    let row = viewer.spans_of(&viewer.traces("")[0]).remove(0);
    assert_eq!(viewer.span(&row).status, 200);
    STATUS.store(200, Ordering::SeqCst);
    eventually("it is gone", || viewer.span(&row).status == 404);
    assert!(viewer.span(&row).text().contains("delivered"), "{}", viewer.span(&row).text());
    let raw = viewer.get(&format!("api/raw?ref={}", row["ref"].as_str().unwrap()));
    assert_eq!(raw.status, 404);
    drop(client);
}

#[test]
fn an_item_that_may_have_been_dropped_is_not_said_to_be_delivered() {
    let dir = TempDir::new("view-dropped");
    let spool = dir.join("spool");
    let small = [("max_spool_bytes", "256KiB"), ("overflow", "drop_oldest")];
    let client = open_offline(&spool, &small);
    client.enqueue(agents_span("trace_a", "one", None, 1).as_bytes()).unwrap();
    let viewer = Viewer::of(&spool);
    viewer.traces_when("it waits", |traces| traces.len() == 1 && traces[0]["waiting"] == 1);
    let mut n = 0..;
    eventually("the oldest are dropped", || {
        client.enqueue(long_item(n.next().unwrap(), 10_000).as_bytes()).unwrap();
        client.stats().unwrap().dropped_overflow > 0
    });
    let is_gone = |trace: &serde_json::Value| trace["id"] == "trace_a" && trace["gone"] == 1;
    let traces = viewer.traces_when("it is gone", |traces| traces.iter().any(is_gone));
    let trace = traces.iter().find(|trace| is_gone(trace)).unwrap();
    assert_eq!((&trace["delivered"], &trace["waiting"]), (&json!(0), &json!(0)));
    drop(client);
}

#[test]
fn what_is_in_segments_is_found_while_more_is_spilled() {
    let dir = TempDir::new("view-segments");
    let spool = dir.join("spool");
    let small = [("journal_bytes", "256KiB"), ("max_batch_size", "7")];
    let client = open_offline(&spool, &small);
    let pad = long_item(7, 3000);
    let mut next = 0;
    let mut more = |count: u32| {
        for n in next..next + count {
            let trace = format!("trace_{}", n % 50);
            let item = agents_span(&trace, &n.to_string(), None, n % 3000);
            let padded = item.replace("\"input\":\"in\"", &format!("\"input\":{pad}"));
            client.enqueue(padded.as_bytes()).unwrap();
        }
        next += count;
        next
    };
    let count = more(2000);
    let viewer = Viewer::of(&spool);
    let spans =
        |viewer: &Viewer| -> u64 { viewer.traces("").iter().filter_map(|row| row["spans"].as_u64()).sum() };
    eventually("all are counted", || spans(&viewer) == u64::from(count));
    // Faster than it looks: what it did not see in the journal it finds in segments.
    let count = more(3000);
    eventually("all are counted, each once", || spans(&viewer) == u64::from(count));
    for trace in viewer.traces("") {
        assert_eq!((&trace["spans"], &trace["waiting"]), (&json!(count / 50), &json!(count / 50)));
    }
    for trace in viewer.traces("limit=5") {
        let rows = viewer.spans_of(&trace);
        assert_eq!(rows.len() as u32, count / 50);
        for row in [&rows[0], &rows[50]] {
            let span = viewer.span(row).json();
            assert_eq!((&span["item"]["id"], &span["item"]["trace_id"]), (&row["id"], &trace["id"]));
        }
    }
    assert_eq!(viewer.json("api/now")["loading"]["note"], serde_json::Value::Null);
    // The same is found by who comes later.
    drop(client);
    let later = Viewer::of(&spool);
    later.loaded();
    assert_eq!(spans(&later), u64::from(count));
}

#[test]
fn the_lane_of_a_killed_process_is_shown_and_adopted_without_a_wait() {
    let dir = TempDir::new("view-killed");
    let (program, spool) = (Host::compile(&dir), dir.join("spool"));
    let offline = settings(&spool, "http://127.0.0.1:9/", &["exporter=none"]);
    let mut host = Host::start(&program, &offline);
    assert_eq!(host.ask("enqueue before 3"), "0 3");
    let viewer = Viewer::of(&spool);
    viewer.loaded();
    for round in 0..4 {
        host.kill();
        eventually("the owner is dead", || viewer.json("api/now")["lanes"][0]["owner_pid"].is_null());
        assert_eq!(viewer.traces("")[0]["waiting"], 3 + round);
        host = Host::start(&program, &offline);
        assert_eq!(lanes(&spool).len(), 1, "the orphan was adopted as the spool was opened");
        assert_eq!(host.ask("enqueue more 1"), "0 1");
        viewer.traces_when("the item is listed", |traces| traces[0]["waiting"] == 4 + round);
    }
    let pid = host.pid();
    eventually("the new owner is shown", || viewer.json("api/now")["lanes"][0]["owner_pid"] == pid);
}

#[test]
fn lanes_come_and_go() {
    let dir = TempDir::new("view-lanes");
    let spool = dir.join("spool");
    std::fs::create_dir(&spool).unwrap();
    let viewer = Viewer::of(&spool);
    let now = viewer.loaded();
    assert_eq!((&now["lanes"], &now["loading"]["items"]), (&json!([]), &json!(0)));
    let clients = [open_offline(&spool, &[]), open_offline(&spool, &[])];
    for (n, client) in (1..).zip(&clients) {
        client.enqueue(agents_span("trace_a", &format!("of {n}"), None, n).as_bytes()).unwrap();
    }
    let trace = viewer
        .traces_when("both are listed", |traces| traces.first().is_some_and(|it| it["spans"] == 2))
        .remove(0);
    assert_eq!((&trace["lanes"], viewer.spans_of(&trace).len()), (&json!(2), 2));
    drop(clients);
    std::fs::remove_dir_all(spool.join("lanes")).unwrap();
    viewer.traces_when("they are gone", |traces| traces[0]["delivered"] == 2);
    std::fs::remove_dir_all(&spool).unwrap();
    eventually("the trouble is said", || viewer.json("api/now")["loading"]["note"].is_string());
}
