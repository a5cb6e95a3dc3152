//! Items of OTLP go through the program as JSON and as protobuf.

use std::fs;

use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use testkit::TempDir;
use testkit::cli::{Ended, run, run_with_input, spanspool};
use testkit::ingest::{Answer, Ingest};
use testkit::otlp::{Logs, Traces, logs, metrics, traces_of};

const OTLP: &str = "--set=exporter=otlp";
const DELIMITED: &str = "--format=delimited";

/// A request with a span of this name.
fn request(name: &str) -> Traces {
    traces_of(Span { trace_id: vec![7; 16], name: name.into(), ..Span::default() })
}

/// The same as a line of JSON, with only what is in it.
fn line(name: &str) -> String {
    format!(
        r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"traceId":"0af1","name":"{name}","startTimeUnixNano":"5"}}]}}]}}]}}"#
    ) + "\n"
}

fn enqueue(dir: &str, more: &[&str], input: &[u8]) -> Ended {
    run_with_input(&[&["enqueue", "--spool-dir", dir, "--json"], more].concat(), input)
}

fn cat(dir: &str, more: &[&str]) -> Ended {
    run(&[&["cat", "--spool-dir", dir], more].concat())
}

#[test]
fn what_cat_writes_enqueue_takes_and_a_receiver_decodes() {
    let folder = TempDir::new("cli-otlp");
    let (first, second) = (folder.argument("first"), folder.argument("second"));
    let lines = ["a", "b", "c"].map(line).concat();
    let receiver = Ingest::start(|_| Answer::status(200)).unwrap();
    let endpoint = format!("--set=endpoint=http://127.0.0.1:{}", receiver.port());
    let settings = [OTLP, &endpoint, "--set=schedule_delay_ms=1"];
    let counts = serde_json::json!({"enqueued": 3, "refused": 0, "stopped_at_line": null});
    assert_eq!(enqueue(&first, &settings, lines.as_bytes()).with(0).json(), counts);
    assert_eq!(cat(&first, &[]).with(0).out, lines);
    enqueue(&second, &settings, cat(&first, &[]).out.as_bytes()).with(0);
    assert_eq!(cat(&second, &[]).with(0).out, lines);
    assert!(receiver.requests().is_empty(), "it sends nothing");
    // To where the items go: a drain needs no setting.
    run(&["drain", "--spool-dir", &second, "--timeout-ms=60000"]).with(0);
    let requests = receiver.requests();
    assert_eq!((requests.len(), requests[0].path.as_str()), (1, "/v1/traces"));
    let decoded = Traces::decode(&requests[0].body[..]).unwrap();
    let spans = decoded.resource_spans.iter().map(|of| &of.scope_spans[0].spans[0]);
    assert_eq!(Vec::from_iter(spans.map(|span| span.name.as_str())), ["a", "b", "c"]);
    assert_eq!(cat(&second, &[]).with(0).out, "");
}

#[test]
fn requests_with_their_length_are_stored_as_they_are() {
    let folder = TempDir::new("cli-otlp");
    let (dir, file) = (folder.argument("spool"), folder.path().join("requests"));
    let requests = ["a", "żółw", &"x".repeat(300)].map(request);
    let mut input: Vec<u8> = requests.iter().flat_map(|it| it.encode_length_delimited_to_vec()).collect();
    // An empty one holds nothing.
    input.insert(0, 0);
    fs::write(&file, input).unwrap();
    let ended = run(&["enqueue", "--spool-dir", &dir, OTLP, DELIMITED, file.to_str().unwrap()]).with(0);
    assert!(ended.out.contains("3 items accepted") && ended.err.is_empty(), "{}{}", ended.out, ended.err);
    let written = cat(&dir, &[]).with(0).out;
    assert_eq!(written.lines().count(), 3);
    let receiver = Ingest::start(|_| Answer::status(200)).unwrap();
    let endpoint = format!("--set=endpoint=http://127.0.0.1:{}", receiver.port());
    run(&["drain", "--spool-dir", &dir, OTLP, &endpoint, "--set=adopt=any", "--timeout-ms=60000"]).with(0);
    let bodies: Vec<u8> = receiver.requests().into_iter().flat_map(|it| it.body).collect();
    assert_eq!(bodies, requests.map(|it| it.encode_to_vec()).concat());
}

