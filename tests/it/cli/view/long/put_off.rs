//! An item that is put off, and found at another place each time.

use serde_json::json;
use testkit::TempDir;
use testkit::client::{lane_dir, open};
use testkit::ingest::{Answer, Ingest, items_of};
use testkit::wait::eventually;

use crate::cli::view::{Viewer, agents_span, agents_trace};

#[test]
fn an_item_that_goes_to_the_end_of_the_queue_again_and_again_is_counted_once() {
    let dir = TempDir::new("view-put-off");
    let spool = dir.join("spool");
    let ingest = Ingest::start(|request| {
        let is_bad = items_of(request).iter().any(|item| item.contains("step bad"));
        Answer::status(if is_bad { 422 } else { 200 })
    })
    .unwrap();
    let client = open(&spool, &ingest.url(), &[("max_delay_ms", "10")]);
    let enqueue = |item: String| client.enqueue(item.as_bytes()).unwrap();
    enqueue(agents_span("trace_first", "first", None, 0));
    eventually("one is accepted", || client.stats().unwrap().delivered == 1);
    // Refused items have no place to go to.
    let rejected = lane_dir(&spool).join("rejected");
    let _ = std::fs::remove_dir(&rejected);
    std::fs::write(&rejected, "in the way").unwrap();
    let viewer = Viewer::of(&spool);
    viewer.loaded();
    let bad = agents_span("trace_a", "bad", None, 1);
    enqueue(bad.replace("\"error\":null", "\"error\":{\"message\":\"no\",\"data\":null}"));
    enqueue(agents_trace("trace_a", "Refunds"));

    let is_one = |trace: &serde_json::Value| trace["spans"] == 1 && trace["errors"] == 1;
    let mut places = std::collections::BTreeSet::new();
    eventually("it had another place, and another one", || {
        let traces = viewer.traces("");
        let spans = traces.first().map(|trace| viewer.spans_of(trace)).unwrap_or_default();
        places.extend(spans.iter().map(|span| span["ref"].to_string()));
        places.len() >= 4
    });
    let trace = viewer.traces_when("it is one span that waits", |traces| {
        traces.len() == 1 && is_one(&traces[0]) && traces[0]["waiting"] == 1
    });
    assert_eq!((&trace[0]["name"], &trace[0]["delivered"]), (&json!("Refunds"), &json!(0)));

    std::fs::remove_file(&rejected).unwrap();
    viewer.traces_when("it is one span that was rejected", |traces| {
        traces.len() == 1 && is_one(&traces[0]) && traces[0]["rejected"] == 1 && traces[0]["waiting"] == 0
    });
    drop(client);
}
