//! Endpoint: the URL that batches are posted to.

use std::fmt;

use super::Signal;

/// An `http` or `https` URL with a host, checked when it is set.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    url: String,
    secure: bool,
    host: String,
    /// `None`: the scheme's.
    port: Option<u16>,
}

/// The longest URL, in bytes.
const MAX_BYTES: usize = 8192;

/// Where the OpenAI Agents SDK sends traces.
pub const OPENAI_ENDPOINT: &str = "https://api.openai.com/v1/traces/ingest";

impl Endpoint {
    /// Reads `url`; the error says what is wrong with it.
    pub fn parse(url: &str) -> Result<Self, String> {
        if url.len() > MAX_BYTES {
            return Err(format!("it has {} bytes; at most {MAX_BYTES} are allowed", url.len()));
        }
        let (scheme, rest) = url.split_once("://").ok_or("it must begin with http:// or https://")?;
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err("it must begin with http:// or https://".into()),
        };
        if let Some(bad) = url.chars().find(|c| {
            !c.is_ascii_graphic() || matches!(c, '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}')
        }) {
            return Err(format!("the character {bad:?} is not allowed in a URL"));
        }
        if url.contains('#') {
            return Err("a fragment (#) is not allowed".into());
        }
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err("a user name or password in it is not allowed; use api_key".into());
        }
        let (host, port) = host_and_port(authority)?;
        Ok(Self { url: url.to_owned(), secure, host, port })
    }

    /// The endpoint of the OpenAI Agents SDK.
    pub fn openai() -> Self {
        Self { url: OPENAI_ENDPOINT.into(), secure: true, host: "api.openai.com".into(), port: None }
    }

    /// Where a Collector on this machine takes OTLP.
    pub(super) fn collector() -> Self {
        Self {
            url: "http://localhost:4318".into(),
            secure: false,
            host: "localhost".into(),
            port: Some(4318),
        }
    }

    /// The URL that takes `signal` below this one; itself if it ends in that path already.
    pub(super) fn of_signal(&self, signal: Signal) -> Self {
        let (base, query) = self.url.split_at(self.url.find('?').unwrap_or(self.url.len()));
        let (base, path) = (base.trim_end_matches('/'), format!("/v1/{}", signal.name()));
        if base.ends_with(&path) {
            return self.clone();
        }
        Self { url: format!("{base}{path}{query}"), ..self.clone() }
    }

    /// The URL as it was set.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The URL without a query, spelled in one way: two that reach the same place are equal.
    pub(crate) fn address(&self) -> String {
        let (scheme, usual) = if self.secure { ("https", 443) } else { ("http", 80) };
        let host = self.host.to_ascii_lowercase();
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        let port = self.port.filter(|port| *port != usual).map(|port| format!(":{port}")).unwrap_or_default();
        let after = self.url.split_once("://").map_or("", |(_, rest)| rest);
        let path = after.split('?').next().and_then(|it| it.split_once('/')).map_or("", |(_, path)| path);
        format!("{scheme}://{host}{port}/{path}")
    }

    /// Whether this is the OpenAI endpoint (a trailing `/` does not matter), whose field limits are known.
    pub fn is_openai(&self) -> bool {
        self.address().trim_end_matches('/') == OPENAI_ENDPOINT
    }

    /// Whether a key may travel to it: over TLS, or not leaving the machine.
    pub fn is_safe_for_keys(&self) -> bool {
        self.secure || self.is_loopback()
    }

    pub(crate) fn is_secure(&self) -> bool {
        self.secure
    }

    /// The host, an IPv6 address without brackets.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn port(&self) -> u16 {
        self.port.unwrap_or(if self.secure { 443 } else { 80 })
    }

    /// Whether it is on this machine.
    pub(crate) fn is_loopback(&self) -> bool {
        let name = self.host.trim_end_matches('.');
        name.eq_ignore_ascii_case("localhost")
            || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

/// The host of `host[:port]` or `[v6][:port]`, without brackets, and the port.
fn host_and_port(authority: &str) -> Result<(String, Option<u16>), String> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(v6) => {
            let (host, after) = v6.split_once(']').ok_or("the bracket of its IPv6 address is not closed")?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| format!("'{host}' is not an IPv6 address"))?;
            let port = match after {
                "" => None,
                _ => Some(after.strip_prefix(':').ok_or("after ']' only a port may follow")?),
            };
            (host, port)
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    if host.contains(['[', ']']) {
        return Err("brackets may stand round an IPv6 address only".into());
    }
    if host.is_empty() {
        return Err("it has no host".into());
    }
    let number = |port: &str| match port.parse::<u16>() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!("'{port}' is not a port: 1 to 65535")),
    };
    Ok((host.to_owned(), port.map(number).transpose()?))
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}
