//! Destination: where the items of a lane go, as the lane records it.

use std::fmt;

use crate::config::{Endpoint, Signal};

/// Where items go: the exporter, for OTLP the signal, and for what is reached by HTTP its scheme, host, port and path. It
/// has no key in it.
///
/// Items that were accepted with `exporter=none` have none: any client may deliver them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Destination(String);

impl Destination {
    /// The longest text of a destination, in bytes.
    pub(crate) const MAX_BYTES: usize = 9000;

    /// That of items which any client may deliver.
    pub fn anybody() -> Self {
        Self(String::new())
    }

    /// That of items of `signal`, or of JSON, which any client for such items may deliver.
    pub(crate) fn anybody_of(signal: Option<Signal>) -> Self {
        Self(signal.map_or_else(String::new, |signal| format!("{OTLP}{}", signal.name())))
    }

    /// What is left of it when its address is not known. The text of the one begins with that of the other.
    pub(crate) fn without_address(&self) -> Self {
        Self::anybody_of(self.signal())
    }

    /// The HTTP ingest at `endpoint`. A query is left out: it may hold a secret.
    pub(crate) fn backend(endpoint: &Endpoint) -> Self {
        Self(format!("{BACKEND}{}", endpoint.address()))
    }

    /// The OpenTelemetry receiver that takes `signal` at `endpoint`.
    pub(crate) fn otlp(signal: Signal, endpoint: &Endpoint) -> Self {
        Self(format!("{OTLP}{} {}", signal.name(), endpoint.address()))
    }

    /// Standard output.
    pub fn console() -> Self {
        Self("console".into())
    }

    /// That of an exporter of the caller's. Lanes of the same `name` are its lanes; the name is cut at 1024 bytes.
    pub fn custom(name: &str) -> Self {
        Self(format!("custom {}", &name[..name.floor_char_boundary(1024)]))
    }

    /// The destination whose text is `text`.
    pub(crate) fn of_text(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// `backend URL`, `otlp SIGNAL URL`, `console` or `custom NAME`; empty when any client may deliver the items, or
    /// `otlp SIGNAL` when any client of that signal may.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether any client may deliver the items, if it is for items of their form.
    pub fn is_anybody(&self) -> bool {
        *self == self.without_address()
    }

    /// The URL of the HTTP ingest or of the OpenTelemetry receiver, when it is one.
    pub fn endpoint(&self) -> Option<&str> {
        self.0.strip_prefix(BACKEND).or_else(|| self.signal_and_url()?.1)
    }

    /// What the items are, when they go to an OpenTelemetry receiver.
    pub fn signal(&self) -> Option<Signal> {
        self.signal_and_url().map(|(signal, _)| signal)
    }

    /// Whether its items are of the form that those of `other` are of.
    pub(crate) fn has_form_of(&self, other: &Self) -> bool {
        self.signal() == other.signal()
    }

    fn signal_and_url(&self) -> Option<(Signal, Option<&str>)> {
        let mut words = self.0.strip_prefix(OTLP)?.splitn(2, ' ');
        Some((Signal::of_name(words.next()?)?, words.next()))
    }
}

const BACKEND: &str = "backend ";
const OTLP: &str = "otlp ";

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "anybody" } else { &self.0 })
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_differs_in_spelling_only_is_one_destination_and_no_secret_is_in_it() {
        let of = |url: &str| Destination::backend(&Endpoint::parse(url).unwrap());
        for (spelled, recorded) in [
            (
                "HTTPS://API.OpenAI.com:443/v1/traces/ingest",
                "backend https://api.openai.com/v1/traces/ingest",
            ),
            ("http://host:80", "backend http://host/"),
            ("http://host/", "backend http://host/"),
            ("http://host:8080?key=secret", "backend http://host:8080/"),
            ("http://host/A?key=secret/b", "backend http://host/A"),
            ("https://host:80/", "backend https://host:80/"),
            ("http://[::1]:4318/v1", "backend http://[::1]:4318/v1"),
        ] {
            assert_eq!(of(spelled).as_str(), recorded);
            assert_eq!(of(of(spelled).endpoint().unwrap()), of(spelled), "it can be sent to again");
        }
    }

    #[test]
    fn an_otlp_destination_has_a_signal_and_the_url_of_it() {
        use crate::config::Config;
        for (url, signal, recorded) in [
            ("http://collector:4318", "traces", "otlp traces http://collector:4318/v1/traces"),
            ("http://collector:4318/", "logs", "otlp logs http://collector:4318/v1/logs"),
            ("http://host/otlp/?key=secret", "metrics", "otlp metrics http://host/otlp/v1/metrics"),
            ("http://host/v1/traces", "traces", "otlp traces http://host/v1/traces"),
            ("http://host/v1/traces/", "traces", "otlp traces http://host/v1/traces/"),
            ("http://host/v1/traces", "logs", "otlp logs http://host/v1/traces/v1/logs"),
        ] {
            let mut config = Config::new();
            config.set("exporter", "otlp").unwrap().set("signal", signal).unwrap();
            assert_eq!(
                config.destination().endpoint().unwrap(),
                format!("http://localhost:4318/v1/{signal}")
            );
            config.set("endpoint", url).unwrap();
            assert_eq!(config.destination().as_str(), recorded);
            assert_eq!(config.destination().signal().unwrap().name(), signal);
            let mut again = Config::new();
            again.set_destination(&config.destination()).unwrap();
            assert_eq!(again.destination(), config.destination(), "it can be sent to again");
        }
        let mut elsewhere = Config::new();
        elsewhere.set_destination(&Destination::of_text("otlp logs http://host/in")).unwrap();
        assert_eq!(elsewhere.destination().as_str(), "otlp logs http://host/in");
        assert_eq!(Destination::of_text("otlp profiles http://host/").signal(), None);
    }

    #[test]
    fn no_client_takes_items_of_another_form() {
        use crate::config::Adopt;
        let of = Destination::of_text;
        let [json, traces] = [of("backend http://host/"), of("otlp traces http://host/v1/traces")];
        let [logs, other] = [of("otlp logs http://host/v1/logs"), of("otlp traces http://other/v1/traces")];
        let anybody = Destination::anybody();
        assert!(Adopt::Same.allows(&json, &anybody) && Adopt::Any.allows(&json, &of("console")));
        for (own, theirs) in [(&traces, &json), (&json, &traces), (&traces, &logs), (&traces, &anybody)] {
            assert!(!Adopt::Any.allows(own, theirs) && !Adopt::Same.allows(own, theirs), "{own} {theirs}");
        }
        assert!(Adopt::Any.allows(&traces, &other) && !Adopt::Same.allows(&traces, &other));
        let lost = traces.without_address();
        assert!(lost.is_anybody() && lost.signal() == Some(Signal::Traces) && lost.endpoint().is_none());
        assert!(Adopt::Same.allows(&traces, &lost) && Adopt::Same.allows(&other, &lost));
        assert!(!Adopt::Any.allows(&logs, &lost) && !Adopt::Any.allows(&json, &lost));
        assert!(json.without_address() == anybody && !json.is_anybody() && !of("console").is_anybody());
    }
}
