//! Agents: the records of the OpenAI Agents SDK's items. What an item has of another type than it should is shown as it is.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::time::micros_of;
use super::{Record, clip, clip_id};

#[derive(Deserialize, Default)]
#[serde(default)]
struct Item<'a> {
    #[serde(borrow)]
    object: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    trace_id: Option<&'a RawValue>,
    #[serde(borrow)]
    parent_id: Option<&'a RawValue>,
    #[serde(borrow)]
    started_at: Option<&'a RawValue>,
    #[serde(borrow)]
    ended_at: Option<&'a RawValue>,
    #[serde(borrow)]
    span_data: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    workflow_name: Option<&'a RawValue>,
    #[serde(borrow)]
    group_id: Option<&'a RawValue>,
}

/// What names a span, whatever its type.
#[derive(Deserialize, Default)]
#[serde(default)]
struct SpanData<'a> {
    #[serde(borrow)]
    r#type: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    server: Option<&'a RawValue>,
    #[serde(borrow)]
    to_agent: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ItemError<'a> {
    #[serde(borrow)]
    message: Option<&'a RawValue>,
}

/// The record of `item`; an empty one when it is no JSON object.
pub fn record(item: &[u8]) -> Record {
    let fields: Item<'_> = serde_json::from_slice(item).unwrap_or_default();
    let is_trace = text(fields.object).as_deref() == Some("trace");
    let id = text(fields.id).unwrap_or_default();
    if is_trace {
        return Record {
            trace_id: clip_id(id),
            name: shown(fields.workflow_name),
            service: shown(fields.group_id),
            is_trace,
            ..Record::default()
        };
    }
    let data: SpanData<'_> = fields.span_data.and_then(read).unwrap_or_default();
    let kind = shown(data.r#type);
    let name = data.name.or(data.model).or(data.server).or(data.to_agent);
    Record {
        trace_id: text(fields.trace_id).map(clip_id).unwrap_or_default(),
        id: clip_id(id),
        parent: text(fields.parent_id).map(clip_id),
        name: if name.is_some() { shown(name) } else { kind.clone() },
        kind,
        service: String::new(),
        start_us: text(fields.started_at).as_deref().and_then(micros_of),
        end_us: text(fields.ended_at).as_deref().and_then(micros_of),
        error: fields.error.map(|error| {
            let message = read::<ItemError<'_>>(error).and_then(|error| error.message);
            shown(message.or(Some(error)))
        }),
        is_trace,
    }
}

fn read<'a, T: Deserialize<'a>>(json: &'a RawValue) -> Option<T> {
    serde_json::from_str(json.get()).ok()
}

/// The text that a value is; another value as JSON.
fn text(value: Option<&RawValue>) -> Option<String> {
    value.map(|json| read(json).unwrap_or_else(|| json.get().to_owned()))
}

fn shown(value: Option<&RawValue>) -> String {
    text(value).map(clip).unwrap_or_default()
}
