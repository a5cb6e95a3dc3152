//! Exporters: they send a batch somewhere and say what became of it. They know nothing of disks.

mod answer;
mod backend;
mod backoff;
mod body;
mod classify;
mod console;
mod environment;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
mod http;
mod keys;
mod lookup;
mod proxy;
mod random;
mod retry_after;
mod sanitize;
mod socket;
mod tls;

use std::sync::Arc;
use std::time::{Duration, Instant};

pub use answer::Answer;
pub(crate) use answer::quote;
pub use backend::BackendSpanExporter;
pub(crate) use backoff::Backoff;
pub use console::ConsoleSpanExporter;
pub(crate) use environment::with_environment;

use crate::batch::Batch;
use crate::config::Destination;

/// Sends batches. One exporter serves all threads of a client at once.
pub trait TracingExporter: Send + Sync {
    /// Sends `batch` once and says what became of it; it does not retry.
    ///
    /// It must come back soon after `deadline`, when there is one.
    fn export(&self, batch: &Batch, deadline: Option<Instant>) -> Outcome;

    /// As `export`, and says how many bytes were uploaded, which `max_bytes_per_s` limits. An exporter that does not say
    /// counts as one that uploads each batch as it is.
    fn export_counted(&self, batch: &Batch, deadline: Option<Instant>) -> (Outcome, u64) {
        (self.export(batch, deadline), batch.body().len() as u64)
    }

    /// Whether a batch of the key name `name` can be sent at all, or else what becomes of it: `NoKey`, or `Hold`. It is
    /// asked before each attempt, makes no request, and returns at once.
    fn ready(&self, _name: &str) -> std::result::Result<(), Outcome> {
        Ok(())
    }

    /// Where batches go: a client takes over the lanes of dead processes whose items go to the same destination.
    ///
    /// All exporters that do not say have one in common: say so where a spool is shared by several.
    fn destination(&self) -> Destination {
        Destination::custom("unnamed")
    }

    /// The item as `export` will send it, where that is shorter than the item. It is asked on the thread that enqueues, for
    /// an item that is longer than `max_item_bytes`: what it answers is stored in its place if that is short enough.
    fn shorten(&self, _item: &[u8]) -> Option<Vec<u8>> {
        None
    }

    /// Gives up what is in flight, soon. Called when a shutdown's deadline has passed, and when a client that has
    /// started sending can't be opened after all. Later calls of `export` fail.
    fn shutdown(&self) {}

    /// The exporter for a child of `fork`, which has none of this process's threads: with the same settings and keys,
    /// and no lock or connection in common. `None`: the child uses this one.
    fn fork(&self) -> Option<Arc<dyn TracingExporter>> {
        None
    }

    /// Replaces the default API key.
    fn set_api_key(&self, _key: &str) {}

    /// Sets the key that batches of the key name `name` are sent with. It is kept in memory only.
    fn set_named_key(&self, _name: &str, _key: &str) {}

    /// Whether batches of the key name `name` have a key by now: those that were set aside for want of it are tried
    /// again then.
    fn has_named_key(&self, _name: &str) -> bool {
        false
    }
}

/// What the exporter made of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The ingest has it.
    Accepted {
        /// The HTTP status, or 0 where there was none.
        status: u16,
    },
    /// The ingest has it, and refused a part of it or says something about it (OTLP's partial success). It counts as
    /// delivered.
    PartlyAccepted {
        /// The HTTP status.
        status: u16,
        /// Records that were refused: spans, log records or data points.
        rejected: u64,
        /// Why, for people.
        message: String,
    },
    /// It may succeed later: try again after a backoff.
    Retry {
        /// The HTTP status, or 0 where there was none.
        status: u16,
        /// How long the ingest asked to wait at least.
        after: Option<Duration>,
        /// Why, for people.
        reason: String,
    },
    /// It can't succeed until something outside changes (a key, a permission, an address).
    Hold {
        /// The HTTP status, or 0 where there was none.
        status: u16,
        /// Why, for people.
        reason: String,
    },
    /// The request was too large: send it in halves.
    TooLarge(Answer),
    /// The ingest refused the content: find the offending item.
    Refused(Answer),
    /// This process has no key of the batch's key name.
    NoKey,
}
