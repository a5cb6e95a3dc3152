//! The kinds of span data, each with the members its `type` has; all are always written.

use serde::{Deserialize, Serialize};

use super::fields::{Fields, from_fields};
use super::json::Json;

/// An agent ran: `{"type":"agent","name","handoffs","tools","output_type"}`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "agent", try_from = "Fields")]
pub struct AgentData {
    /// The agent.
    pub name: String,
    /// The agents it may hand over to.
    pub handoffs: Option<Vec<String>>,
    /// The tools it may call.
    pub tools: Option<Vec<String>>,
    /// The type of what it gives back.
    pub output_type: Option<String>,
    /// Members without a field here.
    #[serde(flatten)]
    pub extra: Fields,
}

from_fields!(AgentData, "type" = "agent"; name, handoffs, tools, output_type);

impl AgentData {
    /// An agent of which only the name is told.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }
}

/// A tool was called: `{"type":"function","name","input","output","mcp_data"}`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "function", try_from = "Fields")]
pub struct FunctionData {
    /// The tool.
    pub name: String,
    /// The arguments, as text.
    pub input: Option<String>,
    /// The result, as text.
    pub output: Option<String>,
    /// `{"server"}` when an MCP server ran it.
    pub mcp_data: Option<Json>,
    /// Members without a field here.
    #[serde(flatten)]
    pub extra: Fields,
}

from_fields!(FunctionData, "type" = "function"; name, input, output, mcp_data);

impl FunctionData {
    /// A call of which only the tool is told.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }
}

/// A model was asked: `{"type":"generation","input","output","model","model_config","usage"}`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "generation", try_from = "Fields")]
pub struct GenerationData {
    /// The messages it was given, an array.
    pub input: Option<Json>,
    /// The messages it gave back, an array.
    pub output: Option<Json>,
    /// The model.
    pub model: Option<String>,
    /// The settings it was asked with, an object.
    pub model_config: Option<Json>,
    /// Tokens, an object. OpenAI's ingest needs `input_tokens` and `output_tokens`.
    pub usage: Option<Json>,
    /// Members without a field here.
    #[serde(flatten)]
    pub extra: Fields,
}

from_fields!(GenerationData, "type" = "generation"; input, output, model, model_config, usage);

/// A model was asked through the Responses API: `{"type":"response","response_id","usage"}`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "response", try_from = "Fields")]
pub struct ResponseData {
    /// The response's id, `resp_…`.
    pub response_id: Option<String>,
    /// Tokens, an object; OpenAI's ingest is never sent it.
    pub usage: Option<Json>,
    /// Members without a field here.
    #[serde(flatten)]
    pub extra: Fields,
}

from_fields!(ResponseData, "type" = "response"; response_id, usage);

/// An agent handed over to another: `{"type":"handoff","from_agent","to_agent"}`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "handoff", try_from = "Fields")]
pub struct HandoffData {
    /// The agent that handed over.
    pub from_agent: Option<String>,
    /// The agent that took over.
    pub to_agent: Option<String>,
    /// Members without a field here.
    #[serde(flatten)]
    pub extra: Fields,
}

from_fields!(HandoffData, "type" = "handoff"; from_agent, to_agent);

/// A step of the program's own: `{"type":"custom","name","data"}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "custom", try_from = "Fields")]
pub struct CustomData {
    /// The step.
    pub name: String,
    /// What there is to tell of it, an object.
    pub data: Json,
    /// Members without a field here.
    #[serde(flatten)]
    pub extra: Fields,
}

from_fields!(CustomData, "type" = "custom"; name, data);

impl CustomData {
    /// A step and what there is to tell of it, an object.
    pub fn new(name: impl Into<String>, data: impl Into<Json>) -> Self {
        Self { name: name.into(), data: data.into(), extra: Fields::new() }
    }
}

/// A guardrail was checked: `{"type":"guardrail","name","triggered"}`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "guardrail", try_from = "Fields")]
pub struct GuardrailData {
    /// The guardrail.
    pub name: String,
    /// Whether it stopped the run.
    pub triggered: bool,
    /// Members without a field here.
    #[serde(flatten)]
    pub extra: Fields,
}

from_fields!(GuardrailData, "type" = "guardrail"; name, triggered);

impl GuardrailData {
    /// A guardrail and whether it stopped the run.
    pub fn new(name: impl Into<String>, triggered: bool) -> Self {
        Self { name: name.into(), triggered, ..Self::default() }
    }
}

/// An MCP server was asked for its tools: `{"type":"mcp_tools","server","result"}`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "mcp_tools", try_from = "Fields")]
pub struct McpToolsData {
    /// The server.
    pub server: Option<String>,
    /// The tools' names.
    pub result: Option<Vec<String>>,
    /// Members without a field here.
    #[serde(flatten)]
    pub extra: Fields,
}

from_fields!(McpToolsData, "type" = "mcp_tools"; server, result);
