//! Status: what every call returns, as a number that never changes its meaning.

use std::ffi::CStr;

use crate::error::{Error, ErrorKind};

/// What a call returns. Numbers are never reused; newer versions may add some.
/// cbindgen:rename-all=None
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::upper_case_acronyms)]
pub enum spanspool_status {
    /// Done.
    SPANSPOOL_OK = 0,
    /// An argument or a setting is not allowed; nothing was changed. Correct the call.
    SPANSPOOL_ERR_INVALID_ARGUMENT = 1,
    /// The item is not exactly one JSON object in UTF-8, or with exporter=otlp not one export request of the signal.
    /// Nothing was stored. Correct the item.
    SPANSPOOL_ERR_INVALID_ITEM = 2,
    /// The item is longer than max_item_bytes, also as it would be sent; nothing was stored. Shorten it or raise the
    /// setting. spanspool_last_error has both numbers.
    SPANSPOOL_ERR_ITEM_TOO_LARGE = 3,
    /// There is no setting of that name; nothing was changed. Correct the name.
    SPANSPOOL_ERR_UNKNOWN_SETTING = 4,
    /// The spool is at its limit and overflow is reject, or the journal had no room within enqueue_timeout_ms;
    /// nothing was stored. Count the item as lost, or try again later.
    SPANSPOOL_ERR_FULL = 20,
    /// The deadline passed first. What was not delivered stays in the spool and is delivered later.
    SPANSPOOL_ERR_TIMEOUT = 21,
    /// The handle was shut down; nothing was stored. Free the handle.
    SPANSPOOL_ERR_SHUT_DOWN = 22,
    /// The operating system refused an operation: no room, no permission, a failing disk. Trying again may help.
    SPANSPOOL_ERR_IO = 40,
    /// A file of the spool is damaged, or has a format that this version does not read.
    SPANSPOOL_ERR_CORRUPT = 41,
    /// Another process holds a lock that this call needs. Trying again may help.
    SPANSPOOL_ERR_LOCKED = 42,
    /// A defect of spanspool itself. What was accepted before is still safe; please report it.
    SPANSPOOL_ERR_INTERNAL = 99,
}

use spanspool_status::*;

impl From<&Error> for spanspool_status {
    fn from(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::InvalidArgument => SPANSPOOL_ERR_INVALID_ARGUMENT,
            ErrorKind::InvalidItem => SPANSPOOL_ERR_INVALID_ITEM,
            ErrorKind::ItemTooLarge => SPANSPOOL_ERR_ITEM_TOO_LARGE,
            ErrorKind::UnknownSetting => SPANSPOOL_ERR_UNKNOWN_SETTING,
            ErrorKind::Full => SPANSPOOL_ERR_FULL,
            ErrorKind::Timeout => SPANSPOOL_ERR_TIMEOUT,
            ErrorKind::ShutDown => SPANSPOOL_ERR_SHUT_DOWN,
            ErrorKind::Io => SPANSPOOL_ERR_IO,
            ErrorKind::Corrupt => SPANSPOOL_ERR_CORRUPT,
            ErrorKind::Locked => SPANSPOOL_ERR_LOCKED,
            ErrorKind::Internal => SPANSPOOL_ERR_INTERNAL,
        }
    }
}

const TEXTS: &[(spanspool_status, &CStr)] = &[
    (SPANSPOOL_OK, c"ok"),
    (SPANSPOOL_ERR_INVALID_ARGUMENT, c"an argument or a setting is not allowed"),
    (
        SPANSPOOL_ERR_INVALID_ITEM,
        c"the item is not exactly one JSON object in UTF-8, or one OTLP export request",
    ),
    (SPANSPOOL_ERR_ITEM_TOO_LARGE, c"the item is longer than max_item_bytes"),
    (SPANSPOOL_ERR_UNKNOWN_SETTING, c"there is no setting of that name"),
    (SPANSPOOL_ERR_FULL, c"the spool is at its limit"),
    (SPANSPOOL_ERR_TIMEOUT, c"the deadline passed; what is left stays in the spool"),
    (SPANSPOOL_ERR_SHUT_DOWN, c"the handle was shut down"),
    (SPANSPOOL_ERR_IO, c"the operating system refused an operation"),
    (SPANSPOOL_ERR_CORRUPT, c"a file of the spool is damaged or has an unknown format"),
    (SPANSPOOL_ERR_LOCKED, c"another process holds a lock that this call needs"),
    (SPANSPOOL_ERR_INTERNAL, c"a defect of spanspool"),
];

/// A phrase for `status`, which may be any number: C passes it, so it is never taken as the enum.
pub(super) fn text_of(status: i32) -> &'static CStr {
    TEXTS
        .iter()
        .find(|(known, _)| *known as i32 == status)
        .map_or(c"not a status of spanspool", |(_, text)| text)
}
