//! Backend: the exporter that posts batches to an HTTP ingest. The only file that knows the HTTP client.

use std::cell::Cell;
use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, TimedOut, UnexpectedEof};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use ureq::http::{HeaderName, HeaderValue, Response, Uri};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{ConnectionDetails, Connector, DefaultConnector, NextTimeout};
use ureq::{Agent, Body, Proxy};

use super::body::BodyEncoding;
use super::classify::classify;
use super::keys::{Env, Keys, env_text};
use super::lookup::Lookup;
use super::{Outcome, TracingExporter, answer, proxy, roots};
use crate::batch::Batch;
use crate::config::{Config, Destination, Endpoint, Secret};
use crate::error::{Error, ErrorKind, Result};
use crate::os::descriptors::above_standard;

const USER_AGENT: &str = concat!("spanspool/", env!("CARGO_PKG_VERSION"));

/// The longest head of an answer.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// How many of a host's addresses are tried; the HTTP client has room for no more.
const MAX_ADDRESSES: usize = 16;

/// For how long an answer's body is read, so that its connection can be used again.
const MAX_ANSWER_TIME: Duration = Duration::from_secs(2);

/// Posts batches to an HTTP ingest, in the wire format of the OpenAI Agents SDK. Redirects are never followed.
///
/// It may be shared by threads. Connections are kept open between requests, `max_in_flight` of them.
pub struct BackendSpanExporter {
    destination: Destination,
    agent: Agent,
    names: Names,
    url: Uri,
    headers: Vec<(HeaderName, HeaderValue)>,
    keys: Keys,
    encoding: BodyEncoding,
    request_timeout: Duration,
    /// Texts that no log and no file may show: what the headers say.
    secrets: Vec<Secret>,
    /// Why nothing can be sent, as long as this process lives.
    obstacle: Option<String>,
    /// Whether to wait for the ingest's consent before a body is sent (`Expect: 100-continue`, RFC 9110, 10.1.1).
    ///
    /// An ingest that answers the head alone, 413 say, and closes breaks the sending, and its answer is lost with the
    /// connection. Asked first, its answer comes through.
    ask_first: AtomicBool,
}

impl BackendSpanExporter {
    /// An exporter with the settings of `config`.
    ///
    /// The environment is read here and never again: `OPENAI_API_KEY`, `OPENAI_ORG_ID` and `OPENAI_PROJECT_ID` for
    /// settings that are unset, and for an endpoint on another machine `https_proxy` or `http_proxy`, as its scheme is, or
    /// else `all_proxy`, and `no_proxy`, in lower or upper case. While a variable can't be used, batches are on hold.
    ///
    /// # Errors
    /// `InvalidArgument` when an endpoint can't be used, or `ca_file` holds no certificate; `Io` when `ca_file` can't be
    /// read.
    pub fn new(config: &Config) -> Result<Self> {
        let env: Env = &|name| std::env::var_os(name);
        let url = config.endpoint.url();
        let url = url.parse::<Uri>().map_err(|e| invalid(format!("endpoint: {e}")).caused_by(e))?;
        let names = Names::default();
        let mut obstacle = None;
        let proxy = or_obstacle(proxy(&config.endpoint, env), &mut obstacle);
        let or_env = |setting: &Option<String>, name| match setting {
            Some(text) => Ok(Some(text.clone())),
            None => env_text(name, env),
        };
        let organization = or_obstacle(or_env(&config.organization, "OPENAI_ORG_ID"), &mut obstacle);
        let project = or_obstacle(or_env(&config.project, "OPENAI_PROJECT_ID"), &mut obstacle);
        Ok(Self {
            destination: Destination::backend(&config.endpoint),
            agent: new_agent(agent_config(config, proxy)?, &names),
            names,
            url,
            headers: headers(config, organization, project)?,
            secrets: config.headers.iter().map(|(_, value)| value.clone()).collect(),
            obstacle,
            keys: Keys::new(config, env),
            encoding: BodyEncoding::new(config),
            request_timeout: config.request_timeout,
            ask_first: AtomicBool::new(false),
        })
    }

