//! Place: where an item is read again: its lane and its seq, in as few bytes as can be.

use std::ops::Range;

use crate::view::record::Record;

/// The place of an item, what was seen there, and a mark of what it said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(C, packed(4))]
pub struct Place {
    at: u64,
    mark: u32,
}

/// A lane's position among the lanes that were seen.
pub type LaneSlot = u16;

/// Seqs of adopted items begin at 2^48.
const SEQ_BITS: u32 = 49;
const SEQ: u64 = (1 << SEQ_BITS) - 1;
const IS_ERROR: u64 = 1 << 62;
const IS_TRACE: u64 = 1 << 63;
/// As many lanes have a slot.
pub const MOST_LANES: usize = 1 << (62 - SEQ_BITS);

impl Place {
    /// Of two records, `mark` tells whether they are equal.
    pub fn new(lane: LaneSlot, seq: u64, record: &Record, mark: u32) -> Self {
        let flag = |is_set: bool, flag: u64| if is_set { flag } else { 0 };
        let flags = flag(record.is_trace, IS_TRACE) | flag(record.error.is_some(), IS_ERROR);
        Self { at: flags | u64::from(lane) << SEQ_BITS | seq & SEQ, mark }
    }

    pub fn lane(self) -> LaneSlot {
        ((self.at & !(IS_TRACE | IS_ERROR)) >> SEQ_BITS) as LaneSlot
    }

    pub fn seq(self) -> u64 {
        self.at & SEQ
    }

    /// The same at another seq.
    pub fn moved_to(self, seq: u64) -> Self {
        Self { at: self.at & !SEQ | seq & SEQ, ..self }
    }

    pub fn mark(self) -> u32 {
        self.mark
    }

    /// Whether what is there describes the trace.
    pub fn is_trace(self) -> bool {
        self.at & IS_TRACE != 0
    }

    pub fn is_error(self) -> bool {
        self.at & IS_ERROR != 0
    }

    /// By this key, what says the same in the same lane comes together, the newest first.
    pub fn key_of_equals(self) -> (LaneSlot, u32, std::cmp::Reverse<u64>) {
        (self.lane(), self.mark, std::cmp::Reverse(self.seq()))
    }

    /// Whether `newer` says the same, and came later into the same lane.
    pub fn is_repeated_by(self, newer: Self) -> bool {
        self.lane() == newer.lane() && self.mark == newer.mark && self.seq() < newer.seq()
    }
}

/// A set of seqs, most of which follow one another.
#[derive(Debug, Default)]
pub struct Seqs(Vec<Range<u64>>);

impl Seqs {
    /// Returns whether it was not there.
    pub fn insert(&mut self, seq: u64) -> bool {
        if self.contains(seq) {
            return false;
        }
        let at = self.0.partition_point(|range| range.end < seq);
        match self.0.get_mut(at) {
            Some(range) if range.end == seq => {
                range.end += 1;
                let end = range.end;
                if let Some(next) = self.0.get(at + 1).filter(|next| next.start == end).cloned() {
                    self.0[at].end = next.end;
                    self.0.remove(at + 1);
                }
            }
            Some(range) if range.start == seq + 1 => range.start = seq,
            _ => self.0.insert(at, seq..seq + 1),
        }
        true
    }

    pub fn contains(&self, seq: u64) -> bool {
        let at = self.0.partition_point(|range| range.end <= seq);
        self.0.get(at).is_some_and(|range| range.start <= seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_keeps_all_that_it_is_made_of() {
        for (lane, seq) in [(0, 0), (8191, (1 << 49) - 1), (1, 1 << 48), (700, 3_000_000)] {
            for (is_trace, is_error) in [(false, false), (true, false), (false, true)] {
                let error = is_error.then(String::new);
                let place = Place::new(lane, seq, &Record { is_trace, error, ..Record::default() }, 7);
                assert_eq!((place.lane(), place.seq()), (lane, seq));
                assert_eq!((place.is_trace(), place.is_error()), (is_trace, is_error));
            }
        }
        assert_eq!((MOST_LANES, size_of::<Place>()), (8192, 12));
    }

    #[test]
    fn seqs_that_meet_are_one_range() {
        let mut seqs = Seqs::default();
        for seq in [5, 6, 2, 9, 8, 7, 5, 1, 3, 20, 4] {
            let is_new = !seqs.contains(seq);
            assert_eq!(seqs.insert(seq), is_new);
        }
        assert_eq!(seqs.0, [1..10, 20..21]);
        assert!(seqs.contains(1) && seqs.contains(9) && seqs.contains(20));
        assert!(!seqs.contains(0) && !seqs.contains(10) && !seqs.contains(21));
    }
}
