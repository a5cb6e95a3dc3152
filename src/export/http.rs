//! Http: the HTTP client, and how it gets to the ingest: names, sockets and TLS. The only file that knows which one it is.

use std::cell::Cell;
use std::fmt;
use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, TimedOut, UnexpectedEof};
use std::io::{self, Read, Write};
use std::sync::Arc;

use rustls::{ClientConnection, StreamOwned};
pub(super) use ureq::Proxy;
pub(super) use ureq::http::{HeaderName, HeaderValue};
use ureq::http::{Response, Uri};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::time::{Duration, Instant};
use ureq::unversioned::transport::{
    Buffers, ConnectProxyConnector, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout,
    TcpConnector, Transport, TransportAdapter,
};
use ureq::{Agent, Body, Error};

use super::lookup::Lookup;
use super::tls::{self, Tls};
use crate::config::Config;
use crate::error::ErrorKind;
use crate::os::descriptors::above_standard;

const USER_AGENT: &str = concat!("spanspool/", env!("CARGO_PKG_VERSION"));

/// The longest head of an answer.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// For how long an answer's body is read, so that its connection can be used again.
const MAX_ANSWER_TIME: std::time::Duration = std::time::Duration::from_secs(2);

/// How many of a host's addresses are tried; the HTTP client has room for no more.
const MAX_ADDRESSES: usize = 16;

type Result<T> = std::result::Result<T, Error>;

/// Posts to one endpoint. It may be shared by threads.
pub(super) struct HttpClient {
    agent: Agent,
    names: Names,
    tls: Arc<Tls>,
    url: Uri,
}

/// An answer, with its body still to be read.
pub(super) type Answered = Response<Body>;

/// Why there is no answer.
pub(super) enum Unanswered {
    /// Nothing can be sent before a setting or a file is another one.
    Hindered(String),
    /// The other end broke the connection while the request was sent. `is_kept`: it had been open before.
    Reset { is_kept: bool, reason: String },
    /// The connection ended before there was an answer.
    BrokenOff { is_kept: bool, reason: String },
    /// Anything else.
    Failed(String),
}

impl HttpClient {
    /// # Errors
    /// `InvalidArgument` when the endpoint can't be used, or one of `client_cert_file` and `client_key_file` is set without
    /// the other.
    pub(super) fn new(config: &Config, proxy: Option<Proxy>) -> crate::error::Result<Self> {
        let url = config.endpoint.url().parse::<Uri>().map_err(|e| {
            crate::error::Error::new(ErrorKind::InvalidArgument, format!("endpoint: {e}")).caused_by(e)
        })?;
        Ok(Self::with_parts(agent_config(config, proxy), Tls::new(config)?, url))
    }

    /// Another one that shares nothing with this one.
    pub(super) fn copy(&self) -> Self {
        Self::with_parts(self.agent.config().clone(), self.tls.copy(), self.url.clone())
    }

    fn with_parts(config: ureq::config::Config, tls: Tls, url: Uri) -> Self {
        let (names, tls) = (Names::default(), Arc::new(tls));
        Self { agent: new_agent(config, &names, &tls), names, tls, url }
    }

    /// Posts `body` once, within `timeout` if that is shorter than `request_timeout_ms`.
    pub(super) fn post<'a>(
        &self,
        headers: impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)>,
        body: &[u8],
        timeout: Option<std::time::Duration>,
    ) -> std::result::Result<Answered, Unanswered> {
        let mut request = self.agent.post(self.url.clone());
        for (name, value) in headers {
            request = request.header(name, value);
        }
        if timeout.is_some() {
            request = request.config().timeout_global(timeout).build();
        }
        CONNECTED.set(false);
        request.send(body).map_err(unanswered)
    }

    /// How many connections are kept open between requests.
    pub(super) fn most_kept(&self) -> usize {
        self.agent.config().max_idle_connections()
    }

    /// Gives up what is in flight.
    pub(super) fn stop(&self) {
        self.names.stop();
        self.agent.clone().shutdown();
    }
}

fn agent_config(config: &Config, proxy: Option<Proxy>) -> ureq::config::Config {
    Agent::config_builder()
        .proxy(proxy)
        .http_status_as_error(false)
        .max_redirects(0)
        .user_agent(USER_AGENT)
        .timeout_connect(Some(config.connect_timeout))
        .timeout_global(Some(config.request_timeout))
        .timeout_recv_body(Some(MAX_ANSWER_TIME))
        .max_response_header_size(MAX_HEAD_BYTES)
        .max_idle_connections(config.max_in_flight)
        .max_idle_connections_per_host(config.max_in_flight)
        .build()
}

fn unanswered(error: Error) -> Unanswered {
    let is_kept = !CONNECTED.get();
    match error {
        Error::BadUri(e) => Unanswered::Hindered(format!("the endpoint can't be used: {e}")),
        Error::Other(e) if matches!(e.downcast_ref(), Some(tls::Failure::Settings(_))) => {
            Unanswered::Hindered(e.to_string())
        }
        // Without the HTTP client's words around it.
        Error::Other(e) => Unanswered::Failed(e.to_string()),
        Error::Io(e) if is_broken(&e) => Unanswered::Reset { is_kept, reason: Error::Io(e).to_string() },
        Error::Io(e) if e.kind() == UnexpectedEof => {
            Unanswered::BrokenOff { is_kept, reason: Error::Io(e).to_string() }
        }
        e => Unanswered::Failed(e.to_string()),
    }
}

/// The host that a request to `url` would go to.
#[cfg(any(fuzzing, test))]
pub(crate) fn host_of(url: &str) -> Option<String> {
    url.parse::<Uri>().ok()?.host().map(str::to_owned)
}

