//! Items: reading items of the spool again, when a trace or a span is opened.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use serde_json::value::RawValue;
use spanspool::{Destination, LaneReader, Result, Signal, SpoolView};

use super::record::Record;
use crate::otlp;

/// Names a span of an item: the item's lane and seq, and which of its spans it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ref {
    pub lane: String,
    pub seq: u64,
    pub span: usize,
}

impl Ref {
    /// The ref that is written as `text`.
    pub fn of_text(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let at = Self {
            lane: parts.next()?.to_owned(),
            seq: parts.next()?.parse().ok()?,
            span: parts.next()?.parse().ok()?,
        };
        parts.next().is_none().then_some(at)
    }

    /// The first span of the rejected item that is called `id`.
    pub fn of_rejected(id: &str) -> Option<Self> {
        Self::of_text(&format!("{id}-0"))
    }
}

impl fmt::Display for Ref {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.lane, self.seq, self.span)
    }
}

/// Where an item is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Waiting,
    Rejected,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Rejected => "rejected",
        }
    }
}

/// Takes the seq of an item, where it is, and its bytes.
type Each<'a> = &'a mut dyn FnMut(u64, State, &[u8]);

/// Reads items of lanes that were read before faster.
#[derive(Default)]
pub struct Items {
    lanes: HashMap<String, LaneReader>,
}

/// Readers that are kept: each remembers where the batches of a segment are.
const MOST_READERS: usize = 16;
/// Seqs that are no further apart are read in one go: most of them are in one batch.
const NEAR: u64 = 128;

impl Items {
    /// Calls `each` with those of the items `seqs` of `lane`, which are in order, that are in the spool still.
    pub fn read(&mut self, view: &SpoolView, lane: &str, seqs: &[u64], each: Each<'_>) -> Result<()> {
        if self.lanes.len() >= MOST_READERS && !self.lanes.contains_key(lane) {
            self.lanes.clear();
        }
        let reader = match self.lanes.entry(lane.to_owned()) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(unknown) => unknown.insert(view.reader(lane)?),
        };
        let mut left = seqs.iter().copied().peekable();
        let mut rejected = Vec::new();
        let read = reader.read(&ranges_of(seqs), &mut |seq, item| {
            while let Some(passed) = left.next_if(|it| *it < seq) {
                rejected.push(passed);
            }
            if left.next_if_eq(&seq).is_some() {
                each(seq, State::Waiting, item);
            }
            true
        });
        rejected.extend(left);
        reader.rejected(&rejected, &mut |seq, item| each(seq, State::Rejected, &item.json))?;
        // What is rejected can be read without the journal.
        read.map(|_| ())
    }
}

fn ranges_of(seqs: &[u64]) -> Vec<Range<u64>> {
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for seq in seqs {
        match ranges.last_mut() {
            Some(last) if seq.saturating_sub(last.end) <= NEAR => last.end = seq + 1,
            _ => ranges.push(*seq..seq + 1),
        }
    }
    ranges
}

/// The whole item as JSON.
pub fn whole(item: &[u8], destination: &Destination) -> String {
    let json = match destination.signal() {
        None => std::str::from_utf8(item).ok().map(str::to_owned),
        Some(signal) => otlp::to_json(item, signal).ok().map(|converted| converted.request),
    };
    json.filter(|json| serde_json::from_str::<&RawValue>(json).is_ok()).unwrap_or_else(|| as_text(item))
}

/// The span `at` of `item` as JSON; of the Agents SDK the item is the span.
pub fn span(item: &[u8], destination: &Destination, at: usize) -> Option<String> {
    if destination.signal() != Some(Signal::Traces) {
        return (at == 0).then(|| whole(item, destination));
    }
    let Some(span) = otlp::spans(item).nth(at) else {
        return (at == 0).then(|| as_text(item));
    };
    let request = otlp::to_json(&span.to_request(), Signal::Traces).ok();
    request.and_then(|converted| taken_apart(&converted.request)).or_else(|| Some(as_text(item)))
}

/// A request with one span, as OTLP's JSON has it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    #[serde(borrow)]
    resource_spans: [ResourceSpans<'a>; 1],
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResourceSpans<'a> {
    #[serde(borrow)]
    resource: Option<&'a RawValue>,
    #[serde(borrow)]
    scope_spans: [ScopeSpans<'a>; 1],
}

#[derive(Deserialize)]
struct ScopeSpans<'a> {
    #[serde(borrow)]
    scope: Option<&'a RawValue>,
    #[serde(borrow)]
    spans: [&'a RawValue; 1],
}

/// `{resource, scope, span}` of a request with one span.
fn taken_apart(request: &str) -> Option<String> {
    let Request { resource_spans: [of_resource] } = serde_json::from_str(request).ok()?;
    let ResourceSpans { resource, scope_spans: [ScopeSpans { scope, spans: [span] }] } = of_resource;
    let or_empty =
        |part: Option<&RawValue>| part.map_or_else(|| "{}".to_owned(), |json| json.get().to_owned());
    Some(format!(
        r#"{{"resource":{},"scope":{},"span":{}}}"#,
        or_empty(resource),
        or_empty(scope),
        span.get()
    ))
}

/// An item that is not what it should be, as `validation=none` permits.
fn as_text(item: &[u8]) -> String {
    serde_json::Value::from(String::from_utf8_lossy(item)).to_string()
}

/// A record and where it was read.
pub struct Seen {
    pub at: Ref,
    pub state: State,
    pub record: Record,
    /// Bytes of the item that it was read from.
    pub bytes: usize,
}
