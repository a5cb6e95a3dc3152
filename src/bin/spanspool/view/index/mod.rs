//! Index: the traces of a spool in memory, and where the items of each are read again. Items themselves stay on disk.

mod moved;
mod names;
mod place;
mod trace;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasher, RandomState};

use serde::Serialize;

use super::record::Record;
use names::Names;
pub use place::LaneSlot;
use place::{MOST_LANES, Place, Seqs};
use trace::Trace;

/// Names a trace for as long as this program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(u64);

/// What a trace takes besides its texts and places, in bytes: the entry, its share of the table and of the order.
const TRACE_BYTES: usize = size_of::<Trace>() + 80;
/// A place, with the room that its list has for more.
const PLACE_BYTES: usize = 18;

pub struct Index {
    hasher: RandomState,
    by_key: HashMap<Key, u32>,
    traces: Vec<Trace>,
    names: Names,
    lanes: Vec<Lane>,
    /// Positions of traces, the newest first, when `is_sorted`.
    order: Vec<u32>,
    is_sorted: bool,
    /// Changes when anything does that is shown.
    version: u64,
    bytes: usize,
    most_bytes: usize,
}

#[derive(Default)]
struct Lane {
    id: String,
    /// Items before it are settled; all of them once the lane is gone.
    cursor: u64,
    /// Some of them were dropped.
    has_dropped: bool,
    read: Seqs,
    rejected: BTreeMap<u64, Vec<Refused>>,
}

/// What became of an item.
enum Fate {
    Waiting,
    Rejected,
    Delivered,
    /// Delivered or dropped.
    Gone,
}

/// A record of a rejected item.
struct Refused {
    key: Key,
    place: Place,
}

/// Which traces are asked for.
#[derive(Debug, Default)]
pub struct Filter {
    /// In lower case; in the name, the service or the id.
    pub text: String,
    pub errors: bool,
    pub rejected: bool,
    pub min_us: Option<i64>,
    pub max_us: Option<i64>,
}

/// A trace in the list.
#[derive(Debug, Serialize)]
pub struct Row {
    pub key: String,
    pub id: String,
    pub name: String,
    pub service: String,
    pub start_us: Option<i64>,
    pub end_us: Option<i64>,
    pub duration_us: Option<i64>,
    pub spans: u32,
    pub errors: u32,
    pub waiting: u32,
    pub rejected: u32,
    pub delivered: u32,
    /// What was delivered or dropped: the lane did both.
    pub gone: u32,
    pub lanes: usize,
}

/// Where a trace's items are: of each lane the seqs, in order.
pub type Places = BTreeMap<String, Vec<u64>>;

impl Index {
    /// An index that is full when it takes `most_bytes`.
    pub fn new(most_bytes: usize) -> Self {
        let mut names = Names::default();
        // The name of what has none.
        names.name("");
        Self {
            hasher: RandomState::new(),
            by_key: HashMap::new(),
            traces: Vec::new(),
            names,
            lanes: Vec::new(),
            order: Vec::new(),
            is_sorted: true,
            version: 1,
            bytes: 0,
            most_bytes,
        }
    }

    pub fn version(&self) -> u64 {
        self.version
    }

    pub fn is_full(&self) -> bool {
        self.bytes >= self.most_bytes
    }

    /// The slot of the lane `id`; `None` when there were too many lanes.
    pub fn lane(&mut self, id: &str) -> Option<LaneSlot> {
        let known = self.lanes.iter().position(|lane| lane.id == id);
        let slot = known.unwrap_or(self.lanes.len());
        if known.is_none() {
            self.lanes.push(Lane { id: id.to_owned(), ..Lane::default() });
        }
        (slot < MOST_LANES).then_some(slot as LaneSlot)
    }

    /// Adds the records of the pending item `seq`, once.
    pub fn add(&mut self, lane: LaneSlot, seq: u64, records: &[Record]) {
        if !self.lanes[usize::from(lane)].read.insert(seq) {
            return;
        }
        for record in records {
            self.add_record(record, self.place(lane, seq, record));
        }
        self.version += 1;
    }

    fn add_record(&mut self, record: &Record, place: Place) -> &mut Trace {
        let key = self.key_of(&record.trace_id);
        let at = *self.by_key.entry(key).or_insert_with(|| {
            let at = self.traces.len() as u32;
            self.traces.push(Trace::new(&record.trace_id));
            self.order.push(at);
            self.bytes += TRACE_BYTES + record.trace_id.len();
            at
        });
        let trace = &mut self.traces[at as usize];
        let before = trace.rank();
        self.bytes += PLACE_BYTES + trace.add(record, place, &mut self.names);
        self.is_sorted &= trace.rank() == before && trace.places.len() > 1;
        trace
    }

    fn place(&self, lane: LaneSlot, seq: u64, record: &Record) -> Place {
        Place::new(lane, seq, record, self.hasher.hash_one(record) as u32)
    }

