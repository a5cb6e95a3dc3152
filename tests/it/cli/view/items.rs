//! What is shown of items of both forms, as they should be and as they should not.

use std::collections::BTreeMap;
use std::fs;

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message;
use serde_json::{Value, json};
use testkit::TempDir;
use testkit::client::{config, open_offline};
use testkit::otlp::Traces;

use spanspool::BatchTraceProcessor;

use super::{Viewer, agents_span, agents_trace};

fn put(client: &BatchTraceProcessor, items: &[String]) {
    for item in items {
        client.enqueue(item.as_bytes()).unwrap();
    }
}

fn named<'a>(traces: &'a [Value], name: &str) -> &'a Value {
    traces.iter().find(|trace| trace["name"] == name).unwrap_or_else(|| panic!("no {name} in {traces:?}"))
}

#[test]
fn the_sample_of_the_agents_sdk_is_listed_opened_and_read() {
    let dir = TempDir::new("view-sample");
    let spool = dir.join("spool");
    let sample = fs::read_to_string(testkit::root().join("tests/fixtures/agents-sdk-sample.ndjson")).unwrap();
    let client = open_offline(&spool, &[]);
    let items: Vec<Value> = sample.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    put(&client, &sample.lines().map(str::to_owned).collect::<Vec<_>>());
    let viewer = Viewer::of(&spool);
    let now = viewer.loaded();
    assert_eq!(now["loading"]["items"], items.len());
    assert_eq!(now["lanes"][0]["ledger"]["pending"], items.len());

    let traces = viewer.traces("");
    let mut spans = BTreeMap::new();
    for item in items.iter().filter(|item| item["object"] == "trace.span") {
        spans.entry(item["trace_id"].as_str().unwrap()).or_insert(Vec::new()).push(item);
    }
    assert!(spans.len() > 3);
    let starts: Vec<i64> = traces.iter().filter_map(|trace| trace["start_us"].as_i64()).collect();
    assert!(starts.is_sorted_by(|a, b| a >= b), "newest first: {starts:?}");
    for (id, of_trace) in spans {
        let row = traces.iter().find(|row| row["id"] == id).unwrap();
        let errors = of_trace.iter().filter(|span| !span["error"].is_null()).count();
        assert_eq!(
            (&row["spans"], &row["waiting"], &row["errors"]),
            (&json!(of_trace.len()), &json!(of_trace.len()), &json!(errors))
        );
        let workflow = items.iter().find(|item| item["object"] == "trace" && item["id"] == id);
        if let Some(workflow) = workflow {
            let group = workflow["group_id"].as_str().unwrap_or_default();
            assert_eq!((&row["name"], &row["service"]), (&workflow["workflow_name"], &json!(group)));
        }
        let rows = viewer.spans_of(row);
        assert_eq!(rows.len(), of_trace.len());
        for row in &rows {
            let item = of_trace.iter().find(|item| item["id"] == row["id"]).unwrap();
            assert_eq!((&row["parent"], &row["kind"]), (&item["parent_id"], &item["span_data"]["type"]));
            let span = viewer.span(row).json();
            assert_eq!(
                (&span["item"], &span["form"], &span["state"]),
                (*item, &json!("agents"), &json!("waiting"))
            );
        }
    }
    // Numbers stay as they were written, also those that no double holds.
    let big = sample.lines().find(|line| line.contains("9223372036854775809")).unwrap();
    let item: Value = serde_json::from_str(big).unwrap();
    let row = traces.iter().find(|row| row["id"] == item["trace_id"]).unwrap();
    let row = viewer.spans_of(row).into_iter().find(|row| row["id"] == item["id"]).unwrap();
    assert!(viewer.span(&row).text().contains(&format!("\"item\":{big}")));
    let raw = viewer.get(&format!("api/raw?ref={}", row["ref"].as_str().unwrap()));
    assert_eq!(raw.text(), big);
    assert!(raw.header("content-disposition").unwrap().starts_with("attachment; filename=\""));
    drop(client);
}

