//! Part: what one request carries of a batch: items, or some of the records of an item that may be cut.

use std::borrow::Cow;
use std::ops::Range;

use crate::batch::Batch;
use crate::otlp;

/// Items of a batch, or pieces of one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Part {
    items: Range<usize>,
    /// The bytes of the only item, where that is not all of it.
    pieces: Vec<Range<usize>>,
}

impl Part {
    /// The items `items`, whole.
    pub(super) fn of_items(items: Range<usize>) -> Self {
        Self { items, pieces: Vec::new() }
    }

    /// The bytes `pieces` of the item `item`.
    pub(super) fn of_pieces(item: usize, pieces: Vec<Range<usize>>) -> Self {
        Self { items: item..item + 1, pieces }
    }

    /// How many items it has, or has something of.
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    pub(super) fn items(&self) -> &Range<usize> {
        &self.items
    }

    /// The item that it has a piece of, and which.
    pub(super) fn piece(&self) -> Option<(usize, &[Range<usize>])> {
        (!self.pieces.is_empty()).then_some((self.items.start, &self.pieces[..]))
    }

    /// Its bytes as a batch, with an id of its own.
    pub(super) fn of<'a>(&self, batch: &'a Batch) -> Cow<'a, Batch> {
        match self.piece() {
            Some((item, pieces)) => Cow::Owned(batch.pieces_of(item, pieces)),
            None if self.items.len() == batch.len() => Cow::Borrowed(batch),
            None => Cow::Owned(batch.slice(self.items.clone())),
        }
    }

    /// Two parts of it: half the items each, or half the records of one that `is_cut` between its records.
    pub(super) fn halves(&self, batch: &Batch, is_cut: bool) -> Option<[Self; 2]> {
        let Range { start, end } = self.items;
        if self.items.len() > 1 {
            let middle = start + self.items.len() / 2;
            return Some([Self::of_items(start..middle), Self::of_items(middle..end)]);
        }
        let item = batch.item(start).filter(|_| is_cut)?;
        let whole = 0..item.len();
        let piece = self.pieces.first().unwrap_or(&whole);
        let middle = piece.start + otlp::middle(item.get(piece.clone())?)?;
        let half = |piece| Self::of_pieces(start, Vec::from([piece]));
        Some([half(piece.start..middle), half(middle..piece.end)])
    }
}
