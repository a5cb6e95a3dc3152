//! Logs: what the processor and the exporter store equals, decoded, what the SDK's own encoder makes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use opentelemetry::logs::{AnyValue, LogRecord as _, Logger as _, LoggerProvider as _, Severity};
use opentelemetry::trace::{SpanContext, TraceContextExt, TraceState};
use opentelemetry::{Context, InstrumentationScope, Key, SpanId, TraceFlags, TraceId};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue as ProtoValue, KeyValue as ProtoKeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs};
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::logs::tonic::group_logs_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{
    BatchLogProcessor, LogBatch, LogExporter, LoggerProviderBuilder, SdkLogger, SdkLoggerProvider,
    SimpleLogProcessor,
};
use prost::Message;
use spanspool::BatchTraceProcessor;
use spanspool_opentelemetry::{SpoolLogExporter, SpoolLogProcessor};
use testkit::TempDir;
use testkit::ingest::{Ingest, Request};
use testkit::wait::PATIENCE;

use crate::{Place, client, every_value, receiver, resource, sorted};

fn flat(all: Vec<ResourceLogs>) -> Vec<(Place, LogRecord)> {
    let mut records = Vec::new();
    for of_resource in all {
        let resource = sorted(of_resource.resource);
        for of_scope in of_resource.scope_logs {
            let scope = of_scope.scope.unwrap();
            let place = (resource.clone(), of_resource.schema_url.clone(), scope, of_scope.schema_url);
            records.extend(of_scope.log_records.into_iter().map(|record| (place.clone(), normal(record))));
        }
    }
    in_order(records)
}

/// By the time at which they were made, which each has of its own.
fn in_order(mut records: Vec<(Place, LogRecord)>) -> Vec<(Place, LogRecord)> {
    records.sort_by_key(|(_, record)| record.observed_time_unix_nano);
    records
}

/// The records of a request, each with what stands around it.
pub fn records_in(request: &Request) -> Vec<(Place, LogRecord)> {
    flat(ExportLogsServiceRequest::decode(&*request.body).unwrap().resource_logs)
}

fn arrived(ingest: &Ingest) -> Vec<(Place, LogRecord)> {
    in_order(ingest.requests().iter().flat_map(records_in).collect())
}

/// Its maps sorted: they have no order in the SDK.
fn normal(mut record: LogRecord) -> LogRecord {
    record.body.iter_mut().for_each(sort_maps);
    record.attributes.iter_mut().filter_map(|it| it.value.as_mut()).for_each(sort_maps);
    record
}

fn sort_maps(value: &mut ProtoValue) {
    match &mut value.value {
        Some(Value::KvlistValue(list)) => {
            list.values.sort_by(|a, b| a.key.cmp(&b.key));
            list.values.iter_mut().filter_map(|it: &mut ProtoKeyValue| it.value.as_mut()).for_each(sort_maps);
        }
        Some(Value::ArrayValue(array)) => array.values.iter_mut().for_each(sort_maps),
        _ => {}
    }
}

/// Keeps what the SDK's own encoder makes of each record.
#[derive(Debug, Clone, Default)]
struct Judge {
    resource: Arc<Mutex<ResourceAttributesWithSchema>>,
    made: Arc<Mutex<Vec<ResourceLogs>>>,
}

impl LogExporter for Judge {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        let made = group_logs_by_resource_and_scope(&batch, &self.resource.lock().unwrap());
        self.made.lock().unwrap().extend(made);
        Ok(())
    }

    fn set_resource(&mut self, resource: &Resource) {
        *self.resource.lock().unwrap() = resource.into();
    }
}

/// A value of every type.
fn every_any_value() -> Vec<AnyValue> {
    let map = |entries: Vec<(&'static str, AnyValue)>| {
        AnyValue::Map(Box::new(
            entries.into_iter().map(|(key, value)| (Key::from(key), value)).collect::<HashMap<_, _>>(),
        ))
    };
    let nested =
        (0..40).fold(AnyValue::Int(1), |inner, _| AnyValue::ListAny(Box::new(vec![inner, AnyValue::Int(0)])));
    vec![
        "text-żółw".into(),
        "".into(),
        "z".repeat(100_000).into(),
        true.into(),
        false.into(),
        0_i64.into(),
        i64::MIN.into(),
        0.0.into(),
        1.5.into(),
        AnyValue::Bytes(Box::default()),
        AnyValue::Bytes(Box::new(vec![0xff, 0, 0xc3])),
        AnyValue::ListAny(Box::default()),
        AnyValue::Map(Box::default()),
        map(vec![
            ("", "no key".into()),
            ("bytes", AnyValue::Bytes(Box::new(vec![1; 300]))),
            (
                "inner",
                map(vec![("list", AnyValue::ListAny(Box::new(vec![1.into(), "x".into(), map(vec![])])))]),
            ),
        ]),
        nested,
    ]
}

