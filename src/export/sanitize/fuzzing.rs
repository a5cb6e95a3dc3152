//! Fuzzing: what must hold of any item on its way to the ingest. See `crate::fuzzing`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::borrow::Cow;

use super::json::{Kind, Tree};
use super::{MAX_FIELD_BYTES, parse, truncate, within};

/// Whether `text` is one JSON value, as the exporter's parser sees it.
pub fn is_json(text: &str) -> bool {
    parse::parse(text).is_some()
}

/// A limit in two bytes, then an item. What is sanitised is JSON within the limit, and stays as it is from then on.
pub fn sanitize(data: &[u8]) {
    let Some((limit, item)) = data.split_at_checked(2) else { return };
    let max_bytes = usize::from(u16::from_le_bytes([limit[0], limit[1]]) % 2048);
    assert_eq!(super::sanitize(item), within(item, MAX_FIELD_BYTES));
    let Ok(text) = std::str::from_utf8(item) else {
        assert!(matches!(within(item, max_bytes), Cow::Borrowed(same) if same == item));
        return;
    };
    cut(text, max_bytes as u32);

    let once = within(item, max_bytes);
    let twice = within(&once, max_bytes);
    assert!(matches!(&twice, Cow::Borrowed(same) if *same == &once[..]), "a second pass changes nothing");
    let Some(before) = parse::parse(text) else {
        assert!(matches!(once, Cow::Borrowed(_)), "what is not JSON passes as it is");
        return;
    };
    let after = parse::parse(std::str::from_utf8(&once).unwrap()).expect("JSON stays JSON");
    let needs_nothing = is_within(&before, max_bytes) && !has_special_fields(&before);
    assert!(!needs_nothing || matches!(once, Cow::Borrowed(_)), "within the limits it keeps its bytes");
    assert!(is_within(&after, max_bytes), "a field is over its limit");
    if before.get(Tree::ROOT, "span_data").is_none() {
        assert!(matches!(once, Cow::Borrowed(_)), "an item without span data passes as it is");
    }
}

/// A value that is cut fits; the size that is reckoned with is the size that is written.
fn cut(value: &str, max_bytes: u32) {
    let Some(mut tree) = parse::parse(value) else { return };
    let before = tree.size(Tree::ROOT);
    let changed = truncate::truncate(&mut tree, Tree::ROOT, max_bytes);
    let mut out = Vec::new();
    tree.write(Tree::ROOT, &mut out);
    assert_eq!(out.len(), tree.size(Tree::ROOT) as usize);
    assert!(changed || before <= max_bytes || is_unshrinkable(&tree, max_bytes));
    assert!(before > max_bytes || !changed);
    assert!(before <= max_bytes || tree.size(Tree::ROOT) <= max_bytes || is_unshrinkable(&tree, max_bytes));
    assert!(is_json(std::str::from_utf8(&out).unwrap()));
}

/// An empty string or container, or a scalar for which there is no room to say that it was cut, can't be made shorter.
fn is_unshrinkable(tree: &Tree, max_bytes: u32) -> bool {
    match tree.kind(Tree::ROOT) {
        Kind::Null | Kind::Bool | Kind::Number => max_bytes < 100,
        _ => tree.size(Tree::ROOT) <= 2,
    }
}

/// Whether `input` and `output` keep to the limit, as far as the rules can make them.
fn is_within(tree: &Tree, max_bytes: usize) -> bool {
    let Some(span_data) = tree.get(Tree::ROOT, "span_data") else { return true };
    let mut fields = ["input", "output"].into_iter().filter_map(|field| tree.get(span_data, field));
    fields.all(|field| {
        let scalar = matches!(tree.kind(field), Kind::Null | Kind::Bool | Kind::Number) && max_bytes < 100;
        tree.size(field) as usize <= max_bytes || tree.size(field) <= 2 || scalar
    })
}

/// Whether there is usage to reorder, or a generation with thoughts to leave out.
fn has_special_fields(tree: &Tree) -> bool {
    tree.get(Tree::ROOT, "span_data").is_some_and(|span_data| {
        tree.get(span_data, "usage").is_some() || tree.is(span_data, "type", "generation")
    })
}
