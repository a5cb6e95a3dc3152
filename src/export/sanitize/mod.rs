//! Sanitize: brings an item within the field limits of the OpenAI ingest, as the OpenAI Agents SDK for Python
//! does (0.24.0), so that one item over a limit does not have its whole request refused.
//!
//! Numbers are kept as they are written, also those beyond what a 64-bit float holds.

mod json;
mod parse;
mod truncate;

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use json::{Id, Kind, Tree};

/// The longest `input` or `output` of a span, in bytes of compact JSON.
const MAX_FIELD_BYTES: usize = 100_000;

/// What models thought, under the keys that assistant messages carry it in.
const REASONING_KEYS: [&str; 4] = ["reasoning", "reasoning_content", "thinking_blocks", "thinking"];

/// The item as the OpenAI ingest takes it: unchanged when it is within the limits, or is not JSON.
pub(crate) fn sanitize(item: &[u8]) -> Cow<'_, [u8]> {
    within(item, MAX_FIELD_BYTES)
}

/// As [`sanitize`], with another limit of a field.
fn within(item: &[u8], max_bytes: usize) -> Cow<'_, [u8]> {
    changed(item, max_bytes).map_or(Cow::Borrowed(item), Cow::Owned)
}

fn changed(item: &[u8], max_bytes: usize) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(item).ok()?;
    if !may_change(text, max_bytes) {
        return None;
    }
    let mut tree = parse::parse(text)?;
    if !sanitize_tree(&mut tree, max_bytes) {
        return None;
    }
    let mut out = Vec::new();
    tree.write(Tree::ROOT, &mut out);
    Some(out)
}

#[derive(Deserialize)]
struct ItemGlance<'a> {
    #[serde(borrow)]
    span_data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct SpanGlance<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(borrow)]
    output: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "even_null")]
    usage: Option<&'a RawValue>,
}

/// A member that is `null` is there all the same.
fn even_null<'de: 'a, 'a, D: Deserializer<'de>>(from: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}

/// A glance that builds nothing: most items need no change. In doubt (a key twice, say) it says yes.
fn may_change(item: &str, max_bytes: usize) -> bool {
    let Ok(item) = serde_json::from_str::<ItemGlance>(item) else { return true };
    let Some(span_data) = item.span_data else { return false };
    let Ok(span) = serde_json::from_str::<SpanGlance>(span_data.get()) else { return true };
    let generation = span.kind.is_some_and(|k| k.get() == "\"generation\"" || k.get().contains('\\'));
    // An escape might spell one of the words.
    let thinks = |text: &str| ["reasoning", "thinking", "\\u"].iter().any(|word| text.contains(word));
    span.usage.is_some()
        || [span.input, span.output]
            .into_iter()
            .flatten()
            .any(|field| field.get().len() > max_bytes || (generation && thinks(field.get())))
}

fn sanitize_tree(tree: &mut Tree, max_bytes: usize) -> bool {
    let Some(span_data) = tree.get(Tree::ROOT, "span_data") else { return false };
    let generation = tree.is(span_data, "type", "generation");
    let mut changed = false;
    for field in ["input", "output"] {
        let Some(field) = tree.get(span_data, field) else { continue };
        if generation {
            changed |= omit_reasoning(tree, field);
        }
        changed |= truncate::truncate(tree, field, max_bytes as u32);
    }
    if let Some(usage) = tree.get(span_data, "usage") {
        changed |= sanitize_usage(tree, usage, generation);
    }
    changed
}

/// Takes reasoning out of a generation's messages, and out of those of responses among them.
fn omit_reasoning(tree: &mut Tree, messages: Id) -> bool {
    let mut changed = omit_from_list(tree, messages);
    for message in children(tree, messages, Kind::Array) {
        if tree.is(message, "object", "response")
            && let Some(output) = tree.get(message, "output")
            && omit_from_list(tree, output)
        {
            tree.resize(message);
            changed = true;
        }
    }
    if changed {
        tree.resize(messages);
    }
    changed
}

fn omit_from_list(tree: &mut Tree, list: Id) -> bool {
    let mut changed = false;
    for message in children(tree, list, Kind::Array) {
        if tree.is(message, "type", "reasoning") {
            tree.remove(message);
            changed = true;
        } else if tree.is(message, "role", "assistant") {
            changed |= omit_from_message(tree, message);
        }
    }
    if changed {
        tree.resize(list);
    }
    changed
}

fn omit_from_message(tree: &mut Tree, message: Id) -> bool {
    let mut changed = false;
    for key in REASONING_KEYS {
        if let Some(member) = tree.get(message, key) {
            tree.remove(member);
            changed = true;
        }
    }
    if let Some(content) = tree.get(message, "content") {
        changed |= omit_from_content(tree, content);
    }
    if changed {
        tree.resize(message);
    }
    changed
}

fn omit_from_content(tree: &mut Tree, content: Id) -> bool {
    let mut changed = false;
    for part in children(tree, content, Kind::Array) {
        if tree.is(part, "type", "thinking") || tree.is(part, "type", "redacted_thinking") {
            tree.remove(part);
            changed = true;
        }
    }
    if changed {
        tree.resize(content);
    }
    changed
}

/// The children of a container of `kind`; none of any other value.
fn children(tree: &Tree, id: Id, kind: Kind) -> Vec<Id> {
    if tree.kind(id) == kind { tree.children(id).collect() } else { Vec::new() }
}

/// Only generations may carry usage, and at its top only the two counts and `details`, which takes in the rest.
fn sanitize_usage(tree: &mut Tree, usage: Id, generation: bool) -> bool {
    if !generation {
        tree.remove(usage);
        return true;
    }
    if tree.kind(usage) != Kind::Object {
        return false;
    }
    let counts = ["input_tokens", "output_tokens"]
        .map(|key| tree.get(usage, key).filter(|&count| is_finite_number(tree, count)));
    let [Some(input), Some(output)] = counts else {
        tree.remove(usage);
        return true;
    };
    let old_details = tree.get(usage, "details");
    let mut details = old_details.map_or(Vec::new(), |id| children(tree, id, Kind::Object));
    let others: Vec<Id> = tree.children(usage).filter(|id| !counts.contains(&Some(*id))).collect();
    if others.is_empty() || (others.len() == 1 && old_details.is_some() && !details.is_empty()) {
        return false;
    }
    details
        .extend(others.iter().copied().filter(|&id| Some(id) != old_details && tree.kind(id) != Kind::Null));
    if details.is_empty() {
        tree.set_members(usage, &[input, output]);
    } else {
        let object = tree.add("details", Kind::Object, "");
        tree.set_members(object, &details);
        tree.set_members(usage, &[input, output, object]);
    }
    true
}

fn is_finite_number(tree: &Tree, id: Id) -> bool {
    let text = tree.text(id);
    let float = text.contains(['.', 'e', 'E']);
    tree.kind(id) == Kind::Number && (!float || text.parse::<f64>().is_ok_and(f64::is_finite))
}

#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
#[cfg(test)]
mod tests;
