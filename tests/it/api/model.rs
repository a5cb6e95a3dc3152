//! The typed model writes the very JSON of the OpenAI Agents SDK, and changes nothing of what it reads.
use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, UNIX_EPOCH};

use serde_json::json;
use spanspool::model::{
    AgentData, Audio, CustomData, FunctionData, GenerationData, GuardrailData, HandoffData, Json,
    McpToolsData, ResponseData, Span, SpanData, SpanError, SpeechData, SpeechGroupData, TaskData, Trace,
    TranscriptionData, TurnData, gen_group_id, gen_span_id, gen_trace_id, iso_of, time_iso,
};

const SAMPLE: &str = include_str!("../../fixtures/agents-sdk-sample.ndjson");

fn json(text: &str) -> Json {
    Json::from_text(text).unwrap()
}

fn data(text: &str) -> SpanData {
    serde_json::from_str(text).unwrap()
}

/// A span around `data` as the SDK would write it.
fn item(data: &str) -> String {
    format!(
        r#"{{"object":"trace.span","id":"span_1","trace_id":"trace_1","parent_id":null,"started_at":null,"ended_at":null,"span_data":{data},"error":null}}"#
    )
}

fn read_and_write(line: &str) -> String {
    let bytes = match serde_json::from_str::<Span>(line) {
        Ok(span) => span.to_json(),
        Err(_) => serde_json::from_str::<Trace>(line).unwrap_or_else(|e| panic!("{e}: {line}")).to_json(),
    };
    String::from_utf8(bytes).unwrap()
}

fn kind(data: &SpanData) -> &'static str {
    match data {
        SpanData::Agent(_) => "agent",
        SpanData::Function(_) => "function",
        SpanData::Generation(_) => "generation",
        SpanData::Response(_) => "response",
        SpanData::Handoff(_) => "handoff",
        SpanData::Custom(_) => "custom",
        SpanData::Guardrail(_) => "guardrail",
        SpanData::Transcription(_) => "transcription",
        SpanData::Speech(_) => "speech",
        SpanData::SpeechGroup(_) => "speech_group",
        SpanData::McpTools(_) => "mcp_tools",
        SpanData::Task(_) => "task",
        SpanData::Turn(_) => "turn",
        _ => "other",
    }
}

#[test]
fn every_item_of_real_runs_is_written_as_it_was_read() {
    let lines: Vec<_> = SAMPLE.split('\n').filter(|line| !line.is_empty()).collect();
    assert_eq!(lines.len(), 319);
    for line in lines {
        assert_eq!(read_and_write(line), line);
    }
}

