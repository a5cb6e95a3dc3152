//! Metric exporter: metrics are durable once the reader has exported them.

use std::env;
use std::time::Duration;

use opentelemetry::otel_warn;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use prost::Message;
use spanspool::Signal;

use crate::constructors::constructors;
use crate::spool::Spool;

/// Named in the OpenTelemetry specification, "OpenTelemetry Protocol Exporter".
const TEMPORALITY: &str = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";

/// Stores what a [`PeriodicReader`](opentelemetry_sdk::metrics::PeriodicReader) collects, one item for each collection.
///
/// The temporality is cumulative unless [`with_temporality`](Self::with_temporality) or, when the exporter is made, the
/// variable `OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE` (`cumulative`, `delta` or `lowmemory`) says otherwise.
#[derive(Debug)]
pub struct SpoolMetricExporter {
    spool: Spool,
    temporality: Temporality,
}

constructors!(SpoolMetricExporter, Signal::Metrics, |spool| Self {
    spool,
    temporality: preferred_temporality()
});

fn preferred_temporality() -> Temporality {
    let Some(value) = env::var(TEMPORALITY).ok().filter(|value| !value.trim().is_empty()) else {
        return Temporality::Cumulative;
    };
    value.trim().parse().unwrap_or_else(|()| {
        otel_warn!(
            name: "Spanspool.UnknownTemporality",
            message = "The temporality is cumulative: cumulative, delta and lowmemory are allowed.",
            variable = TEMPORALITY,
            value = value
        );
        Temporality::Cumulative
    })
}

impl SpoolMetricExporter {
    /// Has the SDK compute sums and histograms with this temporality.
    ///
    /// A request can arrive twice, and then a delta counts twice. Cumulative values do not.
    pub fn with_temporality(mut self, temporality: Temporality) -> Self {
        self.temporality = temporality;
        self
    }
}

impl PushMetricExporter for SpoolMetricExporter {
    /// Stores the metrics; waits for no network. A collection without a metric is not stored.
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let request = ExportMetricsServiceRequest::from(metrics);
        let has_metrics = |of: &ExportMetricsServiceRequest| {
            of.resource_metrics.iter().flat_map(|of| &of.scope_metrics).any(|of| !of.metrics.is_empty())
        };
        let request = Some(request).filter(has_metrics);
        self.spool.enqueue_each(request.into_iter(), |request, buffer| {
            buffer.extend_from_slice(&request.encode_to_vec());
        })
    }

    /// As [`SpoolSpanProcessor`](crate::SpoolSpanProcessor) does.
    fn force_flush(&self) -> OTelSdkResult {
        self.spool.flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.spool.shut_down(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.temporality
    }
}
