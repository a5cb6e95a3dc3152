//! The typed model: [`Trace`], [`Span`] and [`SpanData`], for programs in Rust that make or read items.
//!
//! Each type writes the very JSON that the OpenAI Agents SDK for Python (0.24.0) exports: the same keys in the
//! same order, `null` where the SDK writes `null`. What has no fixed shape (`input`, `usage`, `metadata`, …) is a
//! [`Json`], whose text is kept as it is: `1e-07` and integers of any size come out as they went in.
//!
//! What a type does not know stays: a member it has no field for goes to `extra` and is written after the known
//! ones; span data of an unknown type becomes [`SpanData::Other`]. A member of the shape that was absent is read
//! as `None` and written as `null`.
//!
//! A Rust `String` cannot hold half of a surrogate pair, so an item with an escape such as `"\ud800"` in a key
//! or in a field of type `String` is an error here (in a [`Json`] it is kept). Give such an item to `enqueue` as
//! it is.
//!
//! ```
//! use spanspool::model::{CustomData, FunctionData, Json, Span, Trace};
//! use serde_json::json;
//!
//! let mut trace = Trace::new("Refunds");
//! trace.metadata = Some(json!({"env": "staging"}).into());
//!
//! let root = Span::new(&trace.id, CustomData::new("order", json!({"id": 7})));
//! let mut call = root.child(FunctionData { input: Some("7".into()), ..FunctionData::new("lookup") });
//! call.finish();
//!
//! let item: Vec<u8> = call.to_json(); // what `enqueue` takes
//! assert_eq!(serde_json::from_slice::<Span>(&item)?, call);
//! # Ok::<(), serde_json::Error>(())
//! ```

mod fields;
mod id;
mod json;
mod kinds;
mod span;
mod span_data;
mod task;
mod time;
mod trace;
mod voice;

pub use fields::Fields;
pub use id::{gen_group_id, gen_span_id, gen_trace_id};
pub use json::Json;
pub use kinds::{
    AgentData, CustomData, FunctionData, GenerationData, GuardrailData, HandoffData, McpToolsData,
    ResponseData,
};
pub use span::{Span, SpanError};
pub use span_data::SpanData;
pub use task::{TaskData, TurnData};
pub use time::{iso_of, time_iso};
pub use trace::Trace;
pub use voice::{Audio, SpeechData, SpeechGroupData, TranscriptionData};
