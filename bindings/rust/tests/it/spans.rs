//! Spans: what the processor and the exporter store equals, decoded, what the SDK's own encoder makes.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{
    Event, Link, Span as _, SpanContext, SpanKind, Status, TraceContextExt, TraceFlags, TraceState,
    Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, InstrumentationScope, KeyValue, SpanId, TraceId};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span as ProtoSpan};
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider, SimpleSpanProcessor, SpanData, SpanExporter,
    SpanProcessor, TracerProviderBuilder,
};
use prost::Message;
use spanspool::BatchTraceProcessor;
use spanspool_opentelemetry::{SpoolSpanExporter, SpoolSpanProcessor};
use testkit::TempDir;
use testkit::ingest::{Ingest, Request};
use testkit::wait::PATIENCE;

use crate::{Place, client, every_value, receiver, resource, sorted, span_data};

/// The spans of a request, each with what stands around it.
pub fn spans_in(request: &Request) -> Vec<(Place, ProtoSpan)> {
    flat(ExportTraceServiceRequest::decode(&*request.body).unwrap().resource_spans)
}

fn flat(all: Vec<ResourceSpans>) -> Vec<(Place, ProtoSpan)> {
    let mut spans = Vec::new();
    for of_resource in all {
        let resource = sorted(of_resource.resource);
        for of_scope in of_resource.scope_spans {
            let scope = of_scope.scope.unwrap();
            let place = (resource.clone(), of_resource.schema_url.clone(), scope, of_scope.schema_url);
            spans.extend(of_scope.spans.into_iter().map(|span| (place.clone(), span)));
        }
    }
    spans.sort_by(|(_, a), (_, b)| a.span_id.cmp(&b.span_id));
    spans
}

pub fn arrived(ingest: &Ingest) -> Vec<(Place, ProtoSpan)> {
    let mut spans: Vec<_> = ingest.requests().iter().flat_map(spans_in).collect();
    spans.sort_by(|(_, a), (_, b)| a.span_id.cmp(&b.span_id));
    spans
}

/// Keeps what the SDK's own encoder makes of each span.
#[derive(Debug, Clone, Default)]
struct Judge {
    resource: Arc<Mutex<ResourceAttributesWithSchema>>,
    made: Arc<Mutex<Vec<ResourceSpans>>>,
}

impl SpanExporter for Judge {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let made = group_spans_by_resource_and_scope(batch, &self.resource.lock().unwrap());
        self.made.lock().unwrap().extend(made);
        Ok(())
    }

    fn set_resource(&mut self, resource: &Resource) {
        *self.resource.lock().unwrap() = resource.into();
    }
}

impl Judge {
    fn spans(&self) -> Vec<(Place, ProtoSpan)> {
        flat(self.made.lock().unwrap().clone())
    }
}

fn at(nanos: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(nanos)
}

fn remote(flags: TraceFlags, state: &[(&str, &str)]) -> SpanContext {
    let state = TraceState::from_key_value(state.iter().copied()).unwrap();
    SpanContext::new(TraceId::from(7_u128 << 64), SpanId::from(9), flags, true, state)
}

/// Ends spans that together have every field.
fn make_spans(provider: &SdkTracerProvider) {
    let scope = InstrumentationScope::builder("scope-żółw")
        .with_version("1.2.3")
        .with_schema_url("https://opentelemetry.io/schemas/1.39.0")
        .with_attributes(every_value())
        .build();
    for tracer in [provider.tracer(""), provider.tracer("plain"), provider.tracer_with_scope(scope)] {
        kinds(&tracer);
        let parent = Context::new()
            .with_remote_span_context(remote(TraceFlags::SAMPLED, &[("vendor", "a:b"), ("other", "1")]));
        every_field(&tracer, &parent);
        many(&tracer, &parent);
        limits(&tracer);
        sizes(&tracer);
        tracer
            .build_with_context(tracer.span_builder("").with_start_time(UNIX_EPOCH), &parent)
            .end_with_timestamp(at(0));
        let before_1970 = UNIX_EPOCH - Duration::from_secs(1);
        tracer
            .span_builder("early")
            .with_start_time(before_1970)
            .start(&tracer)
            .end_with_timestamp(at(u64::MAX));
    }
}

fn kinds(tracer: &SdkTracer) {
    use SpanKind::{Client, Consumer, Internal, Producer, Server};
    for kind in [Client, Server, Producer, Consumer, Internal] {
        tracer.span_builder(format!("{kind:?}")).with_kind(kind).start(tracer).end();
    }
}

fn every_field(tracer: &SdkTracer, parent: &Context) {
    let builder =
        tracer.span_builder("every field \u{1f980}").with_attributes(every_value()).with_links(vec![
            Link::new(remote(TraceFlags::default(), &[("linked", "yes")]), every_value(), 0),
            Link::new(SpanContext::empty_context(), Vec::new(), 0),
        ]);
    let mut span = tracer.build_with_context(builder, parent);
    span.add_link(remote(TraceFlags::new(0xff), &[]), vec![KeyValue::new("n", 1)]);
    span.add_event("", Vec::new());
    span.add_event_with_timestamp("event", at(1), every_value());
    span.set_status(Status::error("it failed: żółw"));
    // A child of this process.
    let context = parent.with_remote_span_context(SpanContext::new(
        TraceId::from(1),
        SpanId::from(2),
        TraceFlags::SAMPLED,
        false,
        TraceState::default(),
    ));
    let mut child = tracer.start_with_context("local child", &context);
    child.set_status(Status::Ok);
    child.end();
    let mut failed = tracer.start("error without text");
    failed.set_status(Status::error(""));
    failed.end();
    span.end();
}

