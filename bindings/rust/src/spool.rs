//! Spool: the client of a plug, and what its errors are in the SDK's terms.

use std::cell::Cell;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::{Context, otel_error, otel_warn};
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use spanspool::{BatchTraceProcessor, Config, Error, ErrorKind, Level, Result, Signal};

/// How long a flush takes at most: the SDK gives it no deadline, and its own batch processors have this one.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// Last, how receivers know an OTLP exporter of Rust.
const USER_AGENT: &str = concat!(
    concat!("spanspool-opentelemetry/", env!("CARGO_PKG_VERSION")),
    concat!(" spanspool/", env!("CARGO_PKG_VERSION")),
    concat!(" OTel-OTLP-Exporter-Rust/", env!("CARGO_PKG_VERSION")),
);

/// A longer buffer is not kept for the next record.
const MAX_KEPT_BYTES: usize = 64 << 10;

thread_local! {
    /// A thread's own, so that threads share nothing, and a child of `fork` waits for none.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A client whose items are export requests of one signal.
pub(crate) struct Spool {
    client: Arc<BatchTraceProcessor>,
    signal: Signal,
}

impl Spool {
    pub(crate) fn new(client: Arc<BatchTraceProcessor>, signal: Signal) -> Self {
        Self { client, signal }
    }

    pub(crate) fn open(spool_dir: &Path, signal: Signal) -> Result<Self> {
        let mut config = Config::new();
        config.set_os("spool_dir", spool_dir.as_os_str())?.set_log(log);
        Self::with_config(config, signal)
    }

    pub(crate) fn with_config(mut config: Config, signal: Signal) -> Result<Self> {
        config.set("exporter", "otlp")?.set("signal", signal.name())?.set("header.User-Agent", USER_AGENT)?;
        if signal == Signal::Traces {
            // Our encoder can't write anything but a request of spans, and they nest to a fixed depth. Log records do not.
            config.set("validation", "none")?;
        }
        Ok(Self::new(Arc::new(BatchTraceProcessor::open(config)?), signal))
    }

    pub(crate) fn signal(&self) -> Signal {
        self.signal
    }

    /// Stores the request that `encode` appends to an empty buffer.
    pub(crate) fn enqueue(&self, encode: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
        // Taken, not borrowed: a log function that the client calls may end a span. A thread that ends has none.
        let mut buffer = BUFFER.try_with(Cell::take).unwrap_or_default();
        encode(&mut buffer);
        let result = self.client.enqueue(&buffer);
        if buffer.capacity() <= MAX_KEPT_BYTES {
            buffer.clear();
            let _ = BUFFER.try_with(|kept| kept.set(buffer));
        }
        result
    }

    /// Stores each of `records` as a request of its own, so that a receiver can refuse one without the others.
    ///
    /// What is wrong with one record says nothing of the next. After any other error the rest is not tried, because each
    /// could wait for room as long as the one before.
    pub(crate) fn enqueue_each<R>(
        &self,
        records: impl Iterator<Item = R>,
        mut encode: impl FnMut(R, &mut Vec<u8>),
    ) -> OTelSdkResult {
        let (mut refused, mut records) = (None, records.peekable());
        let mut lost = 0_usize;
        while let Some(record) = records.next() {
            let Err(error) = self.enqueue(|buffer| encode(record, buffer)) else { continue };
            lost += 1;
            let is_of_record = matches!(error.kind(), ErrorKind::InvalidItem | ErrorKind::ItemTooLarge);
            refused.get_or_insert(error);
            if !is_of_record {
                lost += records.by_ref().count();
            }
        }
        match refused {
            None => Ok(()),
            Some(error) if error.kind() == ErrorKind::ShutDown => Err(OTelSdkError::AlreadyShutdown),
            Some(error) => {
                let what = format!("{lost} records of {} are not stored: {error}", self.signal.name());
                Err(OTelSdkError::InternalFailure(what))
            }
        }
    }

    /// Delivers what was stored, for at most [`FLUSH_TIMEOUT`]. What is left by then is still delivered.
    pub(crate) fn flush(&self) -> OTelSdkResult {
        self.client.flush(FLUSH_TIMEOUT).map_err(|error| sdk_error(error, FLUSH_TIMEOUT))
    }

    /// Takes no more, and delivers until `timeout` has passed. What is left stays in the spool.
    pub(crate) fn shut_down(&self, timeout: Duration) -> OTelSdkResult {
        self.client.shutdown(timeout).map_err(|error| sdk_error(error, timeout))
    }
}

impl fmt::Debug for Spool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spool").field("signal", &self.signal).finish_non_exhaustive()
    }
}

fn sdk_error(error: Error, timeout: Duration) -> OTelSdkError {
    match error.kind() {
        ErrorKind::ShutDown => OTelSdkError::AlreadyShutdown,
        ErrorKind::Timeout => OTelSdkError::Timeout(timeout),
        _ => OTelSdkError::InternalFailure(error.to_string()),
    }
}

/// Hands a line of the client's log to the SDK's. It must not become a record of telemetry, which could fail like the
/// one that it is about.
fn log(level: Level, line: &str) {
    let _suppressed = Context::enter_telemetry_suppressed_scope();
    match level {
        Level::Error => {
            otel_error!(name: "Spanspool.Error", message = line);
        }
        Level::Warn => {
            otel_warn!(name: "Spanspool.Warning", message = line);
        }
        Level::Info | Level::Debug => {}
    }
}
