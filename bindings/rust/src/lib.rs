//! A durable exporter for OpenTelemetry: a span is on disk when `end()` returns, and a log record when `emit()` does.
//! spanspool delivers both by OTLP: now, after an outage, or from the next process after this one was killed.
//!
//! ```
//! use opentelemetry::trace::{Tracer, TracerProvider};
//! use opentelemetry_sdk::trace::SdkTracerProvider;
//! use spanspool_opentelemetry::SpoolSpanProcessor;
//!
//! # let spool_dir = std::env::temp_dir().join(format!("spanspool-otel-doc-{}", std::process::id()));
//! let provider = SdkTracerProvider::builder()
//!     .with_span_processor(SpoolSpanProcessor::open(&spool_dir)?)
//!     .build();
//! provider.tracer("shop").in_span("refund", |_| {}); // durable from here on
//!
//! // Nothing may listen at http://localhost:4318: what is not delivered by then stays in the spool.
//! let _ = provider.shutdown_with_timeout(std::time::Duration::ZERO);
//! # std::fs::remove_dir_all(spool_dir)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | | durable |
//! |---|---|
//! | [`SpoolSpanProcessor`], [`SpoolLogProcessor`] | when `end()` or `emit()` returns |
//! | [`SpoolSpanExporter`], [`SpoolLogExporter`] | once the SDK's batch processor has exported |
//! | `SpoolMetricExporter` (feature `metrics`) | once the SDK's reader has exported |
//!
//! Each is made by `open` on a folder, by `with_config` with any setting, or by `with_client` of a client that the program
//! shares with it. All of them may be used from any thread, and by any number of processes on one folder.

mod constructors;
mod encode;
mod log_exporter;
mod log_processor;
#[cfg(feature = "metrics")]
mod metric_exporter;
mod refusals;
mod span_exporter;
mod span_processor;
mod spool;

pub use log_exporter::SpoolLogExporter;
pub use log_processor::SpoolLogProcessor;
#[cfg(feature = "metrics")]
pub use metric_exporter::SpoolMetricExporter;
pub use span_exporter::SpoolSpanExporter;
pub use span_processor::SpoolSpanProcessor;
pub use spanspool;
