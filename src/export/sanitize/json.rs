//! Json: a JSON text as a flat tree that keeps number text, key order and any depth.
//!
//! serde_json's `Value` would round numbers and recurses, so a deep item would overflow the stack.
//! Strings are held in the form they are written in: as Python's `json.dumps(ensure_ascii=False)` escapes them,
//! with `?` for half of a surrogate pair, which UTF-8 can't hold.

use std::collections::HashMap;

/// The place of a node in its tree. Siblings have ascending places.
pub(super) type Id = u32;

/// No node.
const NONE: Id = u32::MAX;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

/// A run of bytes: of the source, or past its end of `Tree::made`.
#[derive(Clone, Copy)]
pub(super) struct Text {
    start: u32,
    end: u32,
}

struct Node {
    kind: Kind,
    removed: bool,
    /// The member's key; empty outside an object.
    key: Text,
    /// A scalar as it is written, a string without its quotes; empty for a container.
    text: Text,
    first: Id,
    next: Id,
    /// Bytes of compact JSON, without the key.
    size: u32,
}

/// The root is node 0.
pub(super) struct Tree<'a> {
    source: &'a str,
    made: String,
    nodes: Vec<Node>,
}

impl<'a> Tree<'a> {
    pub(super) const ROOT: Id = 0;

    /// The longest source in bytes, so that sizes and places fit 32 bits.
    pub(super) const MAX_SOURCE_BYTES: usize = 1 << 30;

    pub(super) fn new(source: &'a str) -> Self {
        Self { source, made: String::new(), nodes: Vec::new() }
    }

    pub(super) fn kind(&self, id: Id) -> Kind {
        self.node(id).kind
    }

    pub(super) fn size(&self, id: Id) -> u32 {
        self.node(id).size
    }

    pub(super) fn key(&self, id: Id) -> &str {
        self.read(self.node(id).key)
    }

    pub(super) fn text(&self, id: Id) -> &str {
        self.read(self.node(id).text)
    }

