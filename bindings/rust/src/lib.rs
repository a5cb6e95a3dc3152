#![doc = include_str!("../README.md")]

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
