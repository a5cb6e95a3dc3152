//! Environment: what OpenTelemetry's variables say, for settings that are unset.
//!
//! A variable of the signal comes before the one for all: `OTEL_EXPORTER_OTLP_LOGS_ENDPOINT` before
//! `OTEL_EXPORTER_OTLP_ENDPOINT`. An empty one is as good as none.

use std::ffi::OsString;

use super::keys::Env;
use crate::config::{Config, Signal};
use crate::error::{Error, ErrorKind, Result};

/// How long a request takes at most, in milliseconds, where neither a setting nor a variable says so.
const TIMEOUT_MS: &str = "10000";

/// What a timeout of 0 comes to, which means no limit in OpenTelemetry.
const LONGEST_MS: &str = "86400000";

/// `config` with what the environment adds to it, if it is for OTLP. The environment is read here and never again.
///
/// # Errors
/// `InvalidArgument` when a variable can't be used: it names the variable.
pub(crate) fn with_environment(mut config: Config) -> Result<Config> {
    if let Some(signal) = config.otlp_signal() {
        complete(&mut config, signal, &|name| std::env::var_os(name))?;
    }
    Ok(config)
}

fn complete(config: &mut Config, signal: Signal, env: Env) -> Result<()> {
    let variables = Variables { signal, env };
    variables.check_protocol()?;
    if !config.is_told("endpoint") {
        if let Some((name, url)) = variables.of_signal("ENDPOINT")? {
            // As it is: no path is added to it.
            config.set_whole_url(&url).map_err(|e| unusable(&name, e.message(), &url))?;
        } else if let Some((name, url)) = variables.of_all("ENDPOINT")? {
            config.set("endpoint", &url).map_err(|e| unusable(&name, e.message(), &url))?;
        }
    }
    for (key, option) in [("request_timeout_ms", "TIMEOUT"), ("request_compression", "COMPRESSION")] {
        if !config.is_told(key)
            && let Some((name, value)) = variables.text(option)?
        {
            let value = match (option, value.to_ascii_lowercase()) {
                ("TIMEOUT", none) if none == "0" => LONGEST_MS.to_owned(),
                (_, value) => value,
            };
            config.set(key, &value).map_err(|e| unusable(&name, e.message(), ""))?;
        }
    }
    let mut identity = None;
    for (key, option) in [
        ("ca_file", "CERTIFICATE"),
        ("client_cert_file", "CLIENT_CERTIFICATE"),
        ("client_key_file", "CLIENT_KEY"),
    ] {
        if !config.is_told(key)
            && let Some((name, path)) = variables.os_text(option)
        {
            config.set_os(key, &path).map_err(|e| unusable(&name, e.message(), ""))?;
            identity = Some(name).filter(|_| key != "ca_file");
        }
    }
    if let Some(name) = identity {
        config.client_identity().map_err(|e| unusable(&name, e.message(), ""))?;
    }
    if let Some((name, list)) = variables.text("HEADERS")? {
        let told = config.headers.clone();
        for (header, value) in headers(&list).map_err(|why| unusable(&name, why, ""))? {
            if !told.iter().any(|(set, _)| set.eq_ignore_ascii_case(&header)) {
                let key = format!("header.{header}");
                config.set(&key, &value).map_err(|e| unusable(&name, e.message(), ""))?;
            }
        }
    }
    if !config.is_told("request_timeout_ms") {
        config.set("request_timeout_ms", TIMEOUT_MS)?;
    }
    if !config.is_told("request_compression") && !config.url().is_loopback() {
        // Each request repeats its resource, which costs next to nothing then.
        config.set("request_compression", "gzip")?;
    }
    Ok(())
}

/// The variables that concern one signal.
struct Variables<'a> {
    signal: Signal,
    env: Env<'a>,
}