    /// The key to send with. The error says why nothing can be sent.
    fn choose_key(&self, name: &str) -> std::result::Result<Option<Secret>, Outcome> {
        match &self.obstacle {
            Some(why) => Err(hold(why.clone())),
            None => self.keys.choose(name),
        }
    }

    fn send(&self, batch: &Batch, key: Option<&Secret>, deadline: Option<Instant>) -> Outcome {
        let body = match self.encoding.body(batch) {
            Ok(body) => body,
            Err(e) => return retry(format!("cannot compress the request: {e}")),
        };
        // Each attempt on a connection that was open already takes one from those that are kept.
        let mut again = self.agent.config().max_idle_connections();
        loop {
            let asks = self.ask_first.load(Relaxed);
            CONNECTED.set(false);
            let result = match self.attempt(batch, &body, key, deadline) {
                Ok(result) => result,
                Err(outcome) => return outcome,
            };
            // A kept connection that is found dead says nothing of the ingest, and 417 nothing of the batch.
            let is_stale = !CONNECTED.get() && result.as_ref().is_err_and(is_broken_off);
            let is_asked_in_vain = asks && result.as_ref().is_ok_and(|answer| answer.status() == 417);
            let outcome = self.outcome(result, key);
            if again == 0 || !(is_stale || is_asked_in_vain) {
                return outcome;
            }
            again -= 1;
        }
    }

    /// Makes one request. The error is the outcome of a batch that can't be sent.
    fn attempt(
        &self,
        batch: &Batch,
        body: &[u8],
        key: Option<&Secret>,
        deadline: Option<Instant>,
    ) -> std::result::Result<std::result::Result<Response<Body>, ureq::Error>, Outcome> {
        let mut request = self.agent.post(self.url.clone()).header("Idempotency-Key", batch.id());
        if let Some(key) = key {
            let Ok(mut value) = HeaderValue::try_from(format!("Bearer {}", key.reveal())) else {
                return Err(hold("the API key may not stand in a header".into()));
            };
            value.set_sensitive(true);
            request = request.header("Authorization", value);
        }
        if self.encoding.gzip {
            request = request.header("Content-Encoding", "gzip");
        }
        if self.ask_first.load(Relaxed) {
            request = request.header("Expect", "100-continue");
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if let Some(left) = deadline.map(|d| d.saturating_duration_since(Instant::now()))
            && left < self.request_timeout
        {
            request = request.config().timeout_global(Some(left)).build();
        }
        Ok(request.send(body))
    }

    fn outcome(
        &self,
        result: std::result::Result<Response<Body>, ureq::Error>,
        key: Option<&Secret>,
    ) -> Outcome {
        let secrets: Vec<&str> = self.secrets.iter().chain(key).map(Secret::reveal).collect();
        match result {
            Ok(response) => {
                let (head, body) = response.into_parts();
                let status = head.status.as_u16();
                // 417: the ingest does not support being asked.
                if head.status.is_success() || status == 417 {
                    self.ask_first.store(false, Relaxed);
                }
                let header = |name: &str| head.headers.get(name).and_then(|v| v.to_str().ok());
                classify(status, header, answer::read(body.into_reader(), &secrets))
            }
            Err(ureq::Error::BadUri(e)) => hold(format!("the endpoint can't be used: {e}")),
            Err(e) => {
                if is_reset(&e) {
                    self.ask_first.store(true, Relaxed);
                }
                retry(answer::without(e.to_string(), &secrets))
            }
        }
    }
}

impl TracingExporter for BackendSpanExporter {
    fn destination(&self) -> Destination {
        self.destination.clone()
    }

    fn export(&self, batch: &Batch, deadline: Option<Instant>) -> Outcome {
        match self.choose_key(batch.key_name()) {
            Ok(key) => self.send(batch, key.as_ref(), deadline),
            Err(outcome) => outcome,
        }
    }

    fn shorten(&self, item: &[u8]) -> Option<Vec<u8>> {
        self.encoding.shorten(item)
    }

