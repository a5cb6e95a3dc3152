//! Span: one step of a trace, with its times and what it did.

use serde::{Deserialize, Serialize};

use super::fields::{Fields, from_fields};
use super::id::gen_span_id;
use super::json::Json;
use super::span_data::SpanData;
use super::time::time_iso;

/// A span as an item: `{"object":"trace.span","id",…,"error"}`.
///
/// Give it to `enqueue` when it is finished. A child may come before its parent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "object", rename = "trace.span", try_from = "Fields")]
#[non_exhaustive]
pub struct Span {
    /// `span_` and 24 hex digits; no other span of the trace may have it.
    pub id: String,
    /// The trace it belongs to.
    pub trace_id: String,
    /// The span it is a step of; `None` at the top of the trace.
    pub parent_id: Option<String>,
    /// When it began, as [`time_iso`](super::time_iso) writes it.
    pub started_at: Option<String>,
    /// When it ended, as [`time_iso`](super::time_iso) writes it.
    pub ended_at: Option<String>,
    /// What it did.
    pub span_data: SpanData,
    /// What went wrong, if anything.
    pub error: Option<SpanError>,
    /// An object that is not empty; left out when `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Json>,
    /// Members without a field here.
    #[serde(flatten)]
    pub extra: Fields,
}

from_fields!(Span, "object" = "trace.span";
    id, trace_id, parent_id, started_at, ended_at, span_data, error; metadata);

impl Span {
    /// A span with a new id that begins now, at the top of the trace `trace_id`.
    pub fn new(trace_id: impl Into<String>, span_data: impl Into<SpanData>) -> Self {
        Self {
            id: gen_span_id(),
            trace_id: trace_id.into(),
            parent_id: None,
            started_at: Some(time_iso()),
            ended_at: None,
            span_data: span_data.into(),
            error: None,
            metadata: None,
            extra: Fields::new(),
        }
    }

    /// A span with a new id that begins now, as a step of this one.
    pub fn child(&self, span_data: impl Into<SpanData>) -> Self {
        Self { parent_id: Some(self.id.clone()), ..Self::new(&self.trace_id, span_data) }
    }

    /// Ends the span now. Only the first call counts.
    pub fn finish(&mut self) {
        self.ended_at.get_or_insert_with(time_iso);
    }

    /// The item that `enqueue` takes.
    pub fn to_json(&self) -> Vec<u8> {
        // Only strings, numbers and JSON text are written, to memory: nothing here can fail.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// What went wrong in a span: `{"message","data"}`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Fields")]
pub struct SpanError {
    /// A sentence for people.
    pub message: String,
    /// An object with more about it.
    pub data: Option<Json>,
    /// Members without a field here.
    #[serde(flatten)]
    pub extra: Fields,
}

from_fields!(SpanError; message, data);

impl SpanError {
    /// An error without data.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }
}
