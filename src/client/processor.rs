//! Processor: what a program holds: open, enqueue, flush, shutdown. The C handle wraps it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{AcqRel, Acquire};
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::config::{Config, Destination, ExporterKind, header_text};
use crate::error::{Error, ErrorKind, Result};
use crate::export::{BackendSpanExporter, ConsoleSpanExporter, TracingExporter, with_environment};
use crate::item::MAX_KEY_NAME_BYTES;
use crate::model::{Span, Trace};
use crate::os::fork;
use crate::os::per_process::PerProcess;
use crate::os::signal::without_file_size_signal;
use crate::spool::{Stats, shut_down};

/// What a program tells about its traces and spans; the names are those of the OpenAI Agents SDK.
///
/// All methods may be called from any thread, several at once.
pub trait TracingProcessor: Send + Sync {
    /// A trace began.
    fn on_trace_start(&self, trace: &Trace) -> Result<()>;
    /// A trace ended.
    fn on_trace_end(&self, trace: &Trace) -> Result<()>;
    /// A span began.
    fn on_span_start(&self, span: &Span) -> Result<()>;
    /// A span ended.
    fn on_span_end(&self, span: &Span) -> Result<()>;
    /// Delivers everything accepted so far; returns when that is done.
    fn force_flush(&self) -> Result<()>;
    /// Stops, delivering until `timeout` has passed.
    fn shutdown(&self, timeout: Duration) -> Result<()>;
}

/// Takes finished traces and spans, keeps them durable and delivers them in the background.
///
/// All methods may be called from any thread, several at once. Dropping it is `shutdown` with no time:
/// what is not delivered stays in the spool for the next client. Dropping also waits for calls of the log function that
/// are under way; after it, the log function is not called again.
///
/// After `fork` the child's first call opens a lane of its own with the same settings and keys; the parent's is
/// not touched.
pub struct BatchTraceProcessor {
    client: PerProcess<Client>,
    closed: AtomicBool,
}

impl BatchTraceProcessor {
    /// Opens the spool with the exporter that `config` names.
    ///
    /// Takes over the first lane in `spool_dir` that no living process owns, or makes one, and starts the
    /// background threads. The environment is read here and never again.
    pub fn open(config: Config) -> Result<Self> {
        let config = with_environment(config)?;
        config.check()?;
        let exporter: Option<Arc<dyn TracingExporter>> = match config.exporter {
            ExporterKind::Backend | ExporterKind::Otlp => {
                Some(Arc::new(BackendSpanExporter::with_complete(&config)?))
            }
            ExporterKind::Console => Some(Arc::new(ConsoleSpanExporter::new())),
            ExporterKind::None => None,
        };
        let destination = exporter.as_ref().map(|exporter| exporter.destination()).unwrap_or_default();
        Self::start(config, destination, exporter)
    }

    /// As [`BatchTraceProcessor::open`], but sends nothing: the items wait for another client of the same destination.
    pub fn open_offline(config: Config) -> Result<Self> {
        let config = with_environment(config)?;
        config.check()?;
        let destination = config.destination();
        Self::start(config, destination, None)
    }

    /// Opens the spool with an exporter of the caller's; the setting `exporter` is not looked at, and items are JSON.
    pub fn with_exporter(config: Config, exporter: Arc<dyn TracingExporter>) -> Result<Self> {
        config.check()?;
        Self::start(config, exporter.destination(), Some(exporter))
    }

    fn start(
        config: Config,
        destination: Destination,
        exporter: Option<Arc<dyn TracingExporter>>,
    ) -> Result<Self> {
        fork::watch();
        let client =
            PerProcess::new(without_file_size_signal(|| Client::open(config, destination, exporter))?);
        Ok(Self { client, closed: AtomicBool::new(false) })
    }

    /// Stores one item; when it returns Ok the item is durable as `durability` says and will be delivered.
    ///
    /// `item` is one JSON object in UTF-8, or with `exporter=otlp` the protobuf bytes of one export request.
    ///
    /// The limit `max_item_bytes` applies to what will be sent: where the field limits of the OpenAI ingest are applied, an
    /// item of up to 64 MiB that they bring under it is stored as they leave it.
    ///
    /// Errors: `InvalidItem`, `ItemTooLarge`, `Full`, `Io`, `ShutDown`: nothing
    /// was stored then, except that after `Io` the item may be delivered all the same if `durability` is `power` or it is
    /// longer than half of the journal.
    pub fn enqueue(&self, item: &[u8]) -> Result<()> {
        self.client()?.enqueue("", item)
    }

    /// Stores one item that is to be sent with the key `key_name`, which `set_named_key` gives now or later.
    ///
    /// The spool keeps the name, never the key. An item whose turn comes is set aside in the rejected store, as
    /// `no_key:<name>` if no key has that name, or as `key_refused:<name>` if the ingest answers the key with 401 or 403.
    /// It is sent as soon as any client of the same destination in this spool sets the key.
    ///
    /// A name has 1 to 255 bytes. Errors: as `enqueue`, and `InvalidArgument` for the name.
    pub fn enqueue_as(&self, key_name: &str, item: &[u8]) -> Result<()> {
        check_key_name(key_name)?;
        self.client()?.enqueue(key_name, item)
    }

