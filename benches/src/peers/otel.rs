//! Otel: opentelemetry_sdk with a processor, as a rule its own for batches, in memory. The spans of that die with the
//! process, and those beyond its queue are dropped.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::{Span as _, Tracer as _, TracerProvider as _};
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SdkTracer, SdkTracerProvider, SpanData, SpanExporter,
    SpanProcessor,
};

use crate::Result;

/// Accepts every batch at once.
#[derive(Debug)]
struct AcceptAll;

impl SpanExporter for AcceptAll {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        Ok(())
    }
}

/// A tracer of a provider with one batch processor.
pub struct Otel {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

impl Otel {
    /// A queue with room for `queue` spans, so that none is dropped, and an exporter that accepts everything.
    pub fn new(queue: usize) -> Self {
        Self::with(batching(AcceptAll, queue, 128))
    }

    /// The SDK's processor and exporter of OTLP, as they are by default, but with room for `queue` spans.
    pub fn exporting(url: &str, queue: usize) -> Result<Self> {
        let exporter = opentelemetry_otlp::SpanExporter::builder().with_http().with_endpoint(url).build()?;
        Ok(Self::with(batching(exporter, queue, 512)))
    }

    /// Spans go to `processor`.
    pub fn with(processor: impl SpanProcessor + 'static) -> Self {
        let provider = SdkTracerProvider::builder().with_span_processor(processor).build();
        let tracer = provider.tracer("bench");
        Self { provider, tracer }
    }

    /// Builds a span with four attributes and ends it.
    pub fn span(&self, n: usize) {
        let mut span = self.tracer.start("find_order");
        span.set_attribute(KeyValue::new("gen_ai.tool.name", "find_order"));
        span.set_attribute(KeyValue::new("gen_ai.operation.name", "execute_tool"));
        span.set_attribute(KeyValue::new("order", n as i64));
        span.set_attribute(KeyValue::new("cached", false));
        span.end();
    }

    /// Waits until all spans are exported.
    pub fn flush(&self) -> Result<()> {
        Ok(self.provider.force_flush()?)
    }
}

fn batching(exporter: impl SpanExporter + 'static, queue: usize, batch: usize) -> BatchSpanProcessor {
    let config = BatchConfigBuilder::default()
        .with_max_queue_size(queue)
        .with_max_export_batch_size(batch)
        .with_scheduled_delay(Duration::from_secs(1))
        .build();
    BatchSpanProcessor::builder(exporter).with_batch_config(config).build()
}
