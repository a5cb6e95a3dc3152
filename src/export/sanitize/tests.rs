#![allow(clippy::unwrap_used, clippy::panic)]

use std::borrow::Cow;
use std::fmt::Write;
use std::path::Path;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::json::Tree;
use super::{MAX_FIELD_BYTES, parse, sanitize, truncate};

/// What the SDK made of a value or an item.
#[derive(Deserialize)]
struct Vector<'a> {
    #[serde(borrow, rename = "in")]
    input: &'a RawValue,
    max: Option<u32>,
    #[serde(borrow)]
    out: &'a RawValue,
}

fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    std::fs::read_to_string(path).unwrap()
}

fn vectors(text: &str) -> Vec<Vector<'_>> {
    text.split('\n').filter(|l| !l.is_empty()).map(|l| serde_json::from_str(l).unwrap()).collect()
}

fn truncated(value: &str, max_bytes: u32) -> String {
    let mut tree = parse::parse(value).unwrap();
    truncate::truncate(&mut tree, Tree::ROOT, max_bytes);
    let mut out = Vec::new();
    tree.write(Tree::ROOT, &mut out);
    assert_eq!(out.len(), tree.size(Tree::ROOT) as usize, "the size is what is written");
    String::from_utf8(out).unwrap()
}

fn sanitized(item: &str) -> String {
    String::from_utf8(sanitize(item.as_bytes()).into_owned()).unwrap()
}

