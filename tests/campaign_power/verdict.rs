//! Verdict: a spool that a power cut left is opened and delivered; what comes out is held against what was
//! acknowledged.

use std::collections::HashSet;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use spanspool::{BatchTraceProcessor, Level};

use super::program::{FRESH, Name, Progress};
use super::witness::{Seen, Witness, is_of_known_batch, keys_in, received_in};
use testkit::client::{config, lanes, rejected, settled};
use testkit::form::Form;

/// What is known of a spool at a cut.
pub struct Before {
    /// What the items are.
    pub form: Form,
    /// Items that had their OK long enough ago: none of them may be missing.
    pub owed: Vec<Name>,
    /// Further items that had their OK: with `durability=process` they may be missing.
    pub recent: Vec<Name>,
    /// Read after the cut: nothing else was ever handed over.
    pub progress: Progress,
    /// The ingest's record when the cut was over.
    pub record: Vec<Seen>,
    /// How much of that was there when the cut began.
    pub record_at_begin: usize,
}

/// What came of one cut, or of many.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    pub cuts: u64,
    pub owed: u64,
    /// Owed and neither delivered, nor to be delivered, nor in the rejected store.
    pub lost: u64,
    /// Acknowledged so recently that `durability=process` does not promise them, and missing.
    pub recent_missing: u64,
    /// Handed over, not owed, and missing: the only ones that may stand on the disk in part.
    pub unowed_missing: u64,
    /// Never handed over.
    pub invented: u64,
    /// Items that are not what the program made.
    pub torn: u64,
    /// Delivered after the cut.
    pub delivered: u64,
    pub rejected: u64,
    /// Items that were received before the cut and came again, in a batch that came before or a part of one, or again
    /// for want of their key.
    pub resent: u64,
    /// Items that were received before the cut and came again in a batch that was never seen. `durability=process` may
    /// do so.
    pub regrouped: u64,
    /// Keys that came before the cut with other bytes.
    pub rekeyed: u64,
    /// Items that came twice after the cut under different keys.
    pub twice: u64,
    pub dropped_corrupt: u64,
    /// Lanes that could not be drained.
    pub lanes_left: u64,
    /// Whether the ledger does not add up, or counts less than what was owed.
    pub ledger_wrong: u64,
    /// Cuts after which the spool did not open.
    pub unopened: u64,
    /// Items that were enqueued and delivered after the cut, to see that the spool is as good as new.
    pub fresh: u64,
    /// What the log said and which items are missing, some of them.
    pub told: Vec<String>,
}

impl Findings {
    /// Nothing that was owed is there.
    pub fn all_lost(before: &Before) -> Self {
        let owed = before.owed.len() as u64;
        Self { cuts: 1, owed, lost: owed, ..Self::default() }
    }

    pub fn add(&mut self, other: Self) {
        self.cuts += other.cuts;
        self.owed += other.owed;
        self.lost += other.lost;
        self.recent_missing += other.recent_missing;
        self.unowed_missing += other.unowed_missing;
        self.invented += other.invented;
        self.torn += other.torn;
        self.delivered += other.delivered;
        self.rejected += other.rejected;
        self.resent += other.resent;
        self.regrouped += other.regrouped;
        self.rekeyed += other.rekeyed;
        self.twice += other.twice;
        self.dropped_corrupt += other.dropped_corrupt;
        self.lanes_left += other.lanes_left;
        self.ledger_wrong += other.ledger_wrong;
        self.unopened += other.unopened;
        self.fresh += other.fresh;
        self.told.extend(other.told);
        self.told.truncate(40);
    }
}

impl Findings {
    /// Fails with `title` when anything is not as promised.
    pub fn assert_promise_kept(&self, title: &str, power: bool) {
        // What came in just before the cut may be cut in two, and batches be formed again, where nothing was synced yet.
        let torn_end = self.dropped_corrupt.saturating_sub(self.unowed_missing);
        let torn_end = if power { self.regrouped + torn_end } else { 0 };
        let broken = self.lost
            + torn_end
            + self.invented
            + self.torn
            + self.rekeyed
            + self.twice
            + self.lanes_left
            + self.ledger_wrong
            + self.unopened;
        assert_eq!(broken, 0, "{title}: {self}\n{}", self.told.join("\n"));
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cuts {} owed {} lost {} recent missing {} invented {} torn {} delivered after {} rejected {} resent {} \
             regrouped {} rekeyed {} twice {} dropped_corrupt {} lanes left {} ledger wrong {} unopened {}",
            self.cuts,
            self.owed,
            self.lost,
            self.recent_missing,
            self.invented,
            self.torn,
            self.delivered,
            self.rejected,
            self.resent,
            self.regrouped,
            self.rekeyed,
            self.twice,
            self.dropped_corrupt,
            self.lanes_left,
            self.ledger_wrong,
            self.unopened
        )
    }
}

/// Items that are enqueued after a cut.
const FRESH_ITEMS: u64 = 3;

/// Opens the spool, delivers what it has and compares. `patience`: how long a lane may take to be drained.
pub fn judge(spool: &Path, settings: &[(&str, &str)], before: &Before, patience: Duration) -> Findings {
    let mut found = Findings { cuts: 1, owed: before.owed.len() as u64, ..Findings::default() };
    let after = Witness::start();
    let log = Arc::new(Mutex::new(Vec::new()));
    let mut config = config(spool, &after.url(before.form), settings);
    config.set_log({
        let log = log.clone();
        move |level, line| {
            if matches!(level, Level::Error | Level::Warn) {
                log.lock().unwrap().push(line.to_owned());
            }
        }
    });
    let mut set_aside = HashSet::new();
    match BatchTraceProcessor::open(config) {
        Err(error) => {
            found.unopened = 1;
            found.told.push(error.to_string());
        }
        Ok(client) => {
            drain(&client, spool, patience, before, &mut found);
            set_aside = set_aside_in(spool, &mut found);
        }
    }
    compare(before, &after.record(), &set_aside, &mut found);
    let is_clean =
        found.lost + found.dropped_corrupt + found.lanes_left + found.ledger_wrong + found.unopened == 0;
    if !is_clean {
        found.told.extend(log.lock().unwrap().drain(..).take(10));
    }
    found
}

