//! The settings: names, defaults and limits. No I/O and no environment.

mod destination;
mod endpoint;
mod log;
mod printable;
mod setting;
mod signal;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use destination::Destination;
pub use endpoint::Endpoint;
pub(crate) use log::Log;
pub use log::{Level, LogFn};
pub(crate) use printable::on_one_line;
pub(crate) use setting::header_text;
pub use setting::{SETTINGS, Setting};
pub use signal::Signal;

use crate::error::{Error, ErrorKind, Result};

/// The settings of a client. Made with [`Config::new`], changed by name with [`Config::set`].
///
/// The names, defaults and what each allows stand in [`SETTINGS`].
#[derive(Debug, Clone)]
pub struct Config {
    pub(crate) spool_dir: PathBuf,
    pub(crate) exporter: ExporterKind,
    pub(crate) signal: Signal,
    pub(crate) endpoint: Endpoint,
    pub(crate) api_key: Option<Secret>,
    pub(crate) organization: Option<String>,
    pub(crate) project: Option<String>,
    pub(crate) headers: Vec<(String, Secret)>,
    pub(crate) max_batch_size: usize,
    pub(crate) max_batch_bytes: usize,
    pub(crate) max_queue_size: u64,
    pub(crate) max_spool_bytes: u64,
    pub(crate) overflow: Overflow,
    pub(crate) max_age: Option<Duration>,
    pub(crate) schedule_delay: Duration,
    pub(crate) export_trigger_ratio: f64,
    pub(crate) max_retries: u32,
    pub(crate) base_delay: Duration,
    pub(crate) max_delay: Duration,
    pub(crate) jitter: f64,
    pub(crate) connect_timeout: Duration,
    pub(crate) request_timeout: Duration,
    pub(crate) max_in_flight: usize,
    pub(crate) max_bytes_per_s: u64,
    pub(crate) order: Order,
    pub(crate) backlog_share: f64,
    pub(crate) request_compression: RequestCompression,
    pub(crate) durability: Durability,
    pub(crate) sync_interval: Duration,
    pub(crate) enqueue_timeout: Duration,
    pub(crate) journal_bytes: u64,
    pub(crate) max_item_bytes: usize,
    pub(crate) validation: Validation,
    pub(crate) sanitize: Sanitize,
    pub(crate) adopt: Adopt,
    pub(crate) adopt_interval: Duration,
    pub(crate) max_rejected_bytes: u64,
    pub(crate) tls_roots: TlsRoots,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) client_cert_file: Option<PathBuf>,
    pub(crate) client_key_file: Option<PathBuf>,
    pub(crate) allow_insecure: bool,
    pub(crate) log: Log,
    /// The settings that were set; the others have their defaults.
    told: BTreeSet<&'static str>,
    /// Whether `endpoint` is the URL itself, to which no signal's path is added.
    is_whole_url: bool,
}

/// Where items go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExporterKind {
    Backend,
    Console,
    Otlp,
    None,
}

/// What becomes of a new item when the spool is at its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overflow {
    Reject,
    DropOldest,
}

/// What is sent first when items have had to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// All items in the order in which they were accepted.
    OldestFirst,
    /// After an outage or a restart the new items at once, and what waited in its order beside them.
    NewestFirst,
}

/// Whether a request's body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequestCompression {
    None,
    Gzip,
}

/// What an OK survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// The death of the process.
    Process,
    /// A power cut.
    Power,
}

/// How far an item is checked at the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Validation {
    Full,
    None,
}

/// Which lanes of dead processes a client delivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Adopt {
    /// Those of its own destination, and those that any client may deliver.
    Same,
    /// All.
    Any,
}

impl Adopt {
    /// Whether a client whose items go to `own` may deliver those that go to `other`. They must be of the same form: no
    /// request can carry JSON and protobuf, or two signals.
    pub(crate) fn allows(self, own: &Destination, other: &Destination) -> bool {
        own.has_form_of(other) && (self == Self::Any || other.is_anybody() || own == other)
    }
}

/// Whether the ingest's field limits are applied to what is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sanitize {
    Auto,
    Always,
    Never,
}

/// Whose roots a server's certificate is checked against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TlsRoots {
    /// Mozilla's, as they were when the crate was built.
    BuiltIn,
    /// The operating system's.
    System,
}

