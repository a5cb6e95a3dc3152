//! SpanData: what a span did, told apart by its `type`.

use serde::{Deserialize, Serialize};

use super::json::Json;
use super::kinds::{
    AgentData, CustomData, FunctionData, GenerationData, GuardrailData, HandoffData, McpToolsData,
    ResponseData,
};
use super::task::{TaskData, TurnData, as_custom, from_custom};
use super::voice::{SpeechData, SpeechGroupData, TranscriptionData};
use crate::error::{Error, Result};

/// What a span did: the `span_data` of its item.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged, try_from = "Json")]
#[non_exhaustive]
pub enum SpanData {
    /// `agent`
    Agent(AgentData),
    /// `function`
    Function(FunctionData),
    /// `generation`
    Generation(GenerationData),
    /// `response`
    Response(ResponseData),
    /// `handoff`
    Handoff(HandoffData),
    /// `custom`, unless it is a task or a turn.
    Custom(CustomData),
    /// `guardrail`
    Guardrail(GuardrailData),
    /// `transcription`
    Transcription(TranscriptionData),
    /// `speech`
    Speech(SpeechData),
    /// `speech_group`
    SpeechGroup(SpeechGroupData),
    /// `mcp_tools`
    McpTools(McpToolsData),
    /// `custom` with the name `task`
    #[serde(serialize_with = "as_custom")]
    Task(TaskData),
    /// `custom` with the name `turn`
    #[serde(serialize_with = "as_custom")]
    Turn(TurnData),
    /// An object of a type that this version does not know, or of none: kept as it is.
    Other(Json),
}

/// The one member that says which shape the others have.
#[derive(Deserialize)]
struct Tag {
    r#type: Option<Json>,
}

impl TryFrom<Json> for SpanData {
    type Error = Error;

    /// Reads span data by its `type`. An error names the member that is not of the type's shape.
    fn try_from(json: Json) -> Result<Self> {
        let tag: Tag = json.parse()?;
        let tag: Option<String> = tag.r#type.and_then(|tag| tag.parse().ok());
        Ok(match tag.as_deref() {
            Some("agent") => Self::Agent(json.parse()?),
            Some("function") => Self::Function(json.parse()?),
            Some("generation") => Self::Generation(json.parse()?),
            Some("response") => Self::Response(json.parse()?),
            Some("handoff") => Self::Handoff(json.parse()?),
            Some("custom") => Self::from_custom(json.parse()?),
            Some("guardrail") => Self::Guardrail(json.parse()?),
            Some("transcription") => Self::Transcription(json.parse()?),
            Some("speech") => Self::Speech(json.parse()?),
            Some("speech_group") => Self::SpeechGroup(json.parse()?),
            Some("mcp_tools") => Self::McpTools(json.parse()?),
            _ => Self::Other(json),
        })
    }
}

impl SpanData {
    /// The SDK writes tasks and turns as `custom`.
    fn from_custom(custom: CustomData) -> Self {
        if let Some(task) = from_custom(&custom) {
            Self::Task(task)
        } else if let Some(turn) = from_custom(&custom) {
            Self::Turn(turn)
        } else {
            Self::Custom(custom)
        }
    }
}

macro_rules! from_kinds {
    ($($variant:ident($kind:ident)),+) => {$(
        impl From<$kind> for SpanData {
            fn from(data: $kind) -> Self {
                Self::$variant(data)
            }
        }
    )+};
}

from_kinds!(
    Agent(AgentData),
    Function(FunctionData),
    Generation(GenerationData),
    Response(ResponseData),
    Handoff(HandoffData),
    Custom(CustomData),
    Guardrail(GuardrailData),
    Transcription(TranscriptionData),
    Speech(SpeechData),
    SpeechGroup(SpeechGroupData),
    McpTools(McpToolsData),
    Task(TaskData),
    Turn(TurnData)
);
