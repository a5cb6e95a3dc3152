//! Span processor: a span is durable when `end()` returns.

use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use spanspool::Signal;

use crate::constructors::constructors;
use crate::encode::{Envelope, span_request};
use crate::refusals::Refusals;
use crate::spool::Spool;

/// Stores each sampled span in the spool before `end()` returns.
///
/// It is for [`SdkTracerProvider`](opentelemetry_sdk::trace::SdkTracerProvider), and takes the place of a batch processor
/// with its exporter. `end()` waits for no network. It waits for room in the journal at most `enqueue_timeout_ms`, and
/// for the disk with `durability=power`.
///
/// A span that can't be stored is lost. The SDK's log says why, once for each kind of error until a span is stored again.
#[derive(Debug)]
pub struct SpoolSpanProcessor {
    spool: Spool,
    envelope: Envelope,
    refusals: Refusals,
}

constructors!(SpoolSpanProcessor, Signal::Traces, |spool| Self {
    spool,
    envelope: Envelope::default(),
    refusals: Refusals::default()
});

impl SpanProcessor for SpoolSpanProcessor {
    fn on_start(&self, _span: &mut Span, _cx: &Context) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() {
            let result = self.spool.enqueue(|buffer| span_request(&self.envelope, &span, buffer));
            self.refusals.note(self.spool.signal(), result);
        }
    }

    /// Sends at once, and waits at most 5 seconds until all is delivered or rejected. What is left then is still
    /// delivered.
    fn force_flush(&self) -> OTelSdkResult {
        self.spool.flush()
    }

    /// Takes no more spans, and delivers until `timeout` has passed. What is left stays in the spool for the next process:
    /// `Timeout`.
    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.spool.shut_down(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.envelope = Envelope::new(resource);
    }
}