/// Without this, a reader that made `Other` of everything would pass the test above.
#[test]
fn every_item_of_real_runs_is_read_as_its_own_kind() {
    let mut seen = BTreeMap::new();
    for line in SAMPLE.split('\n').filter(|line| line.starts_with(r#"{"object":"trace.span""#)) {
        let span: Span = serde_json::from_str(line).unwrap();
        assert!(span.extra.is_empty(), "{line}");
        *seen.entry(kind(&span.span_data)).or_insert(0) += 1;
    }
    // Counted in the file by `type` and `sdk_span_type`.
    let counted = [
        ("agent", 22),
        ("custom", 95),
        ("function", 24),
        ("generation", 19),
        ("guardrail", 12),
        ("handoff", 6),
        ("mcp_tools", 25),
        ("response", 32),
        ("speech", 3),
        ("speech_group", 2),
        ("task", 17),
        ("transcription", 2),
        ("turn", 36),
    ];
    assert_eq!(seen, BTreeMap::from(counted));
}

/// Each kind made by hand, in full and with nothing given, and the JSON that it must be.
fn made_by_hand() -> Vec<(SpanData, &'static str)> {
    let config = || Some(json(r#"{"temperature":1e-07}"#));
    let names = |names: &[&str]| Some(names.iter().map(|&name| name.to_owned()).collect());
    let s = |text: &str| Some(text.to_owned());
    vec![
        (
            AgentData {
                handoffs: names(&["B"]),
                tools: names(&[]),
                output_type: s("str"),
                ..AgentData::new("A")
            }
            .into(),
            r#"{"type":"agent","name":"A","handoffs":["B"],"tools":[],"output_type":"str"}"#,
        ),
        (
            AgentData::new("A").into(),
            r#"{"type":"agent","name":"A","handoffs":null,"tools":null,"output_type":null}"#,
        ),
        (
            FunctionData {
                input: s(r#"{"a": 1}"#),
                output: s("\u{1b}\u{2028}é"),
                mcp_data: Some(json!({"server": "fs"}).into()),
                ..FunctionData::new("f")
            }
            .into(),
            concat!(
                r#"{"type":"function","name":"f","input":"{\"a\": 1}","output":"\u001b"#,
                "\u{2028}é",
                r#"","mcp_data":{"server":"fs"}}"#
            ),
        ),
        (
            FunctionData::new("f").into(),
            r#"{"type":"function","name":"f","input":null,"output":null,"mcp_data":null}"#,
        ),
        (
            GenerationData {
                input: Some(json!([{"role": "user"}]).into()),
                output: Some(json("[]")),
                model: s("m"),
                model_config: config(),
                usage: Some(json(r#"{"output_tokens":1,"input_tokens":36893488147419103232}"#)),
                ..GenerationData::default()
            }
            .into(),
            r#"{"type":"generation","input":[{"role":"user"}],"output":[],"model":"m","model_config":{"temperature":1e-07},"usage":{"output_tokens":1,"input_tokens":36893488147419103232}}"#,
        ),
        (
            GenerationData::default().into(),
            r#"{"type":"generation","input":null,"output":null,"model":null,"model_config":null,"usage":null}"#,
        ),
        (
            ResponseData { response_id: s("resp_1"), usage: Some(json("{}")), ..ResponseData::default() }
                .into(),
            r#"{"type":"response","response_id":"resp_1","usage":{}}"#,
        ),
        (ResponseData::default().into(), r#"{"type":"response","response_id":null,"usage":null}"#),
        (
            HandoffData { from_agent: s("A"), to_agent: s("B"), ..HandoffData::default() }.into(),
            r#"{"type":"handoff","from_agent":"A","to_agent":"B"}"#,
        ),
        (HandoffData::default().into(), r#"{"type":"handoff","from_agent":null,"to_agent":null}"#),
        (
            CustomData::new("c", json(r#"{"z":1.0,"a":9.55018363200306e-13}"#)).into(),
            r#"{"type":"custom","name":"c","data":{"z":1.0,"a":9.55018363200306e-13}}"#,
        ),
        (GuardrailData::new("g", true).into(), r#"{"type":"guardrail","name":"g","triggered":true}"#),
        (
            TranscriptionData {
                input: Audio::pcm("UklGRg=="),
                output: s("hello"),
                model: s("m"),
                model_config: config(),
                ..TranscriptionData::default()
            }
            .into(),
            r#"{"type":"transcription","input":{"data":"UklGRg==","format":"pcm"},"output":"hello","model":"m","model_config":{"temperature":1e-07}}"#,
        ),
        (
            TranscriptionData::default().into(),
            r#"{"type":"transcription","input":{"data":"","format":"pcm"},"output":null,"model":null,"model_config":null}"#,
        ),
        (
            SpeechData {
                input: s("hello"),
                output: Audio::pcm("UklGRg=="),
                model: s("m"),
                model_config: config(),
                first_content_at: s("2026-11-22T10:48:31+00:00"),
                ..SpeechData::default()
            }
            .into(),
            r#"{"type":"speech","input":"hello","output":{"data":"UklGRg==","format":"pcm"},"model":"m","model_config":{"temperature":1e-07},"first_content_at":"2026-11-22T10:48:31+00:00"}"#,
        ),
        (
            SpeechData::default().into(),
            r#"{"type":"speech","input":null,"output":{"data":"","format":"pcm"},"model":null,"model_config":null,"first_content_at":null}"#,
        ),
        (
            SpeechGroupData { input: s("hello"), ..SpeechGroupData::default() }.into(),
            r#"{"type":"speech_group","input":"hello"}"#,
        ),
        (
            McpToolsData { server: s("fs"), result: names(&["ls"]), ..McpToolsData::default() }.into(),
            r#"{"type":"mcp_tools","server":"fs","result":["ls"]}"#,
        ),
        (
            TaskData { usage: Some(json(r#"{"requests":2}"#)), ..TaskData::new("t") }.into(),
            r#"{"type":"custom","name":"task","data":{"sdk_span_type":"task","name":"t","usage":{"requests":2}}}"#,
        ),
        (
            TaskData::new("t").into(),
            r#"{"type":"custom","name":"task","data":{"sdk_span_type":"task","name":"t"}}"#,
        ),
        (
            TurnData { usage: Some(json(r#"{"input_tokens":2}"#)), ..TurnData::new(1, "A") }.into(),
            r#"{"type":"custom","name":"turn","data":{"sdk_span_type":"turn","turn":1,"agent_name":"A","usage":{"input_tokens":2}}}"#,
        ),
        (
            TurnData::new(1, "A").into(),
            r#"{"type":"custom","name":"turn","data":{"sdk_span_type":"turn","turn":1,"agent_name":"A"}}"#,
        ),
    ]
}

#[test]
fn each_kind_made_by_hand_is_the_documented_json_and_is_read_back_as_itself() {
    let mut kinds = HashSet::new();
    for (made, text) in made_by_hand() {
        assert_eq!(serde_json::to_string(&made).unwrap(), text);
        assert_eq!(data(text), made);
        kinds.insert(kind(&made));
    }
    assert_eq!(kinds.len(), 13);
}

#[test]
fn a_trace_and_a_span_made_by_hand_are_the_documented_json() {
    let mut trace = Trace::new("Refunds");
    trace.id = "trace_1".into();
    assert_eq!(
        String::from_utf8(trace.to_json()).unwrap(),
        r#"{"object":"trace","id":"trace_1","workflow_name":"Refunds","group_id":null,"metadata":null}"#
    );
    trace.group_id = Some("g".into());
    trace.metadata = Some(json!({"env": "test"}).into());
    trace.extra.push("later", json!(1));
    assert_eq!(
        String::from_utf8(trace.to_json()).unwrap(),
        r#"{"object":"trace","id":"trace_1","workflow_name":"Refunds","group_id":"g","metadata":{"env":"test"},"later":1}"#
    );

    let mut span = Span::new(&trace.id, GuardrailData::new("g", false));
    span.id = "span_1".into();
    span.started_at = None;
    let guardrail = r#"{"type":"guardrail","name":"g","triggered":false}"#;
    assert_eq!(String::from_utf8(span.to_json()).unwrap(), item(guardrail));
    span.parent_id = Some("span_0".into());
    span.started_at = Some(iso_of(UNIX_EPOCH));
    span.ended_at = Some(iso_of(UNIX_EPOCH + Duration::from_micros(5)));
    span.error = Some(SpanError { data: Some(json!({"why": null}).into()), ..SpanError::new("failed") });
    span.metadata = Some(json!({"agent_harness_id": "h"}).into());
    span.extra.push("later", json!(2));
    assert_eq!(
        String::from_utf8(span.to_json()).unwrap(),
        r#"{"object":"trace.span","id":"span_1","trace_id":"trace_1","parent_id":"span_0","started_at":"1970-01-01T00:00:00+00:00","ended_at":"1970-01-01T00:00:00.000005+00:00","span_data":{"type":"guardrail","name":"g","triggered":false},"error":{"message":"failed","data":{"why":null}},"metadata":{"agent_harness_id":"h"},"later":2}"#
    );
}

#[test]
fn a_span_begins_when_made_and_ends_once() {
    let before = time_iso();
    let root = Span::new("trace_1", AgentData::new("A"));
    let mut child = root.child(HandoffData::default());
    assert_eq!((child.trace_id.as_str(), child.parent_id.as_ref()), ("trace_1", Some(&root.id)));
    assert_ne!(child.id, root.id);
    assert_eq!((root.parent_id, root.ended_at), (None, None));
    child.finish();
    assert!(child.ended_at >= child.started_at && child.started_at >= Some(before), "{child:?}");
    child.ended_at = Some("earlier".into());
    child.finish();
    assert_eq!(child.ended_at.as_deref(), Some("earlier"));
}

#[test]
fn unknown_types_and_members_stay_as_they_are() {
    for text in [
        r#"{"type":"dream","n":1e-07,"big":36893488147419103232,"s":"\ud800 \/ \u00e9","a":{"b":[ 1.0,{}]}}"#,
        r#"{"name":"no type"}"#,
        r#"{"type":7}"#,
        r#"{}"#,
    ] {
        assert_eq!(kind(&data(text)), "other", "{text}");
        assert_eq!(read_and_write(&item(text)), item(text));
    }
    for text in [
        r#"{"type":"handoff","from_agent":"A","to_agent":null,"why":{"n":1.00,"s":"\ud800"},"more":null}"#,
        r#"{"type":"speech_group","input":null,"big":36893488147419103232}"#,
        r#"{"type":"transcription","input":{"data":"","format":null,"rate":24e3},"output":null,"model":null,"model_config":null}"#,
        r#"{"type":"custom","name":"task","data":{"sdk_span_type":"task","name":"t","usage":null,"cost":1.10}}"#,
    ] {
        assert_ne!(kind(&data(text)), "other", "{text}");
        assert_eq!(read_and_write(&item(text)), item(text));
    }
    let later = item("{}").replace(
        r#""error":null"#,
        r#""error":{"message":"m","data":null,"code":1.0},"metadata":null,"links":[1e-07]"#,
    );
    assert_eq!(read_and_write(&later), later);
    let trace =
        r#"{"object":"trace","id":"t","workflow_name":"w","group_id":null,"metadata":null,"x":1e-07}"#;
    assert_eq!(read_and_write(trace), trace);
}

/// A user's custom span may look like the SDK's own; whatever it is read as, its JSON must not change.
#[test]
fn what_is_almost_a_task_or_turn_stays_custom() {
    for text in [
        r#"{"type":"custom","name":"task","data":{"sdk_span_type":"turn","turn":1,"agent_name":"A"}}"#,
        r#"{"type":"custom","name":"mine","data":{"sdk_span_type":"task","name":"t"}}"#,
        r#"{"type":"custom","name":"task","data":{"name":"t","sdk_span_type":"task"}}"#,
        r#"{"type":"custom","name":"task","data":{"sdk_span_type":"task","name":"\u0074"}}"#,
        r#"{"type":"custom","name":"task","data":{"sdk_span_type":"task"}}"#,
        r#"{"type":"custom","name":"task","data":[]}"#,
        r#"{"type":"custom","name":"task","data":{"sdk_span_type":"task","name":"t"},"more":1}"#,
        r#"{"type":"custom","name":"turn","data":{"sdk_span_type":"turn","turn":1.0,"agent_name":"A"}}"#,
        r#"{"type":"custom","name":"turn","data":{"sdk_span_type":"turn","turn":-1,"agent_name":"A"}}"#,
        r#"{"type":"custom","name":"turn","data":{"sdk_span_type":"turn","turn":18446744073709551616,"agent_name":"A"}}"#,
    ] {
        assert_eq!(kind(&data(text)), "custom", "{text}");
        assert_eq!(serde_json::to_string(&data(text)).unwrap(), text);
    }
}

#[test]
fn the_order_of_members_does_not_matter_to_the_reader() {
    let agent =
        data(r#"{ "tools": ["x"], "name": "A", "output_type": null, "handoffs": null, "type": "agent" }"#);
    assert_eq!(agent, AgentData { tools: Some(vec!["x".into()]), ..AgentData::new("A") }.into());
    assert_eq!(data(r#"{"type":"agent","name":"A"}"#), AgentData::new("A").into());
}

#[test]
fn what_does_not_fit_is_an_error_that_names_the_member() {
    let span = |data: &str| serde_json::from_str::<Span>(&item(data)).unwrap_err().to_string();
    for (data, said) in [
        (r#"{"type":"agent","name":5}"#, "span_data: name: invalid type: integer `5`, expected a string"),
        (r#"{"type":"agent","tools":[]}"#, "span_data: name: is missing"),
        (r#"{"type":"custom","name":"c"}"#, "span_data: data: is missing"),
        (r#"{"type":"agent","name":"A","name":"B"}"#, "span_data: name: is there more than once"),
        (r#"{"type":"agent","name":"\ud800"}"#, "span_data: name: unexpected end of hex escape"),
        (r#"{"type":"speech","output":{"data":1}}"#, "span_data: output: data: invalid type: integer `1`"),
        (r#"[]"#, "span_data: "),
        (r#"null"#, "span_data: "),
    ] {
        let error = span(data);
        assert!(error.starts_with(said), "{error}");
    }
    let trace = serde_json::from_str::<Trace>(&item("{}")).unwrap_err().to_string();
    assert!(trace.starts_with(r#"object: is "trace.span"; "trace" is allowed"#), "{trace}");
}

#[test]
fn json_keeps_its_text_and_refuses_what_is_not_one_value() {
    for text in ["1e-07", "1.0", "36893488147419103232", r#""\ud800""#, "{ \"b\": 1,\n\"a\": 2}", "null"] {
        assert_eq!(json(text).text(), text);
        assert_eq!(serde_json::to_string(&json(text)).unwrap(), text);
    }
    assert_eq!(json(" [1] \n").text(), "[1]");
    assert_ne!(json("1.0"), json("1"));
    assert_eq!(Json::default().text(), "null");
    assert_eq!(Json::of(&[Some("a"), None]).unwrap().text(), r#"["a",null]"#);
    assert_eq!(Json::from(json!({"a": null, "b": [1.5, "x"]})).text(), r#"{"a":null,"b":[1.5,"x"]}"#);
    assert_eq!(json("[1,2]").parse::<Vec<u8>>().unwrap(), [1, 2]);
    for text in ["", " ", "{", "1 2", "NaN", "{\"a\":1,}", "'x'"] {
        let error = Json::from_text(text).unwrap_err();
        assert_eq!(error.kind(), spanspool::ErrorKind::InvalidItem);
        assert!(error.message().contains(" at line 1 column "), "{error}");
    }
    let error = Json::of(&BTreeMap::from([((1, 2), 3)])).unwrap_err();
    assert_eq!(error.message(), "value has no JSON form: key must be a string");
}

#[test]
fn depth_costs_no_stack() {
    let depth = 1_000_000;
    let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    for text in [
        format!(r#"{{"type":"custom","name":"task","data":{deep}}}"#),
        format!(
            r#"{{"type":"custom","name":"task","data":{{"sdk_span_type":"task","name":"t","usage":{deep}}}}}"#
        ),
        format!(r#"{{"type":"unknown","x":{deep}}}"#),
        format!(r#"{{"type":"speech_group","input":null,"unknown":{deep}}}"#),
    ] {
        assert!(read_and_write(&item(&text)) == item(&text), "{:.80}", text);
    }
}

#[test]
fn ids_have_the_reference_s_formats_and_never_come_twice() {
    let hex = |id: &str, prefix: &str, digits: usize| {
        let hex = id.strip_prefix(prefix).unwrap_or_else(|| panic!("{id} begins with {prefix}"));
        assert_eq!(hex.len(), digits, "{id}");
        assert!(hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')), "{id}");
        assert_eq!(hex.as_bytes()[12], b'4', "{id} is from a UUID of version 4");
        assert!(matches!(hex.as_bytes()[16], b'8' | b'9' | b'a' | b'b'), "{id} is of RFC 9562's variant");
    };
    hex(&gen_trace_id(), "trace_", 32);
    hex(&gen_span_id(), "span_", 24);
    hex(&gen_group_id(), "group_", 24);

    let threads: Vec<_> =
        (0..4).map(|_| std::thread::spawn(|| (0..2000).map(|_| gen_span_id()).collect::<Vec<_>>())).collect();
    let ids: HashSet<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    assert_eq!(ids.len(), 8000);
}

#[test]
fn times_are_written_as_python_writes_them() {
    // Each from Python's `(datetime(1970,1,1,tzinfo=utc) + timedelta(seconds=s, microseconds=us)).isoformat()`.
    for (seconds, micros, text) in [
        (0, 0, "1970-01-01T00:00:00+00:00"),
        (0, 1, "1970-01-01T00:00:00.000001+00:00"),
        (1_795_344_511, 180_846, "2026-11-22T10:48:31.180846+00:00"),
        (951_782_399, 999_999, "2000-02-28T23:59:59.999999+00:00"),
        (951_782_400, 0, "2000-02-29T00:00:00+00:00"),
        (4_107_542_399, 0, "2100-02-28T23:59:59+00:00"),
        (4_107_542_400, 500_000, "2100-03-01T00:00:00.500000+00:00"),
        (253_402_300_799, 999_999, "9999-12-31T23:59:59.999999+00:00"),
        (-1, 999_999, "1969-12-31T23:59:59.999999+00:00"),
        (-2_208_988_800, 0, "1900-01-01T00:00:00+00:00"),
        (-62_135_596_800, 0, "0001-01-01T00:00:00+00:00"),
    ] {
        let whole = Duration::from_secs(i64::unsigned_abs(seconds));
        let time = if seconds < 0 { UNIX_EPOCH - whole } else { UNIX_EPOCH + whole };
        assert_eq!(iso_of(time + Duration::from_micros(micros)), text);
    }
    let below = UNIX_EPOCH + Duration::from_nanos(1999);
    assert_eq!(iso_of(below), "1970-01-01T00:00:00.000001+00:00");
    assert_eq!(iso_of(UNIX_EPOCH - Duration::from_nanos(1)), "1969-12-31T23:59:59.999999+00:00");
}
