//! Backend: the exporter that posts batches to an HTTP ingest. Next to `connect` the only file that knows the HTTP client.

use std::io::ErrorKind::UnexpectedEof;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use ureq::http::{HeaderName, HeaderValue, Response, Uri};
use ureq::{Agent, Body, Proxy};

use super::body::BodyEncoding;
use super::classify::classify;
use super::connect::{Names, is_broken, new_agent, noting_connections};
use super::keys::{Env, Keys, env_text};
use super::tls::{self, Tls};
use super::{Outcome, TracingExporter, answer, proxy};
use crate::batch::Batch;
use crate::config::{Config, Destination, Endpoint, Secret};
use crate::error::{Error, ErrorKind, Result};

const USER_AGENT: &str = concat!("spanspool/", env!("CARGO_PKG_VERSION"));

/// The longest head of an answer.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// For how long an answer's body is read, so that its connection can be used again.
const MAX_ANSWER_TIME: Duration = Duration::from_secs(2);

/// Posts batches to an HTTP ingest, in the wire format of the OpenAI Agents SDK. Redirects are never followed.
///
/// It may be shared by threads. Connections are kept open between requests, `max_in_flight` of them.
pub struct BackendSpanExporter {
    destination: Destination,
    agent: Agent,
    names: Names,
    tls: Arc<Tls>,
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
    /// `ca_file`, `client_cert_file`, `client_key_file` and the system's roots are read here, too, if the endpoint is an
    /// https URL, and again when they have changed. While they can't be used, batches are on hold.
    ///
    /// # Errors
    /// `InvalidArgument` when an endpoint can't be used, or one of `client_cert_file` and `client_key_file` is set without
    /// the other.
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
        let tls = Arc::new(Tls::new(config)?);
        Ok(Self {
            destination: Destination::backend(&config.endpoint),
            agent: new_agent(agent_config(config, proxy), &names, &tls),
            names,
            tls,
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
            let (result, has_connected) = noting_connections(|| self.attempt(batch, &body, key, deadline));
            let result = match result {
                Ok(result) => result,
                Err(outcome) => return outcome,
            };
            // A kept connection that is found dead says nothing of the ingest, and 417 nothing of the batch.
            let is_stale = !has_connected && result.as_ref().is_err_and(is_broken_off);
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
            Err(ureq::Error::Other(e)) if matches!(e.downcast_ref(), Some(tls::Failure::Settings(_))) => {
                hold(e.to_string())
            }
            // Without the HTTP client's words around it.
            Err(ureq::Error::Other(e)) => retry(answer::without(e.to_string(), &secrets)),
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

    fn ready(&self, name: &str) -> std::result::Result<(), Outcome> {
        self.choose_key(name).map(drop)
    }

    fn shutdown(&self) {
        self.names.stop();
        self.agent.clone().shutdown();
    }

    fn fork(&self) -> Option<Arc<dyn TracingExporter>> {
        let names = Names::default();
        let tls = Arc::new(self.tls.copy());
        Some(Arc::new(Self {
            destination: self.destination.clone(),
            agent: new_agent(self.agent.config().clone(), &names, &tls),
            names,
            tls,
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

/// The other end broke the connection while the request was sent.
fn is_reset(error: &ureq::Error) -> bool {
    matches!(error, ureq::Error::Io(e) if is_broken(e))
}

/// The connection ended before there was an answer.
fn is_broken_off(error: &ureq::Error) -> bool {
    is_reset(error) || matches!(error, ureq::Error::Io(e) if e.kind() == UnexpectedEof)
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

/// The host that a request to `url` would go to.
#[cfg(any(fuzzing, test))]
pub(crate) fn host_of(url: &str) -> Option<String> {
    url.parse::<Uri>().ok()?.host().map(str::to_owned)
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
