//! OTLP: export requests with every field, as opentelemetry-proto has them.

pub use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest as Logs;
pub use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest as Metrics;
pub use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest as Traces;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, EntityRef, InstrumentationScope, KeyValue, KeyValueList, any_value::Value,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint,
    Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint, exemplar, metric,
    number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};

const TIME: u64 = 1_795_000_000_123_456_789;

/// A value that has a type.
pub fn any(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

/// An attribute.
fn pair(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(any(value)), ..Default::default() }
}

/// Attributes of every type.
fn attributes() -> Vec<KeyValue> {
    let list = ArrayValue { values: vec![any(Value::IntValue(-1)), AnyValue::default()] };
    let map = KeyValueList { values: vec![pair("inner", Value::ArrayValue(list.clone()))] };
    vec![
        pair("text", Value::StringValue("żółw 🐢".into())),
        pair("plain", Value::StringValue("value".into())),
        pair("empty", Value::StringValue(String::new())),
        pair("bool", Value::BoolValue(true)),
        pair("int", Value::IntValue(i64::MIN)),
        pair("double", Value::DoubleValue(f64::NAN)),
        pair("list", Value::ArrayValue(list)),
        pair("map", Value::KvlistValue(map)),
        pair("bytes", Value::BytesValue(vec![0xff, 0, 0xc3])),
        KeyValue::default(),
    ]
}

fn resource() -> Option<Resource> {
    let entity = EntityRef {
        schema_url: "s".into(),
        r#type: "service".into(),
        id_keys: vec!["service.name".into()],
        description_keys: vec!["version".into()],
    };
    Some(Resource { attributes: attributes(), dropped_attributes_count: 3, entity_refs: vec![entity] })
}

fn scope() -> Option<InstrumentationScope> {
    Some(InstrumentationScope {
        name: "scope".into(),
        version: "1".into(),
        attributes: attributes(),
        dropped_attributes_count: u32::MAX,
    })
}

/// A request with this span.
pub fn traces_of(span: Span) -> Traces {
    let scope_spans = ScopeSpans { scope: scope(), spans: vec![span], schema_url: "url".into() };
    let resource_spans =
        ResourceSpans { resource: resource(), scope_spans: vec![scope_spans], schema_url: "url".into() };
    Traces { resource_spans: vec![resource_spans] }
}

/// Spans with every field.
pub fn traces() -> Traces {
    let (trace_id, span_id) = (vec![0xf1; 16], vec![0xe2; 8]);
    let link = Link {
        trace_id: trace_id.clone(),
        span_id: span_id.clone(),
        trace_state: "a=1".into(),
        attributes: attributes(),
        dropped_attributes_count: 1,
        flags: 0x301,
    };
    let event = Event {
        time_unix_nano: TIME,
        name: "event".into(),
        attributes: attributes(),
        dropped_attributes_count: 1,
    };
    traces_of(Span {
        trace_id,
        span_id: span_id.clone(),
        trace_state: "a=1".into(),
        parent_span_id: span_id,
        flags: 0x101,
        name: "span".into(),
        kind: 5,
        start_time_unix_nano: TIME,
        end_time_unix_nano: TIME + 1,
        attributes: attributes(),
        dropped_attributes_count: 1,
        events: vec![event, Event::default()],
        dropped_events_count: 2,
        links: vec![link],
        dropped_links_count: 3,
        status: Some(Status { message: "why".into(), code: 2 }),
    })
}

/// Log records with every field.
pub fn logs() -> Logs {
    let record = LogRecord {
        time_unix_nano: TIME,
        observed_time_unix_nano: TIME,
        severity_number: 17,
        severity_text: "ERROR".into(),
        body: Some(any(Value::StringValue("what".into()))),
        attributes: attributes(),
        dropped_attributes_count: 1,
        flags: 1,
        trace_id: vec![0xf1; 16],
        span_id: vec![0xe2; 8],
        event_name: "event".into(),
    };
    let scope_logs = ScopeLogs { scope: scope(), log_records: vec![record], schema_url: "url".into() };
    let resource_logs =
        ResourceLogs { resource: resource(), scope_logs: vec![scope_logs], schema_url: "url".into() };
    Logs { resource_logs: vec![resource_logs] }
}

/// Metrics of each kind with every field.
pub fn metrics() -> Metrics {
    let (start_time_unix_nano, time_unix_nano, flags) = (TIME, TIME + 1, 1);
    let exemplar = |value| Exemplar {
        filtered_attributes: attributes(),
        time_unix_nano: TIME,
        span_id: vec![0xe2; 8],
        trace_id: vec![0xf1; 16],
        value: Some(value),
    };
    let exemplars = vec![exemplar(exemplar::Value::AsInt(-7)), exemplar(exemplar::Value::AsDouble(0.5))];
    let number = |value| NumberDataPoint {
        attributes: attributes(),
        start_time_unix_nano,
        time_unix_nano,
        exemplars: exemplars.clone(),
        flags,
        value: Some(value),
    };
    let data_points =
        vec![number(number_data_point::Value::AsInt(-1)), number(number_data_point::Value::AsDouble(1.5))];
    let histogram = HistogramDataPoint {
        attributes: attributes(),
        start_time_unix_nano,
        time_unix_nano,
        count: 3,
        sum: Some(2.5),
        bucket_counts: vec![1, 2],
        explicit_bounds: vec![0.5],
        exemplars: exemplars.clone(),
        flags,
        min: Some(-1.0),
        max: Some(1.0),
    };
    let exponential = ExponentialHistogramDataPoint {
        attributes: attributes(),
        start_time_unix_nano,
        time_unix_nano,
        count: 3,
        sum: Some(2.5),
        scale: -3,
        zero_count: 1,
        positive: Some(Buckets { offset: -2, bucket_counts: vec![1, 300, u64::MAX] }),
        negative: Some(Buckets::default()),
        flags,
        exemplars,
        min: Some(-1.0),
        max: Some(1.0),
        zero_threshold: 0.1,
    };
    let summary = SummaryDataPoint {
        attributes: attributes(),
        start_time_unix_nano,
        time_unix_nano,
        count: 3,
        sum: 2.5,
        quantile_values: vec![ValueAtQuantile { quantile: 0.5, value: 1.0 }],
        flags,
    };
    let sum = Sum { data_points: data_points.clone(), aggregation_temporality: 1, is_monotonic: true };
    let data = [
        metric::Data::Gauge(Gauge { data_points }),
        metric::Data::Sum(sum),
        metric::Data::Histogram(Histogram { data_points: vec![histogram], aggregation_temporality: 2 }),
        metric::Data::ExponentialHistogram(ExponentialHistogram {
            data_points: vec![exponential],
            aggregation_temporality: 2,
        }),
        metric::Data::Summary(Summary { data_points: vec![summary] }),
    ];
    let metric = |data| Metric {
        name: "requests".into(),
        description: "how many".into(),
        unit: "1".into(),
        metadata: attributes(),
        data: Some(data),
    };
    let scope_metrics = ScopeMetrics {
        scope: scope(),
        metrics: data.into_iter().map(metric).collect(),
        schema_url: "url".into(),
    };
    let resource_metrics = ResourceMetrics {
        resource: resource(),
        scope_metrics: vec![scope_metrics],
        schema_url: "url".into(),
    };
    Metrics { resource_metrics: vec![resource_metrics] }
}
