//! Spans: the spans of a traces request, each found where it lies in the bytes.

use super::from_json::put_delimited;
use super::value::{Value, next};
use super::wire::{MOST_GROUPS, Reader};

/// A span with what it shares with others of its request. Each is the bytes of a message.
pub struct OtlpSpan<'a> {
    resource_spans: &'a [u8],
    scope_spans: &'a [u8],
    span: &'a [u8],
}

/// A field of a message.
struct Field<'a> {
    number: u32,
    value: Value<'a>,
    /// All its bytes, the tag included.
    whole: &'a [u8],
}

/// The numbers of fields in opentelemetry-proto.
mod number {
    pub const RESOURCE_SPANS: u32 = 1;
    pub const RESOURCE: u32 = 1;
    pub const RESOURCE_ATTRIBUTES: u32 = 1;
    pub const SCOPE_SPANS: u32 = 2;
    pub const SPANS: u32 = 2;
    pub const TRACE_ID: u32 = 1;
    pub const SPAN_ID: u32 = 2;
    pub const PARENT_SPAN_ID: u32 = 4;
    pub const NAME: u32 = 5;
    pub const KIND: u32 = 6;
    pub const START: u32 = 7;
    pub const END: u32 = 8;
    pub const SPAN_ATTRIBUTES: u32 = 9;
    pub const STATUS: u32 = 15;
    pub const STATUS_MESSAGE: u32 = 2;
    pub const STATUS_CODE: u32 = 3;
    pub const KEY: u32 = 1;
    pub const VALUE: u32 = 2;
    pub const STRING_VALUE: u32 = 1;
}

/// The code of the status of a span that failed.
const STATUS_ERROR: u64 = 2;

/// The spans of `request`, in order; those before the first bytes that are no request.
pub fn spans(request: &[u8]) -> impl Iterator<Item = OtlpSpan<'_>> {
    messages(request, number::RESOURCE_SPANS).flat_map(|resource_spans| {
        messages(resource_spans, number::SCOPE_SPANS).flat_map(move |scope_spans| {
            messages(scope_spans, number::SPANS).map(move |span| OtlpSpan {
                resource_spans,
                scope_spans,
                span,
            })
        })
    })
}

impl<'a> OtlpSpan<'a> {
    pub fn trace_id(&self) -> String {
        self.id(number::TRACE_ID)
    }

    pub fn id_of_span(&self) -> String {
        self.id(number::SPAN_ID)
    }

    /// Empty for a root.
    pub fn parent_id(&self) -> String {
        self.id(number::PARENT_SPAN_ID)
    }

    pub fn name(&self) -> &'a [u8] {
        bytes_of(self.span, number::NAME).unwrap_or_default()
    }

    pub fn kind(&self) -> &'static str {
        match number_of(self.span, number::KIND) {
            Some(2) => "server",
            Some(3) => "client",
            Some(4) => "producer",
            Some(5) => "consumer",
            _ => "internal",
        }
    }

    /// In nanoseconds since 1970; 0 is as good as none.
    pub fn start_ns(&self) -> Option<u64> {
        number_of(self.span, number::START).filter(|ns| *ns > 0)
    }

    pub fn end_ns(&self) -> Option<u64> {
        number_of(self.span, number::END).filter(|ns| *ns > 0)
    }

    /// What its status says, if that is an error.
    pub fn error(&self) -> Option<&'a [u8]> {
        let status = bytes_of(self.span, number::STATUS)?;
        let is_error = number_of(status, number::STATUS_CODE) == Some(STATUS_ERROR);
        is_error.then(|| bytes_of(status, number::STATUS_MESSAGE).unwrap_or_default())
    }

    /// The text of the attribute `key`.
    pub fn attribute(&self, key: &str) -> Option<&'a [u8]> {
        attribute(self.span, number::SPAN_ATTRIBUTES, key)
    }

    /// The text of the attribute `key` of what the span comes from.
    pub fn resource_attribute(&self, key: &str) -> Option<&'a [u8]> {
        attribute(bytes_of(self.resource_spans, number::RESOURCE)?, number::RESOURCE_ATTRIBUTES, key)
    }

    /// A request with this span and no other.
    pub fn to_request(&self) -> Vec<u8> {
        let scope_spans = with_one(self.scope_spans, number::SPANS, self.span);
        let resource_spans = with_one(self.resource_spans, number::SCOPE_SPANS, &scope_spans);
        with_one(&[], number::RESOURCE_SPANS, &resource_spans)
    }

    fn id(&self, number: u32) -> String {
        let bytes = bytes_of(self.span, number).unwrap_or_default();
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The fields of a message, up to where it is broken.
fn fields(message: &[u8]) -> impl Iterator<Item = Field<'_>> {
    let mut reader = Reader::new(message);
    std::iter::from_fn(move || {
        let begin = reader.at();
        let (number, value) = next(&mut reader, MOST_GROUPS).ok()?;
        Some(Field { number, value, whole: &message[begin..reader.at()] })
    })
}

fn messages(message: &[u8], number: u32) -> impl Iterator<Item = &[u8]> {
    fields(message).filter(move |field| field.number == number).filter_map(|field| match field.value {
        Value::Delimited(bytes) => Some(bytes),
        _ => None,
    })
}

/// Of several values the last one counts.
fn bytes_of(message: &[u8], number: u32) -> Option<&[u8]> {
    messages(message, number).last()
}

fn number_of(message: &[u8], number: u32) -> Option<u64> {
    let numbers = fields(message).filter(|field| field.number == number);
    let value = |field: Field<'_>| match field.value {
        Value::Varint(n) => Some(n),
        Value::Fixed64(bytes) => Some(u64::from_le_bytes(bytes)),
        _ => None,
    };
    numbers.filter_map(value).last()
}

fn attribute<'a>(message: &'a [u8], number: u32, key: &str) -> Option<&'a [u8]> {
    let pair = messages(message, number).find(|pair| bytes_of(pair, number::KEY) == Some(key.as_bytes()))?;
    bytes_of(bytes_of(pair, number::VALUE)?, number::STRING_VALUE)
}

/// `message` with `inner` as its only field `number`.
fn with_one(message: &[u8], number: u32, inner: &[u8]) -> Vec<u8> {
    let others = fields(message).filter(|field| field.number != number);
    let mut bytes: Vec<u8> = others.flat_map(|field| field.whole).copied().collect();
    put_delimited(number, inner, &mut bytes);
    bytes
}
