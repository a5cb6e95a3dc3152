//! Proxy: which proxy of the environment an endpoint is reached through, if any.
//!
//! As curl and Python's httpx choose it: `https_proxy` for an https endpoint and `http_proxy` for an http one, else
//! `all_proxy`, unless `no_proxy` names the host. Names in lower case count more than those in upper case.

use super::keys::Env;
use crate::config::Endpoint;

/// A proxy, and the variable that names it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) variable: String,
    pub(super) url: String,
}

/// The proxy for `endpoint`. The error says why the one that the environment names can't be used, without its text, which
/// may have a password in it.
///
/// A loopback endpoint is reached without: what is sent there, perhaps a key over plain http, must not leave the machine.
pub(super) fn of(endpoint: &Endpoint, env: Env) -> Result<Option<Named>, String> {
    let own = if endpoint.is_secure() { "https_proxy" } else { "http_proxy" };
    let Some((variable, url)) = first(&[own, "all_proxy"], env) else { return Ok(None) };
    let no_proxy = first(&["no_proxy"], env).map(|(_, hosts)| hosts).unwrap_or_default();
    if endpoint.is_loopback() || is_excepted(endpoint.host(), endpoint.port(), &no_proxy) {
        return Ok(None);
    }
    let url = if url.contains("://") { url } else { format!("http://{url}") };
    let scheme = url.split("://").next().unwrap_or_default().to_ascii_lowercase();
    if !["http", "https"].contains(&&*scheme) {
        return Err(format!(
            "the proxy in the environment variable {variable} is none for HTTP; allowed: http:// and https://"
        ));
    }
    Ok(Some(Named { variable, url }))
}

/// Name and text of the first variable that is set and not empty.
fn first(names: &[&str], env: Env) -> Option<(String, String)> {
    let both = names.iter().flat_map(|name| [(*name).to_owned(), name.to_ascii_uppercase()]);
    let set = both.filter_map(|name| {
        let text = env(&name)?.to_string_lossy().trim().to_owned();
        Some((name, text))
    });
    set.into_iter().find(|(_, text)| !text.is_empty())
}

/// Whether `no_proxy` names the host: `*`, the host itself, or a domain that it is in, each perhaps with a port.
fn is_excepted(host: &str, port: u16, no_proxy: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let entries = no_proxy.split([',', ' ']).map(|entry| entry.trim().to_ascii_lowercase());
    entries.filter(|entry| !entry.is_empty()).any(|entry| {
        let (name, of_port) = split_port(&entry);
        let name = name.trim_start_matches("*.").trim_matches('.');
        let is_of_host = entry == "*"
            || host == name
            || host.strip_suffix(name).is_some_and(|rest| !name.is_empty() && rest.ends_with('.'));
        is_of_host && of_port.is_none_or(|of_port| of_port == port)
    })
}

/// The name without brackets, and the port after it.
fn split_port(entry: &str) -> (&str, Option<u16>) {
    let port = |text: &str| text.parse::<u16>().ok();
    match entry.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((v6, after)) => (v6, after.strip_prefix(':').and_then(port)),
        None => match entry.split_once(':') {
            Some((name, after)) if !after.contains(':') => (name, port(after)),
            _ => (entry, None),
        },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::ffi::OsString;

    /// The host of the proxy that `url` is reached through in an environment of `variables`.
    fn proxy(url: &str, variables: &[(&str, &str)]) -> Result<Option<String>, String> {
        let env = |name: &str| {
            variables.iter().find(|(set, _)| *set == name).map(|(_, text)| OsString::from(*text))
        };
        let host = |proxy: Named| proxy.url.split(['/', ':', '@']).rev().nth(1).unwrap().to_owned();
        of(&Endpoint::parse(url).unwrap(), &env).map(|proxy| proxy.map(host))
    }

    #[test]
    fn the_scheme_of_the_endpoint_decides() {
        let all = [
            ("HTTP_PROXY", "http://plain:1"),
            ("https_proxy", "http://tls:1"),
            ("ALL_PROXY", "http://all:1"),
        ];
        assert_eq!(proxy("https://ingest.example/", &all).unwrap().as_deref(), Some("tls"));
        assert_eq!(proxy("http://ingest.example/", &all).unwrap().as_deref(), Some("plain"));
        assert_eq!(proxy("http://ingest.example/", &all[1..]).unwrap().as_deref(), Some("all"));
        assert_eq!(proxy("http://ingest.example/", &all[1..2]), Ok(None));
        assert_eq!(proxy("http://127.0.0.1:8080/", &all), Ok(None));
        let lower = [("HTTPS_PROXY", "http://upper:1"), ("https_proxy", " lower:1 ")];
        assert_eq!(proxy("https://ingest.example/", &lower).unwrap().as_deref(), Some("lower"));
    }

    #[test]
    fn one_that_can_not_be_used_matters_only_where_it_would_be() {
        let socks = ("ALL_PROXY", "socks5://me:secret@socks:1");
        let why = proxy("https://ingest.example/", &[socks]).unwrap_err();
        assert!(why.contains("ALL_PROXY") && !why.contains("secret"), "{why}");
        let good = ("HTTPS_PROXY", "http://tls:1");
        assert_eq!(proxy("https://ingest.example/", &[socks, good]).unwrap().as_deref(), Some("tls"));
        assert_eq!(proxy("https://ingest.example/", &[socks, ("NO_PROXY", "ingest.example")]), Ok(None));
        assert_eq!(proxy("https://ingest.example/", &[("ALL_PROXY", "")]), Ok(None));
    }

    #[test]
    fn no_proxy_names_hosts_and_domains() {
        for (no_proxy, excepted) in [
            ("*", true),
            ("api.example.com", true),
            ("a.test, .example.com ,b.test", true),
            ("example.com", true),
            ("*.example.com", true),
            ("EXAMPLE.COM", true),
            ("a.test b.test example.com", true),
            ("example.com:8443", true),
            ("example.com:443", false),
            ("ample.com", false),
            ("other.example.com", false),
            (",", false),
            ("", false),
        ] {
            let variables = [("HTTPS_PROXY", "http://proxy:1"), ("no_proxy", no_proxy)];
            let reached = proxy("https://api.example.com:8443/", &variables).unwrap();
            assert_eq!(reached.is_none(), excepted, "{no_proxy}");
        }
        let v6 = [("https_proxy", "http://proxy:1"), ("no_proxy", "[2001:db8::1]")];
        assert_eq!(proxy("https://[2001:db8::1]/", &v6), Ok(None));
        let v6 = [("https_proxy", "http://proxy:1"), ("no_proxy", "2001:db8::1")];
        assert_eq!(proxy("https://[2001:db8::1]/", &v6), Ok(None));
    }
}
