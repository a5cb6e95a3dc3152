//! The JSON of requests against that of opentelemetry-proto.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fmt::Debug;

use prost::Message as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use testkit::otlp::{Traces, logs, metrics, traces};

use super::*;

/// A request of each signal with every field.
fn requests() -> [(Signal, Vec<u8>); 3] {
    [
        (Signal::Traces, traces().encode_to_vec()),
        (Signal::Logs, logs().encode_to_vec()),
        (Signal::Metrics, metrics().encode_to_vec()),
    ]
}

fn json(request: &[u8], signal: Signal) -> String {
    let converted = to_json(request, signal).unwrap();
    assert!(converted.left_out.is_empty(), "{converted:?}");
    converted.request
}

fn protobuf(json: &str, signal: Signal) -> Vec<u8> {
    let converted = from_json(json.as_bytes(), signal).unwrap();
    assert!(converted.left_out.is_empty(), "{converted:?}");
    converted.request
}

fn why(json: &str) -> String {
    from_json(json.as_bytes(), Signal::Traces).unwrap_err().to_string()
}

#[test]
fn a_request_is_the_same_bytes_after_json() {
    for (signal, request) in requests() {
        let line = json(&request, signal);
        assert!(!line.contains(['\n', '\r']));
        assert_eq!(protobuf(&line, signal), request, "{line}");
    }
}

/// What opentelemetry-proto writes is read, and what is written is read by it.
fn judge<T: prost::Message + Default + Debug + Serialize + DeserializeOwned>(request: &T, signal: Signal) {
    // It writes null for NaN, which it reads nowhere.
    let (text, null) = (r#""doubleValue":"NaN""#, r#""doubleValue":null"#);
    let theirs = serde_json::to_string(request).unwrap();
    let read = T::decode(&protobuf(&theirs.replace(null, text), signal)[..]).unwrap();
    // As text: NaN is not equal to itself.
    assert_eq!(format!("{read:?}"), format!("{request:?}"));

    // Of an attribute it wants the key, though it is the empty one.
    let ours = json(&request.encode_to_vec(), signal).replace(",{}]", r#",{"key":""}]"#);
    let read: T = serde_json::from_str(&ours.replace(text, r#""doubleValue":2.5"#)).unwrap();
    assert_eq!(format!("{read:?}"), format!("{request:?}").replace("NaN", "2.5"));
}

#[test]
fn opentelemetrys_own_json_is_read_and_ours_is_read_by_it() {
    judge(&traces(), Signal::Traces);
    judge(&logs(), Signal::Logs);
    judge(&metrics(), Signal::Metrics);
}

#[test]
fn a_line_of_the_collectors_has_numbers_as_strings_or_not() {
    let line = |int: &str, time: &str, id: &str| {
        format!(
            r#"{{"resourceSpans":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"a\u00e9\n"}}}}]}},
            "scopeSpans":[{{"scope":{{}},"spans":[{{"traceId":"{id}","spanId":"","parentSpanId":"","name":"b","kind":2,
            "startTimeUnixNano":{time},"status":{{}},"attributes":[{{"key":"n","value":{{"intValue":{int}}}}}],
            "links":null}}]}}]}}]}} "#
        )
    };
    let strings = line(r#""-9223372036854775808""#, r#""1795000000000000001""#, "0aF1");
    let numbers = line("-9223372036854775808", "1795000000000000001", "0AF1");
    let request = protobuf(&strings, Signal::Traces);
    assert_eq!(protobuf(&numbers, Signal::Traces), request);
    let span =
        Traces::decode(&request[..]).unwrap().resource_spans.remove(0).scope_spans.remove(0).spans.remove(0);
    assert_eq!(
        (span.trace_id, span.kind, span.start_time_unix_nano),
        (vec![0x0a, 0xf1], 2, 1_795_000_000_000_000_001)
    );
    // Names as .proto files have them are read, too.
    let snake = r#"{"resource_spans":[{"scope_spans":[{"spans":[{"trace_id":"00"}]}]}]}"#;
    assert_eq!(Traces::decode(&protobuf(snake, Signal::Traces)[..]).unwrap().resource_spans.len(), 1);
}

/// A request with one span that has these members.
fn span(members: &str) -> String {
    format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{{members}}}]}}]}}]}}"#)
}

