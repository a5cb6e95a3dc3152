//! Http: the HTTP client, and how it gets to the ingest: names, sockets and TLS. The only file that knows which one it is.

mod forward;
mod gathering;

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, TimedOut, UnexpectedEof};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Weak};

use rustls::{ClientConnection, StreamOwned};
pub(super) use ureq::Proxy;
pub(super) use ureq::http::{HeaderName, HeaderValue};
use ureq::http::{Response, Uri};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::time::{Duration, Instant};
use ureq::unversioned::transport::{
    Buffers, ConnectProxyConnector, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout,
    ShutdownHandle, Transport, TransportAdapter,
};
use ureq::{Agent, Body, Error, ProxyProtocol, Timeout};

use self::forward::Forward;
use self::gathering::Gathering;
use super::lookup::Lookup;
use super::socket::Socket;
use super::tls::{self, Tls};
use crate::config::{Config, Secret};
use crate::error::ErrorKind;
use crate::os::kept::Kept;

const USER_AGENT: &str = concat!("spanspool/", env!("CARGO_PKG_VERSION"));

/// The longest head of an answer.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// For how long an answer's body is read, so that its connection can be used again.
const MAX_ANSWER_TIME: std::time::Duration = std::time::Duration::from_secs(2);

type Result<T> = std::result::Result<T, Error>;

/// Posts to one endpoint. It may be shared by threads.
pub(super) struct HttpClient {
    agent: Agent,
    names: Arc<Lookup>,
    tls: Arc<Tls>,
    /// The proxy, unless there is none or it makes a tunnel.
    forward: Option<Arc<Forward>>,
    url: Uri,
}

/// An answer, with its body still to be read.
pub(super) type Answered = Response<Body>;

