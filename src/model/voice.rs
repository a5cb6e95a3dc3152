//! The kinds of span data about speech, and the sound they hold.

use serde::{Deserialize, Serialize};

use super::fields::{Fields, from_fields};
use super::json::Json;

/// Sound: `{"data","format"}`. The default is none, in the format `pcm`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Fields")]
pub struct Audio {
    /// The sound in Base64, or the empty string.
    pub data: String,
    /// The format; the SDK writes `pcm`.
    pub format: Option<String>,
    /// Members without a field here.
    #[serde(flatten)]
    pub extra: Fields,
}

from_fields!(Audio; data, format);

impl Audio {
    /// Sound in the format `pcm`; `data` is Base64.
    pub fn pcm(data: impl Into<String>) -> Self {
        Self { data: data.into(), format: Some("pcm".to_owned()), extra: Fields::new() }
    }
}

impl Default for Audio {
    fn default() -> Self {
        Self::pcm("")
    }
}

/// Speech was turned into text: `{"type":"transcription","input","output","model","model_config"}`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "transcription", try_from = "Fields")]
pub struct TranscriptionData {
    /// What was heard.
    pub input: Audio,
    /// What it said.
    pub output: Option<String>,
    /// The model.
    pub model: Option<String>,
    /// The settings it was asked with, an object.
    pub model_config: Option<Json>,
    /// Members without a field here.
    #[serde(flatten)]
    pub extra: Fields,
}

from_fields!(TranscriptionData, "type" = "transcription"; input, output, model, model_config);

/// Text was turned into speech: `{"type":"speech","input","output","model","model_config","first_content_at"}`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "speech", try_from = "Fields")]
pub struct SpeechData {
    /// What to say.
    pub input: Option<String>,
    /// How it sounded.
    pub output: Audio,
    /// The model.
    pub model: Option<String>,
    /// The settings it was asked with, an object.
    pub model_config: Option<Json>,
    /// When the first sound came, as [`time_iso`](super::time_iso) writes it.
    pub first_content_at: Option<String>,
    /// Members without a field here.
    #[serde(flatten)]
    pub extra: Fields,
}

from_fields!(SpeechData, "type" = "speech"; input, output, model, model_config, first_content_at);

/// Speech in several pieces, each a `speech` span below this one: `{"type":"speech_group","input"}`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "speech_group", try_from = "Fields")]
pub struct SpeechGroupData {
    /// What to say.
    pub input: Option<String>,
    /// Members without a field here.
    #[serde(flatten)]
    pub extra: Fields,
}

from_fields!(SpeechGroupData, "type" = "speech_group"; input);
