//! Batch: items that travel together under one id, with the same bytes on every attempt.

mod buffer;

use std::fmt;
use std::ops::Range;

use buffer::Buffer;

/// What surrounds the items in the body of a request.
const HEAD: &[u8] = b"{\"data\":[";
const TAIL: &[u8] = b"]}";

/// The unit that is stored, sent, retried and acknowledged.
///
/// The items lie in one buffer as in the body of a request, so that sending needs no further copy.
#[derive(Clone)]
pub struct Batch {
    lane: String,
    first: u64,
    key_name: String,
    body: Buffer,
    /// Where each item ends in `joined`.
    ends: Vec<u32>,
    /// The CRC of `joined`, if it is known already.
    crc: Option<u32>,
}

impl Batch {
    /// Bytes that a request's body has around the items.
    pub(crate) const FRAME_BYTES: usize = HEAD.len() + TAIL.len();

    /// A batch of the lane `lane` whose first item has the number `first`, still without items.
    ///
    /// `key_name` names the key to send with; the empty name is the default key.
    pub fn new(lane: impl Into<String>, first: u64, key_name: impl Into<String>) -> Self {
        let body = [HEAD, TAIL].concat().into();
        Self { lane: lane.into(), first, key_name: key_name.into(), body, ends: Vec::new(), crc: None }
    }

    /// As `new`, with room for `items` items of `bytes` bytes together.
    pub(crate) fn with_capacity(lane: &str, first: u64, key_name: &str, items: usize, bytes: usize) -> Self {
        let mut batch = Self::new(lane, first, key_name);
        batch.body.reserve_exact(bytes + items);
        batch.ends.reserve_exact(items);
        batch
    }

    /// Adds one item at the end.
    pub fn push(&mut self, json: &[u8]) {
        self.crc = None;
        let end = self.body.len() - TAIL.len();
        self.body.truncate(end);
        if !self.ends.is_empty() {
            self.body.push(b',');
        }
        self.body.extend_from_slice(json);
        self.ends.push((self.body.len() - HEAD.len()) as u32);
        self.body.extend_from_slice(TAIL);
    }

    /// A batch of items of `item_bytes` bytes each, which `fill` writes, joined by commas, into `joined_bytes` bytes.
    /// `fill` finds bytes of any values there. `None` when the lengths do not add up, or `fill` fails.
    pub(crate) fn from_joined(
        lane: &str,
        first: u64,
        key_name: String,
        item_bytes: &[u32],
        joined_bytes: usize,
        fill: impl FnOnce(&mut [u8]) -> Option<()>,
    ) -> Option<Self> {
        let mut ends = Vec::with_capacity(item_bytes.len());
        let mut end = 0u32;
        for (i, bytes) in item_bytes.iter().enumerate() {
            end = end.checked_add(*bytes)?.checked_add(u32::from(i > 0))?;
            ends.push(end);
        }
        if end as usize != joined_bytes {
            return None;
        }
        let mut body = Buffer::of_any(HEAD.len() + joined_bytes + TAIL.len());
        body[..HEAD.len()].copy_from_slice(HEAD);
        body[HEAD.len() + joined_bytes..].copy_from_slice(TAIL);
        let joined = &mut body[HEAD.len()..HEAD.len() + joined_bytes];
        fill(joined)?;
        // Now that it is in the processor's cache: later it may have to be fetched from memory.
        let crc = Some(crc32fast::hash(joined));
        Some(Self { lane: lane.to_owned(), first, key_name, body, ends, crc })
    }

    /// Gives the batch its place in the lane.
    pub(crate) fn renumber(&mut self, first: u64) {
        self.first = first;
    }

    /// The batch's id, equal on every attempt and unlike every other batch's: the value of `Idempotency-Key`.
    ///
    /// It is `<lane>-<number of the first item>-<items>-<CRC of the items>`, so each half of a batch that was split has
    /// an id of its own. With `durability=process`, a power cut may lose items that were delivered already. Their
    /// numbers are then given to new items, and the CRC keeps an ingest from mistaking those for the old ones.
    pub fn id(&self) -> String {
        self.to_string()
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
        &self.body[HEAD.len()..self.body.len() - TAIL.len()]
    }

    /// The body of a request that carries the items as they are: `{"data":[item,…]}`.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    pub(crate) fn into_body(self) -> Vec<u8> {
        self.body.into_bytes()
    }

    /// The items' bytes without the commas between them.
    pub fn items_bytes(&self) -> u64 {
        (self.joined().len() + 1).saturating_sub(self.len().max(1)) as u64
    }

    /// The items in order.
    pub fn items(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        (0..self.len()).map(|i| &self.joined()[self.span(i)])
    }

    /// The items `range`, as far as there are such, as a batch with an id of its own.
    pub fn slice(&self, range: Range<usize>) -> Batch {
        let mut part = Batch::new(self.lane.clone(), self.first + range.start as u64, self.key_name.clone());
        for item in self.items().skip(range.start).take(range.len()) {
            part.push(item);
        }
        part
    }

    /// The item `at`, if there is one.
    pub(crate) fn item(&self, at: usize) -> Option<&[u8]> {
        (at < self.len()).then(|| &self.joined()[self.span(at)])
    }

    /// A batch of one item, made of the bytes `pieces` of the item `at`, with an id of its own.
    pub(crate) fn pieces_of(&self, at: usize, pieces: &[Range<usize>]) -> Batch {
        let mut part = Batch::new(self.lane.clone(), self.first + at as u64, self.key_name.clone());
        let item = self.item(at).unwrap_or_default();
        let pieces = pieces.iter().filter_map(|piece| item.get(piece.clone()));
        part.push(&pieces.collect::<Vec<_>>().concat());
        part
    }

    fn span(&self, i: usize) -> Range<usize> {
        let start = if i == 0 { 0 } else { self.ends[i - 1] as usize + 1 };
        start..self.ends[i] as usize
    }
}

impl PartialEq for Batch {
    fn eq(&self, other: &Self) -> bool {
        (self.first, &self.lane, &self.key_name, &self.ends, &self.body)
            == (other.first, &other.lane, &other.key_name, &other.ends, &other.body)
    }
}

impl Eq for Batch {}

/// Its id.
impl fmt::Display for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let crc = self.crc.unwrap_or_else(|| crc32fast::hash(self.joined()));
        write!(f, "{}-{}-{}-{crc:08x}", self.lane, self.first, self.len())
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Batch({self}, {} bytes)", self.joined().len())
    }
}
