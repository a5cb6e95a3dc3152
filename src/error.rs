//! The one error type of the crate.

use std::any::Any;
use std::fmt;

/// What went wrong, in a form a program can act on.
///
/// Each kind has a C status of the same name (see `spanspool_status` in the header).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting or an argument is not allowed; nothing was changed.
    InvalidArgument,
    /// The item is not exactly one JSON object in UTF-8; nothing was stored.
    InvalidItem,
    /// The item is longer than `max_item_bytes`; nothing was stored.
    ItemTooLarge,
    /// There is no setting of that name.
    UnknownSetting,
    /// The spool is at its limit and `overflow` is `reject`; nothing was stored.
    Full,
    /// The deadline passed; what was not delivered stays in the spool.
    Timeout,
    /// The client was shut down.
    ShutDown,
    /// The operating system refused a file operation.
    Io,
    /// A file of the spool is damaged or of a format this version does not read.
    Corrupt,
    /// Another process holds what this call needs.
    Locked,
    /// A defect of spanspool itself.
    Internal,
}

/// An [`ErrorKind`] and a sentence that names what, where and what is allowed.
#[derive(Debug, Clone)]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

/// The result of every fallible call of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of `kind` with a message for people.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// An I/O error met while doing `what` (a phrase such as "create /path/journal").
    pub(crate) fn io(what: impl fmt::Display, source: &std::io::Error) -> Self {
        Self::new(ErrorKind::Io, format!("cannot {what}: {source}"))
    }

    /// A panic that was caught: a defect of spanspool.
    pub(crate) fn defect(payload: Box<dyn Any + Send>) -> Self {
        let text = match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
            (Some(text), _) => text,
            (_, Some(text)) => text.as_str(),
            _ => "panic",
        };
        let error = Self::new(ErrorKind::Internal, format!("a defect of spanspool: {text}"));
        // Dropping a payload may panic again, here outside of any catch; a few leaked bytes are the lesser evil.
        std::mem::forget(payload);
        error
    }

    /// What a program should act on.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The sentence for people, without the kind.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
