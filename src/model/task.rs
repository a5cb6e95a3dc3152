//! Task and turn: the SDK's own spans around a run and each of its turns, exported as `custom`.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize, Serializer};

use super::fields::{Fields, from_fields};
use super::json::Json;
use super::kinds::CustomData;

/// The `data` of a task: `{"sdk_span_type":"task","name"[,"usage"]}`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "sdk_span_type", rename = "task", try_from = "Fields")]
pub struct TaskData {
    /// The workflow's name.
    pub name: String,
    /// An object with `input_tokens`, `output_tokens`, `cached_input_tokens`, `cache_write_input_tokens`,
    /// `requests`, `total_tokens`; left out when `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Json>,
    /// Members without a field here.
    #[serde(flatten)]
    pub extra: Fields,
}

from_fields!(TaskData, "sdk_span_type" = "task"; name; usage);

impl TaskData {
    /// A task without usage.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }
}

/// The `data` of a turn: `{"sdk_span_type":"turn","turn","agent_name"[,"usage"]}`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "sdk_span_type", rename = "turn", try_from = "Fields")]
pub struct TurnData {
    /// The turn's number, from 1.
    pub turn: u64,
    /// The agent whose turn it is.
    pub agent_name: String,
    /// An object with `input_tokens`, `output_tokens`, `cached_input_tokens`, `cache_write_input_tokens`; left out
    /// when `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Json>,
    /// Members without a field here.
    #[serde(flatten)]
    pub extra: Fields,
}

from_fields!(TurnData, "sdk_span_type" = "turn"; turn, agent_name; usage);

impl TurnData {
    /// A turn without usage.
    pub fn new(turn: u64, agent_name: impl Into<String>) -> Self {
        Self { turn, agent_name: agent_name.into(), ..Self::default() }
    }
}

/// What the SDK exports under a name of its own.
pub(super) trait ExportedAsCustom: Serialize + DeserializeOwned {
    /// The `name` of the custom span.
    const NAME: &'static str;
}

impl ExportedAsCustom for TaskData {
    const NAME: &'static str = "task";
}

impl ExportedAsCustom for TurnData {
    const NAME: &'static str = "turn";
}

/// Writes `{"type":"custom","name","data"}` around `data`.
pub(super) fn as_custom<T: ExportedAsCustom, S: Serializer>(data: &T, to: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    #[serde(tag = "type", rename = "custom")]
    struct Custom<'a, T> {
        name: &'static str,
        data: &'a T,
    }
    Custom { name: T::NAME, data }.serialize(to)
}

/// The `T` that `custom` stands for. A user's own span may look much like one, so it counts only if a `T` is written
/// with exactly the same text.
pub(super) fn from_custom<T: ExportedAsCustom>(custom: &CustomData) -> Option<T> {
    if custom.name != T::NAME || !custom.extra.is_empty() {
        return None;
    }
    let data: T = custom.data.parse().ok()?;
    (Json::of(&data).ok()? == custom.data).then_some(data)
}
