//! What arrives is what the SDK's own encoder would have sent, also after a kill.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may stop at what it did not expect"
)]

mod delivery;
mod errors;
mod kill;
mod logs;
#[cfg(feature = "metrics")]
mod metrics;
mod spans;

use std::path::Path;
use std::pin::pin;
use std::process::Command;
use std::task::{Context, Poll, Waker};
use std::time::UNIX_EPOCH;

use opentelemetry::trace::{SpanContext, SpanKind, Status, TraceFlags, TraceState};
use opentelemetry::{Array, InstrumentationScope, KeyValue, SpanId, StringValue, TraceId, Value};
use opentelemetry_proto::tonic::common::v1::{InstrumentationScope as ProtoScope, KeyValue as ProtoKeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource as ProtoResource;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use spanspool::{BatchTraceProcessor, Config};
use testkit::host::Host;
use testkit::ingest::{Answer, Ingest};

/// Settings that send at once, to the receiver on `port`.
pub fn config(spool: &Path, port: u16, settings: &[(&str, &str)]) -> Config {
    let url = format!("http://127.0.0.1:{port}");
    testkit::client::config(spool, &url, &[&[("exporter", "otlp")], settings].concat())
}

/// A client of `signal` that a test shares with a plug.
pub fn client(spool: &Path, port: u16, signal: &str) -> std::sync::Arc<BatchTraceProcessor> {
    BatchTraceProcessor::open(config(spool, port, &[("signal", signal)])).unwrap().into()
}

/// A receiver that takes everything.
pub fn receiver() -> Ingest {
    Ingest::start(|_| Answer::status(200)).unwrap()
}

/// The folder of the spool, in a process of [`in_a_process`].
pub const SPOOL: &str = "SPANSPOOL_TEST_SPOOL";

/// Runs one test in a process of its own, where [`SPOOL`], OpenTelemetry's variable for the endpoint and `more` are set, and
/// no other. By itself that test does nothing.
pub fn in_a_process(test: &str, spool: &Path, port: u16, more: Option<(&str, &str)>) -> Host {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .env_clear()
        .args(["--exact", test, "--nocapture"])
        .env(SPOOL, spool)
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://127.0.0.1:{port}"))
        .envs(more);
    Host::run(&mut command)
}

/// A resource with a schema URL and attributes of every type.
pub fn resource() -> Resource {
    Resource::builder_empty()
        .with_service_name("shop-żółw")
        .with_attributes(every_value())
        .with_schema_url([], "https://opentelemetry.io/schemas/1.40.0")
        .build()
}

/// An attribute of every type, empty, small and large.
pub fn every_value() -> Vec<KeyValue> {
    let texts = ["", "a", "日本語", "\u{10ffff}\0"].map(StringValue::from).to_vec();
    let long = "x".repeat(20_000);
    let mut values = vec![
        KeyValue::new("true", true),
        KeyValue::new("false", false),
        KeyValue::new("zero", 0),
        KeyValue::new("least", i64::MIN),
        KeyValue::new("most", i64::MAX),
        KeyValue::new("double", -0.5),
        KeyValue::new("no number", 0.0),
        KeyValue::new("infinite", f64::NEG_INFINITY),
        KeyValue::new("", "no key"),
        KeyValue::new("empty", ""),
        KeyValue::new("owned", String::from("owned")),
        KeyValue::new("long", long),
        KeyValue::new("key-".repeat(100), "long key"),
        KeyValue::new("bools", Value::Array(Array::Bool(vec![true, false]))),
        KeyValue::new("ints", Value::Array(Array::I64(vec![0, -1, 300]))),
        KeyValue::new("doubles", Value::Array(Array::F64(vec![0.0, 1.5]))),
        KeyValue::new("texts", Value::Array(Array::String(texts))),
        KeyValue::new("none", Value::Array(Array::I64(Vec::new()))),
        KeyValue::new("many", Value::Array(Array::I64((0..5_000).collect()))),
    ];
    // Around 128 bytes, where a length begins to take two: the text, its value, and both with the key.
    values.extend((110..130).map(|length| KeyValue::new("sized", "y".repeat(length))));
    values
}

/// A finished span of that name.
pub fn span_data(name: &'static str) -> SpanData {
    let (trace_id, span_id) = (TraceId::from(1), SpanId::from(1));
    SpanData {
        span_context: SpanContext::new(trace_id, span_id, TraceFlags::SAMPLED, false, TraceState::NONE),
        parent_span_id: SpanId::INVALID,
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name: name.into(),
        start_time: UNIX_EPOCH,
        end_time: UNIX_EPOCH,
        attributes: Vec::new(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: InstrumentationScope::default(),
    }
}

/// A resource in an order of its own, because the SDK has none.
pub fn sorted(resource: Option<ProtoResource>) -> ProtoResource {
    let mut resource = resource.unwrap();
    by_key(&mut resource.attributes);
    resource
}

fn by_key(attributes: &mut [ProtoKeyValue]) {
    attributes.sort_by(|a, b| a.key.cmp(&b.key));
}

/// Where a record stands: its resource, its scope, and their schema URLs.
pub type Place = (ProtoResource, String, ProtoScope, String);

/// What a future gives that waits for nothing, as those of the exporters do.
pub fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits"),
    }
}
