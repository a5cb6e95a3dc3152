//! Forward: a request to an http endpoint, given whole to a proxy, with the endpoint's address in its first line (RFC 9112,
//! 3.2.2). Many proxies make a tunnel, as for https, to the port of https only.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::{HeaderName, HeaderValue, Proxy, Uri, address_of};
use crate::config::Secret;

/// The proxy that requests are given to.
#[derive(Debug)]
pub(super) struct Forward {
    /// `host:port` of the proxy.
    address: String,
    /// What its first line has before the path: the endpoint's scheme and host.
    origin: String,
    credentials: Option<Credentials>,
}

/// What tells the proxy who asks.
#[derive(Debug)]
struct Credentials {
    header: HeaderValue,
    /// The password, and it and the name as they are sent.
    secrets: [Secret; 2],
}

impl Forward {
    /// Through `proxy` to `url`.
    pub(super) fn new(proxy: &Proxy, url: &Uri) -> Self {
        let origin = format!("http://{}", url.authority().map_or("", |authority| authority.as_str()));
        Self { address: address_of(proxy), origin, credentials: Credentials::of(proxy) }
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn header(&self) -> Option<(HeaderName, &HeaderValue)> {
        let credentials = self.credentials.as_ref()?;
        Some((HeaderName::from_static("proxy-authorization"), &credentials.header))
    }

    /// Texts that no log and no file may show.
    pub(super) fn secrets(&self) -> impl Iterator<Item = Secret> {
        self.credentials.iter().flat_map(|credentials| credentials.secrets.clone())
    }

    /// The beginning of a request, `POST /path …`, with the origin before the path.
    pub(super) fn addressed(&self, beginning: &[u8]) -> Vec<u8> {
        let method = beginning.iter().position(|byte| *byte == b' ').map_or(0, |space| space + 1);
        let (method, rest) = beginning.split_at(method);
        [method, self.origin.as_bytes(), rest].concat()
    }
}

impl Credentials {
    fn of(proxy: &Proxy) -> Option<Self> {
        proxy.username().or(proxy.password())?;
        let [user, password] = [proxy.username(), proxy.password()].map(Option::unwrap_or_default);
        let both = BASE64_STANDARD.encode(format!("{user}:{password}"));
        let mut header = HeaderValue::try_from(format!("Basic {both}")).ok()?;
        header.set_sensitive(true);
        Some(Self { header, secrets: [password.to_owned(), both].map(Secret::new) })
    }
}
