//! spanspool makes a program's traces and spans durable before the call returns, and delivers them to an HTTP
//! ingest whenever that can be reached: now, after the outage, or from the next process after this one was killed.
//!
//! ```text
//!   Item ──▶ BatchTraceProcessor ──▶ spool (journal, segments) ──▶ drain ──▶ export ──▶ the ingest
//! ```

pub mod capi;
pub mod config;
mod error;

mod batch;
mod item;
pub mod model;

mod client;
mod processor;

mod adopter;
mod runner;
mod threads;

mod spool;

mod drain;

mod export;

mod fork;

pub use batch::Batch;
pub use config::{Config, Level};
pub use error::{Error, ErrorKind, Result};
pub use export::{Answer, BackendSpanExporter, ConsoleSpanExporter, Outcome, TracingExporter};
pub use model::{Json, Span, SpanData, SpanError, Trace};
pub use processor::{BatchTraceProcessor, TracingProcessor};
pub use spool::{LaneStatus, RejectedItem, SpoolView, Stats};
