//! Moved: items that have other seqs than before, because they were sorted on their way into a segment.

use std::collections::HashMap;
use std::ops::Range;

use super::place::LaneSlot;
use super::{Index, Key};
use crate::view::record::Record;

impl Index {
    /// Says that the items `seqs` of `lane` were sorted, and that `items` of them are left, all that are not before
    /// `cursor`. What was read of them before is found again by what it says.
    pub fn set_moved(&mut self, lane: LaneSlot, seqs: Range<u64>, cursor: u64, items: &[(u64, Vec<Record>)]) {
        let mut left: HashMap<(Key, u32), Vec<(u64, &Record)>> = HashMap::new();
        for (seq, records) in items.iter().rev() {
            self.lanes[usize::from(lane)].read.insert(*seq);
            for record in records {
                let mark = self.place(lane, *seq, record).mark();
                left.entry((self.key_of(&record.trace_id), mark)).or_default().push((*seq, record));
            }
        }
        let Self { hasher, traces, .. } = self;
        for trace in traces {
            let moved = trace.places.iter_mut().filter(|it| it.lane() == lane && seqs.contains(&it.seq()));
            for place in moved {
                let said = (Key::of(hasher, &trace.id), place.mark());
                let now = left.get_mut(&said).and_then(Vec::pop).map(|(seq, _)| seq);
                // What is not left was settled.
                *place = place.moved_to(now.unwrap_or_else(|| cursor.saturating_sub(1)));
            }
        }
        for (seq, record) in left.into_values().flatten() {
            self.add_record(record, self.place(lane, seq, record));
        }
        self.version += 1;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::view::index::Filter;

    #[test]
    fn items_keep_their_traces_and_those_that_left_are_counted_as_such() {
        let mut index = Index::new(1 << 20);
        let lane = index.lane("lane").unwrap();
        let item = |trace: &str, id: &str| {
            let (trace_id, id) = (trace.to_owned(), id.to_owned());
            vec![Record { trace_id, id, ..Record::default() }]
        };
        let rows = |index: &mut Index| {
            let mut rows = index.list(&Filter::default(), 0, 9).1;
            rows.sort_by(|a, b| a.id.cmp(&b.id));
            Vec::from_iter(rows.into_iter().map(|row| (row.id, row.spans, row.waiting, row.delivered)))
        };
        // The traces take turns, and of the sixth nothing is known.
        for (seq, (trace, id)) in (10..).zip([("a", "1"), ("b", "2"), ("a", "3"), ("b", "3"), ("a", "4")]) {
            index.add(lane, seq, &item(trace, id));
        }
        // They were sorted to 1 3 4, 2 3 4, and the first was delivered.
        index.set_cursor(lane, 11);
        let left = [("a", "3"), ("a", "4"), ("b", "2"), ("b", "3"), ("b", "4")];
        let left = Vec::from_iter((11..).zip(left.map(|(trace, id)| item(trace, id))));
        index.set_moved(lane, 10..16, 11, &left);
        assert_eq!(rows(&mut index), [("a".into(), 3, 2, 1), ("b".into(), 3, 3, 0)]);
        // What is added again is not counted again.
        left.iter().for_each(|(seq, records)| index.add(lane, *seq, records));
        index.set_cursor(lane, 14);
        assert_eq!(rows(&mut index), [("a".into(), 3, 0, 3), ("b".into(), 3, 2, 1)]);
    }
}
