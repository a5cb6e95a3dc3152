//! Reference: what serde_json says, which the grammar must agree with. For tests and fuzzing.

use serde::de::IgnoredAny;

/// Whether `data` is one JSON object and nothing else.
pub(crate) fn is_object(data: &[u8]) -> bool {
    data.trim_ascii_start().first() == Some(&b'{') && is_json(data)
}

/// Whether `data` is one JSON value and nothing else.
pub(crate) fn is_json(data: &[u8]) -> bool {
    std::str::from_utf8(data).is_ok() && serde_json::from_slice::<IgnoredAny>(data).is_ok()
}
