//! Job: one batch on its way: which parts of it are still to be sent, and what became of the others.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use crate::batch::Batch;
use crate::export::Answer;
use crate::spool::{Rejection, StoredBatch, now_unix_ms};

/// A batch under way. It begins as one part and is halved where the ingest refuses.
pub(super) struct Job {
    pub(super) stored: Arc<StoredBatch>,
    parts: VecDeque<Range<usize>>,
    pub(super) delivered: u64,
    /// Items that are in the rejected store.
    pub(super) rejected: u64,
    /// Items that were refused alone.
    pub(super) offenders: Vec<Offender>,
    pub(super) attempts: u32,
    /// Set after a hold: instead of halving all of it again, one item is tried, another one each time.
    probe_item: Option<usize>,
}

/// An item that the ingest refused while it stood alone.
pub(super) struct Offender {
    pub(super) item: Batch,
    pub(super) reason: &'static str,
    pub(super) answer: Answer,
}

impl Job {
    pub(super) fn new(stored: Arc<StoredBatch>) -> Self {
        let parts = std::iter::once(0..stored.batch.len()).collect();
        Self {
            stored,
            parts,
            delivered: 0,
            rejected: 0,
            offenders: Vec::new(),
            attempts: 0,
            probe_item: None,
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

    /// What the rejected store is to keep of `items`, which belong to this job.
    pub(super) fn rejection(&self, items: &Batch, status: u16, reason: &str, answer: Vec<u8>) -> Rejection {
        Rejection {
            batch_id: self.stored.batch.id(),
            status,
            reason: reason.to_owned(),
            answer,
            key_name: items.key_name().to_owned(),
            rejected_unix_ms: now_unix_ms(),
            items: (items.first()..).zip(items.items().map(<[u8]>::to_vec)).collect(),
        }
    }

    /// The next part was accepted.
    pub(super) fn accepted(&mut self) {
        if let Some(part) = self.parts.pop_front() {
            self.delivered += part.len() as u64;
        }
    }

    /// The next part is in the rejected store.
    pub(super) fn set_aside(&mut self) {
        if let Some(part) = self.parts.pop_front() {
            self.rejected += part.len() as u64;
        }
    }

    /// The next part was refused: it is halved, or set aside when it is a single item.
    pub(super) fn refused(&mut self, reason: &'static str, answer: Answer) {
        let Some(part) = self.parts.pop_front() else { return };
        if part.len() <= 1 {
            let item = self.stored.batch.slice(part);
            self.offenders.push(Offender { item, reason, answer });
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

    /// Whether all that was tried was refused: then it may be the endpoint that refuses, not the items.
    pub(super) fn is_suspect(&self) -> bool {
        let probed = self.probe_item.is_some() || self.parts.is_empty();
        let refused = self.offenders.iter().any(|offender| offender.reason == super::REFUSED);
        self.delivered == 0 && refused && probed
    }

    /// Begins again after a hold, more carefully.
    pub(super) fn restart(self) -> Self {
        let next = self.probe_item.map_or(0, |item| item + 1);
        Self { probe_item: (self.stored.batch.len() > 1).then_some(next), ..Self::new(self.stored) }
    }
}
