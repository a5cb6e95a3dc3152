//! Backend: the exporter that posts batches to an HTTP ingest.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::body::BodyEncoding;
use super::classify::classify;
use super::environment::with_environment;
use super::http::{Answered, HeaderName, HeaderValue, HttpClient, Proxy, Unanswered};
use super::keys::{Env, Keys, env_text};
use super::{Answer, Outcome, TracingExporter, answer, proxy};
use crate::batch::Batch;
use crate::config::{Config, Destination, Endpoint, Secret, on_one_line};
use crate::error::{Error, ErrorKind, Result};
use crate::otlp::PartialSuccess;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const AUTHORIZATION: HeaderName = HeaderName::from_static("authorization");
const CONTENT_ENCODING: HeaderName = HeaderName::from_static("content-encoding");
const EXPECT: HeaderName = HeaderName::from_static("expect");

/// The second product is how receivers know what an OTLP exporter is written in.
const OTLP_USER_AGENT: &str =
    concat!("spanspool/", env!("CARGO_PKG_VERSION"), " OTel-OTLP-Exporter-Rust/", env!("CARGO_PKG_VERSION"));

type Headers = Vec<(HeaderName, HeaderValue)>;

/// Posts batches to an HTTP ingest, in the wire format of the OpenAI Agents SDK, or with `exporter=otlp` to an OpenTelemetry
/// receiver. Redirects are never followed.
///
/// It may be shared by threads. Connections are kept open between requests, `max_in_flight` of them.
pub struct BackendSpanExporter {
    destination: Destination,
    http: HttpClient,
    headers: Headers,
    keys: Keys,
    encoding: BodyEncoding,
    request_timeout: Duration,
    /// Texts that no log and no file may show: what the headers say, and who asks a proxy.
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
    /// The environment is read here and never again, for settings that are unset: with `exporter=otlp` the variables that
    /// docs/otlp.md lists, otherwise `OPENAI_API_KEY`, `OPENAI_ORG_ID` and `OPENAI_PROJECT_ID`. For an endpoint on another
    /// machine `https_proxy` or `http_proxy`, as its scheme is, or else `all_proxy`, and `no_proxy`, in lower or upper
    /// case. While one of these can't be used, batches are on hold; one for OTLP is an error.
    ///
    /// `ca_file`, `client_cert_file`, `client_key_file` and the system's roots are read here, too, if the endpoint is an
    /// https URL, and again when they have changed. While they can't be used, batches are on hold.
    ///
    /// # Errors
    /// `InvalidArgument` when an endpoint or a variable for OTLP can't be used, or one of `client_cert_file` and
    /// `client_key_file` is set without the other.
    pub fn new(config: &Config) -> Result<Self> {
        Self::with_complete(&with_environment(config.clone())?)
    }

