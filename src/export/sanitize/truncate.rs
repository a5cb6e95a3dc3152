//! Truncate: cuts a value down to a number of bytes of JSON, as the OpenAI Agents SDK for Python does (0.24.0).
//!
//! The SDK recurses into the largest child and fails on deep values. Here the same steps run over a stack of frames,
//! so a value of any depth is cut by the same rule. A budget shrinks by two bytes a level: there are never more than
//! half as many frames as the limit has bytes.

use std::collections::BinaryHeap;

use super::json::{Id, Kind, Tree};

const SUFFIX: &str = "... [truncated]";

/// Bytes of JSON of a string that is nothing but the suffix.
const SUFFIX_BYTES: u32 = SUFFIX.len() as u32 + 2;

/// Cuts the value `root` to at most `max_bytes`, where the rules allow it. Says whether anything changed.
pub(super) fn truncate(tree: &mut Tree, root: Id, max_bytes: u32) -> bool {
    let mut frames: Vec<Frame> = Vec::new();
    let (mut id, mut max) = (root, max_bytes);
    loop {
        let mut done = match cut(tree, id, max) {
            Cut::Done { changed } => Some(changed),
            Cut::Open(frame) => {
                frames.push(frame);
                None
            }
        };
        loop {
            let Some(frame) = frames.last_mut() else { return done.unwrap_or(false) };
            if let Some(changed) = done.take() {
                frame.settle(tree, changed);
            }
            match frame.largest(tree) {
                Some(next) => {
                    (id, max) = next;
                    break;
                }
                None => {
                    tree.set_size(frame.id, frame.size);
                    done = Some(frame.changed);
                    frames.pop();
                }
            }
        }
    }
}

enum Cut {
    Done { changed: bool },
    Open(Frame),
}

fn cut(tree: &mut Tree, id: Id, max: u32) -> Cut {
    let changed = match tree.kind(id) {
        _ if tree.size(id) <= max => false,
        Kind::String => cut_string(tree, id, max),
        // Nothing but an empty container fits: taking the children out one by one would end there too.
        Kind::Array | Kind::Object if max <= 2 => tree.clear(id),
        Kind::Array | Kind::Object => return Cut::Open(Frame::new(tree, id, max)),
        Kind::Null => preview(tree, id, "NoneType", max),
        Kind::Bool => preview(tree, id, "bool", max),
        Kind::Number if tree.text(id).contains(['.', 'e', 'E']) => preview(tree, id, "float", max),
        Kind::Number => preview(tree, id, "int", max),
    };
    Cut::Done { changed }
}

/// A container on its way under its limit.
struct Frame {
    id: Id,
    max: u32,
    size: u32,
    in_object: bool,
    changed: bool,
    /// The children by size, then by place with the first on top: `size << 32 | !id`.
    by_size: BinaryHeap<u64>,
    /// The child being cut and its size before.
    child: (Id, u32),
}

impl Frame {
    fn new(tree: &Tree, id: Id, max: u32) -> Self {
        let by_size = tree.children(id).map(|child| rank(tree, child)).collect::<Vec<_>>().into();
        let in_object = tree.kind(id) == Kind::Object;
        Self { id, max, size: tree.size(id), in_object, changed: false, by_size, child: (id, 0) }
    }

    /// The child to cut next and its limit; `None` once the container fits or is empty.
    fn largest(&mut self, tree: &Tree) -> Option<(Id, u32)> {
        if self.size <= self.max {
            return None;
        }
        let id = !(self.by_size.pop()? as u32);
        let size = tree.size(id);
        self.child = (id, size);
        Some((id, self.max.saturating_sub(self.size - size)))
    }

    /// Takes the child back; one that could not be cut is removed.
    fn settle(&mut self, tree: &mut Tree, changed: bool) {
        let (id, old_size) = self.child;
        self.changed = true;
        if changed {
            self.size = self.size - old_size + tree.size(id);
            self.by_size.push(rank(tree, id));
        } else {
            let key = if self.in_object { tree.key(id).len() as u32 + 3 } else { 0 };
            let comma = u32::from(!self.by_size.is_empty());
            self.size -= key + old_size + comma;
            tree.remove(id);
        }
    }
}

fn rank(tree: &Tree, id: Id) -> u64 {
    u64::from(tree.size(id)) << 32 | u64::from(!id)
}

/// Keeps as many code points as the SDK's estimate leaves, and the suffix.
fn cut_string(tree: &mut Tree, id: Id, max: u32) -> bool {
    let text = tree.text(id);
    if max <= SUFFIX_BYTES {
        let short = if max == SUFFIX_BYTES { SUFFIX } else { "" };
        let changed = text != short;
        tree.set_string(id, short);
        return changed;
    }
    let points = Points(text.as_bytes()).count();
    let estimate = (points as u64 * u64::from(max - SUFFIX_BYTES)) as f64 / f64::from(tree.size(id));
    let ends: Vec<usize> = Points(text.as_bytes())
        .take(estimate as usize)
        .scan(0, |end, len| {
            *end += len;
            Some(*end)
        })
        .collect();
    let prefix = |n: usize| if n == 0 { 0 } else { ends[n - 1] };
    let mut n = ends.len();
    loop {
        let size = prefix(n) as u32 + SUFFIX_BYTES;
        if size <= max || n == 0 {
            break;
        }
        let excess = f64::from(size - max) / f64::from(size);
        n = n.saturating_sub((n as f64 * excess) as usize + 1);
    }
    let short = format!("{}{SUFFIX}", &text[..prefix(n)]);
    tree.set_string(id, &short);
    true
}

/// The code points of escaped text, each as its length in bytes.
struct Points<'a>(&'a [u8]);

impl Iterator for Points<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let len = match self.0 {
            [] => return None,
            [b'\\', b'u', ..] => 6,
            [b'\\', ..] => 2,
            [0..0x80, ..] => 1,
            [0x80..0xe0, ..] => 2,
            [0xe0..0xf0, ..] => 3,
            _ => 4,
        };
        self.0 = self.0.get(len..).unwrap_or_default();
        Some(len)
    }
}

/// Puts a description in a scalar's place, when that fits.
fn preview(tree: &mut Tree, id: Id, type_name: &str, max: u32) -> bool {
    let preview = format!("<{type_name} truncated>");
    let members = [
        ("truncated", Kind::Bool, "true"),
        ("original_type", Kind::String, type_name),
        ("preview", Kind::String, preview.as_str()),
    ];
    let bytes =
        r#"{"truncated":true,"original_type":"","preview":""}"#.len() + type_name.len() + preview.len();
    if bytes > max as usize {
        return false;
    }
    let members = members.map(|(key, kind, text)| tree.add(key, kind, text));
    tree.set_members(id, &members);
    true
}
