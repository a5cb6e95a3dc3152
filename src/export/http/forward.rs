//! Forward: a request to an http endpoint, given whole to a proxy, with the endpoint's address in its first line (RFC 9112,
//! 3.2.2). Many proxies make a tunnel, as for https, to the port of https only.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::{HeaderName, HeaderValue, Proxy, Uri, address_of};

/// The proxy that requests are given to.
#[derive(Debug)]
pub(super) struct Forward {
    /// `host:port` of the proxy.
    address: String,
    /// What its first line has before the path: the endpoint's scheme and host.
    origin: String,
    /// What tells the proxy who asks.
    credentials: Option<HeaderValue>,
}

impl Forward {
    /// Through `proxy` to `url`.
    pub(super) fn new(proxy: &Proxy, url: &Uri) -> Self {
        let origin = format!("http://{}", url.authority().map_or("", |authority| authority.as_str()));
        Self { address: address_of(proxy), origin, credentials: credentials(proxy) }
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn header(&self) -> Option<(HeaderName, &HeaderValue)> {
        let credentials = self.credentials.as_ref()?;
        Some((HeaderName::from_static("proxy-authorization"), credentials))
    }

    /// The beginning of a request, `POST /path …`, with the origin before the path.
    pub(super) fn addressed(&self, beginning: &[u8]) -> Vec<u8> {
        let method = beginning.iter().position(|byte| *byte == b' ').map_or(0, |space| space + 1);
        let (method, rest) = beginning.split_at(method);
        [method, self.origin.as_bytes(), rest].concat()
    }
}

fn credentials(proxy: &Proxy) -> Option<HeaderValue> {
    proxy.username().or(proxy.password())?;
    let [user, password] = [proxy.username(), proxy.password()].map(Option::unwrap_or_default);
    let encoded = BASE64_STANDARD.encode(format!("{user}:{password}"));
    let mut value = HeaderValue::try_from(format!("Basic {encoded}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}