    /// The same for a `config` that has what OpenTelemetry's variables say.
    pub(crate) fn with_complete(config: &Config) -> Result<Self> {
        let env: Env = &|name| std::env::var_os(name);
        let mut obstacle = None;
        let proxy = or_obstacle(proxy(&config.url(), env), &mut obstacle);
        let or_env = |setting: &Option<String>, name| match setting {
            Some(text) => Ok(Some(text.clone())),
            None => env_text(name, env),
        };
        let ours = if config.otlp_signal().is_some() {
            vec![
                ("Content-Type", Some("application/x-protobuf".into())),
                ("User-Agent", Some(OTLP_USER_AGENT.into())),
            ]
        } else {
            let organization = or_obstacle(or_env(&config.organization, "OPENAI_ORG_ID"), &mut obstacle);
            let project = or_obstacle(or_env(&config.project, "OPENAI_PROJECT_ID"), &mut obstacle);
            vec![
                ("Content-Type", Some("application/json".into())),
                ("OpenAI-Beta", Some("traces=v1".into())),
                ("OpenAI-Organization", organization),
                ("OpenAI-Project", project),
            ]
        };
        let http = HttpClient::new(config, proxy)?;
        let of_headers = config.headers.iter().map(|(_, value)| value.clone());
        Ok(Self {
            destination: config.destination(),
            secrets: of_headers.chain(http.secrets()).collect(),
            http,
            headers: headers(config, &ours)?,
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

    /// Sends `batch` and adds to `uploaded` what that took.
    fn send(
        &self,
        batch: &Batch,
        key: Option<&Secret>,
        deadline: Option<Instant>,
        uploaded: &mut u64,
    ) -> Outcome {
        let body = match self.encoding.body(batch) {
            Ok(body) => body,
            Err(e) => return retry(format!("cannot compress the request: {e}")),
        };
        // Each attempt on a connection that was open already takes one from those that are kept.
        let mut again = self.http.most_kept();
        loop {
            let asks = self.ask_first.load(Relaxed);
            let result = match self.headers_of(batch, key) {
                Ok(headers) => self.attempt(&headers, &body, deadline),
                Err(outcome) => return outcome,
            };
            *uploaded += match (self.http.uploaded(), &result) {
                // A tunnel through a proxy is the HTTP client's own.
                (0, Ok(_)) => body.len() as u64,
                (counted, _) => counted,
            };
            // A kept connection that is found dead says nothing of the ingest, and 417 nothing of the batch.
            let is_stale = matches!(
                result,
                Err(Unanswered::Reset { is_kept: true, .. } | Unanswered::BrokenOff { is_kept: true, .. })
            );
            let is_asked_in_vain = asks && result.as_ref().is_ok_and(|answer| answer.status() == 417);
            let outcome = self.outcome(result, key);
            if again == 0 || !(is_stale || is_asked_in_vain) {
                return outcome;
            }
            again -= 1;
        }
    }

    /// The headers that requests differ in. The error is the outcome of a batch that can't be sent.
    fn headers_of(&self, batch: &Batch, key: Option<&Secret>) -> std::result::Result<Headers, Outcome> {
        let Ok(id) = HeaderValue::try_from(batch.id()) else {
            return Err(hold("the batch's id may not stand in a header".into()));
        };
        let mut headers = vec![(IDEMPOTENCY_KEY, id)];
        if let Some(key) = key {
            let Ok(mut value) = HeaderValue::try_from(format!("Bearer {}", key.reveal())) else {
                return Err(hold("the API key may not stand in a header".into()));
            };
            value.set_sensitive(true);
            headers.push((AUTHORIZATION, value));
        }
        if self.encoding.gzip {
            headers.push((CONTENT_ENCODING, HeaderValue::from_static("gzip")));
        }
        if self.ask_first.load(Relaxed) {
            headers.push((EXPECT, HeaderValue::from_static("100-continue")));
        }
        Ok(headers)
    }

    /// Makes one request.
    fn attempt(
        &self,
        headers: &Headers,
        body: &[u8],
        deadline: Option<Instant>,
    ) -> std::result::Result<Answered, Unanswered> {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        // A key takes the place of an Authorization header of the user's.
        let is_replaced = |name: &HeaderName| headers.iter().any(|(of_request, _)| of_request == name);
        let of_all = self.headers.iter().filter(|(name, _)| !is_replaced(name));
        let headers = headers.iter().chain(of_all).map(|(name, value)| (name, value));
        self.http.post(headers, body, left.filter(|left| *left < self.request_timeout))
    }

    fn outcome(&self, result: std::result::Result<Answered, Unanswered>, key: Option<&Secret>) -> Outcome {
        let secrets: Vec<&str> = self.secrets.iter().chain(key).map(Secret::reveal).collect();
        if matches!(result, Err(Unanswered::Reset { .. })) {
            self.ask_first.store(true, Relaxed);
        }
        match result {
            Ok(response) => {
                let (head, body) = response.into_parts();
                let status = head.status.as_u16();
                // 417: the ingest does not support being asked.
                if head.status.is_success() || status == 417 {
                    self.ask_first.store(false, Relaxed);
                }
                let header = |name: &str| head.headers.get(name).and_then(|v| v.to_str().ok());
                // Some compress without being asked.
                let body = answer::plain(body.into_reader(), header("content-encoding"));
                if !head.status.is_success() || self.destination.signal().is_none() {
                    return classify(status, header, answer::read(body, Answer::MAX_BYTES, &secrets));
                }
                let body = answer::read(body, answer::MAX_READ_BYTES, &secrets);
                let partial = PartialSuccess::of(&body);
                if partial.is_whole() {
                    return classify(status, header, body);
                }
                let PartialSuccess { rejected, message } = partial;
                Outcome::PartlyAccepted { status, rejected, message: on_one_line(&message) }
            }
            Err(Unanswered::Hindered(reason)) => hold(reason),
            Err(
                Unanswered::Reset { reason, .. }
                | Unanswered::BrokenOff { reason, .. }
                | Unanswered::Failed(reason),
            ) => retry(answer::without(reason, &secrets)),
        }
    }
}

impl TracingExporter for BackendSpanExporter {
    fn destination(&self) -> Destination {
        self.destination.clone()
    }

    fn export(&self, batch: &Batch, deadline: Option<Instant>) -> Outcome {
        self.export_counted(batch, deadline).0
    }

    fn export_counted(&self, batch: &Batch, deadline: Option<Instant>) -> (Outcome, u64) {
        let mut uploaded = 0;
        let outcome = match self.choose_key(batch.key_name()) {
            Ok(key) => self.send(batch, key.as_ref(), deadline, &mut uploaded),
            Err(outcome) => outcome,
        };
        (outcome, uploaded)
    }

    fn shorten(&self, item: &[u8]) -> Option<Vec<u8>> {
        self.encoding.shorten(item)
    }

    fn ready(&self, name: &str) -> std::result::Result<(), Outcome> {
        self.choose_key(name).map(drop)
    }

    fn shutdown(&self) {
        self.http.stop();
    }

    fn fork(&self) -> Option<Arc<dyn TracingExporter>> {
        Some(Arc::new(Self {
            destination: self.destination.clone(),
            http: self.http.copy(),
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

/// The proxy that the environment names for `endpoint`.
fn proxy(endpoint: &Endpoint, env: Env) -> std::result::Result<Option<Proxy>, String> {
    let Some(named) = proxy::of(endpoint, env)? else { return Ok(None) };
    let unfit = |_| format!("the environment variable {} is not the URL of a proxy", named.variable);
    Proxy::new(&named.url).map(Some).map_err(unfit)
}

/// Every header that is the same in all requests. A user's header takes the place of ours.
fn headers(config: &Config, ours: &[(&'static str, Option<String>)]) -> Result<Headers> {
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