#[test]
fn what_can_not_be_read_is_named_with_its_place_and_what_is_allowed() {
    let begin = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"#;
    for (members, place, what) in [
        (r#""traceId":"xyz""#, "traceId", r#""xyz" is not hexadecimal"#),
        (r#""traceId":"abc""#, "traceId", "is not hexadecimal"),
        (r#""traceId":"éé""#, "traceId", "is not hexadecimal"),
        (r#""kind":"SPAN_KIND_SERVER""#, "kind", "is not a whole number from -2147483648 to 2147483647"),
        (r#""startTimeUnixNano":"-1""#, "startTimeUnixNano", "from 0 to 18446744073709551615"),
        (r#""startTimeUnixNano":1.5"#, "startTimeUnixNano", "1.5 is not a whole number"),
        (r#""flags":4294967296"#, "flags", "from 0 to 4294967295"),
        (r#""name":5"#, "name", "5 is not a string"),
        (r#""name":"\ud800""#, "name", "unexpected end of hex escape"),
        (r#""status":[]"#, "status", "[] is not an object"),
        (r#""events":{}"#, "events", "{} is not an array"),
        (r#""events":[null]"#, "events", "null is not an object"),
        (
            r#""attributes":[{"value":{"boolValue":1}}]"#,
            "attributes.value.boolValue",
            "1 is not true or false",
        ),
        (r#""attributes":[{"value":{"bytesValue":"?"}}]"#, "attributes.value.bytesValue", "is not base64"),
        (
            r#""attributes":[{"value":{"doubleValue":1e999}}]"#,
            "attributes.value.doubleValue",
            "not a 64-bit number",
        ),
    ] {
        let said = why(&span(members));
        assert!(said.contains(&format!("resourceSpans.scopeSpans.spans.{place}: ")), "{said}");
        assert!(said.contains(what), "{said}");
        assert!(said.starts_with("at column "), "{said}");
    }
    let said = why(&span(r#""name":5"#));
    assert!(said.starts_with(&format!("at column {}: ", begin.len() + 8)), "{said}");
    for (line, what) in [
        ("", "EOF while parsing"),
        ("[]", "at column 1: [] is not an object"),
        (r#"{"resourceSpans":["#, "at column 18: EOF"),
        (r#"{"resourceSpans":[]} x"#, "at column 22: trailing characters"),
        (r#"{"resourceLogs":[]}"#, "it has resourceLogs: that is for --set signal=logs"),
        (r#"{"spans":[]}"#, "it has spans: a request of traces has resourceSpans only"),
    ] {
        assert!(why(line).contains(what), "{line}: {}", why(line));
    }
    assert!(
        from_json(b"{\"\xff", Signal::Traces)
            .unwrap_err()
            .to_string()
            .contains("at column 3: it is not UTF-8")
    );
}

#[test]
fn a_field_that_is_not_known_is_left_out_and_named() {
    let line = span(r#""name":"a","later":[1],"status":{"more":{}}"#);
    let converted = from_json(line.as_bytes(), Signal::Traces).unwrap();
    assert_eq!(Vec::from_iter(converted.left_out), ["later of Span", "more of Status"]);
    let mut span = converted.request;
    assert_eq!(json(&span, Signal::Traces), super::tests::span(r#""name":"a","status":{}"#));
    // Field 100 of a request, and a group.
    span.extend(b"\xa2\x06\x02hi\xab\x06\xac\x06");
    let converted = to_json(&span, Signal::Traces).unwrap();
    let expected = ["field 100 of TracesRequest", "field 101 of TracesRequest"];
    assert_eq!(Vec::from_iter(converted.left_out), expected);
}

#[test]
fn what_protobuf_merges_is_one_member() {
    // A name twice, and a status in two parts.
    let status = |bytes: &[u8]| [&[0x7a, bytes.len() as u8], bytes].concat();
    let parts = [b"\x2a\x01a\x2a\x01b".to_vec(), status(b"\x12\x01m"), status(b"\x18\x02")].concat();
    let around = |bytes: Vec<u8>, number: u8| [vec![number << 3 | 2, bytes.len() as u8], bytes].concat();
    let request = around(around(around(parts, 2), 2), 1);
    let expected = span(r#""name":"b","status":{"message":"m","code":2}"#);
    assert_eq!(json(&request, Signal::Traces), expected);
}

#[test]
fn values_are_nested_as_deep_as_decoders_take_them() {
    let nested = |levels: usize| {
        let (open, close) = (r#"{"arrayValue":{"values":["#.repeat(levels), "]}}".repeat(levels));
        span(&format!(r#""attributes":[{{"value":{open}{{"boolValue":true}}{close}}}]"#))
    };
    for levels in [0, 47, 48, 10_000] {
        let taken = from_json(nested(levels).as_bytes(), Signal::Traces);
        assert_eq!(taken.is_ok(), levels <= 47, "{levels}");
        match taken {
            Ok(taken) => assert_eq!(json(&taken.request, Signal::Traces), nested(levels)),
            Err(flaw) => assert!(flaw.to_string().contains(TOO_DEEP), "{flaw}"),
        }
    }
}

#[test]
fn what_is_no_request_has_no_json() {
    for (bytes, expected) in [
        (&b"\x0a"[..], "breaks off"),
        (b"\x0a\x05", "beyond the end"),
        (b"\x08\x01", "resourceSpans: it has the wire type of another field"),
        (b"\x0e", "no such wire type"),
        (b"\x0a\x03\x1a\x01\xff", "resourceSpans.schemaUrl: it is not UTF-8"),
    ] {
        let said = to_json(bytes, Signal::Traces).unwrap_err().to_string();
        assert!(said.contains(expected), "{bytes:?}: {said}");
    }
}