#[test]
fn a_bad_request_is_named_by_its_place_and_the_rest_is_taken() {
    let folder = TempDir::new("cli-otlp");
    let dir = folder.argument("delimited");
    let good = request("good").encode_length_delimited_to_vec();
    let mut bad = good.clone();
    let at = bad.len() - 1;
    bad[at] = 0xff;
    let long = [vec![0xff, 0x07], vec![b'x'; 1023]].concat();
    let longer = [vec![0x81, 0x08], vec![b'x'; 1025]].concat();
    let input = [&good[..], &bad, &long, &longer, &good, b"\x05abc"].concat();
    let ended = enqueue(&dir, &[OTLP, DELIMITED, "--set=max_item_bytes=1KiB"], &input).with(1);
    let counts = serde_json::json!({"enqueued": 2, "refused": 4, "stopped_at_line": null});
    assert_eq!(ended.json(), counts, "{}", ended.err);
    let (len, after) = (good.len(), 3 * good.len() + 1025 + 1027);
    let places = [len, 2 * len, 2 * len + 1025, after].map(|at| format!("-: at byte {at}: "));
    let whats = [
        "resource_spans",
        "not an OTLP export request",
        "item of 1025 bytes is over max_item_bytes=1024",
        "5 bytes, of which 3",
    ];
    assert_eq!(ended.err.lines().count(), 4, "{}", ended.err);
    for (said, (place, what)) in ended.err.lines().zip(places.iter().zip(whats)) {
        assert!(said.contains(place) && said.contains(what), "{place}{what}: {said}");
    }
    let no_length = [&good[..], &[0xff; 11], &good].concat();
    let ended = enqueue(&dir, &[OTLP, DELIMITED], &no_length).with(1);
    assert!(ended.err.contains("this is no length; nothing after it was read"), "{}", ended.err);
    let ended =
        enqueue(&dir, &[OTLP, DELIMITED, "--set=max_queue_size=4"], &[&good[..], &good].concat()).with(1);
    let counts = serde_json::json!({"enqueued": 1, "refused": 0, "stopped_at_line": null, "stopped_at_byte": good.len()});
    assert_eq!(ended.json(), counts, "{}", ended.err);

    let dir = folder.argument("json");
    let input = [&line("a"), "{}\n", "\n", &line("b").replace("0af1", "xyz"), "no\n", &line("c")].concat();
    let ended = enqueue(&dir, &[OTLP], input.as_bytes()).with(1);
    let counts = serde_json::json!({"enqueued": 2, "refused": 3, "stopped_at_line": null});
    assert_eq!(ended.json(), counts, "{}", ended.err);
    let whats = [
        "-:2: item is empty",
        "-:4: not OTLP JSON of traces: at column 55: resourceSpans.scopeSpans",
        "-:5: not OTLP JSON",
    ];
    for (said, what) in ended.err.lines().zip(whats) {
        assert!(said.contains(what), "{what}: {said}");
    }
    assert_eq!(cat(&dir, &[]).out, line("a") + &line("c"));
}

#[test]
fn the_wrong_form_is_an_error_before_anything_is_made() {
    let folder = TempDir::new("cli-otlp");
    let dir = folder.argument("spool");
    let protobuf = request("a").encode_length_delimited_to_vec();
    for (settings, input, what) in [
        (&[OTLP][..], &protobuf[..], "'--format delimited' is for protobuf"),
        (&[OTLP, DELIMITED], line("a").as_bytes(), "leave '--format delimited' out"),
        (&[DELIMITED], &protobuf, "it takes '--set exporter=otlp'"),
    ] {
        let ended = enqueue(&dir, settings, input).with(2);
        assert!(ended.err.contains(what), "{}", ended.err);
    }
    assert!(!folder.path().join("spool").exists());
    let mut logs = line("a").replace("Spans", "Logs").replace("spans", "logRecords");
    logs = logs.replace("name", "eventName").replace("startT", "t");
    let ended = enqueue(&dir, &[OTLP], logs.as_bytes()).with(1);
    assert!(ended.err.contains("it has resourceLogs: that is for --set signal=logs"), "{}", ended.err);
    enqueue(&dir, &[OTLP, "--set=signal=logs"], logs.as_bytes()).with(0);
    assert_eq!(cat(&dir, &[]).with(0).out, logs);
}

