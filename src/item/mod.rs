//! Item: one JSON object, or one export request of OTLP, checked once on entry and opaque bytes from then on.

pub(crate) mod grammar;

use std::fmt;

use serde::de::IgnoredAny;

use crate::config::{Signal, Validation};
use crate::error::{Error, ErrorKind, Result};
use crate::otlp;

/// The bytes of one item and the name of the key it is to be sent with.
///
/// It borrows the caller's bytes: the journal makes the only copy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Item<'a> {
    bytes: &'a [u8],
    key_name: &'a str,
}

/// The longest name of a key, in bytes.
pub(crate) const MAX_KEY_NAME_BYTES: usize = 255;

impl<'a> Item<'a> {
    /// Checks that `json` is one JSON object as far as `validation` asks, and its length always. The default key has the
    /// empty name; `key_name` has at most [`MAX_KEY_NAME_BYTES`].
    pub(crate) fn check(
        json: &'a [u8],
        key_name: &'a str,
        max_item_bytes: usize,
        validation: Validation,
    ) -> Result<Self> {
        Self { bytes: json, key_name }.checked_by(one_object, max_item_bytes, validation)
    }

    /// As [`Item::check`], for `request`, one export request of `signal`.
    pub(crate) fn check_otlp(
        request: &'a [u8],
        signal: Signal,
        key_name: &'a str,
        max_item_bytes: usize,
        validation: Validation,
    ) -> Result<Self> {
        Self { bytes: request, key_name }.checked_by(|it| one_request(it, signal), max_item_bytes, validation)
    }

    fn checked_by(
        self,
        is_good: impl FnOnce(&[u8]) -> Result<()>,
        max_item_bytes: usize,
        validation: Validation,
    ) -> Result<Self> {
        let Self { bytes, .. } = self;
        if bytes.len() > max_item_bytes {
            return Err(too_large(format_args!("{} bytes", bytes.len()), max_item_bytes));
        }
        match validation {
            _ if bytes.is_empty() => return Err(invalid("item is empty")),
            Validation::Full => is_good(bytes)?,
            Validation::None => {}
        }
        Ok(self)
    }

    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    pub(crate) fn key_name(&self) -> &'a str {
        self.key_name
    }
}

/// The signal that `item` is a request of; `None`: it is JSON, or nothing that is known.
pub(crate) fn signal_of(item: &[u8]) -> Option<Signal> {
    let is_request = |signal: &Signal| otlp::check(item, *signal).is_ok();
    Signal::ALL.into_iter().find(is_request).filter(|_| one_object(item).is_err())
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

/// Whether `request` is one export request of `signal`, down to its leaves.
fn one_request(request: &[u8], signal: Signal) -> Result<()> {
    otlp::check(request, signal)
        .map_err(|flaw| invalid(format!("item is not an OTLP export request of {}: {flaw}", signal.name())))
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidItem, message)
}