/// 10,000 attributes: the SDK keeps as many as its limit.
fn many(tracer: &SdkTracer, parent: &Context) {
    let attributes: Vec<_> = (0..10_000).map(|n| KeyValue::new(format!("key-{n}"), n.to_string())).collect();
    tracer.build_with_context(tracer.span_builder("many").with_attributes(attributes), parent).end();
}

/// More than the limits of the SDK: what it drops is counted.
fn limits(tracer: &SdkTracer) {
    let few = |count: i64| (0..count).map(|n| KeyValue::new("k", n)).collect::<Vec<_>>();
    let mut span = tracer.start("over the limits");
    span.set_attributes(few(200));
    for _ in 0..200 {
        span.add_event("event", few(200));
        span.add_link(remote(TraceFlags::SAMPLED, &[]), few(200));
    }
    span.end();
}

/// Spans around 128 bytes and around 16 KiB, where a length begins to take one byte more, with all that is around them.
fn sizes(tracer: &SdkTracer) {
    let around_16_kib = (1 << 14) - 300..(1 << 14) + 20;
    (0..100).chain(around_16_kib).for_each(|length| tracer.start("n".repeat(length)).end());
}

/// Asserts that what arrives is what the judge makes of the same spans. `plug` adds a plug of the client.
fn compare(
    limited: bool,
    plug: impl FnOnce(TracerProviderBuilder, Arc<BatchTraceProcessor>) -> TracerProviderBuilder,
) {
    let (dir, receiver, judge) = (TempDir::new("spans"), receiver(), Judge::default());
    let client = client(dir.path(), receiver.port(), "traces");
    let mut builder = SdkTracerProvider::builder()
        .with_resource(resource())
        .with_span_processor(SimpleSpanProcessor::new(judge.clone()));
    if !limited {
        builder = builder.with_max_attributes_per_span(20_000);
    }
    let provider = plug(builder, client.clone()).build();
    make_spans(&provider);
    provider.force_flush().unwrap();
    client.flush(PATIENCE).unwrap();
    let (expected, found) = (judge.spans(), arrived(&receiver));
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(&expected) {
        assert!(found == expected, "{:?} differs", expected.1.name);
    }
    let most = expected.iter().map(|(_, span)| span.attributes.len()).max();
    assert_eq!(most, Some(if limited { 128 } else { 10_000 }));
    provider.shutdown().unwrap();
}

#[test]
fn the_processor_stores_what_the_sdk_would_send() {
    for limited in [true, false] {
        compare(limited, |builder, client| {
            builder.with_span_processor(SpoolSpanProcessor::with_client(client))
        });
    }
}

#[test]
fn the_exporter_stores_what_the_sdk_would_send() {
    for limited in [true, false] {
        compare(limited, |builder, client| {
            let exporter = SpoolSpanExporter::with_client(client);
            builder.with_span_processor(BatchSpanProcessor::builder(exporter).build())
        });
    }
}

/// A span that no tracer makes: counts at their most, and ids of zeros.
fn invented() -> SpanData {
    let mut span = span_data("");
    span.span_context =
        SpanContext::new(TraceId::INVALID, SpanId::INVALID, TraceFlags::SAMPLED, false, TraceState::NONE);
    span.parent_span_is_remote = true;
    span.dropped_attributes_count = 300;
    span.events.events = vec![Event::new("event", at(1), Vec::new(), u32::MAX)];
    span.events.dropped_count = u32::MAX;
    span.links.links = vec![Link::new(SpanContext::empty_context(), Vec::new(), 128)];
    span.links.dropped_count = 127;
    span
}

#[test]
fn counts_and_empty_ids_are_the_same_too_without_a_resource() {
    let (dir, receiver, judge) = (TempDir::new("spans-invented"), receiver(), Judge::default());
    let client = client(dir.path(), receiver.port(), "traces");
    // No provider sets a resource.
    SpoolSpanProcessor::with_client(client.clone()).on_end(invented());
    SimpleSpanProcessor::new(judge.clone()).on_end(invented());
    client.flush(PATIENCE).unwrap();
    let expected = judge.spans();
    assert_eq!(expected.len(), 1);
    assert_eq!(arrived(&receiver), expected);
}

#[test]
fn a_span_that_is_not_sampled_is_not_stored() {
    let (dir, receiver) = (TempDir::new("spans-unsampled"), receiver());
    let client = client(dir.path(), receiver.port(), "traces");
    let mut dropped = span_data("dropped");
    dropped.span_context = SpanContext::empty_context();
    SpoolSpanProcessor::with_client(client.clone()).on_end(dropped);
    let provider = SdkTracerProvider::builder()
        .with_sampler(Sampler::AlwaysOff)
        .with_span_processor(SpoolSpanProcessor::with_client(client.clone()))
        .build();
    provider.tracer("").start("unsampled").end();
    assert_eq!(client.stats().unwrap().accepted, 0);
}