    fn ready(&self, name: &str) -> std::result::Result<(), Outcome> {
        self.choose_key(name).map(drop)
    }

    fn shutdown(&self) {
        self.names.0.stop();
        self.agent.clone().shutdown();
    }

    fn fork(&self) -> Option<Arc<dyn TracingExporter>> {
        let names = Names::default();
        Some(Arc::new(Self {
            destination: self.destination.clone(),
            agent: new_agent(self.agent.config().clone(), &names),
            names,
            url: self.url.clone(),
            headers: self.headers.clone(),
            secrets: self.secrets.clone(),
            obstacle: self.obstacle.clone(),
            keys: self.keys.copy(),
            encoding: self.encoding,
            request_timeout: self.request_timeout,
            ask_first: AtomicBool::new(false),
        }))
    }

    fn set_api_key(&self, key: &str) {
        self.keys.set_default(key);
    }

    fn set_named_key(&self, name: &str, key: &str) {
        self.keys.set_named(name, key);
    }

    fn has_named_key(&self, name: &str) -> bool {
        self.keys.has_named(name)
    }
}

/// Looks up host names for the HTTP client, which would start a thread for every request and leave those that hang.
#[derive(Debug, Clone, Default)]
struct Names(Arc<Lookup>);

impl Resolver for Names {
    fn resolve(
        &self,
        uri: &Uri,
        _config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> std::result::Result<ResolvedSocketAddrs, ureq::Error> {
        let name = uri.scheme().zip(uri.authority());
        let name = name.and_then(|(scheme, authority)| DefaultResolver::host_and_port(scheme, authority));
        let name = name.ok_or(ureq::Error::HostNotFound)?;
        let mut found = self.empty();
        match self.0.addresses(&name, *timeout.after) {
            Ok(addresses) => addresses.into_iter().take(MAX_ADDRESSES).for_each(|a| found.push(a)),
            Err(e) if e.kind() == TimedOut => return Err(ureq::Error::Timeout(timeout.reason)),
            Err(e) => return Err(e.into()),
        }
        if found.is_empty() { Err(ureq::Error::HostNotFound) } else { Ok(found) }
    }
}

fn new_agent(config: ureq::config::Config, names: &Names) -> Agent {
    Agent::with_parts(config, Connecting::default(), names.clone())
}

thread_local! {
    /// Whether this thread's request made a connection; otherwise it went over one that was kept.
    static CONNECTED: Cell<bool> = const { Cell::new(false) };
}

/// Connects so that no socket is a standard descriptor, and notes it.
#[derive(Debug, Default)]
struct Connecting(DefaultConnector);

impl Connector for Connecting {
    type Out = <DefaultConnector as Connector>::Out;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<()>,
    ) -> std::result::Result<Option<Self::Out>, ureq::Error> {
        let made = above_standard(|| self.0.connect(details, chained))?;
        CONNECTED.set(true);
        Ok(made)
    }
}

/// The other end broke the connection while the request was sent.
fn is_reset(error: &ureq::Error) -> bool {
    let broken = |kind| matches!(kind, BrokenPipe | ConnectionReset | ConnectionAborted);
    matches!(error, ureq::Error::Io(e) if broken(e.kind()))
}

/// The connection ended before there was an answer.
fn is_broken_off(error: &ureq::Error) -> bool {
    is_reset(error) || matches!(error, ureq::Error::Io(e) if e.kind() == UnexpectedEof)
}

fn agent_config(config: &Config, proxy: Option<Proxy>) -> Result<ureq::config::Config> {
    let mut tls = TlsConfig::builder();
    if let Some(file) = &config.ca_file {
        tls = tls.root_certs(roots_with(file)?);
    }
    let config = Agent::config_builder()
        .tls_config(tls.build())
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
        .build();
    Ok(config)
}

/// The built-in roots and those of a PEM file.
fn roots_with(file: &Path) -> Result<RootCerts> {
    let shown = file.display();
    let pem = std::fs::read(file).map_err(|e| Error::io(format_args!("read ca_file {shown}"), e))?;
    let mut certificates = certificates_in(&pem).map_err(|why| invalid(format!("ca_file {shown} {why}")))?;
    certificates.extend(roots::built_in().iter().map(|der| Certificate::from_der(der).to_owned()));
    Ok(certificates.into())
}

/// The certificates of a PEM file, at least one, or what is wrong with it.
fn certificates_in(pem: &[u8]) -> std::result::Result<Vec<Certificate<'static>>, String> {
    let mut certificates = Vec::new();
    for item in ureq::tls::parse_pem(pem) {
        match item {
            Ok(PemItem::Certificate(certificate)) => certificates.push(certificate),
            Ok(_) => {}
            Err(e) => return Err(format!("is not a PEM file: {e}")),
        }
    }
    if certificates.is_empty() {
        return Err("holds no certificate (-----BEGIN CERTIFICATE-----)".into());
    }
    Ok(certificates)
}

