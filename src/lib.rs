//! spanspool makes a program's traces and spans durable before the call returns, and delivers them to an HTTP
//! ingest whenever that can be reached: now, after the outage, or from the next process after this one was killed.
//!
//! ```text
//!   Item ──▶ BatchTraceProcessor ──▶ spool (journal, segments) ──▶ delivery ──▶ export ──▶ the ingest
//! ```
//! When [`BatchTraceProcessor::enqueue`] returns Ok, the item is delivered, pending, rejected and kept with the
//! ingest's answer, or dropped under a limit or for damage; [`Stats`] counts each.
//!
//! ```
//! use std::time::Duration;
//!
//! use spanspool::model::FunctionData;
//! use spanspool::{BatchTraceProcessor, Config, Span, Trace, TracingProcessor};
//!
//! # let dir = std::env::temp_dir().join(format!("spanspool-doc-{}", std::process::id()));
//! # let spool_dir = dir.to_str().ok_or("not UTF-8")?;
//! let mut config = Config::new();
//! config.set("spool_dir", spool_dir)?.set("exporter", "console")?;
//! let processor = BatchTraceProcessor::open(config)?;
//!
//! let trace = Trace::new("Refunds");
//! processor.on_trace_start(&trace)?; // durable from here on
//! let mut span = Span::new(&trace.id, FunctionData::new("lookup"));
//! span.finish();
//! processor.on_span_end(&span)?;
//!
//! processor.flush(Duration::from_secs(20))?;
//! assert_eq!(processor.stats()?.delivered, 2);
//! processor.shutdown(Duration::ZERO)?;
//! # std::fs::remove_dir_all(dir)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! From C, see `include/spanspool.h`: the feature `c-abi` exports those functions, and a Rust program leaves it off.
//! `docs/design.md` says how it works and why.

#[cfg(feature = "c-abi")]
pub mod capi;
pub mod config;
mod error;

mod batch;
mod item;
pub mod model;
mod otlp;

mod client;
mod delivery;
mod export;
mod os;
mod spool;

#[cfg(any(fuzzing, test))]
#[doc(hidden)]
pub mod fuzzing;

pub use batch::Batch;
pub use client::{BatchTraceProcessor, LaneRepair, TracingProcessor, repair};
pub use config::{Config, Destination, Level, Signal};
pub use error::{Error, ErrorKind, Result};
pub use export::{Answer, BackendSpanExporter, ConsoleSpanExporter, Outcome, TracingExporter};
pub use model::{Json, Span, SpanData, SpanError, Trace};
pub use spool::{
    ExportState, Finding, ForeignLane, Found, LaneCheck, LaneReader, LaneStatus, RejectedItem, SpoolView,
    Stats, UnreadableLane,
};