/// Its connections are as `tls` says, whatever TLS the HTTP client was built with by others.
fn new_agent(config: ureq::config::Config, names: &Names, tls: &Arc<Tls>) -> Agent {
    let way = ().chain(ConnectProxyConnector::default());
    let way = way.chain(Sockets::default()).chain(Handshakes(tls.clone()));
    Agent::with_parts(config, way, names.clone())
}

/// Looks up host names for the HTTP client, which would start a thread for every request and leave those that hang.
#[derive(Debug, Clone, Default)]
struct Names(Arc<Lookup>);

impl Names {
    fn stop(&self) {
        self.0.stop();
    }
}

impl Resolver for Names {
    fn resolve(
        &self,
        uri: &Uri,
        _config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs> {
        let name = uri.scheme().zip(uri.authority());
        let name = name.and_then(|(scheme, authority)| DefaultResolver::host_and_port(scheme, authority));
        let name = name.ok_or(Error::HostNotFound)?;
        let mut found = self.empty();
        match self.0.addresses(&name, *timeout.after) {
            Ok(addresses) => addresses.into_iter().take(MAX_ADDRESSES).for_each(|a| found.push(a)),
            Err(e) if e.kind() == TimedOut => return Err(Error::Timeout(timeout.reason)),
            Err(e) => return Err(e.into()),
        }
        if found.is_empty() { Err(Error::HostNotFound) } else { Ok(found) }
    }
}

thread_local! {
    /// Whether this thread's request made a connection; otherwise it went over one that was kept.
    static CONNECTED: Cell<bool> = const { Cell::new(false) };
}

/// Connects so that no socket is a standard descriptor, and notes it.
#[derive(Debug, Default)]
struct Sockets(TcpConnector);

impl<In: Transport> Connector<In> for Sockets {
    type Out = <TcpConnector as Connector<In>>::Out;

    fn connect(&self, details: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<Self::Out>> {
        let made = above_standard(|| self.0.connect(details, chained))?;
        CONNECTED.set(true);
        Ok(made)
    }
}

/// The other end closed or broke the connection while this one wrote.
fn is_broken(error: &io::Error) -> bool {
    matches!(error.kind(), BrokenPipe | ConnectionReset | ConnectionAborted)
}

/// Wraps connections to https URLs in TLS.
#[derive(Debug)]
struct Handshakes(Arc<Tls>);

impl<In: Transport> Connector<In> for Handshakes {
    type Out = Either<In, Encrypted>;

    fn connect(&self, details: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<Self::Out>> {
        let Some(plain) = chained else { return Ok(None) };
        if !details.needs_tls() || plain.is_tls() {
            return Ok(Some(Either::A(plain)));
        }
        let host = details.uri.host().ok_or(Error::HostNotFound)?.trim_matches(['[', ']']);
        let client = self.0.begin(host).map_err(|e| Error::Other(e.into()))?;
        let mut socket = TransportAdapter::new(plain.boxed(), details.current_time.clone());
        socket.set_timeout(time_left(details));
        let mut made = Encrypted {
            stream: StreamOwned::new(client, socket),
            buffers: LazyBuffers::new(
                details.config.input_buffer_size(),
                details.config.output_buffer_size(),
            ),
            tls: self.0.clone(),
            host: host.to_owned(),
        };
        let stream = &mut made.stream;
        let shaken = stream.conn.complete_io(&mut stream.sock);
        shaken.map_err(|e| made.explained(e))?;
        Ok(Some(Either::B(made)))
    }
}

/// What the steps before have left of the time for connecting.
fn time_left(details: &ConnectionDetails<'_>) -> NextTimeout {
    let mut timeout = details.timeout;
    if let (Instant::Exact(began), Instant::Exact(now), Duration::Exact(limit)) =
        (details.now, (details.current_time)(), timeout.after)
    {
        timeout.after = Duration::Exact(limit.saturating_sub(now.saturating_duration_since(began)));
    }
    timeout
}

/// A connection that is encrypted.
struct Encrypted {
    stream: StreamOwned<ClientConnection, TransportAdapter>,
    buffers: LazyBuffers,
    tls: Arc<Tls>,
    host: String,
}

impl Encrypted {
    /// What the other end said before it closed. It refuses a client's certificate when this end has gone on, with TLS 1.3
    /// even to the request.
    fn last_word(&mut self) -> Option<io::Error> {
        let StreamOwned { conn, sock } = &mut self.stream;
        while conn.read_tls(sock).is_ok_and(|count| count > 0) {
            if let Err(e) = conn.process_new_packets() {
                return Some(io::Error::other(e));
            }
        }
        None
    }

    fn explained(&mut self, error: io::Error) -> Error {
        let last_word = if is_broken(&error) { self.last_word() } else { None };
        let error = last_word.unwrap_or(error);
        match self.tls.explain(&self.host, &error) {
            Some(failure) => Error::Other(failure.into()),
            None => error.into(),
        }
    }
}

impl Transport for Encrypted {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<()> {
        self.stream.sock.set_timeout(timeout);
        let sent = self.stream.write_all(&self.buffers.output()[..amount]);
        sent.map_err(|e| self.explained(e))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool> {
        self.stream.sock.set_timeout(timeout);
        let read = self.stream.read(self.buffers.input_append_buf());
        let amount = read.map_err(|e| self.explained(e))?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.sock.get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

impl fmt::Debug for Encrypted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encrypted").field("host", &self.host).finish_non_exhaustive()
    }
}
