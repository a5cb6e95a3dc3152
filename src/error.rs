//! The one error type of the crate.

use std::any::Any;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

/// What went wrong, in a form a program can act on.
///
/// Each kind has a C status of the same name (see `spanspool_status` in the header).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting or an argument is not allowed; nothing was changed.
    InvalidArgument,
    /// The item is not exactly one JSON object in UTF-8, or with `exporter=otlp` not one export request of the signal.
    /// Nothing was stored.
    InvalidItem,
    /// The item is longer than `max_item_bytes`, also as it would be sent; nothing was stored. The message has both numbers.
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

/// An [`ErrorKind`], a sentence that names what, where and what is allowed, and the error below it if there is one.
///
/// [`source`](std::error::Error::source) gives that error. That of [`ErrorKind::Io`] is a [`std::io::Error`] where the
/// operating system refused a call:
///
/// ```
/// use std::error::Error as _;
///
/// /// Whether the disk is full (ENOSPC).
/// fn is_disk_full(error: &spanspool::Error) -> bool {
///     let cause = error.source().and_then(|cause| cause.downcast_ref::<std::io::Error>());
///     cause.is_some_and(|io| io.kind() == std::io::ErrorKind::StorageFull)
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// The result of every fallible call of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of `kind` with a message for people.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// The same error with the error that caused it.
    pub(crate) fn caused_by(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// An I/O error met while doing `what` (a phrase such as "create /path/journal"). The message has the errno, too.
    pub(crate) fn io(what: impl fmt::Display, source: std::io::Error) -> Self {
        Self::new(ErrorKind::Io, format!("cannot {what}: {source}")).caused_by(source)
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

    /// Whether there is no room on the disk, or none for this user or process.
    pub(crate) fn is_disk_full(&self) -> bool {
        use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        let cause = self.source.as_deref().and_then(|cause| cause.downcast_ref::<std::io::Error>());
        cause.is_some_and(|io| matches!(io.kind(), StorageFull | QuotaExceeded | FileTooLarge))
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

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_io_error_and_its_copies_keep_the_errno() {
        let error = Error::io("write /spool/journal", std::io::Error::from_raw_os_error(libc::ENOSPC));
        assert!(error.message().starts_with("cannot write /spool/journal: "), "{error}");
        assert!(error.message().contains("os error 28"), "{error}");
        for error in [error.clone(), error] {
            let source = error.source().unwrap().downcast_ref::<std::io::Error>().unwrap();
            assert_eq!(source.raw_os_error(), Some(libc::ENOSPC));
        }
    }

    #[test]
    fn an_error_without_a_cause_has_no_source() {
        assert!(Error::new(ErrorKind::Full, "no room").source().is_none());
    }
}
