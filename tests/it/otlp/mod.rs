//! OTLP: items that are export requests, to receivers that decode what arrives.

mod damage;
mod delivery;
mod environment;
mod long;
mod refusals;

use std::collections::BTreeMap;
use std::path::Path;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest as Traces;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use spanspool::{BatchTraceProcessor, Config};
use testkit::client::config;
use testkit::ingest::{Answer, Request};

/// Settings of an OTLP client that sends at once and tries again soon, then `settings`.
fn otlp_config(spool: &Path, url: &str, settings: &[(&str, &str)]) -> Config {
    config(spool, url, &[&[("exporter", "otlp")], settings].concat())
}

fn open(spool: &Path, url: &str, settings: &[(&str, &str)]) -> BatchTraceProcessor {
    BatchTraceProcessor::open(otlp_config(spool, url, settings)).unwrap()
}

/// The spans `names` below a resource of their own.
fn resource_spans(names: &[&str]) -> ResourceSpans {
    let value = Some(AnyValue { value: Some(Value::StringValue("tests".into())) });
    let attribute = KeyValue { key: "service.name".into(), value, ..KeyValue::default() };
    let span = |name: &&str| Span {
        trace_id: vec![7; 16],
        span_id: vec![9; 8],
        name: (*name).to_owned(),
        start_time_unix_nano: 1_795_000_000_000_000_000,
        end_time_unix_nano: 1_795_000_000_000_000_001,
        ..Span::default()
    };
    let scope_spans = ScopeSpans { spans: names.iter().map(span).collect(), ..ScopeSpans::default() };
    ResourceSpans {
        resource: Some(Resource { attributes: vec![attribute], ..Resource::default() }),
        scope_spans: vec![scope_spans],
        ..ResourceSpans::default()
    }
}

/// A request with one span.
fn item(name: &str) -> Vec<u8> {
    item_of(&[&[name]])
}

/// A request with a resource for each of the `groups` of spans.
fn item_of(groups: &[&[&str]]) -> Vec<u8> {
    let resource_spans = groups.iter().map(|names| resource_spans(names)).collect();
    Traces { resource_spans }.encode_to_vec()
}

/// The names of the spans in a request; it must be one that a receiver can decode.
fn names_in(request: &Request) -> Vec<String> {
    let decoded = Traces::decode(&request.body[..]).unwrap();
    let spans = decoded.resource_spans.iter().flat_map(|of| &of.scope_spans).flat_map(|of| &of.spans);
    spans.map(|span| span.name.clone()).collect()
}

/// How often each span is in the `requests`.
fn times<'a>(requests: impl IntoIterator<Item = &'a Request>) -> BTreeMap<String, usize> {
    let mut times = BTreeMap::new();
    for name in requests.into_iter().flat_map(names_in) {
        *times.entry(name).or_default() += 1;
    }
    times
}

/// The answer of a receiver that took a request but for `rejected_spans`.
fn partly(rejected_spans: i64, error_message: &str) -> Answer {
    let partial_success =
        Some(ExportTracePartialSuccess { rejected_spans, error_message: error_message.into() });
    Answer::status(200)
        .header("content-type", "application/x-protobuf")
        .body(ExportTraceServiceResponse { partial_success }.encode_to_vec())
}