fn span(span_data: &str) -> String {
    format!(r#"{{"object":"trace.span","id":"span_1","span_data":{span_data},"error":null}}"#)
}

fn is_untouched(item: &[u8]) -> bool {
    matches!(sanitize(item), Cow::Borrowed(same) if same == item)
}

#[test]
fn truncation_gives_what_the_sdk_gives() {
    let text = fixture("truncate-vectors.ndjson");
    let vectors = vectors(&text);
    assert_eq!(vectors.len(), 750);
    for (i, v) in vectors.iter().enumerate() {
        assert_eq!(truncated(v.input.get(), v.max.unwrap()), v.out.get(), "line {}", i + 1);
    }
}

#[test]
fn sanitising_gives_what_the_sdk_gives() {
    let text = fixture("sanitize-vectors.ndjson");
    let vectors = vectors(&text);
    assert_eq!(vectors.len(), 17);
    for (i, v) in vectors.iter().enumerate() {
        assert_eq!(sanitized(v.input.get()), v.out.get(), "line {}", i + 1);
    }
}

#[test]
fn real_items_that_need_nothing_keep_their_bytes() {
    let text = fixture("agents-sdk-sample.ndjson");
    let untouched = text.split('\n').filter(|l| !l.is_empty() && is_untouched(l.as_bytes())).count();
    let with_usage =
        text.split('\n').filter(|l| l.contains(r#""span_data""#) && l.contains(r#""usage":{"#)).count();
    assert!(untouched > 200, "only {untouched} untouched");
    assert!(with_usage > 0);
}

#[test]
fn an_item_within_the_limits_keeps_spaces_escapes_and_equal_keys() {
    for item in [
        " { \"object\" : \"trace\", \"metadata\":{\"a\":1,\"a\":2}, \"workflow_name\":\"\\u0041\\ud800\" }\n"
            .to_owned(),
        span(r#"{ "type":"function", "input":"\u0041\/", "output":1e-07, "x":[1.0, 1.0] }"#),
        span(r#"{"type":"generation","input":[{"role":"user","content":"\u00e9 reasoning"}],"usage":null}"#),
        span(r#"{"type":"generation","usage":{"output_tokens":2,"input_tokens":1,"details":{"a":null}}}"#),
        span("[1,2]"),
        span("null"),
        r#"{"span_data":{"type":"custom","data":{"usage":{"a":1},"input":1}}}"#.to_owned(),
        format!(r#"{{"metadata":{{"input":"{}"}}}}"#, "x".repeat(MAX_FIELD_BYTES + 1)),
    ] {
        assert!(is_untouched(item.as_bytes()), "{}", &item[..item.len().min(200)]);
    }
}

#[test]
fn what_is_not_json_passes_as_it_is() {
    let long = "x".repeat(MAX_FIELD_BYTES + 1);
    for item in [
        String::new(),
        "usage".to_owned(),
        span(r#"{"usage":{"a":01}}"#),
        span(r#"{"usage":{"a":1,}}"#),
        span(r#"{"usage":{"a":"\x"}}"#),
        span(r#"{"usage":{"a":"\u12g4"}}"#),
        span(r#"{"usage":nul}"#),
        span("{\"usage\":\"a\nb\"}"),
        format!(r#"{{"span_data":{{"input":"{long}"}}"#),
        format!(r#"{{"span_data":{{"input":"{long}"}}}} x"#),
    ] {
        assert!(is_untouched(item.as_bytes()), "{}", &item[..item.len().min(200)]);
    }
    assert!(is_untouched(b"{\"span_data\":{\"usage\":\"\xff\"}}"));
}

#[test]
fn a_changed_item_is_written_as_python_writes_it() {
    let item = "{ \"a\" : 1.0, \"\\u0061\":1e-07, \"b\":[ ], \"n\":123456789012345678901234567890,\n\
                \"s\":\"\\u00e9\\/\\ud83d\\ude80\\ud800\\u001F\\u000a\\u0022\\u005c\\u007f\",\
                \"span_data\":{\"type\":\"response\",\"usage\":null,\"e\":{ }}}";
    let expected = "{\"a\":1e-07,\"b\":[],\"n\":123456789012345678901234567890,\
                    \"s\":\"é/🚀?\\u001f\\n\\\"\\\\\u{7f}\",\"span_data\":{\"type\":\"response\",\"e\":{}}}";
    assert_eq!(sanitized(item), expected);
}

#[test]
fn of_equal_keys_the_last_counts() {
    let long = "x".repeat(MAX_FIELD_BYTES);
    let item = span(&format!(r#"{{"input":"{long}","type":"custom","\u0069nput":"short"}}"#));
    assert!(is_untouched(item.as_bytes()), "the long input is not the one that counts");
    let item = span(&format!(r#"{{"input":"short","type":"custom","input":"{long}"}}"#));
    let out = sanitized(&item);
    assert!(out.contains(r#"{"input":"xxx"#) && out.contains(r#"... [truncated]","type":"custom"}"#));
}

#[test]
fn usage_keeps_two_counts_and_moves_the_rest_into_details() {
    for (usage, expected) in [
        (
            r#"{"requests":1,"input_tokens":10,"output_tokens":2.5,"x":null,"details":{"a":1,"requests":0}}"#,
            r#","usage":{"input_tokens":10,"output_tokens":2.5,"details":{"a":1,"requests":1}}"#,
        ),
        (
            r#"{"input_tokens":1,"output_tokens":2,"details":{}}"#,
            r#","usage":{"input_tokens":1,"output_tokens":2}"#,
        ),
        (
            r#"{"input_tokens":1,"output_tokens":2,"x":null}"#,
            r#","usage":{"input_tokens":1,"output_tokens":2}"#,
        ),
        (r#"{"input_tokens":1e999,"output_tokens":2}"#, ""),
        (r#"{"input_tokens":false,"output_tokens":2}"#, ""),
        (r#"{"output_tokens":2}"#, ""),
    ] {
        let item = span(&format!(r#"{{"type":"generation","usage":{usage}}}"#));
        assert_eq!(sanitized(&item), span(&format!(r#"{{"type":"generation"{expected}}}"#)), "{usage}");
    }
}

#[test]
fn reasoning_is_taken_out_of_generations_only() {
    let messages = r#"[{"type":"reasoning","t":1},
        {"role":"assistant","thinking":null,"reasoning_content":"r","content":[{"type":"thinking"},{"type":"text"}]},
        {"role":"user","thinking":"kept"},
        {"object":"response","output":[{"type":"r\u0065asoning"},{"role":"assistant","reasoning":1}]}]"#;
    let kept = r#"[{"role":"assistant","content":[{"type":"text"}]},{"role":"user","thinking":"kept"},{"object":"response","output":[{"role":"assistant"}]}]"#;
    let data = |kind: &str, value: &str| span(&format!(r#"{{"type":"{kind}","output":{value}}}"#));
    assert_eq!(sanitized(&data("generation", messages)), data("generation", kept));
    assert!(is_untouched(data("function", messages).as_bytes()));
    let spelt_otherwise = r#"[{"type":"r\u0065asoning"}]"#;
    assert_eq!(sanitized(&data("generation", spelt_otherwise)), data("generation", "[]"));
}

#[test]
fn a_million_levels_are_cut_without_overflowing_the_stack() {
    const LEVELS: usize = 1_000_000;
    let deep = format!("{}{}", "[".repeat(LEVELS), "]".repeat(LEVELS));
    // Each level leaves its child two bytes less, down to an empty array.
    assert_eq!(truncated(&deep, 100), format!("{}{}", "[".repeat(50), "]".repeat(50)));
    let objects = format!("{}1{}", r#"{"a":"#.repeat(LEVELS), "}".repeat(LEVELS));
    assert_eq!(truncated(&objects, 20), r#"{"a":{"a":{"a":{}}}}"#);

    let item = span(&format!(r#"{{"type":"custom","input":{deep},"data":{objects}}}"#));
    let out = sanitized(&item);
    assert!(out.len() < item.len() - 2 * LEVELS + MAX_FIELD_BYTES + 1);
    assert!(out.contains(&objects), "what has no limit is kept whole");
}

#[test]
fn a_field_of_many_members_is_cut_within_the_limit() {
    let mut members = String::new();
    for i in 0..200_000 {
        write!(members, r#""k{i}":"{}","#, i % 97).unwrap();
    }
    let item = span(&format!(r#"{{"type":"custom","input":{{{}"z":0}}}}"#, members));
    let out = sanitized(&item);
    assert!(out.len() < MAX_FIELD_BYTES + 200, "{}", out.len());
    assert!(serde_json::from_str::<serde_json::Value>(&out).is_ok());
}

#[test]
fn an_item_that_was_sanitised_before_stays_as_it_is() {
    for v in vectors(&fixture("sanitize-vectors.ndjson")) {
        let once = sanitized(v.input.get());
        assert_eq!(sanitized(&once), once);
    }
}
