//! The check against the decoder that opentelemetry-proto brings.

use opentelemetry_proto::tonic::common::v1::{ArrayValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

use super::check;
use super::judge::records;
use crate::config::Signal;
use requests::{Traces, any, logs, metrics, traces, traces_of};

// By path: a crate that has this one in it can't be linked with its tests.
#[path = "../../testkit/src/otlp.rs"]
#[allow(unused_imports, missing_docs)]
mod requests;

/// A request of each signal with every field.
fn requests() -> [(Signal, Vec<u8>); 3] {
    [
        (Signal::Traces, traces().encode_to_vec()),
        (Signal::Logs, logs().encode_to_vec()),
        (Signal::Metrics, metrics().encode_to_vec()),
    ]
}

fn why(bytes: &[u8], signal: Signal) -> String {
    check(bytes, signal).unwrap_err().to_string()
}

#[test]
fn requests_with_every_field_pass_and_those_of_another_signal_do_not() {
    for (signal, request) in requests() {
        assert_eq!(check(&request, signal), Ok(()), "{signal:?}");
        for other in Signal::ALL.into_iter().filter(|other| *other != signal) {
            assert!(check(&request, other).is_err(), "{signal:?} as {other:?}");
        }
        let twice = request.repeat(2);
        assert_eq!(check(&twice, signal), Ok(()), "{signal:?} twice");
    }
}

#[test]
fn every_damage_is_judged_as_the_decoder_does() {
    for (signal, request) in requests() {
        for len in 0..request.len() {
            let is_good = records(&request[..len], signal).is_some_and(|records| records > 0);
            assert_eq!(check(&request[..len], signal).is_ok(), is_good, "{signal:?} up to {len}");
        }
        for at in 0..request.len() {
            for changed in [0, 0x80, 0xff, request[at] ^ 1, request[at] ^ 8] {
                let mut damaged = request.clone();
                damaged[at] = changed;
                let is_good = records(&damaged, signal).is_some_and(|records| records > 0);
                let verdict = check(&damaged, signal);
                // At the top we take field 1 only, and it passes what it does not know.
                let is_at_top = verdict.as_ref().is_err_and(|flaw| flaw.to_string().contains("field 1 only"));
                assert!(verdict.is_ok() == is_good || is_at_top, "{signal:?} {changed} at {at}: {verdict:?}");
            }
        }
    }
}

#[test]
fn a_flaw_says_where_and_in_which_field() {
    let request = traces_of(Span { name: "ab".into(), ..Span::default() }).encode_to_vec();
    let at = request.windows(2).position(|two| two == b"ab").unwrap();
    let mut bad = request.clone();
    bad[at + 1] = 0xff;
    let expected = format!("at byte {}, in resource_spans.scope_spans.spans.name: it is not UTF-8", at + 1);
    assert_eq!(why(&bad, Signal::Traces), expected);
    bad[at - 1] = 200;
    let expected =
        format!("at byte {}, in resource_spans.scope_spans.spans.name: its length is beyond the end", at - 2);
    assert_eq!(why(&bad, Signal::Traces), expected);
    assert!(why(&request, Signal::Logs).starts_with("at byte "), "{}", why(&request, Signal::Logs));
}

#[test]
fn what_is_no_request_is_refused() {
    let json = why(br#"{"resourceSpans":[]}"#, Signal::Traces);
    assert!(json.contains("JSON"), "{json}");
    for (bytes, expected) in [
        (&b"\x12\x00"[..], "field 1 only"),
        (b"\x0a", "breaks off"),
        (b"\x0a\x05", "beyond the end"),
        (b"\x08\x01", "wire type of another field"),
        (b"\x0e", "no such wire type"),
        (b"\x02\x00", "number 0"),
        (b"\x0a\x00", "no span"),
        (b"", "no span"),
        (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "64 bits"),
    ] {
        assert!(why(bytes, Signal::Traces).contains(expected), "{}", why(bytes, Signal::Traces));
    }
}

#[test]
fn values_are_nested_as_deep_as_decoders_take_them() {
    let nested = |levels: usize| {
        let inner = any(Value::BoolValue(true));
        let around = |inner| any(Value::ArrayValue(ArrayValue { values: vec![inner] }));
        let value = (0..levels).fold(inner, |inner, _| around(inner));
        let attribute = KeyValue { key: "k".into(), value: Some(value), ..Default::default() };
        traces_of(Span { attributes: vec![attribute], ..Span::default() }).encode_to_vec()
    };
    for levels in 0..=110 {
        let request = nested(levels);
        let is_good = Traces::decode(&request[..]).is_ok();
        assert_eq!(check(&request, Signal::Traces).is_ok(), is_good, "{levels}");
        assert_eq!(is_good, levels <= 47, "{levels}");
    }
    assert!(why(&nested(100), Signal::Traces).contains("more than 100 messages"));
}

#[test]
fn fields_that_are_not_known_pass() {
    let inner =
        [b"\x80\x08\x01".as_slice(), b"\x8a\x08\x02hi", b"\x91\x08abcdefgh", b"\x9d\x08abcd"].concat();
    let mut span = Span { name: "ab".into(), ..Span::default() }.encode_to_vec();
    span.extend(&inner);
    let within = |number: u8, bytes: Vec<u8>| [vec![number << 3 | 2, bytes.len() as u8], bytes].concat();
    let request = within(1, within(2, within(2, span)));
    assert_eq!(records(&request, Signal::Traces), Some(1));
    assert_eq!(check(&request, Signal::Traces), Ok(()));
}
