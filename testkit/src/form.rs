//! Form: what the items of a campaign are: their texts as they are, or for OTLP each as the name of a span.
//!
//! Whoever makes the texts and looks for them need not know which.

use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use spanspool::Destination;

use crate::client::Noise;
use crate::ingest::{Ingest, Request, items_of};
use crate::otlp::Traces;

/// What items are. tests/c/form.h makes the same of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The text itself, which is JSON.
    Json,
    /// A request with one span that has the text for a name.
    Otlp,
}

impl Form {
    pub const ALL: [Self; 2] = [Self::Json, Self::Otlp];

    pub fn any(noise: &mut Noise) -> Self {
        Self::ALL[noise.below(2) as usize]
    }

    /// One after the other.
    pub fn nth(n: usize) -> Self {
        Self::ALL[n % Self::ALL.len()]
    }

    /// That of items which go to `destination`.
    pub fn of(destination: &Destination) -> Self {
        if destination.signal().is_some() { Self::Otlp } else { Self::Json }
    }

    /// The setting `exporter`.
    pub fn exporter(self) -> &'static str {
        if self == Self::Otlp { "otlp" } else { "backend" }
    }

    /// Where to send such items, as a lane records it.
    pub fn url(self, ingest: &Ingest) -> String {
        match self {
            Self::Json => ingest.url(),
            Self::Otlp => format!("http://127.0.0.1:{}/v1/traces", ingest.port()),
        }
    }

    /// The item of `text`.
    pub fn item(self, text: &str) -> Vec<u8> {
        match self {
            Self::Json => text.into(),
            Self::Otlp => {
                let spans = vec![Span { name: text.into(), ..Span::default() }];
                let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
                let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
                Traces { resource_spans }.encode_to_vec()
            }
        }
    }

    /// The text of `item`; `None`: it is not, to the last byte, the item of a text.
    pub fn text(self, item: &[u8]) -> Option<String> {
        let text = match self {
            Self::Json => String::from_utf8(item.to_vec()).ok()?,
            Self::Otlp => match &names(item)[..] {
                [name] => name.clone(),
                _ => return None,
            },
        };
        (self.item(&text) == item).then_some(text)
    }
}

/// The texts of a request's items; none when the body is not what a receiver can decode.
pub fn texts_of(request: &Request) -> Vec<String> {
    match request.header("content-type") {
        Some("application/x-protobuf") => names(&request.body),
        _ => items_of(request),
    }
}

/// The names of all spans.
fn names(request: &[u8]) -> Vec<String> {
    let decoded = Traces::decode(request).unwrap_or_default();
    let scopes = decoded.resource_spans.into_iter().flat_map(|of| of.scope_spans);
    scopes.flat_map(|of| of.spans).map(|span| span.name).collect()
}