    fn key_of(&self, trace_id: &str) -> Key {
        Key::of(&self.hasher, trace_id)
    }

    /// The key of the trace with this id, if there is one.
    pub fn key(&self, trace_id: &str) -> Option<Key> {
        Some(self.key_of(trace_id)).filter(|key| self.by_key.contains_key(key))
    }

    /// Says that the items of `lane` before `cursor` are settled.
    pub fn set_cursor(&mut self, lane: LaneSlot, cursor: u64) {
        let before = std::mem::replace(&mut self.lanes[usize::from(lane)].cursor, cursor);
        self.version += u64::from(before != cursor);
    }

    /// Says whether any item of `lane` was dropped.
    pub fn set_has_dropped(&mut self, lane: LaneSlot, has_dropped: bool) {
        let before = std::mem::replace(&mut self.lanes[usize::from(lane)].has_dropped, has_dropped);
        self.version += u64::from(before != has_dropped);
    }

    /// Says that of all lanes only those called `ids` are there.
    pub fn keep_lanes(&mut self, ids: &BTreeSet<&str>) {
        for slot in 0..self.lanes.len().min(MOST_LANES) {
            if !ids.contains(self.lanes[slot].id.as_str()) {
                self.set_cursor(slot as LaneSlot, u64::MAX);
                self.set_rejected(slot as LaneSlot, &BTreeMap::new());
            }
        }
    }

    /// Says what is in the rejected store of `lane`: the records of each item.
    pub fn set_rejected(&mut self, lane: LaneSlot, items: &BTreeMap<u64, Vec<Record>>) {
        let mut before = std::mem::take(&mut self.lanes[usize::from(lane)].rejected);
        let mut now = BTreeMap::new();
        for (seq, records) in items {
            let refused = match before.remove(seq) {
                Some(known) => known,
                None => self.add_rejected(lane, *seq, records),
            };
            now.insert(*seq, refused);
        }
        self.lanes[usize::from(lane)].rejected = now;
        self.version += u64::from(!before.is_empty());
        self.remove_rejected(before);
    }

    fn add_rejected(&mut self, lane: LaneSlot, seq: u64, records: &[Record]) -> Vec<Refused> {
        self.version += 1;
        let was_read = self.lanes[usize::from(lane)].read.contains(seq);
        let mut refused = Vec::new();
        for record in records {
            let (key, place) = (self.key_of(&record.trace_id), self.place(lane, seq, record));
            let known = self.by_key.get(&key).copied().filter(|_| was_read);
            let trace = match known {
                Some(at) => &mut self.traces[at as usize],
                None => self.add_record(record, place),
            };
            trace.rejected += u32::from(!record.is_trace);
            refused.push(Refused { key, place });
        }
        refused
    }

    /// Items that were put back on their way have another seq there, and purged ones are nowhere.
    fn remove_rejected(&mut self, gone: BTreeMap<u64, Vec<Refused>>) {
        let mut of_traces: BTreeMap<Key, BTreeSet<Place>> = BTreeMap::new();
        for Refused { key, place } in gone.into_values().flatten() {
            let Some(at) = self.by_key.get(&key) else { continue };
            let trace = &mut self.traces[*at as usize];
            trace.rejected = trace.rejected.saturating_sub(u32::from(!place.is_trace()));
            trace.uncount(place);
            of_traces.entry(key).or_default().insert(place);
        }
        for (key, places) in of_traces {
            if let Some(at) = self.by_key.get(&key) {
                self.traces[*at as usize].places.retain(|place| !places.contains(place));
            }
        }
    }

    /// Items that were refused while the rejected store can't be written go to the end of the queue again and again.
    /// Of those of the trace at `at` only the newest are kept.
    fn remove_repeated(&mut self, at: u32) {
        let trace = &mut self.traces[at as usize];
        let mut places = std::mem::take(&mut trace.places);
        places.sort_unstable_by_key(|place| place.key_of_equals());
        places.dedup_by(|older, newer| {
            let is_repeated = older.is_repeated_by(*newer) && fate(&self.lanes, *older).has_left();
            if is_repeated {
                trace.uncount(*older);
            }
            is_repeated
        });
        trace.places = places;
    }

    /// Forgets the oldest quarter of the traces. Returns how many.
    pub fn forget_oldest(&mut self) -> usize {
        self.sort();
        let kept: BTreeSet<u32> = self.order[..self.order.len() / 4 * 3].iter().copied().collect();
        let names = std::mem::take(&mut self.names);
        self.names.name("");
        let traces = std::mem::take(&mut self.traces);
        let before = traces.len();
        self.by_key.clear();
        self.order.clear();
        self.bytes = 0;
        for (at, mut trace) in (0..).zip(traces) {
            if !kept.contains(&at) {
                continue;
            }
            for name in [&mut trace.name, &mut trace.service] {
                let (renamed, bytes) = self.names.name(names.text(*name));
                *name = renamed;
                self.bytes += bytes;
            }
            self.bytes += TRACE_BYTES + trace.id.len() + PLACE_BYTES * trace.places.len();
            let at = self.traces.len() as u32;
            self.by_key.insert(self.key_of(&trace.id), at);
            self.order.push(at);
            self.traces.push(trace);
        }
        self.is_sorted = false;
        self.version += 1;
        before - self.traces.len()
    }

