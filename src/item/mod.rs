//! Item: one JSON object, checked once on entry and opaque bytes from then on.

pub(crate) mod grammar;

use std::fmt;

use serde::de::IgnoredAny;

use crate::config::Validation;
use crate::error::{Error, ErrorKind, Result};

/// The bytes of one item and the name of the key it is to be sent with.
///
/// It borrows the caller's bytes: the journal makes the only copy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Item<'a> {
    json: &'a [u8],
    key_name: &'a str,
}

/// The longest name of a key, in bytes.
pub(crate) const MAX_KEY_NAME_BYTES: usize = 255;

impl<'a> Item<'a> {
    /// Checks `json` as far as `validation` asks, and its length always. The default key has the empty name;
    /// `key_name` has at most [`MAX_KEY_NAME_BYTES`].
    pub(crate) fn check(
        json: &'a [u8],
        key_name: &'a str,
        max_item_bytes: usize,
        validation: Validation,
    ) -> Result<Self> {
        if json.len() > max_item_bytes {
            return Err(too_large(format_args!("{} bytes", json.len()), max_item_bytes));
        }
        match validation {
            Validation::Full => one_object(json)?,
            Validation::None if json.is_empty() => return Err(invalid("item is empty")),
            Validation::None => {}
        }
        Ok(Self { json, key_name })
    }

    pub(crate) fn json(&self) -> &'a [u8] {
        self.json
    }

    pub(crate) fn key_name(&self) -> &'a str {
        self.key_name
    }
}

/// The error for an item of that `size`.
pub(crate) fn too_large(size: fmt::Arguments<'_>, max_item_bytes: usize) -> Error {
    Error::new(ErrorKind::ItemTooLarge, format!("item of {size} is over max_item_bytes={max_item_bytes}"))
}

/// Whether `json` is one JSON object in UTF-8 and nothing else (RFC 8259).
///
/// What the grammar refuses goes to serde_json, which says why. It skips a value without recursion, so depth costs
/// heap, never stack.
fn one_object(json: &[u8]) -> Result<()> {
    if grammar::is_object(json) {
        return Ok(());
    }
    let text =
        std::str::from_utf8(json).map_err(|e| invalid(format!("item is not UTF-8: {e}")).caused_by(e))?;
    let first = text.bytes().find(|b| !matches!(b, b' ' | b'\t' | b'\n' | b'\r'));
    match first {
        None => return Err(invalid("item is empty")),
        Some(b'{') => {}
        Some(_) => return Err(invalid("item is not a JSON object: it must begin with '{'")),
    }
    serde_json::from_str::<IgnoredAny>(text)
        .map(drop)
        .map_err(|e| invalid(format!("item is not one JSON object: {e}")).caused_by(e))
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidItem, message)
}
