//! Shop: records a span, a log record and a count for each order, until its input ends. Kill it as often as you like:
//! what it said it shipped arrives.
//!
//! ```text
//! cargo run -p spanspool-opentelemetry --features metrics --example shop -- /tmp/spool
//! ```
//! `OTEL_EXPORTER_OTLP_ENDPOINT` says where the receiver is, if not at http://localhost:4318.

use std::error::Error;
use std::io::{self, Read, Write};
use std::process;
use std::thread;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::logs::{LogRecord as _, Logger as _, LoggerProvider as _, Severity};
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry::trace::{TraceContextExt as _, Tracer as _, TracerProvider as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::SdkTracerProvider;
use spanspool_opentelemetry::{SpoolLogProcessor, SpoolMetricExporter, SpoolSpanProcessor};

fn main() -> Result<(), Box<dyn Error>> {
    let Some(spool_dir) = std::env::args_os().nth(1) else {
        return Err("usage: shop SPOOL_DIR".into());
    };
    let resource = Resource::builder().with_service_name("shop").build();
    let traces = SdkTracerProvider::builder()
        .with_resource(resource.clone())
        .with_span_processor(SpoolSpanProcessor::open(&spool_dir)?)
        .build();
    let logs = SdkLoggerProvider::builder()
        .with_resource(resource.clone())
        .with_log_processor(SpoolLogProcessor::open(&spool_dir)?)
        .build();
    let metrics = SdkMeterProvider::builder()
        .with_resource(resource)
        .with_reader(PeriodicReader::builder(SpoolMetricExporter::open(&spool_dir)?).build())
        .build();
    let (tracer, logger) = (traces.tracer("shop"), logs.logger("shop"));
    let orders = metrics.meter("shop").u64_counter("orders").build();

    let input = thread::spawn(|| io::stdin().read_to_end(&mut Vec::new()));
    for n in 1.. {
        if input.is_finished() {
            break;
        }
        let order = format!("order-{}-{n:06}", process::id());
        tracer.in_span("ship", |context| {
            context.span().set_attribute(KeyValue::new("order.id", order.clone()));
            let mut record = logger.create_log_record();
            record.set_severity_number(Severity::Info);
            record.set_body(format!("shipped {order}").into());
            logger.emit(record);
        });
        orders.add(1, &[]);
        writeln!(io::stdout(), "{order}")?;
        thread::sleep(Duration::from_millis(20));
    }

    // Metrics first: the last ones are not collected yet. What is not delivered by then stays in the spool.
    for result in [metrics.shutdown(), traces.shutdown(), logs.shutdown()] {
        result?;
    }
    writeln!(io::stdout(), "all delivered")?;
    Ok(())
}
