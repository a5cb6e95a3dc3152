//! Partial success: an answer of success that says how many records were refused.

use serde::Deserialize;

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
        match body.first() {
            Some(b'{') => of_json(body).unwrap_or_default(),
            _ => of_protobuf(body),
        }
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

#[derive(Deserialize)]
struct JsonAnswer {
    #[serde(rename = "partialSuccess")]
    partial_success: Option<JsonPartialSuccess>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JsonPartialSuccess {
    #[serde(alias = "rejectedSpans", alias = "rejectedLogRecords", alias = "rejectedDataPoints")]
    rejected: Option<Int64>,
    error_message: Option<String>,
}

/// JSON has an int64 as a string; some write a number.
#[derive(Deserialize)]
#[serde(untagged)]
enum Int64 {
    Number(u64),
    Text(String),
}

fn of_json(body: &[u8]) -> Option<PartialSuccess> {
    let found = serde_json::from_slice::<JsonAnswer>(body).ok()?.partial_success?;
    let rejected = match found.rejected {
        None => 0,
        Some(Int64::Number(n)) => n,
        Some(Int64::Text(text)) => text.parse().unwrap_or(0),
    };
    Some(PartialSuccess { rejected, message: found.error_message.unwrap_or_default() })
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
    fn what_was_cut_off_or_is_nonsense_is_left_out() {
        let long = [b"\x0a\xff\x7f\x08\x05\x12\xf0\x7f".as_slice(), &[b'x'; 100]].concat();
        assert_eq!(found(&long), (5, "x".repeat(100)));
        assert_eq!(found(b"\x0a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), (0, String::new()));
        assert_eq!(found(b"\x0a\x04\x12\x02\xff\xfe"), (0, "\u{fffd}\u{fffd}".into()));
    }
}
