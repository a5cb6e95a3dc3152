//! Server: gives the page and what it asks for to a browser on this machine only.
//!
//! Another user of the machine doesn't know the address: there is a random token in it. A page of another site that a
//! browser shows has no way in either: it doesn't know the token, and a name that it makes lead to this machine is not
//! among the hosts that are answered.

use std::fmt::Display;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use oxhttp::model::{Body, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use oxhttp::{ListeningServer, Server as HttpServer};
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::json;

use super::api::{self, Answer, Refusal};
use super::page::{self, File};
use super::spool::Spool;
use crate::cli::lock::lock;

/// What the page may load and run: its own files.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What every answer says.
const HEADERS: [(&str, &str); 6] = [
    ("content-security-policy", POLICY),
    ("x-content-type-options", "nosniff"),
    // The address is a secret.
    ("referrer-policy", "no-referrer"),
    ("cache-control", "no-store"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
];

/// How long a connection may be idle, or a browser may take for a request.
const TIMEOUT: Duration = Duration::from_secs(60);
const MOST_CONNECTIONS: usize = 64;
/// Another program may take the port that was free a moment ago.
const PORT_TRIES: usize = 8;

/// A server that runs for as long as the program does.
pub struct Server {
    running: ListeningServer,
    gate: Arc<Gate>,
}

/// Who is let in.
struct Gate {
    port: u16,
    token: String,
    /// Leads to the address with the token, once: a browser that is started tells every user what its arguments are.
    invitation: Mutex<Option<String>>,
}

/// What a request is answered with.
struct Reply {
    status: u16,
    content_type: &'static str,
    body: Vec<u8>,
    header: Option<(&'static str, String)>,
}

impl Server {
    /// Serves `spool` on `port` of 127.0.0.1; on any free one without it.
    pub fn start(spool: Arc<Spool>, port: Option<u16>) -> io::Result<Self> {
        let mut tries = PORT_TRIES;
        loop {
            tries -= 1;
            match Self::start_on(spool.clone(), port.map_or_else(free_port, Ok)?) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && port.is_none() && tries > 0 => {}
                other => return other,
            }
        }
    }

    fn start_on(spool: Arc<Spool>, port: u16) -> io::Result<Self> {
        let gate = Arc::new(Gate { port, token: random()?, invitation: Mutex::new(None) });
        let answering = gate.clone();
        let answer = move |request: &mut Request<Body>| {
            let reply = reply(&spool, &answering, request);
            // After the head of an answer to HEAD the next answer begins.
            let body = if request.method() == Method::HEAD { Vec::new() } else { reply.body };
            Reply { body, ..reply }.into_response()
        };
        let running = HttpServer::new(answer)
            .bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
            .with_global_timeout(TIMEOUT)
            .with_max_concurrent_connections(MOST_CONNECTIONS)
            .spawn()?;
        Ok(Self { running, gate })
    }

    /// Where the page is. Whoever knows it can read the spool.
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}/{}/", self.gate.port, self.gate.token)
    }

    /// An address that leads there once.
    pub fn invite(&self) -> io::Result<String> {
        let token = random()?;
        let address = format!("http://127.0.0.1:{}/{token}/", self.gate.port);
        *lock(&self.gate.invitation) = Some(token);
        Ok(address)
    }

    /// Serves until the program ends.
    pub fn run(self) -> io::Result<()> {
        self.running.join()
    }
}

/// The kernel names a free port.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// 128 bits of the operating system's randomness.
fn random() -> io::Result<String> {
    let mut bytes = [0; 16];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| io::Error::other("the operating system gives no random bytes"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

impl Gate {
    /// Whether the request names this server as people and browsers do.
    fn is_host(&self, request: &Request<Body>) -> bool {
        let mut hosts = request.headers().get_all("host").iter();
        let (host, more) = (hosts.next(), hosts.next());
        let named = [format!("127.0.0.1:{}", self.port), format!("localhost:{}", self.port)];
        let authority = request.uri().authority().map(|it| it.as_str());
        more.is_none()
            && host.is_some_and(|host| named.iter().any(|it| host == it.as_str()))
            && authority.is_none_or(|authority| named.iter().any(|it| authority == it))
    }

    /// What follows the token in `path`.
    fn below_token<'a>(&self, path: &'a str) -> Option<&'a str> {
        let (token, rest) = path.strip_prefix('/')?.split_once('/')?;
        is_same(token, &self.token).then_some(rest)
    }

    /// Whether `path` is the invitation, which is used up then.
    fn accepts(&self, path: &str) -> bool {
        let mut invitation = lock(&self.invitation);
        let token = path.strip_prefix('/').and_then(|path| path.strip_suffix('/'));
        let is_it = token.zip(invitation.as_deref()).is_some_and(|(token, it)| is_same(token, it));
        if is_it {
            *invitation = None;
        }
        is_it
    }
}

/// Compares all bytes, however many are equal: the time it takes tells nothing.
fn is_same(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

fn reply(spool: &Spool, gate: &Gate, request: &Request<Body>) -> Reply {
    let path = request.uri().path();
    if !gate.is_host(request) {
        return Reply::refusal(421, "this server is 127.0.0.1");
    }
    if request.method() != Method::GET {
        let reply = Reply::refusal(405, "only GET is allowed");
        return Reply { header: Some(("allow", "GET".to_owned())), ..reply };
    }
    let Some(path) = gate.below_token(path) else {
        if gate.accepts(path) {
            let to = format!("/{}/", gate.token);
            return Reply { header: Some(("location", to)), ..Reply::refusal(303, "see there") };
        }
        return Reply::refusal(404, "there is no such page; the address has a token in it");
    };
    if let Some(path) = path.strip_prefix("api/") {
        return Reply::of(api::answer(spool, path, request.uri().query().unwrap_or_default()));
    }
    match page::FILES.iter().find(|file| file.path == path) {
        Some(file) => Reply::file(file),
        None => Reply::refusal(404, "there is no such page"),
    }
}

impl Reply {
    fn json(status: u16, json: impl Into<Vec<u8>>) -> Self {
        Self { status, content_type: "application/json", body: json.into(), header: None }
    }

    fn refusal(status: u16, text: impl Display) -> Self {
        Self::json(status, json!({ "error": text.to_string() }).to_string())
    }

    fn file(file: &File) -> Self {
        let content_type = file.kind.content_type();
        Self { status: 200, content_type, body: file.text.as_bytes().to_vec(), header: None }
    }

    fn of(outcome: Result<Answer, Refusal>) -> Self {
        match outcome {
            Ok(Answer::Json(json)) => Self::json(200, json),
            Ok(Answer::Download(json, name)) => {
                let disposition = format!("attachment; filename=\"{name}\"");
                Self { header: Some(("content-disposition", disposition)), ..Self::json(200, json) }
            }
            Err(Refusal { status, text }) => Self::refusal(status, text),
        }
    }

    fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::NOT_FOUND);
        let headers = response.headers_mut();
        for (name, value) in HEADERS.into_iter().chain([("content-type", self.content_type)]) {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        if let Some((name, value)) = self.header
            && let Ok(value) = HeaderValue::from_str(&value)
        {
            headers.insert(HeaderName::from_static(name), value);
        }
        response
    }
}
