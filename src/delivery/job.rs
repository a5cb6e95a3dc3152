//! Job: one batch on its way: which parts of it are still to be sent, and what became of the others.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use crate::batch::Batch;
use crate::export::Answer;
use crate::spool::StoredBatch;

/// A batch under way. It begins as one part, which is halved where the ingest refuses it.
pub(super) struct Job {
    pub(super) stored: Arc<StoredBatch>,
    /// What is still to be sent, by items of the batch.
    parts: VecDeque<Range<usize>>,
    pub(super) delivered: u64,
    /// Items that are in the rejected store.
    pub(super) rejected: u64,
    /// Items that were refused alone.
    pub(super) bad_items: Vec<BadItem>,
    /// Requests that are to be made again.
    pub(super) attempts: u32,
    /// Set after a hold: instead of halving all of it again, this one item is tried alone.
    probe_item: Option<usize>,
    /// It was given up: no refusal is put down to the endpoint any more.
    given_up: bool,
}

/// An item that the ingest refused while it stood alone.
pub(super) struct BadItem {
    pub(super) item: Batch,
    pub(super) refusal: Refusal,
    pub(super) answer: Answer,
}

/// Why the ingest refused a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Its content.
    Content,
    /// Its size.
    Size,
}

impl Refusal {
    /// The reason that the rejected store keeps.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Content => "refused",
            Self::Size => "too_large",
        }
    }
}

impl Job {
    pub(super) fn new(stored: Arc<StoredBatch>) -> Self {
        let parts = std::iter::once(0..stored.batch.len()).collect();
        Self {
            stored,
            parts,
            delivered: 0,
            rejected: 0,
            bad_items: Vec::new(),
            attempts: 0,
            probe_item: None,
            given_up: false,
        }
    }

    /// Whether no part is left to send.
    pub(super) fn is_done(&self) -> bool {
        self.parts.is_empty()
    }

    /// The part to send next; without items when none is left.
    pub(super) fn part(&self) -> Cow<'_, Batch> {
        let part = self.parts.front().cloned().unwrap_or_default();
        if part.len() == self.stored.batch.len() {
            Cow::Borrowed(&self.stored.batch)
        } else {
            Cow::Owned(self.stored.batch.slice(part))
        }
    }

    /// The next part was accepted.
    pub(super) fn accepted(&mut self) {
        if let Some(part) = self.parts.pop_front() {
            self.delivered += part.len() as u64;
        }
    }

    /// The next part is in the rejected store, whatever the ingest would have said of it.
    pub(super) fn set_aside(&mut self) {
        self.given_up = true;
        if let Some(part) = self.parts.pop_front() {
            self.rejected += part.len() as u64;
        }
    }

    /// Nothing more of it is to be sent.
    pub(super) fn drop_rest(&mut self) {
        self.given_up = true;
        self.parts.clear();
    }

    /// The next part was refused: it is halved. A single item is a bad item.
    pub(super) fn refused(&mut self, refusal: Refusal, answer: Answer) {
        let Some(part) = self.parts.pop_front() else { return };
        if part.len() <= 1 {
            let item = self.stored.batch.slice(part);
            self.bad_items.push(BadItem { item, refusal, answer });
            return;
        }
        let whole = part.len() == self.stored.batch.len();
        match self.probe_item.take().filter(|_| whole) {
            Some(item) => {
                let item = item % part.len();
                self.parts.extend([item..item + 1, part.start..item, item + 1..part.end]);
                self.parts.retain(|part| !part.is_empty());
                self.probe_item = Some(item);
            }
            None => {
                let middle = part.start + part.len() / 2;
                self.parts.push_front(middle..part.end);
                self.parts.push_front(part.start..middle);
            }
        }
    }

    /// Whether everything that was tried of it was refused. Then the endpoint may be at fault, not the items.
    pub(super) fn is_unproven(&self) -> bool {
        let refused = self.bad_items.iter().any(|bad| bad.refusal == Refusal::Content);
        let tried = self.probe_item.is_some() || self.is_done();
        self.delivered == 0 && refused && tried && !self.given_up
    }

    /// Begins again after a hold, with fewer requests: the next time another single item is tried.
    pub(super) fn restart(self) -> Self {
        let next = self.probe_item.map_or(0, |item| item + 1);
        Self { probe_item: (self.stored.batch.len() > 1).then_some(next), ..Self::new(self.stored) }
    }
}
