//! Damage: finding the records after a damaged stretch of the ring, and counting what stood in it.
//!
//! A record names its own position and checks itself, so the next whole one is found without those before it. How many
//! items a stretch held follows from the seq of a log position after it, less the records between.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};

use super::map::Map;
use super::record::{Frame, MIN_BYTES, State};
use crate::os::lock::Unpoison;
use crate::spool::checkpoint::LogPosition;

/// Of damaged stretches as much is kept elsewhere at a time: all of a journal may be one.
const MOST_KEPT_BYTES: u64 = 16 << 20;

/// A damaged stretch: where it begins, and the log position after it.
pub(super) struct Gap {
    pub(super) from: u64,
    pub(super) to: LogPosition,
}

/// Records that follow one another, and the damaged stretch before them.
struct Island {
    gap_from: u64,
    first: LogPosition,
    /// Number and bytes count from the first record.
    end: LogPosition,
}

/// The damaged stretches from `at`, where no record continues the chain, to `end`, and the log position after all.
///
/// `end.seq` is what decides how many items were lost; `counts` says whether a record counts as an item.
pub(super) fn survey(
    map: &Map,
    salt: u64,
    at: LogPosition,
    end: LogPosition,
    counts: impl Fn(&Frame) -> bool,
) -> (Vec<Gap>, LogPosition) {
    let islands = islands(map, salt, at, end, counts);
    let whole: u64 = islands.iter().map(|island| island.end.seq).sum();
    let whole_bytes: u64 = islands.iter().map(|island| island.end.bytes).sum();
    let lost = (end.seq - at.seq.min(end.seq)).saturating_sub(whole);
    let mut lost_bytes = (end.bytes - at.bytes.min(end.bytes)).saturating_sub(whole_bytes);
    let sizes: Vec<u64> = islands.iter().map(|island| island.first.pos - island.gap_from).collect();
    let mut next = at;
    let mut gaps = Vec::new();
    for (island, lost) in islands.iter().zip(shares(lost, &sizes)) {
        next = LogPosition { seq: next.seq + lost, bytes: next.bytes, ..island.first };
        if lost > 0 {
            next.bytes += std::mem::take(&mut lost_bytes);
        }
        gaps.push(Gap { from: island.gap_from, to: next });
        next.seq += island.end.seq;
        next.bytes += island.end.bytes;
        (next.pos, next.chain) = (island.end.pos, island.end.chain);
    }
    (gaps, next)
}

fn islands(
    map: &Map,
    salt: u64,
    at: LogPosition,
    end: LogPosition,
    counts: impl Fn(&Frame) -> bool,
) -> Vec<Island> {
    let mut islands = Vec::new();
    let mut from = at.pos;
    loop {
        let found = (from..end.pos).step_by(8).find_map(|pos| Frame::find(map, pos, end.pos));
        let (pos, chain) = found.map_or((end.pos, end.chain), |frame| (frame.pos, frame.chain));
        let first = LogPosition { pos, chain, seq: 0, bytes: 0 };
        let mut at = first;
        while at.pos < end.pos
            && let Some(frame) = Frame::load(map, &at, salt)
        {
            at = if counts(&frame) { frame.end(&at) } else { frame.skip(&at) };
        }
        islands.push(Island { gap_from: from, first, end: at });
        if at.pos >= end.pos || at.pos == first.pos {
            return islands;
        }
        from = at.pos;
    }
}

/// Shares `lost` items out among stretches of these sizes in bytes: one each, since damage mostly hits one record,
/// and what is left to the largest.
fn shares(lost: u64, sizes: &[u64]) -> Vec<u64> {
    let room: u64 = sizes.iter().map(|size| size / MIN_BYTES).sum();
    let mut left = lost.min(room);
    let mut shares = Vec::with_capacity(sizes.len());
    for size in sizes {
        let share = (size / MIN_BYTES).min(1).min(left);
        left -= share;
        shares.push(share);
    }
    let largest = (0..sizes.len()).max_by_key(|i| sizes.get(*i));
    if let Some(share) = largest.and_then(|i| shares.get_mut(i)) {
        *share += left;
    }
    shares
}

/// What the owner of a journal knows of its damage.
#[derive(Default)]
pub(super) struct Damage(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// The log positions after the damaged stretches, by the ring position where those begin.
    gaps: BTreeMap<u64, LogPosition>,
    seen: BTreeSet<u64>,
    /// Position and bytes of what was seen and not yet kept elsewhere.
    unkept: Vec<(u64, Vec<u8>)>,
}

impl Damage {
    pub(super) fn new(gaps: Vec<Gap>) -> Self {
        let damage = Self::default();
        damage.lock().gaps.extend(gaps.into_iter().map(|gap| (gap.from, gap.to)));
        damage
    }

    /// The log position after the stretch at `at`; `survey` finds those that are not known yet.
    pub(super) fn after(&self, at: LogPosition, survey: impl FnOnce() -> Vec<Gap>) -> Option<LogPosition> {
        let mut known = self.lock();
        if !known.gaps.contains_key(&at.pos) {
            known.gaps.extend(survey().into_iter().map(|gap| (gap.from, gap.to)));
        }
        known.gaps.get(&at.pos).copied()
    }

    /// Notes the bytes of `from..to`, once: the ring will be used again.
    pub(super) fn note(&self, map: &Map, from: u64, to: u64) {
        let mut known = self.lock();
        if known.seen.insert(from) {
            let noted: usize = known.unkept.iter().map(|(_, bytes)| bytes.len()).sum();
            let len = (to - from).min(MOST_KEPT_BYTES.saturating_sub(noted as u64));
            if len > 0 {
                known.unkept.push((from, map.slot(from).bytes(0, len as usize).to_vec()));
            }
        }
    }

    /// What was noted since the last call.
    pub(super) fn take_unkept(&self) -> Vec<(u64, Vec<u8>)> {
        std::mem::take(&mut self.lock().unkept)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unpoisoned()
    }
}

/// Whether a record of a journal that somebody writes counts as an item.
pub(super) fn counts_alive(map: &Map, frame: &Frame) -> bool {
    frame.state(map) != State::Dead
}

#[cfg(test)]
mod tests {
    use super::shares;

    #[test]
    fn each_stretch_loses_one_and_the_largest_what_is_left() {
        assert_eq!(shares(5, &[48, 4800, 48]), [1, 3, 1]);
        assert_eq!(shares(1, &[0, 480]), [0, 1]);
        assert_eq!(shares(0, &[480, 480]), [0, 0]);
        assert_eq!(shares(1000, &[96]), [2]);
    }
}