#[test]
fn the_list_is_searched_filtered_and_paged() {
    let dir = TempDir::new("view-filters");
    let spool = dir.join("spool");
    let client = open_offline(&spool, &[]);
    for n in 0..30 {
        let (trace, name) = (format!("trace_{n}"), format!("Workflow {n} & co"));
        put(&client, &[agents_trace(&trace, &name), agents_span(&trace, &format!("a{n}"), None, 60 * n)]);
        if n % 10 == 0 {
            // It lasts longer, and fails.
            let failed = agents_span(&trace, &format!("b{n}"), Some(&format!("a{n}")), 60 * n + 10);
            put(&client, &[failed.replace("\"error\":null", "\"error\":{\"message\":\"no\",\"data\":null}")]);
        }
    }
    let viewer = Viewer::of(&spool);
    viewer.loaded();
    let names = |query: &str| -> Vec<String> {
        let traces = viewer.traces(query);
        traces.iter().map(|trace| trace["name"].as_str().unwrap().to_owned()).collect()
    };
    let of = |numbers: &[u32]| numbers.iter().map(|n| format!("Workflow {n} & co")).collect::<Vec<_>>();
    assert_eq!(names("offset=0&limit=3"), of(&[29, 28, 27]));
    assert_eq!(names("offset=28"), of(&[1, 0]));
    assert_eq!(names("offset=99"), of(&[]));
    assert_eq!(names("q=WORKFLOW+7+%26"), of(&[7]));
    assert_eq!(names("q=trace_11"), of(&[11]));
    assert_eq!(names("q=nothing"), of(&[]));
    assert_eq!(names("errors=1"), of(&[20, 10, 0]));
    assert_eq!(names("rejected=1"), of(&[]));
    assert_eq!(names("min_ms=5000"), of(&[20, 10, 0]));
    assert_eq!(names("max_ms=1000.5&q=2"), of(&[29, 28, 27, 26, 25, 24, 23, 22, 21, 12, 2]));
    let page = viewer.json("api/traces?limit=1");
    assert_eq!((&page["total"], &page["version"]), (&json!(30), &viewer.json("api/now")["version"]));
    let same = viewer.json(&format!("api/traces?limit=1&version={}", page["version"]));
    assert_eq!(same, json!({ "version": page["version"], "total": 30, "same": true }));
    let key = page["traces"][0]["key"].as_str().unwrap();
    let whole = viewer.json(&format!("api/trace?key={key}"));
    // What names the trace is no span of it, and can be read as well.
    assert_eq!(whole["total"], 1);
    let item = viewer.json(&format!("api/span?ref={}", whole["ref"].as_str().unwrap()));
    assert_eq!(item["item"]["workflow_name"], "Workflow 29 & co");
    drop(client);
}

fn text(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(Any::StringValue(value.into())) });
    KeyValue { key: key.into(), value, ..KeyValue::default() }
}

fn otlp_span(trace: u8, span: u8, parent: u8, name: &str, start_s: u64) -> Span {
    Span {
        trace_id: vec![trace; 16],
        span_id: vec![span; 8],
        parent_span_id: if parent == 0 { Vec::new() } else { vec![parent; 8] },
        name: name.into(),
        kind: 2,
        start_time_unix_nano: start_s * 1_000_000_000 + 1_500,
        end_time_unix_nano: (start_s + 2) * 1_000_000_000,
        ..Span::default()
    }
}

fn request(service: &str, spans: Vec<Span>) -> Vec<u8> {
    let resource = Resource { attributes: vec![text("service.name", service)], ..Resource::default() };
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let resource_spans = ResourceSpans { resource: Some(resource), scope_spans, ..ResourceSpans::default() };
    Traces { resource_spans: vec![resource_spans] }.encode_to_vec()
}

/// A client for items of OTLP that nothing is sent to.
fn open_otlp(spool: &std::path::Path, signal: &str) -> BatchTraceProcessor {
    let settings = [("exporter", "otlp"), ("signal", signal), ("schedule_delay_ms", "3600000")];
    BatchTraceProcessor::open(config(spool, "http://127.0.0.1:9/", &settings)).unwrap()
}

