//! Rules: the orders on which the promise rests (docs/design.md, "Why the promise holds"), held against a log.

use std::collections::{BTreeMap, HashMap};

use super::disk::Disk;
use super::log::{Begin, Header, Line};

/// Seqs from here on are those of rejected items of other lanes.
const ADOPTED_FROM: u64 = 1 << 48;

/// What came of it: how often each rule had something to say, and where one was broken.
#[derive(Default)]
pub struct Verdict {
    pub applied: BTreeMap<&'static str, u64>,
    pub broken: Vec<String>,
}

#[derive(Default)]
struct Checker {
    disk: Disk,
    /// Calls under way, with the lines in which they began.
    calls: HashMap<String, (usize, Begin)>,
    /// What the header of each lane's journal said last.
    newest: HashMap<String, Header>,
    verdict: Verdict,
    at: usize,
}

/// Holds a whole log against the rules.
pub fn judge(log: &str) -> Verdict {
    let mut checker = Checker::default();
    for (at, line) in log.lines().enumerate() {
        checker.at = at;
        match Line::parse(line) {
            Line::Begin(call, begin) => {
                checker.observe(&begin.headers);
                checker.before(&begin);
                checker.calls.insert(call, (at, begin));
            }
            Line::End(call, end) => {
                // First: what this call brought to stable storage is of use only from now on.
                checker.observe(&end.headers);
                let (begun, begin) = checker.calls.remove(&call).unwrap();
                checker.disk.apply(begun, at, &begin, &end);
                if end.errno == 0 && begin.operation == "msync" {
                    checker.promise(begin.inode);
                }
            }
        }
    }
    checker.verdict
}

impl Checker {
    fn hold(&mut self, rule: &'static str, holds: bool, why: impl FnOnce() -> String) {
        *self.verdict.applied.entry(rule).or_default() += 1;
        if !holds {
            self.verdict.broken.push(format!("line {}: {rule}: {}", self.at + 1, why()));
        }
    }

    /// Holds a rule that is about what a power cut could take; `None`: nothing.
    fn hold_synced(&mut self, rule: &'static str, taken: Option<String>) {
        self.hold(rule, taken.is_none(), || taken.unwrap_or_default());
    }

    fn observe(&mut self, headers: &[Header]) {
        for header in headers {
            let Some(lane) = self.disk.lane_of(header.inode).map(str::to_owned) else { continue };
            self.ring(header);
            let newest = self.newest.get(&lane);
            if newest.is_some_and(|newest| header.sequence() < newest.sequence()) {
                continue;
            }
            let (head, rejected) = newest.map_or((0, 0), |newest| (newest.head_seq(), newest.rejected()));
            if header.head_seq() > head && header.head_seq() > header.cursor() {
                self.spill(&lane, header.head_seq());
            }
            if header.rejected() > rejected {
                self.rejected(&lane);
            }
            self.newest.insert(lane, header.clone());
        }
    }

    /// Ring space is used again only after the header that released it was synced.
    fn ring(&mut self, header: &Header) {
        let Some(durable) = self.disk.durable(header.inode) else { return };
        let head = durable.header.head_pos();
        if header.tail_pos > header.ring_bytes {
            let what = || {
                format!(
                    "the tail is at {}, and a cut leaves a header with the head at {head}",
                    header.tail_pos
                )
            };
            self.hold("ring", header.tail_pos <= head + header.ring_bytes, what);
        }
    }

    /// A batch is on stable storage in its segment before the head moves past it.
    fn spill(&mut self, lane: &str, head: u64) {
        let segments = self.disk.part(lane, "segments");
        let of_head = segments.iter().rev().find(|(name, _)| seq(name).is_some_and(|first| first < head));
        let Some((_, segment)) = of_head else {
            return self.hold("spill", false, || format!("the head is at {head}, and there is no segment"));
        };
        for name in ["db", "conf"] {
            let file = self.disk.child(*segment, name);
            let taken = file.map_or(Some(format!("no {name}")), |file| self.disk.unsynced(file));
            self.hold_synced("spill", taken);
        }
    }

    /// A rejected file is synced before its batch is settled, and before it is counted in another lane.
    fn rejected(&mut self, lane: &str) {
        for (_, file) in self.disk.part(lane, "rejected") {
            self.hold_synced("rejected", self.disk.unsynced(file));
        }
    }

    /// What a sync of a journal promises is of use only if the way to it is there after a cut.
    fn promise(&mut self, journal: u64) {
        if self.disk.lane_of(journal).is_some() {
            self.hold_synced("promise", self.disk.unsynced_on_the_way(journal));
        }
    }

    fn before(&mut self, begin: &Begin) {
        let (Some((lane, from)), to) = (begin.from.in_lane(), begin.to.in_lane()) else { return };
        let lane = lane.to_owned();
        let to_parts = to.map(|(_, parts)| parts).unwrap_or_default();
        match (begin.operation.as_str(), &from[1..], to_parts.as_slice()) {
            ("unlink", ["segments", first, "db"], _) => self.passed(&lane, first, begin),
            ("rename", ["segments", first], _) => self.passed(&lane, first, begin),
            ("unlink", ["rejected", name], _) => self.requeued(&lane, name, begin),
            ("rename", ["rejected", _], [other, "rejected", name]) if *other == from[0] => {
                self.hold_synced("rejected", self.disk.unsynced_content(begin.inode));
                let replaces = self.disk.child(begin.to.parent, name).is_some();
                if replaces {
                    self.requeued(&lane, name, begin);
                }
            }
            ("rename", ["rejected", _], [_, "rejected", _]) => self.handed_over(&lane),
            ("rename", ["journal.new"], [_, "journal"]) => self.renewed(&lane, begin),
            ("rename", [], [name]) if name.ends_with(".gone") => self.absorbed(&lane, begin),
            ("rename", [], [_, "quarantine", _]) => self.recovered(&lane, begin),
            ("rename", [], [_]) => self.made(&lane),
            ("unlink", [_, ..], _) if from[0].ends_with(".gone") => {
                self.hold_synced("gone", self.disk.unsynced_lane(&lane));
            }
            _ => {}
        }
    }