/// How many certificates `pem` holds, and the host that a request to `url` would go to.
#[cfg(any(fuzzing, test))]
pub(super) mod seen {
    pub(crate) fn certificates(pem: &[u8]) -> Option<usize> {
        super::certificates_in(pem).ok().map(|certificates| certificates.len())
    }

    pub(crate) fn host(url: &str) -> Option<String> {
        url.parse::<super::Uri>().ok()?.host().map(str::to_owned)
    }
}

/// The proxy that the environment names for `endpoint`.
fn proxy(endpoint: &Endpoint, env: Env) -> std::result::Result<Option<Proxy>, String> {
    let Some(named) = proxy::of(endpoint, env)? else { return Ok(None) };
    let unfit = |_| format!("the environment variable {} is not the URL of a proxy", named.variable);
    Proxy::new(&named.url).map(Some).map_err(unfit)
}

/// Every header that is the same in all requests. A user's header takes the place of ours.
fn headers(
    config: &Config,
    organization: Option<String>,
    project: Option<String>,
) -> Result<Vec<(HeaderName, HeaderValue)>> {
    let ours = [
        ("Content-Type", Some("application/json".to_owned())),
        ("OpenAI-Beta", Some("traces=v1".to_owned())),
        ("OpenAI-Organization", organization),
        ("OpenAI-Project", project),
    ];
    let replaced = |name: &str| config.headers.iter().any(|(theirs, _)| theirs.eq_ignore_ascii_case(name));
    let ours = ours.iter().filter(|(name, _)| !replaced(name));
    let ours = ours.filter_map(|(name, text)| Some((*name, text.as_deref()?)));
    let theirs = config.headers.iter().map(|(name, value)| (name.as_str(), value.reveal()));
    ours.chain(theirs).map(|(name, value)| header(name, value)).collect()
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue)> {
    let unfit = |what: &str| invalid(format!("header.{name}: {what} may not stand in a request"));
    let mut value = HeaderValue::try_from(value).map_err(|_| unfit("its value"))?;
    value.set_sensitive(true);
    Ok((HeaderName::try_from(name).map_err(|_| unfit("its name"))?, value))
}

/// What was found in the environment, if it can be used. If not, why is an obstacle.
fn or_obstacle<T>(found: std::result::Result<Option<T>, String>, obstacle: &mut Option<String>) -> Option<T> {
    found.unwrap_or_else(|why| {
        *obstacle = Some(why);
        None
    })
}

fn retry(reason: String) -> Outcome {
    Outcome::Retry { status: 0, after: None, reason }
}

fn hold(reason: String) -> Outcome {
    Outcome::Hold { status: 0, reason }
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidArgument, message)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_ca_file_adds_to_the_built_in_roots() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls/ca.pem");
        let RootCerts::Specific(certificates) = roots_with(&file).unwrap() else { unreachable!() };
        let ders: Vec<&[u8]> = certificates.iter().map(|c| c.der()).collect();
        assert_eq!(ders[1..], roots::built_in());
    }
}