    /// Sends everything accepted so far at once and waits until all of it is delivered or rejected.
    ///
    /// `Timeout` when that took longer than `timeout`: the rest stays in the spool and goes on.
    pub fn flush(&self, timeout: Duration) -> Result<()> {
        self.client()?.flush(deadline_in(timeout))
    }

    /// Brings everything accepted so far to stable storage, whatever `durability` says.
    pub fn sync(&self) -> Result<()> {
        self.client()?.sync()
    }

    /// "The network costs now", or "the battery is low": items are taken and durable as before, but no request begins until
    /// `wake`. One that is under way goes on.
    ///
    /// Meanwhile `flush` waits as in an outage, for `wake` or its timeout. `shutdown` does not wait: no call can end the pause
    /// after it. A child of `fork` begins paused if its parent was. A new client does not: the pause is kept in memory only.
    pub fn pause(&self) -> Result<()> {
        self.client()?.pause();
        Ok(())
    }

    /// "The network is back": ends a pause and makes the next request now, without waiting for backoff or hold to end.
    pub fn wake(&self) -> Result<()> {
        self.client()?.wake();
        Ok(())
    }

    /// Replaces the API key and tries now. The key is kept in memory only.
    pub fn set_api_key(&self, key: &str) -> Result<()> {
        check_key(key)?;
        self.client()?.set_api_key(key);
        Ok(())
    }

    /// Sets the key that items of `enqueue_as(name, …)` are sent with. The key is kept in memory only.
    ///
    /// Items that were set aside as `no_key:<name>` or `key_refused:<name>`, in any process's lane of the spool whose
    /// items this client may deliver, go back on their way in the background, as items of this client's lane. A later
    /// `flush` waits for that. What another process sets aside later is found within `adopt_interval_ms`.
    pub fn set_named_key(&self, name: &str, key: &str) -> Result<()> {
        check_key(key)?;
        check_key_name(name)?;
        let client = self.client()?;
        without_file_size_signal(|| client.set_named_key(name, key));
        Ok(())
    }

    /// The counters of this client's lane. After `shutdown` they are the final ones.
    pub fn stats(&self) -> Result<Stats> {
        match self.client.get() {
            Some(client) => Ok(client.stats()),
            None => Ok(self.client()?.stats()),
        }
    }

    /// Puts rejected items of any lane of the spool back on their way: those named in `ids`, or all when `ids`
    /// is empty. Returns how many. They are new items of this client's lane.
    ///
    /// `InvalidArgument` when an id is not there: nothing was moved then. `Full`: some were moved.
    pub fn requeue_rejected(&self, ids: &[String]) -> Result<u64> {
        let client = self.client()?;
        without_file_size_signal(|| client.requeue_rejected(ids))
    }

    /// Takes no more items, delivers until `timeout` has passed and stops the threads.
    ///
    /// `Timeout` when items are left: they stay in the spool, and the next client delivers them. Every later call but
    /// `stats` answers `ShutDown`.
    pub fn shutdown(&self, timeout: Duration) -> Result<()> {
        if self.closed.swap(true, AcqRel) {
            return Err(shut_down());
        }
        // A child that never used it has nothing to shut down.
        self.client.get().map_or(Ok(()), |client| client.shutdown(timeout, deadline_in(timeout)))
    }

    fn client(&self) -> Result<&Client> {
        if self.closed.load(Acquire) {
            return Err(shut_down());
        }
        let renew = |parents: &Client| without_file_size_signal(|| parents.for_child());
        self.client.get_or_renew(renew)?.ok_or_else(shut_down)
    }
}

impl TracingProcessor for BatchTraceProcessor {
    /// Stores the trace.
    fn on_trace_start(&self, trace: &Trace) -> Result<()> {
        self.enqueue(&trace.to_json())
    }

    /// Does nothing: a trace is sent when it starts.
    fn on_trace_end(&self, _trace: &Trace) -> Result<()> {
        self.client().map(drop)
    }

    /// Does nothing: a span is sent when it ended.
    fn on_span_start(&self, _span: &Span) -> Result<()> {
        self.client().map(drop)
    }

    /// Stores the span.
    fn on_span_end(&self, span: &Span) -> Result<()> {
        self.enqueue(&span.to_json())
    }

    fn force_flush(&self) -> Result<()> {
        self.flush(Duration::MAX)
    }

    fn shutdown(&self, timeout: Duration) -> Result<()> {
        BatchTraceProcessor::shutdown(self, timeout)
    }
}

impl Drop for BatchTraceProcessor {
    fn drop(&mut self) {
        // A client that was shut down says so again; one with items left leaves them in the spool.
        drop(BatchTraceProcessor::shutdown(self, Duration::ZERO));
    }
}

/// `None` for a time too far away to be a deadline.
fn deadline_in(timeout: Duration) -> Option<Instant> {
    Instant::now().checked_add(timeout)
}

fn check_key(key: &str) -> Result<()> {
    let bad = |why| Error::new(ErrorKind::InvalidArgument, format!("the key can't be sent: {why}"));
    header_text(key).map(drop).map_err(bad)
}

fn check_key_name(name: &str) -> Result<()> {
    if (1..=MAX_KEY_NAME_BYTES).contains(&name.len()) {
        return Ok(());
    }
    let what = format!("key name of {} bytes: 1 to {MAX_KEY_NAME_BYTES} are allowed", name.len());
    Err(Error::new(ErrorKind::InvalidArgument, what))
}
