//! Log processor: a log record is durable when `emit()` returns.

use std::time::Duration;

use opentelemetry::InstrumentationScope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{LogProcessor, SdkLogRecord};
use spanspool::Signal;

use crate::constructors::constructors;
use crate::encode::{Envelope, log_request};
use crate::refusals::Refusals;
use crate::spool::Spool;

/// Stores each log record in the spool before `emit()` returns.
///
/// It is for [`SdkLoggerProvider`](opentelemetry_sdk::logs::SdkLoggerProvider), and otherwise as
/// [`SpoolSpanProcessor`](crate::SpoolSpanProcessor).
#[derive(Debug)]
pub struct SpoolLogProcessor {
    spool: Spool,
    envelope: Envelope,
    refusals: Refusals,
}

constructors!(SpoolLogProcessor, Signal::Logs, |spool| Self {
    spool,
    envelope: Envelope::default(),
    refusals: Refusals::default()
});

impl LogProcessor for SpoolLogProcessor {
    fn emit(&self, record: &mut SdkLogRecord, scope: &InstrumentationScope) {
        let result = self.spool.enqueue(|buffer| log_request(&self.envelope, record, scope, buffer));
        self.refusals.note(self.spool.signal(), result);
    }

    /// As [`SpoolSpanProcessor`](crate::SpoolSpanProcessor) does.
    fn force_flush(&self) -> OTelSdkResult {
        self.spool.flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.spool.shut_down(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.envelope = Envelope::new(resource);
    }
}
