//! Partial success: an answer of success that says how many records were refused.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use super::wire::{MOST_GROUPS, Reader, WireType};

/// What an answer of success says of a request that was not taken as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct PartialSuccess {
    /// Records that were refused: spans, log records or data points.
    pub(crate) rejected: u64,
    /// Why, or a warning about a request of which nothing was refused.
    pub(crate) message: String,
}

impl PartialSuccess {
    /// Reads the beginning of an answer's body, protobuf or JSON. What can't be read says nothing.
    pub(crate) fn of(body: &[u8]) -> Self {
        let mut found = Self::default();
        if body.trim_ascii_start().starts_with(b"{") {
            read_json(body, &mut found);
        }
        // A line feed and a brace are also how a message of 123 bytes begins.
        if found.is_whole() { of_protobuf(body) } else { found }
    }

    /// Whether the request was taken without a word.
    pub(crate) fn is_whole(&self) -> bool {
        self.rejected == 0 && self.message.is_empty()
    }
}

/// Export…ServiceResponse { 1 partial_success { 1 rejected_…, 2 error_message } }, as far as it goes: the body may be cut.
fn of_protobuf(body: &[u8]) -> PartialSuccess {
    let mut found = PartialSuccess::default();
    let mut reader = Reader::new(body);
    while let Ok((number, wire_type)) = reader.tag() {
        match (number, wire_type) {
            (1, WireType::Delimited) => read_partial_success(reader.delimited_or_rest(), &mut found),
            _ if reader.skip(number, wire_type, MOST_GROUPS).is_ok() => {}
            _ => break,
        }
    }
    found
}

fn read_partial_success(bytes: &[u8], found: &mut PartialSuccess) {
    let mut reader = Reader::new(bytes);
    while let Ok((number, wire_type)) = reader.tag() {
        match (number, wire_type) {
            (1, WireType::Varint) => {
                // An int64 below 0 is nonsense.
                let rejected = reader.varint().ok().and_then(|n| i64::try_from(n).ok());
                found.rejected = rejected.map_or(0, i64::unsigned_abs);
            }
            (2, WireType::Delimited) => {
                found.message = String::from_utf8_lossy(reader.delimited_or_rest()).into_owned();
            }
            _ if reader.skip(number, wire_type, MOST_GROUPS).is_ok() => {}
            _ => return,
        }
    }
}

/// The same as JSON, as far as it goes.
fn read_json(body: &[u8], found: &mut PartialSuccess) {
    // What is cut off is most likely the message, so it is ended. After an answer that is whole this is not read.
    let text = String::from_utf8_lossy(body) + "\"}}";
    // What was found before an error stays.
    let _ = JsonObject::Answer(found).deserialize(&mut serde_json::Deserializer::from_str(&text));
}

/// An object of an answer, and what its members are noted in.
enum JsonObject<'a> {
    Answer(&'a mut PartialSuccess),
    PartialSuccess(&'a mut PartialSuccess),
}

impl<'de> DeserializeSeed<'de> for JsonObject<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for JsonObject<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
        while let Some(name) = members.next_key::<String>()? {
            match (&mut self, &*name.replace('_', "").to_ascii_lowercase()) {
                (Self::Answer(found), "partialsuccess") => {
                    members.next_value_seed(JsonObject::PartialSuccess(found))?;
                }
                (Self::PartialSuccess(found), "errormessage") => {
                    let message = members.next_value::<Value>()?;
                    found.message = message.as_str().unwrap_or_default().to_owned();
                }
                (
                    Self::PartialSuccess(found),
                    "rejectedspans" | "rejectedlogrecords" | "rejecteddatapoints",
                ) => found.rejected = count(&members.next_value()?),
                _ => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// JSON has an int64 as a string; some write a number. One below 0 is nonsense.
fn count(value: &Value) -> u64 {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text.trim().parse::<f64>().map_or(0, |n| n as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(body: &[u8]) -> (u64, String) {
        let PartialSuccess { rejected, message } = PartialSuccess::of(body);
        (rejected, message)
    }

    #[test]
    fn an_answer_may_be_protobuf_or_json_or_nothing() {
        assert_eq!(found(b"\x0a\x07\x08\x02\x12\x03why"), (2, "why".into()));
        assert_eq!(found(b"\x0a\x05\x12\x03why"), (0, "why".into()));
        let json = br#"{"partialSuccess":{"rejectedSpans":"2","errorMessage":"why"}}"#;
        assert_eq!(found(json), (2, "why".into()));
        assert_eq!(found(br#"{"partialSuccess":{"rejectedLogRecords":3}}"#), (3, String::new()));
        for whole in ["", "\x0a\x00", "{}", r#"{"partialSuccess":{}}"#, "OK", "<html>", "{", "\x0a"] {
            assert!(PartialSuccess::of(whole.as_bytes()).is_whole(), "{whole:?}");
        }
    }

    #[test]
    fn json_may_be_spelled_in_other_ways() {
        for json in [
            "\n {\"partialSuccess\":{\"rejectedSpans\":\"2\",\"errorMessage\":\"why\"}}",
            r#"{"partial_success":{"rejected_data_points":2.0,"error_message":"why","more":[{}]}}"#,
            r#"{"more":{"rejectedSpans":9},"partialSuccess":{"errorMessage":"why","rejectedSpans":2}}"#,
        ] {
            assert_eq!(found(json.as_bytes()), (2, "why".into()), "{json}");
        }
        assert_eq!(found(br#"{"partialSuccess":{"errorMessage":[],"rejectedSpans":2}}"#), (2, String::new()));
        for nonsense in ["-1", "\"-1\"", "null", "[]", "\"many\""] {
            let json = format!(r#"{{"partialSuccess":{{"rejectedSpans":{nonsense},"errorMessage":"why"}}}}"#);
            assert_eq!(found(json.as_bytes()), (0, "why".into()), "{json}");
        }
        // A message that is as long as a brace is: 123 bytes.
        let protobuf = [b"\n{\x08\x02\x12\x77".as_slice(), &[b'x'; 119]].concat();
        assert_eq!(found(&protobuf), (2, "x".repeat(119)));
    }

    #[test]
    fn what_was_cut_off_or_is_nonsense_is_left_out() {
        let long = [b"\x0a\xff\x7f\x08\x05\x12\xf0\x7f".as_slice(), &[b'x'; 100]].concat();
        assert_eq!(found(&long), (5, "x".repeat(100)));
        let long = r#"{"partialSuccess":{"rejectedSpans":"5","errorMessage":"xü"#.as_bytes();
        assert_eq!(found(long), (5, "xü".into()));
        assert_eq!(found(&long[..long.len() - 1]), (5, "x\u{fffd}".into()));
        assert_eq!(found(b"\x0a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), (0, String::new()));
        assert_eq!(found(b"\x0a\x04\x12\x02\xff\xfe"), (0, "\u{fffd}\u{fffd}".into()));
    }
}
