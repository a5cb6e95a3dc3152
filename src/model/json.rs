//! Json: one JSON value whose text is kept as it is.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use crate::error::{Error, ErrorKind, Result};

/// One JSON value of any shape, as text: number text, escapes and the order of keys are never changed.
///
/// Two are equal when their texts are, so `1.0` is not `1`. The default is `null`.
/// Depth costs heap, never stack.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Json(Box<RawValue>);

impl Json {
    /// The value that `text` holds; white space around it is dropped, white space inside it is kept.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidItem`] when `text` is not exactly one JSON value; the message says where.
    pub fn from_text(text: &str) -> Result<Self> {
        RawValue::from_string(text.to_owned())
            .map(Self)
            .map_err(|e| Error::new(ErrorKind::InvalidItem, format!("not one JSON value: {e}")).caused_by(e))
    }

    /// The JSON that serde_json makes of `value`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidItem`] when `value` has no JSON form, such as a map whose keys are not strings.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self> {
        to_raw_value(value).map(Self).map_err(|e| {
            Error::new(ErrorKind::InvalidItem, format!("value has no JSON form: {e}")).caused_by(e)
        })
    }

    /// The text.
    pub fn text(&self) -> &str {
        self.0.get()
    }

    /// The value as a `T`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidItem`] when it is not of `T`'s shape; the message says what was expected.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_str(self.text()).map_err(|e| {
            let message = e.to_string();
            // The position counts from this value's start; in the message of a whole item it would mislead.
            let position = format!(" at line {} column {}", e.line(), e.column());
            let message = message.strip_suffix(&position).unwrap_or(&message);
            Error::new(ErrorKind::InvalidItem, message).caused_by(e)
        })
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Eq for Json {}

/// The text that serde_json prints for the value.
impl From<Value> for Json {
    fn from(value: Value) -> Self {
        // A `Value` has string keys and finite numbers only, so it always has a JSON form.
        to_raw_value(&value).map(Self).unwrap_or_default()
    }
}
