//! Batch: items that travel together under one id, with the same bytes on every attempt.

use std::fmt;
use std::ops::Range;

/// The unit that is stored, sent, retried and acknowledged.
///
/// The items lie in one buffer, joined by commas, as they will stand in the request's array.
#[derive(Clone, PartialEq, Eq)]
pub struct Batch {
    lane: String,
    first: u64,
    key_name: String,
    joined: Vec<u8>,
    ends: Vec<u32>,
}

impl Batch {
    /// A batch of the lane `lane` whose first item has the number `first`, still without items.
    ///
    /// `key_name` names the key to send with; the empty name is the default key.
    pub fn new(lane: impl Into<String>, first: u64, key_name: impl Into<String>) -> Self {
        Self { lane: lane.into(), first, key_name: key_name.into(), joined: Vec::new(), ends: Vec::new() }
    }

    /// As `new`, with room for `items` items of `bytes` bytes together.
    pub(crate) fn with_capacity(lane: &str, first: u64, key_name: &str, items: usize, bytes: usize) -> Self {
        let mut batch = Self::new(lane, first, key_name);
        batch.joined.reserve_exact(bytes + items);
        batch.ends.reserve_exact(items);
        batch
    }

    /// Adds one item at the end.
    pub fn push(&mut self, json: &[u8]) {
        if !self.ends.is_empty() {
            self.joined.push(b',');
        }
        self.joined.extend_from_slice(json);
        self.ends.push(self.joined.len() as u32);
    }

    /// A batch from its items already joined by commas; `None` when `item_bytes` do not add up to them.
    pub(crate) fn from_joined(
        lane: &str,
        first: u64,
        key_name: String,
        joined: Vec<u8>,
        item_bytes: &[u32],
    ) -> Option<Self> {
        let mut ends = Vec::with_capacity(item_bytes.len());
        let mut end = 0u32;
        for (i, bytes) in item_bytes.iter().enumerate() {
            end = end.checked_add(*bytes)?.checked_add(u32::from(i > 0))?;
            ends.push(end);
        }
        (end as usize == joined.len()).then(|| Self { lane: lane.to_owned(), first, key_name, joined, ends })
    }

    /// Gives the batch its place in the lane.
    pub(crate) fn renumber(&mut self, first: u64) {
        self.first = first;
    }

    /// The batch's id, equal on every attempt and unlike every other batch's: the value of `Idempotency-Key`.
    ///
    /// It is `<lane>-<number of the first item>-<items>-<CRC of the items>`, so each half of a batch that was split has an
    /// id of its own. With `durability=process` a power cut may take items that were delivered already; their numbers
    /// are given again then, and the CRC keeps an ingest from taking the new items for those.
    pub fn id(&self) -> String {
        format!("{}-{}-{}-{:08x}", self.lane, self.first, self.len(), crc32fast::hash(&self.joined))
    }

    /// The number of the first item in its lane.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// The name of the key to send with; empty for the default key.
    pub fn key_name(&self) -> &str {
        &self.key_name
    }

    /// How many items it holds.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether it holds no item.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The items' bytes joined by commas.
    pub fn joined(&self) -> &[u8] {
        &self.joined
    }

    /// The items' bytes without the commas between them.
    pub fn items_bytes(&self) -> u64 {
        (self.joined.len() + 1).saturating_sub(self.len().max(1)) as u64
    }

    /// The items in order.
    pub fn items(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        (0..self.len()).map(|i| &self.joined[self.span(i)])
    }

    /// The items `range`, as far as there are such, as a batch with an id of its own.
    pub fn slice(&self, range: Range<usize>) -> Batch {
        let mut part = Batch::new(self.lane.clone(), self.first + range.start as u64, self.key_name.clone());
        for item in self.items().skip(range.start).take(range.len()) {
            part.push(item);
        }
        part
    }

    fn span(&self, i: usize) -> Range<usize> {
        let start = if i == 0 { 0 } else { self.ends[i - 1] as usize + 1 };
        start..self.ends[i] as usize
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Batch({}, {} bytes)", self.id(), self.joined.len())
    }
}