/// Why there is no answer.
pub(super) enum Unanswered {
    /// Nothing can be sent before a setting, a file or a certificate is another one.
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
        let url = config.url().url().parse::<Uri>().map_err(|e| {
            crate::error::Error::new(ErrorKind::InvalidArgument, format!("endpoint: {e}")).caused_by(e)
        })?;
        let (forward, tunnel) = match proxy {
            Some(proxy) if !config.url().is_secure() && proxy.protocol() == ProxyProtocol::Http => {
                (Some(Arc::new(Forward::new(&proxy, &url))), None)
            }
            other => (None, other),
        };
        Ok(Self::with_parts(agent_config(config, tunnel), Tls::new(config)?, forward, url))
    }

    /// Another one that shares nothing with this one.
    pub(super) fn copy(&self) -> Self {
        let (tls, forward) = (self.tls.copy(), self.forward.clone());
        Self::with_parts(self.agent.config().clone(), tls, forward, self.url.clone())
    }

    fn with_parts(config: ureq::config::Config, tls: Tls, forward: Option<Arc<Forward>>, url: Uri) -> Self {
        let (names, tls) = (Arc::<Lookup>::default(), Arc::new(tls));
        let sockets = Sockets { names: names.clone(), forward: forward.clone() };
        Self { agent: new_agent(config, sockets, &tls), names, tls, forward, url }
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
        if let Some((name, value)) = self.forward.as_ref().and_then(|forward| forward.header()) {
            request = request.header(name, value);
        }
        if timeout.is_some() {
            request = request.config().timeout_global(timeout).build();
        }
        CONNECTED.set(false);
        UPLOADED.set(0);
        request.send(body).map_err(|error| match (unanswered(error), self.proxy()) {
            (Unanswered::Failed(why), Some(proxy)) => {
                Unanswered::Failed(format!("{why} (through the proxy {proxy})"))
            }
            (unanswered, _) => unanswered,
        })
    }

    /// Texts of its own that no log and no file may show.
    pub(super) fn secrets(&self) -> impl Iterator<Item = Secret> {
        self.forward.iter().flat_map(|forward| forward.secrets())
    }

    /// Where the proxy is, if there is one.
    fn proxy(&self) -> Option<String> {
        let forward = self.forward.as_ref().map(|forward| forward.address().to_owned());
        forward.or_else(|| self.agent.config().proxy().map(address_of))
    }

    /// How many bytes this thread's last request has uploaded.
    pub(super) fn uploaded(&self) -> u64 {
        UPLOADED.get()
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
        Error::Other(e) if matches!(e.downcast_ref(), Some(tls::Failure::Lasting(_))) => {
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

/// `host:port` of `url`.
fn host_and_port(url: &Uri) -> Option<String> {
    DefaultResolver::host_and_port(url.scheme()?, url.authority()?)
}

/// `host:port` of `proxy`.
fn address_of(proxy: &Proxy) -> String {
    format!("{}:{}", proxy.host(), proxy.port())
}

/// The host that a request to `url` would go to.
#[cfg(any(fuzzing, test))]
pub(crate) fn host_of(url: &str) -> Option<String> {
    url.parse::<Uri>().ok()?.host().map(str::to_owned)
}

/// Its connections are as `tls` says, whatever TLS the HTTP client was built with by others.
fn new_agent(config: ureq::config::Config, sockets: Sockets, tls: &Arc<Tls>) -> Agent {
    let way = ().chain(ConnectProxyConnector::default());
    let way = way.chain(sockets).chain(Handshakes(tls.clone()));
    Agent::with_parts(config, way, NoNames)
}

/// Looks nothing up. The HTTP client asks before each request, even if it has a connection; [`Sockets`] looks up the name
/// when it connects.
#[derive(Debug)]
struct NoNames;

impl Resolver for NoNames {
    fn resolve(&self, _: &Uri, _: &ureq::config::Config, _: NextTimeout) -> Result<ResolvedSocketAddrs> {
        Ok(self.empty())
    }
}

thread_local! {
    /// Whether this thread's request made a connection; otherwise it went over one that was kept.
    static CONNECTED: Cell<bool> = const { Cell::new(false) };
    /// Bytes that the thread's last request has uploaded, with what TLS adds.
    static UPLOADED: Cell<u64> = const { Cell::new(0) };
}

/// Looks up the host, or the proxy that forwards requests to it, and connects to it, both within `connect_timeout_ms`,
/// where no proxy was connected to yet.
#[derive(Debug)]
struct Sockets {
    names: Arc<Lookup>,
    forward: Option<Arc<Forward>>,
}

impl<In: Transport> Connector<In> for Sockets {
    type Out = Either<In, Plain>;

    fn connect(&self, details: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<Self::Out>> {
        if let Some(proxy) = chained {
            return Ok(Some(Either::A(proxy)));
        }
        let name = match &self.forward {
            Some(forward) => forward.address().to_owned(),
            None => host_and_port(details.uri).ok_or(Error::HostNotFound)?,
        };
        let addresses = self.names.addresses(&name, *time_left(details).after);
        let addresses = addresses.map_err(|e| or_timeout(e, Timeout::Resolve))?;
        let begun = |stream: &Arc<Kept<TcpStream>>| {
            let stream: Weak<dyn ShutdownHandle> = Arc::downgrade(stream) as _;
            (details.register_shutdown)(stream).map_err(Error::into_io)
        };
        let socket = Socket::connect(&addresses, *time_left(details).after, begun);
        let socket = socket.map_err(|e| or_timeout(e, Timeout::Connect))?;
        CONNECTED.set(true);
        Ok(Some(Either::B(Plain::new(socket, self.forward.clone(), details.config))))
    }
}

impl ShutdownHandle for Kept<TcpStream> {
    fn shutdown(&self) {
        let _ = self.get().map(|stream| stream.shutdown(Shutdown::Both));
    }
}

fn or_timeout(error: io::Error, reason: Timeout) -> Error {
    if error.kind() == TimedOut { Error::Timeout(reason) } else { error.into() }
}

/// A connection that is not encrypted, or carries one that is.
///
/// It holds output back until there is much of it or an answer is awaited, so that a request's head and body go out in
/// one write: two would take two system calls and wake the ingest twice.
struct Plain {
    socket: Socket,
    forward: Option<Arc<Forward>>,
    buffers: Gathering,
}

impl Plain {
    fn new(socket: Socket, forward: Option<Arc<Forward>>, config: &ureq::config::Config) -> Self {
        let (input, output) = (config.input_buffer_size(), config.output_buffer_size());
        Self { socket, forward, buffers: Gathering::new(LazyBuffers::new(input, output)) }
    }

    fn send(&mut self, timeout: NextTimeout) -> Result<()> {
        let (output, before) = (self.buffers.take(), UPLOADED.get());
        let output = match &self.forward {
            Some(forward) if before == 0 && !output.is_empty() => Cow::Owned(forward.addressed(output)),
            _ => Cow::Borrowed(output),
        };
        UPLOADED.set(before + output.len() as u64);
        let sent = self.socket.write(&output, *timeout.after);
        sent.map_err(|e| or_timeout(e, timeout.reason))
    }
}

impl Transport for Plain {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<()> {
        if self.buffers.hold(amount) { Ok(()) } else { self.send(timeout) }
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool> {
        self.send(timeout)?;
        let read = self.socket.read(self.buffers.input_append_buf(), *timeout.after);
        let amount = read.map_err(|e| or_timeout(e, timeout.reason))?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        !self.buffers.holds_any() && self.socket.is_open()
    }
}

impl fmt::Debug for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plain").field("socket", &self.socket).finish_non_exhaustive()
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

#[cfg(test)]
mod tests;
