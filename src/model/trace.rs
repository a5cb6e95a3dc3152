//! Trace: one run from end to end. Its spans name it by its id.

use serde::{Deserialize, Serialize};

use super::fields::{Fields, from_fields};
use super::id::gen_trace_id;
use super::json::Json;

/// A trace as an item: `{"object":"trace","id",…,"metadata"}`.
///
/// Give it to `enqueue` before the spans of the trace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "object", rename = "trace", try_from = "Fields")]
#[non_exhaustive]
pub struct Trace {
    /// `trace_` and 32 alphanumerics.
    pub id: String,
    /// What runs; the ingest refuses an item where this is not a string.
    pub workflow_name: String,
    /// What this trace has in common with others, such as a conversation's id.
    pub group_id: Option<String>,
    /// An object; OpenAI's ingest takes only strings as its values.
    pub metadata: Option<Json>,
    /// Members without a field here.
    #[serde(flatten)]
    pub extra: Fields,
}

from_fields!(Trace, "object" = "trace"; id, workflow_name, group_id, metadata);

impl Trace {
    /// A trace with a new id.
    pub fn new(workflow_name: impl Into<String>) -> Self {
        Self {
            id: gen_trace_id(),
            workflow_name: workflow_name.into(),
            group_id: None,
            metadata: None,
            extra: Fields::new(),
        }
    }

    /// The item that `enqueue` takes.
    pub fn to_json(&self) -> Vec<u8> {
        // Only strings and JSON text are written, to memory: nothing here can fail.
        serde_json::to_vec(self).unwrap_or_default()
    }
}