fn make_records(provider: &SdkLoggerProvider) {
    let scope = InstrumentationScope::builder("scope")
        .with_version("1.2.3")
        .with_schema_url("https://opentelemetry.io/schemas/1.39.0")
        .with_attributes(every_value())
        .build();
    let mut observed = 1;
    for logger in [provider.logger(""), provider.logger_with_scope(scope)] {
        let mut emit = |fill: &dyn Fn(&mut <SdkLogger as opentelemetry::logs::Logger>::LogRecord)| {
            let mut record = logger.create_log_record();
            record.set_observed_timestamp(UNIX_EPOCH + Duration::from_nanos(observed));
            observed += 1;
            fill(&mut record);
            logger.emit(record);
        };
        emit(&|_| {});
        for body in every_any_value() {
            emit(&|record| record.set_body(body.clone()));
            emit(&|record| record.add_attribute("value", body.clone()));
        }
        for severity in [Severity::Trace, Severity::Info3, Severity::Error, Severity::Fatal4] {
            emit(&|record| record.set_severity_number(severity));
        }
        emit(&|record| {
            record.set_event_name("user.login");
            record.set_target("shop::żółw");
            record.set_timestamp(UNIX_EPOCH + Duration::from_secs(1_795_000_000));
            record.set_severity_text("WARNING");
            record.add_attributes((0..10_000).map(|n| (format!("key-{n}"), n.to_string())));
        });
        emit(&|record| record.set_target(""));
        emit(&|record| record.set_trace_context(TraceId::from(1), SpanId::from(2), None));
        emit(&|record| {
            record.set_trace_context(TraceId::INVALID, SpanId::INVALID, Some(TraceFlags::new(0xff)));
        });
        let span =
            SpanContext::new(TraceId::from(3), SpanId::from(4), TraceFlags::SAMPLED, true, TraceState::NONE);
        let _active = Context::new().with_remote_span_context(span).attach();
        emit(&|record| record.set_body("in a span".into()));
    }
}

/// Asserts that what arrives is what the judge makes of the same records. `plug` adds a plug of the client.
fn compare(plug: impl FnOnce(LoggerProviderBuilder, Arc<BatchTraceProcessor>) -> LoggerProviderBuilder) {
    let (dir, receiver, judge) = (TempDir::new("logs"), receiver(), Judge::default());
    let client = client(dir.path(), receiver.port(), "logs");
    let builder = SdkLoggerProvider::builder()
        .with_resource(resource())
        .with_log_processor(SimpleLogProcessor::new(judge.clone()));
    let provider = plug(builder, client.clone()).build();
    make_records(&provider);
    provider.force_flush().unwrap();
    client.flush(PATIENCE).unwrap();
    let (expected, found) = (flat(judge.made.lock().unwrap().clone()), arrived(&receiver));
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(&expected) {
        assert!(found == expected, "number {} differs", expected.1.observed_time_unix_nano);
    }
    assert_eq!(expected.len(), 2 * (2 * every_any_value().len() + 10));
    provider.shutdown().unwrap();
}

#[test]
fn the_processor_stores_what_the_sdk_would_send() {
    compare(|builder, client| builder.with_log_processor(SpoolLogProcessor::with_client(client)));
}

#[test]
fn the_exporter_stores_what_the_sdk_would_send() {
    compare(|builder, client| {
        let exporter = SpoolLogExporter::with_client(client);
        builder.with_log_processor(BatchLogProcessor::builder(exporter).build())
    });
}

#[test]
fn values_that_no_receiver_would_take_become_text() {
    let (dir, receiver) = (TempDir::new("logs-deep"), receiver());
    let client = client(dir.path(), receiver.port(), "logs");
    let processor = SpoolLogProcessor::with_client(client.clone());
    let provider = SdkLoggerProvider::builder().with_log_processor(processor).build();
    let list = |inner| AnyValue::ListAny(Box::new(vec![inner]));
    let map = |inner| AnyValue::Map(Box::new(HashMap::from([(Key::from("in"), inner)])));
    let deep = [
        (0..100).fold("core".into(), |inner, _| list(inner)),
        (0..100).fold("core".into(), |inner, _| map(inner)),
    ];
    let logger = provider.logger("");
    for value in &deep {
        let mut record = logger.create_log_record();
        record.set_body(value.clone());
        record.add_attribute("value", value.clone());
        logger.emit(record);
    }
    client.flush(PATIENCE).unwrap();
    let found = arrived(&receiver);
    assert_eq!(found.len(), deep.len());
    for (_, record) in found {
        let text = format!("{record:?}");
        assert_eq!(text.matches("core").count(), 2, "{text}");
    }
    provider.shutdown().unwrap();
}
