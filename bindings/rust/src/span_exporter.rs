//! Span exporter: a span is durable once its batch is exported.

use std::time::Duration;

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use spanspool::Signal;

use crate::constructors::constructors;
use crate::encode::{Envelope, span_request};
use crate::spool::Spool;

/// Stores batches of spans in the spool, for programs that keep the SDK's batch processor.
///
/// A span is durable once its batch is exported, not when `end()` returns: what the batch processor still has in memory
/// dies with the process. [`SpoolSpanProcessor`](crate::SpoolSpanProcessor) has no such gap.
#[derive(Debug)]
pub struct SpoolSpanExporter {
    spool: Spool,
    envelope: Envelope,
}

constructors!(SpoolSpanExporter, Signal::Traces, |spool| Self { spool, envelope: Envelope::default() });

impl SpanExporter for SpoolSpanExporter {
    /// Stores the spans; waits for no network. An error says how many are not stored, and why.
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.spool.enqueue_each(batch.iter(), |span, buffer| span_request(&self.envelope, span, buffer))
    }

    /// As [`SpoolSpanProcessor`](crate::SpoolSpanProcessor) does.
    fn force_flush(&self) -> OTelSdkResult {
        self.spool.flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.spool.shut_down(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.envelope = Envelope::new(resource);
    }
}
