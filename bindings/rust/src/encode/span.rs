//! Span: a finished span as an `ExportTraceServiceRequest`.

use opentelemetry::SpanId;
use opentelemetry::trace::{Event, Link, SpanContext, SpanKind, Status};
use opentelemetry_sdk::trace::SpanData;

use super::envelope::Envelope;
use super::time::unix_nanos;
use super::writer::Writer;

mod span_fields {
    pub const TRACE_ID: u32 = 1;
    pub const SPAN_ID: u32 = 2;
    pub const TRACE_STATE: u32 = 3;
    pub const PARENT_SPAN_ID: u32 = 4;
    pub const NAME: u32 = 5;
    pub const KIND: u32 = 6;
    pub const START_TIME: u32 = 7;
    pub const END_TIME: u32 = 8;
    pub const ATTRIBUTES: u32 = 9;
    pub const DROPPED_ATTRIBUTES: u32 = 10;
    pub const EVENTS: u32 = 11;
    pub const DROPPED_EVENTS: u32 = 12;
    pub const LINKS: u32 = 13;
    pub const DROPPED_LINKS: u32 = 14;
    pub const STATUS: u32 = 15;
    pub const FLAGS: u32 = 16;
}

mod event {
    pub const TIME: u32 = 1;
    pub const NAME: u32 = 2;
    pub const ATTRIBUTES: u32 = 3;
    pub const DROPPED_ATTRIBUTES: u32 = 4;
}

mod link {
    pub const TRACE_ID: u32 = 1;
    pub const SPAN_ID: u32 = 2;
    pub const TRACE_STATE: u32 = 3;
    pub const ATTRIBUTES: u32 = 4;
    pub const DROPPED_ATTRIBUTES: u32 = 5;
    pub const FLAGS: u32 = 6;
}

mod status {
    pub const MESSAGE: u32 = 2;
    pub const CODE: u32 = 3;
    pub const OK: u64 = 1;
    pub const ERROR: u64 = 2;
}

mod flags {
    /// It is known whether the parent, or the linked span, is of another process.
    pub const HAS_IS_REMOTE: u32 = 0x100;
    pub const IS_REMOTE: u32 = 0x200;
}

/// Appends a request with `span` to `buffer`.
pub(crate) fn span_request(envelope: &Envelope, data: &SpanData, buffer: &mut Vec<u8>) {
    envelope.request(buffer, &data.instrumentation_scope, None, |w| w.span(data));
}

impl Writer<'_> {
    #[inline]
    fn span(&mut self, data: &SpanData) {
        let context = &data.span_context;
        self.bytes(span_fields::TRACE_ID, &context.trace_id().to_bytes());
        self.bytes(span_fields::SPAN_ID, &context.span_id().to_bytes());
        self.text(span_fields::TRACE_STATE, &context.trace_state().header());
        if data.parent_span_id != SpanId::INVALID {
            self.bytes(span_fields::PARENT_SPAN_ID, &data.parent_span_id.to_bytes());
        }
        self.text(span_fields::NAME, &data.name);
        self.varint(span_fields::KIND, kind(&data.span_kind));
        self.fixed64(span_fields::START_TIME, unix_nanos(data.start_time));
        self.fixed64(span_fields::END_TIME, unix_nanos(data.end_time));
        self.attributes(span_fields::ATTRIBUTES, &data.attributes);
        self.count(span_fields::DROPPED_ATTRIBUTES, data.dropped_attributes_count);
        for event in data.events.iter() {
            self.message(span_fields::EVENTS, |w| w.event(event));
        }
        self.count(span_fields::DROPPED_EVENTS, data.events.dropped_count);
        for link in data.links.iter() {
            self.message(span_fields::LINKS, |w| w.link(link));
        }
        self.count(span_fields::DROPPED_LINKS, data.links.dropped_count);
        self.message(span_fields::STATUS, |w| w.status(&data.status));
        self.fixed32(span_fields::FLAGS, flags(context, data.parent_span_is_remote));
    }

    fn event(&mut self, event: &Event) {
        self.fixed64(event::TIME, unix_nanos(event.timestamp));
        self.text(event::NAME, &event.name);
        self.attributes(event::ATTRIBUTES, &event.attributes);
        self.count(event::DROPPED_ATTRIBUTES, event.dropped_attributes_count);
    }

    fn link(&mut self, link: &Link) {
        let context = &link.span_context;
        self.bytes(link::TRACE_ID, &context.trace_id().to_bytes());
        self.bytes(link::SPAN_ID, &context.span_id().to_bytes());
        self.text(link::TRACE_STATE, &context.trace_state().header());
        self.attributes(link::ATTRIBUTES, &link.attributes);
        self.count(link::DROPPED_ATTRIBUTES, link.dropped_attributes_count);
        self.fixed32(link::FLAGS, flags(context, context.is_remote()));
    }

    fn status(&mut self, status: &Status) {
        match status {
            Status::Unset => {}
            Status::Ok => self.varint(status::CODE, status::OK),
            Status::Error { description } => {
                self.text(status::MESSAGE, description);
                self.varint(status::CODE, status::ERROR);
            }
        }
    }
}

fn kind(kind: &SpanKind) -> u64 {
    match kind {
        SpanKind::Internal => 1,
        SpanKind::Server => 2,
        SpanKind::Client => 3,
        SpanKind::Producer => 4,
        SpanKind::Consumer => 5,
    }
}

fn flags(context: &SpanContext, is_remote: bool) -> u32 {
    let remote = if is_remote { flags::IS_REMOTE } else { 0 };
    u32::from(context.trace_flags().to_u8()) | flags::HAS_IS_REMOTE | remote
}
