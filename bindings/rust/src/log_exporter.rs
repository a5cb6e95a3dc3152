//! Log exporter: a log record is durable once its batch is exported.

use std::time::Duration;

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{LogBatch, LogExporter};
use spanspool::Signal;

use crate::constructors::constructors;
use crate::encode::{Envelope, log_request};
use crate::spool::Spool;

/// Stores batches of log records in the spool, for programs that keep the SDK's batch processor.
///
/// A record is durable once its batch is exported, not when `emit()` returns.
/// [`SpoolLogProcessor`](crate::SpoolLogProcessor) has no such gap.
#[derive(Debug)]
pub struct SpoolLogExporter {
    spool: Spool,
    envelope: Envelope,
}

constructors!(SpoolLogExporter, Signal::Logs, |spool| Self { spool, envelope: Envelope::default() });

impl LogExporter for SpoolLogExporter {
    /// Stores the records; waits for no network. An error says how many are not stored, and why.
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        self.spool.enqueue_each(batch.iter(), |(record, scope), buffer| {
            log_request(&self.envelope, record, scope, buffer)
        })
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.spool.shut_down(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.envelope = Envelope::new(resource);
    }
}
