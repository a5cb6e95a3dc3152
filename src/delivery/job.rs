//! Job: one batch on its way: which parts of it are still to be sent, and what became of the others.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use super::part::Part;
use crate::batch::Batch;
use crate::export::Answer;
use crate::otlp;
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
    /// What is still to be sent, by items of the batch. Pieces of one item stand in a row.
    parts: VecDeque<Part>,
    pub(super) delivered: u64,
    /// Something of it was accepted.
    has_accepted: bool,
    /// Something of it was accepted, refused or withheld.
    is_touched: bool,
    /// Pieces of the item under way that were refused, and why the last one was.
    refused_pieces: Option<RefusedPieces>,
    /// See `Limits`.
    most_piece_bytes: Option<usize>,
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

/// Pieces of an item that were refused.
struct RefusedPieces {
    pieces: Vec<Range<usize>>,
    refusal: Refusal,
    answer: Answer,
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
    /// With `most_piece_bytes`, items may be cut, and one that is longer is.
    pub(super) fn new(stored: Arc<StoredBatch>, most_piece_bytes: Option<usize>) -> Self {
        let parts = parts_of(&stored.batch, most_piece_bytes);
        Self {
            stored,
            parts,
            delivered: 0,
            has_accepted: false,
            is_touched: false,
            refused_pieces: None,
            most_piece_bytes,
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
        self.parts.front().cloned().unwrap_or_default().of(&self.stored.batch)
    }

    /// How many items the next part has.
    pub(super) fn part_len(&self) -> usize {
        self.parts.front().map_or(0, Part::len)
    }

    /// Whether the next part can be sent in halves.
    pub(super) fn is_divisible(&self) -> bool {
        self.parts.front().is_some_and(|part| self.halves_of(part).is_some())
    }

    fn halves_of(&self, part: &Part) -> Option<[Part; 2]> {
        part.halves(&self.stored.batch, self.most_piece_bytes.is_some())
    }

    /// The next part was accepted.
    pub(super) fn accepted(&mut self) {
        (self.errors, self.has_accepted, self.is_touched) = (0, true, true);
        let Some(part) = self.parts.pop_front() else { return };
        match part.piece() {
            Some((item, _)) => self.end_item(item),
            None => self.delivered += part.len() as u64,
        }
    }

    /// A piece of `item` was answered. Once all are, it is delivered, or a bad item of what was refused of it.
    fn end_item(&mut self, item: usize) {
        if self.parts.front().and_then(Part::piece).is_some_and(|(next, _)| next == item) {
            return;
        }
        match self.refused_pieces.take() {
            None => self.delivered += 1,
            Some(RefusedPieces { pieces, refusal, answer }) => {
                let item = self.stored.batch.pieces_of(item, &pieces);
                self.bad_items.push(BadItem { item, refusal, answer });
            }
        }
    }

    /// All that is left goes to the rejected store, as `aside` says. What is left of an item that was cut is one item.
    pub(super) fn leave(&mut self, aside: Aside) {
        self.aside = Some(aside);
        let Some((item, _)) = self.parts.front().and_then(Part::piece) else { return };
        let mut left = self.refused_pieces.take().map_or(Vec::new(), |refused| refused.pieces);
        while let Some((_, pieces)) = self.parts.front().and_then(Part::piece).filter(|(it, _)| *it == item) {
            left.extend(pieces.iter().cloned());
            self.parts.pop_front();
        }
        left.sort_by_key(|piece| piece.start);
        self.parts.push_front(Part::of_pieces(item, left));
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
        let left = left.map(|part| part.of(&self.stored.batch).into_owned());
        self.bad_items.iter().map(|bad| bad.item.clone()).chain(left).collect()
    }

    /// The item at `at` is not to be sent: it was refused before.
    pub(super) fn withhold(&mut self, at: usize, item: Batch, known: &Known) {
        self.is_touched = true;
        let around = |part: Part| match part.items().clone() {
            items if items.contains(&at) => [items.start..at, at + 1..items.end].map(Part::of_items),
            _ => [part, Part::default()],
        };
        self.parts = self.parts.drain(..).flat_map(around).filter(|part| part.len() > 0).collect();
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
        (self.errors, self.is_touched) = (0, true);
        let Some(part) = self.parts.pop_front() else { return };
        let Some(halves) = self.halves_of(&part) else { return self.refused_alone(part, refusal, answer) };
        let whole = part.len() == self.stored.batch.len();
        match self.probe_item.take().filter(|_| whole) {
            Some(item) => {
                let (item, Range { start, end }) = (item % part.len(), part.items().clone());
                let parts = [item..item + 1, start..item, item + 1..end].map(Part::of_items);
                self.parts.extend(parts);
                self.parts.retain(|part| part.len() > 0);
                self.probe_item = Some(item);
            }
            None => halves.into_iter().rev().for_each(|half| self.parts.push_front(half)),
        }
    }

    /// An item, or a piece of it that can't be cut, was refused.
    fn refused_alone(&mut self, part: Part, refusal: Refusal, answer: Answer) {
        let Some((item, pieces)) = part.piece() else {
            let item = part.of(&self.stored.batch).into_owned();
            return self.bad_items.push(BadItem { item, refusal, answer });
        };
        let mut all = self.refused_pieces.take().map_or(Vec::new(), |refused| refused.pieces);
        all.extend(pieces.iter().cloned());
        self.refused_pieces = Some(RefusedPieces { pieces: all, refusal, answer });
        self.end_item(item);
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
        self.has_accepted || self.since.is_some_and(|since| accepted > since)
    }

    /// Whether everything that was tried of it was refused. Then the endpoint may be at fault, not the items.
    pub(super) fn is_unproven(&self) -> bool {
        let refused = self.bad_items.iter().any(|bad| bad.refusal.is_doubtful());
        let tried = self.probe_item.is_some() || self.is_done();
        !self.has_accepted && refused && tried && !self.given_up
    }

    /// Forgets what was refused: all of it is sent again. Afterwards as before, each item is found by halving.
    pub(super) fn restart(self) -> Self {
        let Self { stored, attempts, not_before, since, tried_at, most_piece_bytes, .. } = self;
        Self { attempts, not_before, since, tried_at, ..Self::new(stored, most_piece_bytes) }
    }

    /// As [`Job::restart`], with fewer requests: if all is refused, one item is tried alone, each time another one.
    pub(super) fn probe(self) -> Self {
        let next = self.probe_item.map_or(0, |item| item + 1);
        let probe_item = (self.stored.batch.len() > 1).then_some(next);
        Self { probe_item, ..self.restart() }
    }

    /// Whether nothing of it was answered yet.
    pub(super) fn is_untouched(&self) -> bool {
        !self.is_touched && self.probe_item.is_none()
    }
}

/// What is sent of a batch at first: all of it at once, but an item that is too long in pieces.
fn parts_of(batch: &Batch, most_piece_bytes: Option<usize>) -> VecDeque<Part> {
    if let Some((most, item)) = most_piece_bytes.zip(batch.item(0).filter(|_| batch.len() == 1)) {
        let pieces = otlp::pieces(item, most);
        if pieces.len() > 1 {
            return pieces.into_iter().map(|piece| Part::of_pieces(0, Vec::from([piece]))).collect();
        }
    }
    VecDeque::from([Part::of_items(0..batch.len())])
}
