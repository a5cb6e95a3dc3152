//! Job: one batch on its way: which parts of it are still to be sent, and what became of the others.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use crate::batch::Batch;
use crate::export::Answer;
use crate::spool::StoredBatch;

/// Memory that a job takes besides its items, about.
const OVERHEAD_BYTES: usize = 512;
/// A batch is refused after as many answers of 500.
const MOST_ERRORS: u32 = 8;
/// Once it was, its parts are refused after the first one, and a single item after so many.
const MOST_ERRORS_OF_ITEM: u32 = 3;

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
    /// Not to be sent before then, whatever the gate says.
    pub(super) not_before: Option<Instant>,
    /// Requests that the endpoint had accepted when this batch was sent first. What is refused before another one is
    /// accepted may be the endpoint's fault.
    pub(super) since: Option<u64>,
    /// The same when it was answered last.
    pub(super) tried_at: u64,
    /// The same when the request under way began.
    pub(super) begun_at: u64,
    /// The gate of doubt's epoch when it was sent last.
    pub(super) doubt_epoch: u64,
    /// Answers of 500 to the next part, in a row.
    errors: u32,
    /// It was halved for answers of 500.
    is_erring: bool,
    /// Set after a hold: instead of halving all of it again, this one item is tried alone.
    probe_item: Option<usize>,
    /// What the rejected store is to say of all that is left.
    pub(super) aside: Option<Aside>,
    /// The rejected store could not take what was refused.
    pub(super) waited_for_store: bool,
    /// Refused items that went to the end of the queue instead.
    pub(super) put_off: u64,
    /// It was given up: no refusal is put down to the endpoint any more.
    given_up: bool,
}

/// What is known of an item that was refused before.
pub(super) struct Known {
    refusal: Refusal,
    answer: Answer,
}

impl Known {
    pub(super) fn of(bad: &BadItem) -> Self {
        Self { refusal: bad.refusal, answer: bad.answer.clone() }
    }
}

/// Why a batch is set aside.
pub(super) struct Aside {
    pub(super) status: u16,
    pub(super) reason: String,
    pub(super) answer: String,
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
    /// Its size, although it is not larger than everything that was accepted.
    UnlikelySize,
}

impl Refusal {
    /// The reason that the rejected store keeps.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Content => "refused",
            Self::Size | Self::UnlikelySize => "too_large",
        }
    }

    /// Whether the endpoint may be at fault, not the item.
    pub(super) fn is_doubtful(self) -> bool {
        self != Self::Size
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
            not_before: None,
            since: None,
            tried_at: 0,
            begun_at: 0,
            doubt_epoch: 0,
            errors: 0,
            is_erring: false,
            probe_item: None,
            aside: None,
            waited_for_store: false,
            put_off: 0,
            given_up: false,
        }
    }

    pub(super) fn first(&self) -> u64 {
        self.stored.batch.first()
    }

    pub(super) fn key_name(&self) -> &str {
        self.stored.batch.key_name()
    }

    /// Memory that it takes.
    pub(super) fn bytes(&self) -> usize {
        self.stored.batch.body().len() + OVERHEAD_BYTES
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

    /// How many items the next part has.
    pub(super) fn part_len(&self) -> usize {
        self.parts.front().map_or(0, ExactSizeIterator::len)
    }

    /// The next part was accepted.
    pub(super) fn accepted(&mut self) {
        self.errors = 0;
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

    /// Whether something of it belongs into the rejected store.
    pub(super) fn has_refused(&self) -> bool {
        !self.bad_items.is_empty() || self.aside.is_some()
    }

    /// The items that belong into the rejected store.
    pub(super) fn refused_items(&self) -> Vec<Batch> {
        let left = self.parts.iter().filter(|_| self.aside.is_some());
        let left = left.map(|part| self.stored.batch.slice(part.clone()));
        self.bad_items.iter().map(|bad| bad.item.clone()).chain(left).collect()
    }

    /// The item at `at` is not to be sent: it was refused before.
    pub(super) fn withhold(&mut self, at: usize, item: Batch, known: &Known) {
        let around = |part: Range<usize>| match part.contains(&at) {
            true => [part.start..at, at + 1..part.end],
            false => [part, 0..0],
        };
        self.parts = self.parts.drain(..).flat_map(around).filter(|part| !part.is_empty()).collect();
        let Known { refusal, answer } = known;
        self.bad_items.push(BadItem { item, refusal: *refusal, answer: answer.clone() });
    }

    /// Nothing more of it is to be sent.
    pub(super) fn drop_rest(&mut self) {
        self.given_up = true;
        self.parts.clear();
    }

    /// The next part was refused: it is halved. A single item is a bad item.
    pub(super) fn refused(&mut self, refusal: Refusal, answer: Answer) {
        self.errors = 0;
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

    /// The next part was answered with 500. `others_accepted`: the endpoint accepts other requests meanwhile. Returns
    /// how often that came in a row, or `None` when it is to be treated as refused.
    pub(super) fn erred(&mut self, others_accepted: bool) -> Option<u32> {
        self.errors = self.errors.saturating_add(1);
        let most = match self.part_len() {
            _ if !self.is_erring => MOST_ERRORS,
            0 | 1 => MOST_ERRORS_OF_ITEM,
            _ => 1,
        };
        if self.errors < most || !others_accepted {
            return Some(self.errors);
        }
        self.is_erring = true;
        None
    }

    /// Whether what is refused of it is bad: the endpoint has accepted `accepted` requests, or a part of it.
    pub(super) fn is_proven(&self, accepted: u64) -> bool {
        self.delivered > 0 || self.since.is_some_and(|since| accepted > since)
    }

    /// Whether everything that was tried of it was refused. Then the endpoint may be at fault, not the items.
    pub(super) fn is_unproven(&self) -> bool {
        let refused = self.bad_items.iter().any(|bad| bad.refusal.is_doubtful());
        let tried = self.probe_item.is_some() || self.is_done();
        self.delivered == 0 && refused && tried && !self.given_up
    }

    /// Forgets what was refused: all of it is sent again. Afterwards as before, each item is found by halving.
    pub(super) fn restart(self) -> Self {
        let Self { stored, attempts, not_before, since, tried_at, .. } = self;
        Self { attempts, not_before, since, tried_at, ..Self::new(stored) }
    }

    /// As [`Job::restart`], with fewer requests: if all is refused, one item is tried alone, each time another one.
    pub(super) fn probe(self) -> Self {
        let next = self.probe_item.map_or(0, |item| item + 1);
        let probe_item = (self.stored.batch.len() > 1).then_some(next);
        Self { probe_item, ..self.restart() }
    }

    /// Whether nothing of it was answered yet.
    pub(super) fn is_untouched(&self) -> bool {
        self.part_len() == self.stored.batch.len() && self.probe_item.is_none()
    }
}