    pub(super) fn children(&self, id: Id) -> impl Iterator<Item = Id> + '_ {
        let some = |id: Id| (id != NONE).then_some(id);
        std::iter::successors(some(self.node(id).first), move |&id| some(self.node(id).next))
            .filter(|&id| !self.node(id).removed)
    }

    /// The member `key` of an object; none of any other value.
    pub(super) fn get(&self, id: Id, key: &str) -> Option<Id> {
        if self.kind(id) != Kind::Object {
            return None;
        }
        self.children(id).find(|&child| self.key(child) == key)
    }

    /// Whether the member `key` is the string `text`.
    pub(super) fn is(&self, id: Id, key: &str, text: &str) -> bool {
        self.get(id, key).is_some_and(|v| self.kind(v) == Kind::String && self.text(v) == text)
    }

    /// Takes a node out of its parent, whose size is then stale until [`Tree::resize`].
    pub(super) fn remove(&mut self, id: Id) {
        self.node_mut(id).removed = true;
    }

    /// Removes all children and says whether there were any.
    pub(super) fn clear(&mut self, id: Id) -> bool {
        let had = self.children(id).next().is_some();
        self.node_mut(id).first = NONE;
        self.set_size(id, 2);
        had
    }

    pub(super) fn set_size(&mut self, id: Id, size: u32) {
        self.node_mut(id).size = size;
    }

    /// Computes a container's size from its children's.
    pub(super) fn resize(&mut self, id: Id) {
        let in_object = self.kind(id) == Kind::Object;
        let (mut bytes, mut count) = (2, 0_u32);
        for child in self.children(id) {
            let key = if in_object { self.key(child).len() as u32 + 3 } else { 0 };
            bytes += key + self.size(child);
            count += 1;
        }
        self.set_size(id, bytes + count.saturating_sub(1));
    }

    /// Gives a string node new text, already escaped.
    pub(super) fn set_string(&mut self, id: Id, text: &str) {
        let text = self.make(text);
        let node = self.node_mut(id);
        node.text = text;
        node.size = text.end - text.start + 2;
    }

    /// Makes `id` an object with these children, which bring their keys with them. As in a Python dict, the last
    /// of equal keys gives the value and the first gives the place.
    pub(super) fn set_members(&mut self, id: Id, children: &[Id]) {
        self.node_mut(id).kind = Kind::Object;
        self.node_mut(id).first = children.first().copied().unwrap_or(NONE);
        for (i, &child) in children.iter().enumerate() {
            self.node_mut(child).next = children.get(i + 1).copied().unwrap_or(NONE);
        }
        self.merge_equal_keys(id);
        self.resize(id);
    }

    /// A new node outside of every container, to be placed with [`Tree::set_members`].
    pub(super) fn add(&mut self, key: &str, kind: Kind, text: &str) -> Id {
        let (key, text) = (self.make(key), self.make(text));
        self.push(kind, key, text)
    }

    pub(super) fn push(&mut self, kind: Kind, key: Text, text: Text) -> Id {
        let quotes = if kind == Kind::String { 2 } else { 0 };
        let size = text.end - text.start + quotes;
        self.nodes.push(Node { kind, removed: false, key, text, first: NONE, next: NONE, size });
        (self.nodes.len() - 1) as Id
    }

    /// Attaches `child` after `last`, or as the first child of `parent`.
    pub(super) fn attach(&mut self, parent: Id, last: Option<Id>, child: Id) {
        match last {
            Some(last) => self.node_mut(last).next = child,
            None => self.node_mut(parent).first = child,
        }
    }

    /// Finishes a container whose children are all attached.
    pub(super) fn finish(&mut self, id: Id) {
        if self.kind(id) == Kind::Object {
            self.merge_equal_keys(id);
        }
        self.resize(id);
    }

    pub(super) fn source_text(&self, start: usize, end: usize) -> Text {
        Text { start: start as u32, end: end as u32 }
    }

    /// Keeps text that does not stand in the source.
    pub(super) fn make(&mut self, text: &str) -> Text {
        let start = self.source.len() + self.made.len();
        self.made.push_str(text);
        Text { start: start as u32, end: (start + text.len()) as u32 }
    }

    /// Appends `id` as compact JSON to `out`. It keeps its own stack: depth costs heap only.
    pub(super) fn write(&self, id: Id, out: &mut Vec<u8>) {
        out.reserve(self.size(id) as usize);
        let mut open = Vec::new();
        self.write_start(id, out, &mut open);
        while let Some((parent, next)) = open.last_mut() {
            let in_object = self.kind(*parent) == Kind::Object;
            let Some(child) = self.first_present(*next) else {
                out.push(if in_object { b'}' } else { b']' });
                open.pop();
                continue;
            };
            *next = self.node(child).next;
            if !matches!(out.last(), Some(b'{' | b'[')) {
                out.push(b',');
            }
            if in_object {
                quoted(self.key(child), out);
                out.push(b':');
            }
            self.write_start(child, out, &mut open);
        }
    }

    fn write_start(&self, id: Id, out: &mut Vec<u8>, open: &mut Vec<(Id, Id)>) {
        match self.kind(id) {
            Kind::Object => out.push(b'{'),
            Kind::Array => out.push(b'['),
            Kind::String => return quoted(self.text(id), out),
            Kind::Null | Kind::Bool | Kind::Number => {
                return out.extend_from_slice(self.text(id).as_bytes());
            }
        }
        open.push((id, self.node(id).first));
    }

    fn first_present(&self, mut id: Id) -> Option<Id> {
        while id != NONE && self.node(id).removed {
            id = self.node(id).next;
        }
        (id != NONE).then_some(id)
    }

    fn merge_equal_keys(&mut self, id: Id) {
        if self.children(id).nth(1).is_none() {
            return;
        }
        let mut seen: HashMap<&str, (Id, Id)> = HashMap::new();
        let mut moves = Vec::new();
        for child in self.children(id) {
            let places = seen.entry(self.key(child)).or_insert((child, child));
            if places.1 != child {
                moves.push((places.0, child));
                places.1 = child;
            }
        }
        for (first, later) in moves {
            let Node { kind, text, first: inner, size, .. } = *self.node(later);
            let node = self.node_mut(first);
            (node.kind, node.text, node.first, node.size) = (kind, text, inner, size);
            self.remove(later);
        }
    }

    fn read(&self, text: Text) -> &str {
        let base = self.source.len() as u32;
        let (from, shift) = if text.start < base { (self.source, 0) } else { (self.made.as_str(), base) };
        &from[(text.start - shift) as usize..(text.end - shift) as usize]
    }

    fn node(&self, id: Id) -> &Node {
        &self.nodes[id as usize]
    }

    fn node_mut(&mut self, id: Id) -> &mut Node {
        &mut self.nodes[id as usize]
    }
}

fn quoted(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}