#[test]
fn spans_of_otlp_are_found_in_their_requests_whatever_else_is_in_them() {
    let dir = TempDir::new("view-otlp");
    let spool = dir.join("spool");
    let (shop, store, logs) =
        (open_otlp(&spool, "traces"), open_otlp(&spool, "traces"), open_otlp(&spool, "logs"));
    let failed = Span {
        status: Some(Status { message: "out of stock".into(), code: 2 }),
        attributes: vec![text("gen_ai.operation.name", "CHAT")],
        ..otlp_span(1, 12, 11, "reserve", 101)
    };
    // Two traces in one request, and one trace in two lanes.
    shop.enqueue(&request(
        "shop",
        vec![otlp_span(1, 11, 0, "order", 100), otlp_span(2, 21, 0, "other", 300)],
    ))
    .unwrap();
    store.enqueue(&request("store", vec![failed])).unwrap();
    logs.enqueue(&testkit::otlp::logs().encode_to_vec()).unwrap();

    let viewer = Viewer::of(&spool);
    let now = viewer.loaded();
    assert_eq!(now["lanes"].as_array().unwrap().len(), 3);
    assert!(now["loading"]["note"].as_str().unwrap().contains("1 lane of logs or metrics"), "{now}");
    let traces = viewer.traces("");
    assert_eq!(traces.len(), 2, "{traces:?}");
    let order = named(&traces, "order");
    let expected = json!({ "service": "shop", "spans": 2, "errors": 1, "waiting": 2, "lanes": 2, "id": "01".repeat(16),
        "start_us": 100_000_001, "duration_us": 2_999_999 });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&order[name], value, "{name} of {order}");
    }
    let rows = viewer.spans_of(order);
    let [root, child] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!(
        (&root["name"], &root["parent"], &root["kind"]),
        (&json!("order"), &Value::Null, &json!("server"))
    );
    let child_is = json!({ "name": "reserve", "parent": root["id"], "kind": "chat", "error": "out of stock", "service": "store" });
    for (name, value) in child_is.as_object().unwrap() {
        assert_eq!(&child[name], value, "{name} of {child}");
    }
    assert_ne!(root["lane"], child["lane"]);
    let span = viewer.span(child).json();
    assert_eq!((&span["form"], &span["item"]["span"]["name"]), (&json!("otlp"), &json!("reserve")));
    let service = &span["item"]["resource"]["attributes"][0];
    assert_eq!(service, &json!({ "key": "service.name", "value": { "stringValue": "store" } }));
    // The other trace of the same request, by itself.
    let other = viewer.spans_of(named(&traces, "other")).remove(0);
    assert_eq!(viewer.span(&other).json()["item"]["span"]["name"], "other");
    let raw: Value = viewer.get(&format!("api/raw?ref={}", other["ref"].as_str().unwrap())).json();
    assert_eq!(raw["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().len(), 2);
}

#[test]
fn hostile_items_are_shown_as_data_and_none_is_too_much() {
    let dir = TempDir::new("view-hostile");
    let spool = dir.join("spool");
    let client = open_offline(&spool, &[("validation", "none"), ("max_item_bytes", "64MiB")]);
    let script = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\u{202e}javascript:";
    let (long, many) = ("<b>".repeat(4 << 20), 100_000);
    let span = |trace: &str, id: &str, name: &str, input: &str| {
        json!({ "object": "trace.span", "id": id, "trace_id": trace, "parent_id": id, "started_at": "2026-11-22T10:00:01Z",
            "ended_at": "2026-11-22T10:00:00Z", "span_data": { "type": script, "name": name, "input": [{ "a b": input }] },
            "error": { "message": script } })
        .to_string()
    };
    put(&client, &[span(script, script, script, &long), span(script, script, "same id", "short")]);
    put(
        &client,
        &[span("long name", "1", &long, ""), "not JSON".into(), "{\"n\":1}".into(), "[".repeat(5000)],
    );
    for n in 0..many {
        client.enqueue(agents_span("many", &n.to_string(), Some("missing"), 3 + n % 60).as_bytes()).unwrap();
    }
    let viewer = Viewer::of(&spool);
    let now = viewer.loaded();
    assert_eq!(now["loading"]["items"], many + 6);
    let list = viewer.get("api/traces");
    assert!(list.body.len() < 10_000, "{} bytes", list.body.len());
    assert_eq!(list.header("content-type"), Some("application/json"));
    let traces = viewer.traces("");
    assert_eq!(traces.len(), 4);

    let hostile = traces.iter().find(|trace| trace["id"] == script).unwrap();
    assert_eq!((&hostile["errors"], &hostile["duration_us"]), (&json!(2), &json!(-1_000_000)));
    let rows = viewer.spans_of(hostile);
    assert_eq!(rows.len(), 2, "equal ids are two spans");
    let answer = viewer.span(&rows[0]);
    assert!(answer.body.len() < 200_000, "{} bytes", answer.body.len());
    let span = answer.json();
    assert_eq!(span["clipped"], json!([{ "path": "span_data.input[0].a b", "bytes": long.len() }]));
    let cut = span["item"]["span_data"]["input"][0]["a b"].as_str().unwrap();
    assert!(long.starts_with(cut) && cut.len() > 60_000, "{}", cut.len());
    let raw = viewer.get(&format!("api/raw?ref={}", rows[0]["ref"].as_str().unwrap()));
    assert!(raw.body.len() > long.len());
    assert_eq!((raw.status, raw.header("content-type")), (200, Some("application/json")));

    let none = traces.iter().find(|trace| trace["id"] == "").unwrap();
    let rows = viewer.spans_of(none);
    let mut shown: Vec<Value> = rows.iter().map(|row| viewer.span(row).json()["item"].clone()).collect();
    shown.sort_by_key(Value::to_string);
    assert_eq!(shown, [json!("[".repeat(5000)), json!("not JSON"), json!({ "n": 1 })]);

    let many_spans = traces.iter().find(|trace| trace["id"] == "many").unwrap();
    assert_eq!(many_spans["spans"], many);
    let key = many_spans["key"].as_str().unwrap();
    let page = |offset: usize| viewer.json(&format!("api/trace?key={key}&offset={offset}&limit=1000000"));
    let (first, last) = (page(0), page(99_990));
    assert_eq!((first["spans"].as_array().unwrap().len(), &first["total"]), (5000, &json!(many)));
    assert_eq!(last["spans"].as_array().unwrap().len(), 10);
    assert!(first["spans"][0]["start_us"].as_i64() < last["spans"][0]["start_us"].as_i64());
    drop(client);
}
