//! OTLP: export requests as JSON and back, by the table of messages that the library checks them with.
//!
//! The JSON is that of OTLP's specification, as the Collector's fileexporter writes it: names in camelCase, ids in
//! hexadecimal, enums as numbers, 64-bit integers as strings. A field that is on one side is on the other, defaults too.

mod base64;
mod from_json;
#[path = "../../../otlp/messages.rs"]
mod messages;
mod spans;
mod to_json;
mod value;
#[path = "../../../otlp/wire.rs"]
#[allow(dead_code, reason = "the program uses a part of it")]
mod wire;

use std::collections::BTreeSet;
use std::fmt;

use spanspool::Signal;

pub use base64::encode as base64;
pub use from_json::from_json;
use messages::Message;
pub use spans::{OtlpSpan, spans};
pub use to_json::to_json;

/// The other form of a request.
#[derive(Debug)]
pub struct Converted<T> {
    pub request: T,
    /// The fields that this version does not know, and left out.
    pub left_out: BTreeSet<String>,
}

/// Why a request has no other form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// Where in the JSON, in bytes from 1; of protobuf nothing.
    column: Option<usize>,
    /// The names of the fields that lead there, joined by dots.
    field: String,
    what: String,
}

impl Flaw {
    fn new(what: impl Into<String>) -> Self {
        Self { column: None, field: String::new(), what: what.into() }
    }

    /// The same, of the field `name`.
    fn within(mut self, name: &str) -> Self {
        self.field = if self.field.is_empty() { name.to_owned() } else { format!("{name}.{}", self.field) };
        self
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(column) = self.column {
            write!(f, "at column {column}: ")?;
        }
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.what)
    }
}

/// Messages within one another, the request not counted: what decoders of protobuf take by default.
const MOST_NESTED: usize = 100;
const TOO_DEEP: &str = "more than 100 messages are nested in one another";

fn request_of(signal: Signal) -> Message {
    match signal {
        Signal::Traces => Message::TracesRequest,
        Signal::Logs => Message::LogsRequest,
        Signal::Metrics => Message::MetricsRequest,
    }
}

/// The top-level records of `body`, each a request; none when it is no request.
pub fn records(body: &[u8]) -> Vec<&[u8]> {
    let mut reader = wire::Reader::new(body);
    let mut records = Vec::new();
    while !reader.is_at_end() {
        let begin = reader.at();
        match reader.tag() {
            Ok((1, wire::WireType::Delimited)) if reader.delimited().is_ok() => {
                records.push(&body[begin..reader.at()]);
            }
            _ => return Vec::new(),
        }
    }
    records
}

/// The JSON name of the field that .proto files call `name`.
fn camel_case(name: &str) -> impl Iterator<Item = char> {
    let mut begins_word = false;
    name.chars().filter_map(move |c| match c {
        '_' => {
            begins_word = true;
            None
        }
        c if std::mem::take(&mut begins_word) => Some(c.to_ascii_uppercase()),
        c => Some(c),
    })
}

#[cfg(test)]
mod tests;
