//! Quickstart: a span and a log record go into the spool, and from there to the receiver.
//!
//! ```text
//! cargo run -p spanspool-opentelemetry --example quickstart -- /tmp/spool
//! ```
//! `OTEL_EXPORTER_OTLP_ENDPOINT` says where the receiver is, if not at http://localhost:4318.

use std::error::Error;

use opentelemetry::KeyValue;
use opentelemetry::logs::{LogRecord as _, Logger as _, LoggerProvider as _, Severity};
use opentelemetry::trace::{TraceContextExt as _, Tracer as _, TracerProvider as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use spanspool_opentelemetry::{SpoolLogProcessor, SpoolSpanProcessor};

fn main() -> Result<(), Box<dyn Error>> {
    let Some(spool_dir) = std::env::args_os().nth(1) else {
        return Err("usage: quickstart SPOOL_DIR".into());
    };
    let resource = Resource::builder().with_service_name("quickstart").build();
    let traces = SdkTracerProvider::builder()
        .with_resource(resource.clone())
        .with_span_processor(SpoolSpanProcessor::open(&spool_dir)?)
        .build();
    let logs = SdkLoggerProvider::builder()
        .with_resource(resource)
        .with_log_processor(SpoolLogProcessor::open(&spool_dir)?)
        .build();

    traces.tracer("quickstart").in_span("lookup", |context| {
        context.span().set_attribute(KeyValue::new("answer", 42));
        let logger = logs.logger("quickstart");
        let mut record = logger.create_log_record();
        record.set_severity_number(Severity::Info);
        record.set_body("found it".into());
        logger.emit(record); // durable from here on
    }); // the span as well

    // What is not delivered by then stays in the spool for the next process.
    for result in [traces.shutdown(), logs.shutdown()] {
        result?;
    }
    Ok(())
}
