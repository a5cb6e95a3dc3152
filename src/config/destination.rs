//! Destination: where the items of a lane go, as the lane records it.

use std::fmt;

use crate::config::Endpoint;

/// Where items go: the exporter, and for the HTTP ingest its scheme, host, port and path. It has no key in it.
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

    /// The HTTP ingest at `endpoint`. A query is left out: it may hold a secret.
    pub(crate) fn backend(endpoint: &Endpoint) -> Self {
        Self(format!("{BACKEND}{}", endpoint.address()))
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

    /// `backend URL`, `console` or `custom NAME`; empty when any client may deliver the items.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether any client may deliver the items.
    pub fn is_anybody(&self) -> bool {
        self.0.is_empty()
    }

    /// The URL of the HTTP ingest, when it is one.
    pub fn endpoint(&self) -> Option<&str> {
        self.0.strip_prefix(BACKEND)
    }
}

const BACKEND: &str = "backend ";

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_anybody() { "anybody" } else { &self.0 })
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
}