/// Waits until one lane is left and that is empty; then the ledger of all that ever was received stands there.
fn drain(
    client: &BatchTraceProcessor,
    spool: &Path,
    patience: Duration,
    before: &Before,
    found: &mut Findings,
) {
    client.set_named_key("other", "sk-other").unwrap();
    // One by one: a number that the cut took must not come back under a key that the ingest knows.
    for n in 0..FRESH_ITEMS {
        client.enqueue(&before.form.item(&Name { thread: FRESH, n }.text())).unwrap();
        if let Err(error) = client.flush(patience) {
            found.told.push(error.to_string());
        }
    }
    let deadline = Instant::now() + patience;
    let drained = || {
        let lanes = lanes(spool);
        lanes.len() == 1 && lanes[0].stats.pending == 0
    };
    // The client's own lane is flushed; the others are looked for every `adopt_interval_ms`.
    while !drained() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(2));
    }
    if !drained() {
        found.lanes_left = 1;
        found.told.extend(lanes(spool).iter().map(|lane| format!("{lane:?}")));
    }
    let stats = client.stats().unwrap();
    found.dropped_corrupt = stats.dropped_corrupt;
    if stats.accepted != settled(&stats) + stats.pending
        || stats.accepted < before.owed.len() as u64 + FRESH_ITEMS
    {
        found.ledger_wrong = 1;
        found.told.push(format!("{stats:?}, {} owed", before.owed.len()));
    }
}

fn set_aside_in(spool: &Path, found: &mut Findings) -> HashSet<Name> {
    let items = rejected(spool);
    found.rejected = items.len() as u64;
    let texts = items.iter().filter_map(|item| Form::of(&item.destination).text(&item.json));
    let names: Vec<Name> = texts.filter_map(|text| Name::of(&text)).collect();
    found.torn += (items.len() - names.len()) as u64;
    names.into_iter().collect()
}

fn compare(before: &Before, after: &[Seen], set_aside: &HashSet<Name>, found: &mut Findings) {
    let taken_before = received_in(&before.record);
    let surely_before = &before.record[..before.record_at_begin];
    let taken_surely_before = received_in(surely_before);
    let keys_surely_before = keys_in(surely_before);
    let mut keys_after = std::collections::HashMap::new();
    let mut delivered: HashSet<Name> = HashSet::new();
    for seen in after {
        found.torn += seen.torn as u64;
        let same = |bytes: Option<&u64>| bytes.is_none_or(|hash| *hash == seen.hash);
        let first_time = keys_after.insert(seen.key.as_str(), seen.hash);
        if !same(keys_surely_before.get(seen.key.as_str())) || !same(first_time.as_ref()) {
            found.rekeyed += 1;
        }
        if !seen.received || first_time.is_some() && seen.items.iter().all(|name| delivered.contains(name)) {
            continue;
        }
        let is_known = is_of_known_batch(&seen.key, &before.record);
        for name in &seen.items {
            let end = before.progress.handed.get(name.thread).copied();
            let end = if name.thread == FRESH { FRESH_ITEMS } else { end.unwrap_or(0) };
            found.invented += u64::from(name.n >= end);
            // A cut may come while one that was set aside for want of its key goes back on its way.
            found.twice += u64::from(!delivered.insert(*name) && !name.is_named());
            if !taken_surely_before.contains(name) {
                continue;
            }
            // One with a key's name may be resent before the key is known again: it is set aside and sent again.
            if name.is_named() || is_known {
                found.resent += 1;
                continue;
            }
            found.regrouped += 1;
            let earlier = before.record.iter().filter(|seen| seen.items.contains(name));
            let earlier: Vec<&str> = earlier.map(|seen| seen.key.as_str()).collect();
            found.told.push(format!("{name:?} came again under {}, before under {earlier:?}", seen.key));
        }
    }
    found.delivered = delivered.len() as u64;
    found.twice += delivered.intersection(set_aside).filter(|name| !name.is_named()).count() as u64;
    let is_there =
        |name: &&Name| taken_before.contains(name) || delivered.contains(name) || set_aside.contains(name);
    let fresh: Vec<Name> = (0..FRESH_ITEMS).map(|n| Name { thread: FRESH, n }).collect();
    found.fresh = fresh.iter().filter(|name| delivered.contains(name)).count() as u64;
    let lost: Vec<&Name> = before.owed.iter().chain(&fresh).filter(|name| !is_there(name)).collect();
    found.lost = lost.len() as u64;
    found.recent_missing = before.recent.iter().filter(|name| !is_there(name)).count() as u64;
    let owed: HashSet<&Name> = before.owed.iter().collect();
    let handed = before.progress.handed.iter().enumerate();
    let handed = handed.flat_map(|(thread, &end)| (0..end).map(move |n| Name { thread, n }));
    found.unowed_missing = handed.filter(|name| !owed.contains(name) && !is_there(&name)).count() as u64;
    if found.lanes_left > 0 {
        let last = after.iter().rev().take(8);
        found.told.extend(last.map(|seen| format!("{} {} {:?}", seen.key, seen.received, seen.items)));
    }
    if !lost.is_empty() {
        found.told.push(format!("lost, among others: {:?}", &lost[..lost.len().min(5)]));
    }
}