impl Variables<'_> {
    /// The only encoding that is sent.
    fn check_protocol(&self) -> Result<()> {
        let Some((name, protocol)) = self.text("PROTOCOL")? else { return Ok(()) };
        if protocol.eq_ignore_ascii_case("http/protobuf") {
            return Ok(());
        }
        let why = "spanspool sends http/protobuf only; set the variable to http/protobuf, and the endpoint to the \
                   receiver's port for HTTP, which is usually 4318";
        Err(unusable(&format!("{name}={protocol}"), why, ""))
    }

    /// The variable `option` and its name, that of the signal before that of all.
    fn text(&self, option: &str) -> Result<Option<(String, String)>> {
        Ok(self.of_signal(option)?.or(self.of_all(option)?))
    }

    fn of_signal(&self, option: &str) -> Result<Option<(String, String)>> {
        read(self.name_of_signal(option), self.env)
    }

    fn of_all(&self, option: &str) -> Result<Option<(String, String)>> {
        read(name_of_all(option), self.env)
    }

    fn os_text(&self, option: &str) -> Option<(String, OsString)> {
        let names = [self.name_of_signal(option), name_of_all(option)];
        names.into_iter().find_map(|name| {
            let value = (self.env)(&name).filter(|value| !value.is_empty())?;
            Some((name, value))
        })
    }

    fn name_of_signal(&self, option: &str) -> String {
        format!("OTEL_EXPORTER_OTLP_{}_{option}", self.signal.name().to_ascii_uppercase())
    }
}

fn name_of_all(option: &str) -> String {
    format!("OTEL_EXPORTER_OTLP_{option}")
}

fn read(name: String, env: Env) -> Result<Option<(String, String)>> {
    let Some(value) = env(&name) else { return Ok(None) };
    let Some(text) = value.to_str() else { return Err(unusable(&name, "it is not UTF-8", "")) };
    let text = text.trim();
    Ok((!text.is_empty()).then(|| (name, text.to_owned())))
}

/// The headers of a list `name=value,name=value`, of which the values are percent-encoded.
fn headers(list: &str) -> std::result::Result<Vec<(String, String)>, &'static str> {
    let entries = list.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    entries
        .map(|entry| {
            let (name, value) = entry.split_once('=').ok_or("it is not a list of name=value")?;
            let value = percent_decoded(value.trim()).ok_or("a value in it is not percent-encoded text")?;
            Ok((name.trim().to_owned(), value))
        })
        .collect()
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        let digit = |digit: Option<u8>| char::from(digit?).to_digit(16);
        decoded.push(match byte {
            b'%' => (digit(bytes.next())? * 16 + digit(bytes.next())?) as u8,
            byte => byte,
        });
    }
    String::from_utf8(decoded).ok()
}