    /// The newest header of a lane that this process has mapped, else the newest that was seen.
    fn header(&self, lane: &str, begin: &Begin) -> Option<Header> {
        let mapped = begin.headers.iter().find(|header| self.disk.lane_of(header.inode) == Some(lane));
        mapped.or_else(|| self.newest.get(lane)).cloned()
    }

    /// A segment is removed only after a header with a cursor past it was synced, or when it holds nothing that the
    /// journal does not hold.
    fn passed(&mut self, lane: &str, first: &str, begin: &Begin) {
        let (Some(first), Some(header)) = (seq(first), self.header(lane, begin)) else { return };
        if first >= header.head_seq() {
            return;
        }
        let segments = self.disk.part(lane, "segments");
        let next = segments.iter().filter_map(|(name, _)| seq(name)).find(|next| *next > first);
        let durable = self.disk.journal_of(lane).and_then(|journal| self.disk.durable(journal));
        let (cursor, head) =
            durable.map_or((0, 0), |durable| (durable.header.cursor(), durable.header.head_seq()));
        let end = next.map_or(head, |next| next.min(head)).max(first + 1);
        let why = || format!("segment {first} ends at {end}, and a cut leaves the cursor at {cursor}");
        self.hold("passed", cursor >= end, why);
    }

    /// A rejected item's file goes only after what went back on its way was synced.
    fn requeued(&mut self, lane: &str, name: &str, begin: &Begin) {
        let (Some(first), Some(header)) = (seq(name), self.header(lane, begin)) else { return };
        if (header.cursor()..ADOPTED_FROM).contains(&first) {
            // It was never settled, so it is still on its way.
            return;
        }
        let mapped: Vec<Header> = begin.headers.clone();
        self.hold_ring_synced("requeued", &mapped);
    }

    /// All that was enqueued into these journals is on stable storage.
    fn hold_ring_synced(&mut self, rule: &'static str, headers: &[Header]) {
        for header in headers {
            if self.disk.lane_of(header.inode).is_none() {
                continue;
            }
            let synced = self.disk.durable(header.inode).map_or(0, |durable| durable.tail_pos);
            let why =
                || format!("the journal is synced up to {synced}, and its tail is at {}", header.tail_pos);
            let holds = synced.max(header.head_pos()) >= header.tail_pos;
            self.hold(rule, holds, why);
        }
    }

    /// Rejected items move to another lane only after the header that counts them as settled was synced.
    fn handed_over(&mut self, lane: &str) {
        let newest = self.newest.get(lane).map_or(0, Header::cursor);
        let durable = self.disk.journal_of(lane).and_then(|journal| self.disk.durable(journal));
        let cursor = durable.map_or(0, |durable| durable.header.cursor());
        let why = || format!("the cursor is at {newest}, and a cut leaves it at {cursor}");
        self.hold("handed over", cursor >= newest, why);
    }

    /// A lane goes only after its ledger and its rejected items are on stable storage where they went.
    fn absorbed(&mut self, gone: &str, begin: &Begin) {
        for header in &begin.headers {
            let Some(lane) = self.disk.lane_of(header.inode).filter(|lane| *lane != gone) else { continue };
            let lane = lane.to_owned();
            let durable = self.disk.durable(header.inode).map(|durable| durable.header.adopted().to_vec());
            let why = || format!("{durable:?} of {:?} is synced", header.adopted());
            let holds = durable.as_deref() == Some(header.adopted());
            self.hold("absorbed", holds, why);
            self.rejected(&lane);
        }
    }

    /// A damaged lane goes into quarantine only after what was whole in it is on stable storage elsewhere.
    fn recovered(&mut self, gone: &str, begin: &Begin) {
        let others: Vec<Header> = begin
            .headers
            .iter()
            .filter(|header| self.disk.lane_of(header.inode).is_some_and(|lane| lane != gone))
            .cloned()
            .collect();
        self.hold_ring_synced("recovered", &others);
    }

    /// A journal takes the place of another one only after it was synced, with all that the other one had.
    fn renewed(&mut self, lane: &str, begin: &Begin) {
        let fresh = self.disk.durable(begin.inode).cloned();
        let old = self.disk.journal_of(lane).and_then(|journal| self.disk.durable(journal));
        let old = old.map(|old| (old.header.cursor(), old.header.head_pos(), old.tail_pos));
        let has_all = fresh.as_ref().is_some_and(|fresh| {
            let has = (fresh.header.cursor(), fresh.header.head_pos(), fresh.tail_pos);
            old.is_none_or(|old| has.0 >= old.0 && has.1 >= old.1 && has.2 >= old.2)
        });
        let rule = if old.is_some() { "renewed" } else { "made" };
        self.hold(rule, has_all, || format!("{fresh:?} takes the place of {old:?}"));
    }

    /// A lane gets its name only after its journal has its own.
    fn made(&mut self, lane: &str) {
        let journal = self.disk.journal_of(lane);
        let taken = match journal.and_then(|journal| self.disk.durable(journal).map(|_| journal)) {
            None => Some("its journal was not synced".to_owned()),
            Some(journal) => self.disk.unsynced_on_the_way(journal).filter(|what| what.contains("journal")),
        };
        self.hold_synced("made", taken);
    }
}

/// The seq that a segment or a rejected file is named after.
fn seq(name: &str) -> Option<u64> {
    (name.len() == 20).then(|| name.parse().ok()).flatten()
}