/// Text that never shows in debug output.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Config {
    /// The defaults. `spool_dir` is still to be set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the setting `key` to `value`, both as in [`SETTINGS`]. On an error nothing was changed.
    pub fn set(&mut self, key: &str, value: &str) -> Result<&mut Self> {
        setting::apply(self, key, value)?;
        Ok(self)
    }

    /// As [`Config::set`], for a value that may be a path: `spool_dir`, `ca_file`, `client_cert_file` and
    /// `client_key_file` need not be UTF-8.
    /// A relative path counts from the process's folder at this call.
    ///
    /// Any other value that is not UTF-8 is refused as [`ErrorKind::InvalidArgument`].
    pub fn set_os(&mut self, key: &str, value: &OsStr) -> Result<&mut Self> {
        match (key, value.to_str()) {
            (_, Some(value)) => return self.set(key, value),
            ("spool_dir", None) => self.spool_dir = setting::path_of(key, value)?,
            ("ca_file", None) => self.ca_file = Some(setting::path_of(key, value)?),
            ("client_cert_file", None) => self.client_cert_file = Some(setting::path_of(key, value)?),
            ("client_key_file", None) => self.client_key_file = Some(setting::path_of(key, value)?),
            (_, None) => {
                let what = format!("setting {key}: the value is not UTF-8");
                return Err(Error::new(ErrorKind::InvalidArgument, what));
            }
        }
        Ok(self)
    }

    /// Sets where items go to what a lane has recorded: `exporter`, and with it `signal` and `endpoint`. A destination that
    /// is no exporter's of this crate changes nothing: [`Destination::anybody`], [`Destination::custom`]. One without an
    /// address leaves `endpoint` as it is.
    pub fn set_destination(&mut self, destination: &Destination) -> Result<&mut Self> {
        if *destination == Destination::console() {
            return self.set("exporter", "console");
        }
        match (destination.signal(), destination.endpoint()) {
            (Some(signal), _) => self.set("exporter", "otlp")?.set("signal", signal.name())?,
            (None, Some(_)) => self.set("exporter", "backend")?,
            (None, None) => self,
        };
        if let Some(endpoint) = destination.endpoint() {
            self.set_whole_url(endpoint)?;
        }
        Ok(self)
    }

    /// Sends log lines to `receiver`. Without one the library prints nothing.
    pub fn set_log(&mut self, receiver: impl Fn(Level, &str) + Send + Sync + 'static) -> &mut Self {
        self.log = Log::new(Arc::new(receiver));
        self
    }

    /// The longest item that is stored, in bytes: the setting `max_item_bytes`.
    pub fn max_item_bytes(&self) -> usize {
        self.max_item_bytes
    }

    /// Whether a client with these settings delivers what another one left for `destination`.
    pub fn adopts(&self, destination: &Destination) -> bool {
        self.adopt.allows(&self.destination(), destination)
    }

    /// Where items go with these settings.
    pub fn destination(&self) -> Destination {
        match self.exporter {
            ExporterKind::Backend => Destination::backend(&self.endpoint),
            ExporterKind::Console => Destination::console(),
            ExporterKind::Otlp => Destination::otlp(self.signal, &self.url()),
            ExporterKind::None => Destination::anybody(),
        }
    }

    /// The URL that batches are posted to. For OTLP it ends in the signal's path, unless it was given as a whole.
    pub(crate) fn url(&self) -> Endpoint {
        match self.exporter {
            ExporterKind::Otlp if !self.is_told("endpoint") => Endpoint::collector().of_signal(self.signal),
            ExporterKind::Otlp if !self.is_whole_url => self.endpoint.of_signal(self.signal),
            _ => self.endpoint.clone(),
        }
    }

    /// Sets `endpoint` to the URL itself: no signal's path is added to it.
    pub(crate) fn set_whole_url(&mut self, url: &str) -> Result<()> {
        self.set("endpoint", url)?;
        self.is_whole_url = true;
        Ok(())
    }

    /// Whether the setting `key` was set.
    pub(crate) fn is_told(&self, key: &str) -> bool {
        self.told.contains(key)
    }

    /// What the items are, with `exporter=otlp`.
    pub(crate) fn otlp_signal(&self) -> Option<Signal> {
        (self.exporter == ExporterKind::Otlp).then_some(self.signal)
    }

    /// Checks what no single setting can see.
    pub(crate) fn check(&self) -> Result<()> {
        if self.spool_dir.as_os_str().is_empty() {
            let what = "spool_dir is not set: it names the folder that keeps the items";
            return Err(Error::new(ErrorKind::InvalidArgument, what));
        }
        if self.exporter != ExporterKind::Otlp
            && self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization"))
        {
            let what = "header.authorization is for exporter=otlp; for the ingest set api_key";
            return Err(Error::new(ErrorKind::InvalidArgument, what));
        }
        self.client_identity().map(drop)
    }

    /// The files of the client's certificate and of its key.
    pub(crate) fn client_identity(&self) -> Result<Option<(&Path, &Path)>> {
        let (set, missing) = match (&self.client_cert_file, &self.client_key_file) {
            (Some(certificate), Some(key)) => return Ok(Some((certificate, key))),
            (None, None) => return Ok(None),
            (Some(_), None) => ("client_cert_file", "client_key_file"),
            (None, Some(_)) => ("client_key_file", "client_cert_file"),
        };
        let what = format!("{set} is set without {missing}: a client certificate takes both");
        Err(Error::new(ErrorKind::InvalidArgument, what))
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            spool_dir: PathBuf::new(),
            exporter: ExporterKind::Backend,
            signal: Signal::Traces,
            endpoint: Endpoint::openai(),
            api_key: None,
            organization: None,
            project: None,
            headers: Vec::new(),
            max_batch_size: 128,
            max_batch_bytes: 1 << 20,
            max_queue_size: 0,
            max_spool_bytes: 1 << 30,
            overflow: Overflow::Reject,
            max_age: None,
            schedule_delay: Duration::from_millis(5000),
            export_trigger_ratio: 0.7,
            max_retries: 0,
            base_delay: Duration::from_millis(1000),
            max_delay: Duration::from_millis(30_000),
            jitter: 0.1,
            connect_timeout: Duration::from_millis(5000),
            request_timeout: Duration::from_millis(60_000),
            max_in_flight: 1,
            max_bytes_per_s: 0,
            order: Order::OldestFirst,
            backlog_share: 0.5,
            request_compression: RequestCompression::None,
            durability: Durability::Process,
            sync_interval: Duration::from_millis(1000),
            enqueue_timeout: Duration::from_millis(100),
            journal_bytes: 16 << 20,
            max_item_bytes: 16 << 20,
            validation: Validation::Full,
            sanitize: Sanitize::Auto,
            adopt: Adopt::Same,
            adopt_interval: Duration::from_millis(30_000),
            max_rejected_bytes: 64 << 20,
            tls_roots: TlsRoots::BuiltIn,
            ca_file: None,
            client_cert_file: None,
            client_key_file: None,
            allow_insecure: false,
            log: Log::default(),
            told: BTreeSet::new(),
            is_whole_url: false,
        }
    }
}