/// The error of a variable. `secret`, which may have a key in it, is not shown.
fn unusable(name: &str, why: &str, secret: &str) -> Error {
    let why = if secret.contains(['@', '?']) { why.replace(secret, "…") } else { why.to_owned() };
    Error::new(ErrorKind::InvalidArgument, format!("environment variable {name}: {why}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::time::Duration;

    use crate::config::{RequestCompression, Secret};

    fn completed(settings: &[(&str, &str)], variables: &[(&str, &str)]) -> Result<Config> {
        let mut config = Config::new();
        config.set("exporter", "otlp")?;
        for (key, value) in settings {
            config.set(key, value)?;
        }
        let env = |name: &str| {
            let named =
                variables.iter().find(|(set, _)| name.strip_prefix("OTEL_EXPORTER_OTLP_") == Some(set));
            named.map(|(_, value)| OsString::from(*value))
        };
        let signal = config.otlp_signal().unwrap();
        complete(&mut config, signal, &env)?;
        Ok(config)
    }

    fn url(settings: &[(&str, &str)], variables: &[(&str, &str)]) -> String {
        completed(settings, variables).unwrap().url().url().to_owned()
    }

    #[test]
    fn the_endpoint_is_the_settings_then_the_signals_then_that_of_all() {
        let all = ("ENDPOINT", "http://all:4318");
        assert_eq!(url(&[], &[]), "http://localhost:4318/v1/traces");
        assert_eq!(url(&[], &[all]), "http://all:4318/v1/traces");
        assert_eq!(url(&[("signal", "metrics")], &[("ENDPOINT", " ")]), "http://localhost:4318/v1/metrics");
        let of_signal = ("TRACES_ENDPOINT", "http://traces:1/in");
        assert_eq!(url(&[], &[all, of_signal]), "http://traces:1/in");
        assert_eq!(url(&[("signal", "logs")], &[all, of_signal]), "http://all:4318/v1/logs");
        assert_eq!(url(&[("endpoint", "http://set:2")], &[all, of_signal]), "http://set:2/v1/traces");
        for bad in ["collector:4317", "http://me:secret@host/"] {
            let error = completed(&[], &[("ENDPOINT", bad)]).unwrap_err();
            assert!(error.message().contains("OTEL_EXPORTER_OTLP_ENDPOINT"), "{error}");
            assert!(!error.message().contains("secret"), "{error}");
        }
    }

    #[test]
    fn another_protocol_is_an_error_that_names_the_alternative() {
        for protocol in ["grpc", "http/json"] {
            let error = completed(&[], &[("PROTOCOL", protocol)]).unwrap_err();
            assert!(error.message().contains("OTEL_EXPORTER_OTLP_PROTOCOL"), "{error}");
            assert!(error.message().contains("http/protobuf") && error.message().contains("4318"), "{error}");
        }
        assert!(completed(&[], &[("PROTOCOL", "grpc"), ("TRACES_PROTOCOL", "http/protobuf")]).is_ok());
        assert!(completed(&[], &[("LOGS_PROTOCOL", "grpc")]).is_ok());
        assert!(completed(&[], &[("PROTOCOL", "HTTP/Protobuf")]).is_ok());
    }

    #[test]
    fn headers_are_percent_decoded_and_those_that_are_set_stay() {
        let variables = [("HEADERS", "Authorization=Basic%20c3Bhbg%3D%3D, x-a = 1 ,x-b=2=3,")];
        let config = completed(&[("header.X-A", "mine")], &variables).unwrap();
        let found: Vec<_> =
            config.headers.iter().map(|(name, value)| (name.as_str(), value.reveal())).collect();
        assert_eq!(found, [("X-A", "mine"), ("Authorization", "Basic c3Bhbg=="), ("x-b", "2=3")]);
        // Of two of one name the last counts, as with the SDKs' own exporters.
        let twice = completed(&[], &[("HEADERS", "x-a=1,X-A=2")]).unwrap();
        assert_eq!(twice.headers, [("X-A".to_owned(), Secret::new("2"))]);
        let of_signal = completed(&[], &[variables[0], ("TRACES_HEADERS", "x-c=3")]).unwrap();
        assert_eq!(of_signal.headers, [("x-c".to_owned(), Secret::new("3"))]);
        for bad in ["sk-secret", "a=sk-secret%0d%0aHost: x", "a=sk-secret%f", "host=sk-secret", "ü=sk-secret"]
        {
            let error = completed(&[], &[("HEADERS", bad)]).unwrap_err();
            assert!(error.message().contains("OTEL_EXPORTER_OTLP_HEADERS"), "{error}");
            assert!(!error.message().contains("secret"), "{error}");
        }
    }

    #[test]
    fn time_and_compression_have_defaults_of_their_own() {
        let of = |settings: &[_], variables: &[_]| {
            let config = completed(settings, variables).unwrap();
            (config.request_timeout, config.request_compression == RequestCompression::Gzip)
        };
        let (ten, far) = (Duration::from_secs(10), ("ENDPOINT", "https://collector.example"));
        assert_eq!(of(&[], &[]), (ten, false));
        assert_eq!(of(&[], &[far]), (ten, true));
        assert_eq!(of(&[], &[far, ("COMPRESSION", "none")]), (ten, false));
        assert_eq!(of(&[], &[("TRACES_COMPRESSION", "GZip")]), (ten, true));
        let five = ("TIMEOUT", "5000");
        assert_eq!(of(&[], &[five, ("TRACES_TIMEOUT", "7000")]), (Duration::from_secs(7), false));
        assert_eq!(of(&[("request_timeout_ms", "60000")], &[five]), (Duration::from_secs(60), false));
        assert_eq!(of(&[], &[("TIMEOUT", "0")]), (Duration::from_secs(86_400), false));
        assert!(completed(&[], &[("TIMEOUT", "soon")]).is_err());
    }

    #[test]
    fn certificates_are_files() {
        let variables = [("CERTIFICATE", "/ca"), ("CLIENT_CERTIFICATE", "/cert"), ("CLIENT_KEY", "/key")];
        let config = completed(&[("ca_file", "/mine")], &variables).unwrap();
        assert_eq!(config.ca_file.as_deref(), Some("/mine".as_ref()));
        assert_eq!(config.client_identity().unwrap(), Some(("/cert".as_ref(), "/key".as_ref())));
        for half in ["CLIENT_CERTIFICATE", "TRACES_CLIENT_KEY"] {
            let error = completed(&[], &[(half, "/half")]).unwrap_err();
            assert!(error.message().contains(&format!("OTEL_EXPORTER_OTLP_{half}:")), "{error}");
        }
    }
}