#[test]
fn a_spool_of_several_kinds_is_written_as_a_whole_or_by_kind() {
    let folder = TempDir::new("cli-otlp");
    let dir = folder.argument("spool");
    enqueue(&dir, &[], b"{\"n\":1}\n").with(0);
    enqueue(&dir, &[OTLP], line("a").as_bytes()).with(0);
    let delimited = |signal, request: Vec<u8>| {
        let signal = format!("--set=signal={signal}");
        enqueue(&dir, &[OTLP, DELIMITED, &signal], &request).with(0);
    };
    delimited("logs", logs().encode_length_delimited_to_vec());
    delimited("metrics", metrics().encode_length_delimited_to_vec());
    let mut all: Vec<String> = cat(&dir, &[]).with(0).out.lines().map(str::to_owned).collect();
    all.sort();
    assert_eq!(all.len(), 4);
    let mut each = Vec::new();
    for (kind, begin) in [
        ("json", "{\"n\""),
        ("logs", "{\"resourceLogs\""),
        ("metrics", "{\"resourceMetrics\""),
        ("traces", "{\"resourceSpans\""),
    ] {
        let out = cat(&dir, &["--only", kind]).with(0).out;
        assert!(out.starts_with(begin) && out.lines().count() == 1, "{kind}: {out}");
        each.push(out.trim_end().to_owned());
    }
    each.sort();
    assert_eq!(all, each);
    // What they hold is what went in.
    let other = folder.argument("other");
    enqueue(&other, &[OTLP, "--set=signal=logs"], cat(&dir, &["--only=logs"]).out.as_bytes()).with(0);
    let receiver = Ingest::start(|_| Answer::status(200)).unwrap();
    let endpoint = format!("--set=endpoint=http://127.0.0.1:{}", receiver.port());
    let settings = [OTLP, "--set=signal=logs", "--set=adopt=any", &endpoint, "--timeout-ms=60000"];
    run(&[&["drain", "--spool-dir", &other], &settings[..]].concat()).with(0);
    let arrived = Logs::decode(&receiver.requests()[0].body[..]).unwrap();
    assert_eq!(format!("{arrived:?}"), format!("{:?}", logs()));
}

#[test]
fn the_environment_says_where_items_go() {
    let folder = TempDir::new("cli-otlp");
    let (dir, file) = (folder.argument("spool"), folder.write("lines", line("a")));
    let mut command = spanspool(&["enqueue", "--spool-dir", &dir, OTLP, &file]);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");
    Ended::from(command.output().unwrap()).with(0);
    let status = run(&["status", "--json", "--spool-dir", &dir]).with(0).json();
    assert_eq!(status["lanes"][0]["destination"], "otlp traces http://collector:4318/v1/traces");
}

#[test]
fn rejected_items_are_listed_as_json() {
    let folder = TempDir::new("cli-otlp");
    let dir = folder.argument("spool");
    let receiver = Ingest::start(|request| match request.body.windows(3).any(|part| part == b"bad") {
        true => Answer::status(400).body("no"),
        false => Answer::status(200),
    })
    .unwrap();
    let endpoint = format!("--set=endpoint=http://127.0.0.1:{}", receiver.port());
    let input = [line("bad"), line("good")].concat();
    enqueue(&dir, &[OTLP, &endpoint], input.as_bytes()).with(0);
    run(&["drain", "--spool-dir", &dir, "--timeout-ms=60000"]).with(1);
    let text = run(&["rejected", "list", "--spool-dir", &dir]).with(0).out;
    assert!(text.contains("HTTP 400") && text.contains(r#""name":"bad""#), "{text}");
    let json = run(&["rejected", "list", "--json", "--spool-dir", &dir]).with(0).json();
    assert_eq!(json["item"], serde_json::from_str::<serde_json::Value>(&line("bad")).unwrap());
    run(&["rejected", "requeue", "--all", "--spool-dir", &dir]).with(0);
    assert_eq!(cat(&dir, &[]).with(0).out, line("bad"));
}

#[test]
fn what_can_not_be_written_is_said_and_not_lost() {
    let folder = TempDir::new("cli-otlp");
    let dir = folder.argument("spool");
    // A field that a later version may have, and what an unchecked client stored.
    let later = [request("a").encode_to_vec(), b"\x0a\x08\x12\x06\x12\x04\xba\x06\x01x".to_vec()].concat();
    let delimited = |request: &[u8]| {
        let mut bytes = Vec::new();
        prost::encoding::encode_varint(request.len() as u64, &mut bytes);
        [&bytes, request].concat()
    };
    enqueue(&dir, &[OTLP, DELIMITED], &delimited(&later)).with(0);
    let ended = cat(&dir, &[]).with(0);
    assert_eq!((ended.out.lines().count(), ended.err.lines().count()), (1, 1), "{}{}", ended.out, ended.err);
    assert!(ended.err.contains("field 103 of Span is not known"), "{}", ended.err);
    enqueue(&dir, &[OTLP, DELIMITED, "--set=validation=none"], &delimited(b"garbage")).with(0);
    let ended = cat(&dir, &[]).with(1);
    assert_eq!(ended.out.lines().count(), 1);
    assert!(ended.err.contains("is no request") && ended.err.contains("1 item not shown"), "{}", ended.err);
    // A field that is unknown in JSON is named once.
    let unknown = line("a").replace("name", "later\":[{}],\"name");
    let ended = enqueue(&dir, &[OTLP], [&*unknown, &unknown].concat().as_bytes()).with(0);
    assert_eq!(ended.err.lines().count(), 1, "{}", ended.err);
    assert!(ended.err.contains("-:1: later of Span is not known"), "{}", ended.err);
}
