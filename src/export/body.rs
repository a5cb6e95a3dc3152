//! Body: the bytes that a request carries: `{"data":[item,...]}`, sanitised and compressed as configured, or OTLP.

use std::borrow::Cow;
use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::sanitize::sanitize;
use crate::batch::Batch;
use crate::config::{Config, RequestCompression, Sanitize};

/// The longest item that is shortened before it is stored. That may take sixteen times as much memory for a moment: an
/// item that is nothing but short numbers does.
const MAX_SHORTENED_BYTES: usize = 64 << 20;

/// How a batch becomes a body; the same batch always becomes the same bytes.
#[derive(Clone, Copy)]
pub(super) struct BodyEncoding {
    sanitize: bool,
    /// Items are export requests of OTLP. Such requests in a row are one, with all their records.
    is_otlp: bool,
    pub(super) gzip: bool,
}

impl BodyEncoding {
    pub(super) fn new(config: &Config) -> Self {
        let is_otlp = config.otlp_signal().is_some();
        let sanitize = match config.sanitize {
            _ if is_otlp => false,
            Sanitize::Auto => config.endpoint.is_openai(),
            Sanitize::Always => true,
            Sanitize::Never => false,
        };
        Self { sanitize, is_otlp, gzip: config.request_compression == RequestCompression::Gzip }
    }

    /// What a body has in the place of `item`, if that is shorter.
    pub(super) fn shorten(&self, item: &[u8]) -> Option<Vec<u8>> {
        if !self.sanitize || item.len() > MAX_SHORTENED_BYTES {
            return None;
        }
        match sanitize(item) {
            Cow::Owned(short) if short.len() < item.len() => Some(short),
            _ => None,
        }
    }

    /// The errors are those of the compressor.
    pub(super) fn body<'a>(&self, batch: &'a Batch) -> io::Result<Cow<'a, [u8]>> {
        let plain = match self {
            Self { is_otlp: true, .. } => Cow::from(batch.items().collect::<Vec<_>>().concat()),
            Self { sanitize: true, .. } => Cow::from(sanitized(batch)),
            _ => Cow::from(batch.body()),
        };
        if !self.gzip {
            return Ok(plain);
        }
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&plain)?;
        Ok(encoder.finish()?.into())
    }
}

fn sanitized(batch: &Batch) -> Vec<u8> {
    let mut clean = Batch::new("", 0, "");
    batch.items().for_each(|item| clean.push(&sanitize(item)));
    clean.into_body()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn body(settings: &[(&str, &str)]) -> String {
        let mut config = Config::new();
        for (key, value) in settings {
            config.set(key, value).unwrap();
        }
        let mut batch = Batch::new("lane", 0, "");
        batch.push(br#"{ "a": 1 }"#);
        batch.push(br#"{"span_data":{"type":"response","usage":{}}}"#);
        String::from_utf8(BodyEncoding::new(&config).body(&batch).unwrap().into_owned()).unwrap()
    }

    #[test]
    fn items_are_sanitised_for_the_openai_endpoint_or_when_told() {
        let raw = r#"{"data":[{ "a": 1 },{"span_data":{"type":"response","usage":{}}}]}"#;
        let clean = r#"{"data":[{ "a": 1 },{"span_data":{"type":"response"}}]}"#;
        let custom = ("endpoint", "https://ingest.example/");
        assert_eq!(body(&[]), clean);
        assert_eq!(body(&[("sanitize", "never")]), raw);
        assert_eq!(body(&[custom]), raw);
        assert_eq!(body(&[custom, ("sanitize", "always")]), clean);
    }

    #[test]
    fn items_of_otlp_stand_in_a_row() {
        let plain = r#"{ "a": 1 }{"span_data":{"type":"response","usage":{}}}"#;
        assert_eq!(body(&[("exporter", "otlp"), ("sanitize", "always")]), plain);
    }
}