    fn sort(&mut self) {
        if !self.is_sorted {
            self.order.sort_by_key(|at| self.traces[*at as usize].rank());
            self.is_sorted = true;
        }
    }

    /// How many traces pass `filter`, and those from `offset` on, `limit` at most, newest first.
    pub fn list(&mut self, filter: &Filter, offset: usize, limit: usize) -> (usize, Vec<Row>) {
        self.sort();
        let mut total = 0;
        let mut shown = Vec::new();
        for at in &self.order {
            if !filter.passes(&self.traces[*at as usize], &self.names) {
                continue;
            }
            if total >= offset && shown.len() < limit {
                shown.push(*at);
            }
            total += 1;
        }
        (total, shown.into_iter().map(|at| self.row_at(at)).collect())
    }

    pub fn row(&mut self, key: Key) -> Option<Row> {
        let at = *self.by_key.get(&key)?;
        Some(self.row_at(at))
    }

    fn row_at(&mut self, at: u32) -> Row {
        self.remove_repeated(at);
        let trace = &self.traces[at as usize];
        let (mut waiting, mut rejected, mut delivered, mut gone) = (0, 0, 0, 0);
        let mut lanes = BTreeSet::new();
        for place in trace.places.iter().filter(|place| !place.is_trace() || trace.spans == 0) {
            lanes.insert(place.lane());
            *(match fate(&self.lanes, *place) {
                Fate::Rejected => &mut rejected,
                Fate::Waiting => &mut waiting,
                Fate::Delivered => &mut delivered,
                Fate::Gone => &mut gone,
            }) += 1;
        }
        Row {
            key: self.key_of(&trace.id).to_string(),
            id: trace.id.to_string(),
            name: match &*trace.id {
                "" => "(items without a trace id)".to_owned(),
                _ => self.names.text(trace.name).to_owned(),
            },
            service: self.names.text(trace.service).to_owned(),
            start_us: trace.start_us(),
            end_us: trace.end_us(),
            duration_us: trace.duration_us(),
            spans: trace.spans,
            errors: trace.errors,
            waiting,
            rejected,
            delivered,
            gone,
            lanes: lanes.len(),
        }
    }

    /// Where the items of a trace are that are in the spool still.
    pub fn places(&self, key: Key) -> Option<Places> {
        let trace = &self.traces[*self.by_key.get(&key)? as usize];
        let mut places = Places::new();
        for place in &trace.places {
            if let Some(lane) = self.lanes.get(usize::from(place.lane()))
                && !fate(&self.lanes, *place).has_left()
            {
                places.entry(lane.id.clone()).or_default().push(place.seq());
            }
        }
        for seqs in places.values_mut() {
            seqs.sort_unstable();
            seqs.dedup();
        }
        Some(places)
    }
}

impl Fate {
    /// The item is nowhere in the spool.
    fn has_left(&self) -> bool {
        matches!(self, Self::Delivered | Self::Gone)
    }
}

/// What became of the item at `place`.
fn fate(lanes: &[Lane], place: Place) -> Fate {
    match lanes.get(usize::from(place.lane())) {
        Some(lane) if lane.rejected.contains_key(&place.seq()) => Fate::Rejected,
        Some(lane) if lane.cursor <= place.seq() => Fate::Waiting,
        Some(lane) if lane.has_dropped => Fate::Gone,
        _ => Fate::Delivered,
    }
}

impl Filter {
    fn passes(&self, trace: &Trace, names: &Names) -> bool {
        let has_text = |text: &str| text.to_lowercase().contains(&self.text);
        let texts = || [names.text(trace.name), names.text(trace.service), &trace.id];
        let duration = trace.duration_us();
        (!self.errors || trace.errors > 0)
            && (!self.rejected || trace.rejected > 0)
            && self.min_us.is_none_or(|min| duration.is_some_and(|us| us >= min))
            && self.max_us.is_none_or(|max| duration.is_some_and(|us| us <= max))
            && (self.text.is_empty() || texts().into_iter().any(has_text))
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Key {
    fn of(hasher: &RandomState, trace_id: &str) -> Self {
        Self(hasher.hash_one(trace_id))
    }

    /// The key that is written so.
    pub fn of_text(text: &str) -> Option<Self> {
        (text.len() == 16).then(|| u64::from_str_radix(text, 16).ok().map(Self)).flatten()
    }
}
