//! Record: what the viewer's lists show of a span, whatever form it came in.
//!
//! Every text comes from outside, so none is longer than [`MOST_CHARS`].

mod agents;
mod time;

use std::hash::{DefaultHasher, Hash, Hasher};

use spanspool::Signal;

use crate::otlp::{OtlpSpan, spans};

/// The most characters of a text in a list.
pub const MOST_CHARS: usize = 256;

/// A span, or what describes a trace.
#[derive(Debug, Default, Clone, PartialEq, Eq, Hash)]
pub struct Record {
    /// Empty when it names none.
    pub trace_id: String,
    pub id: String,
    pub parent: Option<String>,
    pub name: String,
    /// What the span is about: `agent`, `generation`, `server`, …
    pub kind: String,
    /// Who made it: the service, or the group that an agent's run belongs to.
    pub service: String,
    pub start_us: Option<i64>,
    pub end_us: Option<i64>,
    /// What went wrong, if anything did.
    pub error: Option<String>,
    /// It names its trace and is no span of it.
    pub is_trace: bool,
}

/// The records of `item`, in order, as `signal` says what it is; none of logs and metrics.
pub fn records(item: &[u8], signal: Option<Signal>) -> Vec<Record> {
    match signal {
        None => vec![agents::record(item)],
        Some(Signal::Traces) => spans(item).map(|span| of_span(&span)).collect(),
        Some(Signal::Logs | Signal::Metrics) => Vec::new(),
    }
}

fn of_span(span: &OtlpSpan<'_>) -> Record {
    let text = |bytes: &[u8]| clip(String::from_utf8_lossy(bytes).into_owned());
    let kind = span.attribute("gen_ai.operation.name").or_else(|| span.attribute("openinference.span.kind"));
    let micros = |ns: u64| (ns / 1000) as i64;
    Record {
        trace_id: clip_id(span.trace_id()),
        id: clip_id(span.id_of_span()),
        parent: Some(clip_id(span.parent_id())).filter(|id| !id.is_empty()),
        name: text(span.name()),
        kind: kind.map_or_else(|| span.kind().to_owned(), |kind| text(kind).to_lowercase()),
        service: span.resource_attribute("service.name").map(text).unwrap_or_default(),
        start_us: span.start_ns().map(micros),
        end_us: span.end_ns().map(micros),
        error: span
            .error()
            .map(|message| if message.is_empty() { "error".to_owned() } else { text(message) }),
        is_trace: false,
    }
}

/// `text`, cut when it is longer than [`MOST_CHARS`].
pub fn clip(mut text: String) -> String {
    if let Some((at, _)) = text.char_indices().nth(MOST_CHARS) {
        text.truncate(at);
        text.push('…');
        text.shrink_to_fit();
    }
    text
}

/// The same for an id: two that differ stay different.
pub fn clip_id(id: String) -> String {
    if id.len() <= MOST_CHARS {
        return id;
    }
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    format!("{}-{:016x}", clip(id), hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_of_the_agents_sdk_are_spans_and_what_names_a_trace() {
        let of = |item: &str| records(item.as_bytes(), None).remove(0);
        let trace = of(r#"{"object":"trace","id":"trace_1","workflow_name":"Refunds","group_id":"chat_2"}"#);
        assert_eq!((&*trace.trace_id, &*trace.name, &*trace.service), ("trace_1", "Refunds", "chat_2"));
        assert!(trace.is_trace);
        let span = of(r#"{"object":"trace.span","id":"span_1","trace_id":"trace_1","parent_id":null,
            "started_at":"1970-01-01T00:00:01Z","ended_at":"1970-01-01T00:00:02Z",
            "span_data":{"type":"generation","model":"gpt","input":[[[]]]},"error":{"message":"no"}}"#);
        assert_eq!((&*span.kind, &*span.name, span.error.as_deref()), ("generation", "gpt", Some("no")));
        assert_eq!((span.start_us, span.end_us, span.parent), (Some(1_000_000), Some(2_000_000), None));
    }

    #[test]
    fn what_is_not_as_it_should_be_is_shown_and_short() {
        let of = |item: &str| records(item.as_bytes(), None).remove(0);
        assert_eq!(of("not JSON"), Record::default());
        let odd = of(r#"{"id":7,"trace_id":["a"],"span_data":"x","started_at":5,"error":"\ud800"}"#);
        assert_eq!((&*odd.id, &*odd.trace_id, odd.start_us), ("7", "[\"a\"]", None));
        assert_eq!(odd.error.as_deref(), Some(r#""\ud800""#));
        let long = |end: &str| of(&format!(r#"{{"trace_id":"{}{end}"}}"#, "é".repeat(1 << 20))).trace_id;
        assert!(long("1").chars().count() < 300);
        assert_ne!(long("1"), long("2"));
        let deep = format!(
            r#"{{"id":"deep","span_data":{{"name":{}1{}}}}}"#,
            "[".repeat(100_000),
            "]".repeat(100_000)
        );
        assert_eq!(of(&deep).id, "deep");
    }
}
