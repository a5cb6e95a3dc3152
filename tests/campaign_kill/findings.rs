//! Findings: what became of every item, held against what was handed to enqueue and what was accepted.

use std::collections::{BTreeMap, HashMap, HashSet};

use spanspool::{RejectedItem, Stats};

use crate::items::{Kind, Name, PREPARED, Progress, name_of};
use crate::record::Sent;
use testkit::client::parts_of_id;
use testkit::form::Form;

/// What was handed to enqueue.
pub struct Handed {
    /// By thread; the worker's threads first, then those of the lanes that were there before.
    pub progress: BTreeMap<usize, Progress>,
    /// Items in the middle of whose enqueue the process died: they may have been accepted or not.
    pub uncertain: HashSet<Name>,
}

/// Items of a key name that a death may find between the rejected store and their way again: 256 and a batch.
pub const SENT_ANEW: u64 = 256 + 16;

/// In what order items must have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    Any,
    /// Those of one lane as they were accepted.
    OfLanes,
    /// All of them.
    OfAll,
}

/// What one trial, or many, found.
#[derive(Debug, Default)]
pub struct Findings {
    pub acknowledged: u64,
    pub delivered: u64,
    pub rejected: u64,
    /// Acknowledged, and neither delivered nor in the rejected store.
    pub lost: Vec<Name>,
    /// There, and never handed to enqueue.
    pub invented: Vec<Name>,
    /// Texts that are none of the items'.
    pub torn: Vec<String>,
    /// In two batches, or delivered and rejected, or rejected twice.
    pub twice: Vec<Name>,
    /// The same of items with a key name. A worker can name a key only after it began to deliver: what was rejected for
    /// want of the key is sent again, in another batch, and a death just then leaves it in both places.
    pub sent_again: Vec<Name>,
    /// Delivered for the first time after a later item of the same thread, where neither has a key name.
    pub out_of_order: Vec<Name>,
    /// The same among the batches of one lane.
    pub out_of_order_in_lane: Vec<Name>,
    /// Batches that came with other items or another key under the same id.
    pub changed: Vec<String>,
    /// Batches of which some part was accepted again, each time counted.
    pub resent: u64,
    /// Items that the ledger has twice, because a death came while they were sent again.
    pub counted_twice: u64,
    /// What is not as it has to be in the ledger, the folder, or the way an item went.
    pub amiss: Vec<String>,
}

/// For each batch id the whole batch that it is a part of.
fn whole_batches(sent: &[Sent]) -> HashMap<&str, (String, u64)> {
    let mut ids: Vec<_> =
        sent.iter().filter_map(|s| Some((parts_of_id(&s.batch_id)?, s.batch_id.as_str()))).collect();
    ids.sort_by_key(|((lane, first, items), _)| (lane.to_string(), *first, u64::MAX - items));
    let mut wholes = HashMap::new();
    let mut whole = (String::new(), 0, 0);
    for ((lane, first, items), id) in ids {
        if whole.0 != lane || first + items > whole.2 {
            whole = (lane.to_owned(), first, first + items);
        }
        wholes.insert(id, (whole.0.clone(), whole.1));
    }
    wholes
}

impl Findings {
    /// Looks at one trial: the requests, the rejected store and the ledger at its end.
    pub fn of(handed: &Handed, sent: &[Sent], store: &[RejectedItem], stats: &Stats) -> Self {
        let mut found = Self::default();
        let delivered = found.read_requests(handed, sent);
        let rejected = found.read_store(handed, store);
        found.delivered = delivered.len() as u64;
        found.rejected = store.len() as u64;
        delivered.intersection(&rejected).for_each(|name| found.came_twice(*name));
        for (thread, progress) in &handed.progress {
            found.acknowledged += progress.acknowledged;
            let accepted = (0..progress.acknowledged).map(|n| (*thread, n));
            let is_lost = |name: &Name| {
                !delivered.contains(name) && !rejected.contains(name) && !handed.uncertain.contains(name)
            };
            found.lost.extend(accepted.filter(is_lost));
        }
        found.read_ledger(stats);
        found
    }

    fn read_requests(&mut self, handed: &Handed, sent: &[Sent]) -> HashSet<Name> {
        let mut seen: HashMap<&str, &Sent> = HashMap::new();
        let mut accepted: HashMap<&str, u64> = HashMap::new();
        let mut homes: HashMap<Name, (String, u64)> = HashMap::new();
        let mut newest: HashMap<usize, u64> = HashMap::new();
        let mut newest_in_lane: HashMap<(usize, String), u64> = HashMap::new();
        let wholes = whole_batches(sent);
        for request in sent {
            let id = request.batch_id.as_str();
            let before = seen.entry(id).or_insert(request);
            if (&before.items, &before.authorization) != (&request.items, &request.authorization) {
                self.changed.push(id.to_owned());
            }
            let names = self.names(handed, request.items.iter().map(String::as_str));
            if names.iter().any(|name| Kind::of(*name).authorization() != request.authorization) {
                self.amiss.push(format!("{names:?} were sent with {:?}", request.authorization));
            }
            if request.status != 200 {
                continue;
            }
            *accepted.entry(id).or_default() += 1;
            let Some(home) = wholes.get(id) else {
                self.amiss.push(format!("{id:?} is no batch's id"));
                continue;
            };
            for (thread, n) in names {
                let earlier = homes.insert((thread, n), home.clone());
                if earlier.as_ref().is_some_and(|earlier| earlier != home) {
                    self.came_twice((thread, n));
                }
                // An item with a key name may have been rejected for want of the key, and be sent again.
                if !Kind::of((thread, n)).key_name().is_empty() {
                    continue;
                }
                let newest = newest.entry(thread).or_insert(n);
                if *newest > n && earlier.is_none() {
                    self.out_of_order.push((thread, n));
                }
                *newest = n.max(*newest);
                let newest = newest_in_lane.entry((thread, home.0.clone())).or_insert(n);
                if *newest > n && earlier.is_none() {
                    self.out_of_order_in_lane.push((thread, n));
                }
                *newest = n.max(*newest);
            }
        }
        self.resent = count_resent(&accepted, &wholes);
        homes.into_keys().collect()
    }

    fn read_store(&mut self, handed: &Handed, store: &[RejectedItem]) -> HashSet<Name> {
        let mut rejected = HashSet::new();
        for item in store {
            let text = Form::of(&item.destination).text(&item.json);
            let text = text.unwrap_or_else(|| String::from_utf8_lossy(&item.json).into_owned());
            let name = self.names(handed, std::iter::once(&*text));
            let Some(name) = name.first() else { continue };
            if !rejected.insert(*name) {
                self.came_twice(*name);
            }
            let why = (item.status, item.reason.as_str());
            let is_right = match Kind::of(*name) {
                Kind::Bad => why == (400, "refused"),
                Kind::Plain | Kind::Long => false,
                named => {
                    why == (0, &format!("no_key:{}", named.key_name())) && item.key_name == named.key_name()
                }
            };
            if !is_right {
                self.amiss.push(format!("{name:?} was rejected with {why:?}"));
            }
        }
        rejected
    }

    fn came_twice(&mut self, name: Name) {
        if Kind::of(name).key_name().is_empty() { self.twice.push(name) } else { self.sent_again.push(name) }
    }

    /// The names of items that are whole and were handed to enqueue; the others are noted.
    fn names<'a>(&mut self, handed: &Handed, items: impl Iterator<Item = &'a str>) -> Vec<Name> {
        let mut names = Vec::new();
        for item in items {
            match name_of(item) {
                None => self.torn.push(item.chars().take(200).collect()),
                Some((thread, n)) if handed.progress.get(&thread).is_none_or(|p| n >= p.handed) => {
                    self.invented.push((thread, n));
                }
                Some(name) => names.push(name),
            }
        }
        names
    }

    fn read_ledger(&mut self, stats: &Stats) {
        let dropped = stats.dropped_overflow + stats.dropped_expired + stats.dropped_corrupt;
        let sum = stats.delivered + stats.rejected + stats.pending + dropped;
        let seen = (self.delivered, self.rejected);
        if sum != stats.accepted
            || dropped + stats.pending > 0
            // Around a death while items go back on their way the ledger was once seen to miss some of them.
            || stats.delivered + (self.sent_again.len() as u64) < self.delivered
            || stats.rejected + (self.sent_again.len() as u64) < self.rejected
        {
            self.amiss.push(format!("{seen:?} items delivered and rejected, and the ledger says {stats:?}"));
        }
        self.counted_twice = stats.accepted.saturating_sub(self.delivered + self.rejected);
    }

    /// Whether something was found that must not be after so many `kills`; duplicates are up to `max_resent`.
    pub fn is_clean(&self, kills: u64, max_resent: u64, order: Order) -> bool {
        let is_in_order = match order {
            Order::Any => true,
            Order::OfLanes => self.out_of_order_in_lane.is_empty(),
            Order::OfAll => self.out_of_order.is_empty() && self.out_of_order_in_lane.is_empty(),
        };
        let none = self.lost.is_empty() && self.invented.is_empty() && self.torn.is_empty();
        let as_promised = self.twice.is_empty() && self.changed.is_empty() && self.amiss.is_empty();
        none && as_promised
            && self.counted_twice <= kills * SENT_ANEW
            && self.resent <= max_resent
            && is_in_order
    }

    /// Adds another trial's.
    pub fn add(&mut self, mut other: Self) {
        self.acknowledged += other.acknowledged;
        self.delivered += other.delivered;
        self.rejected += other.rejected;
        self.resent += other.resent;
        self.counted_twice += other.counted_twice;
        self.lost.append(&mut other.lost);
        self.invented.append(&mut other.invented);
        self.torn.append(&mut other.torn);
        self.twice.append(&mut other.twice);
        self.sent_again.append(&mut other.sent_again);
        self.changed.append(&mut other.changed);
        self.out_of_order.append(&mut other.out_of_order);
        self.out_of_order_in_lane.append(&mut other.out_of_order_in_lane);
        self.amiss.append(&mut other.amiss);
    }
}

/// How often a batch, or any part of it, was accepted again.
fn count_resent(accepted: &HashMap<&str, u64>, wholes: &HashMap<&str, (String, u64)>) -> u64 {
    let mut resent: HashMap<&(String, u64), u64> = HashMap::new();
    for (id, times) in accepted {
        if let Some(whole) = wholes.get(id) {
            let most = resent.entry(whole).or_default();
            *most = (*most).max(times - 1);
        }
    }
    resent.values().sum()
}

/// The progress of the lanes that were there before: all handed, all accepted.
pub fn prepared(lane: usize, items: u64) -> (usize, Progress) {
    (PREPARED + lane, Progress { handed: items, acknowledged: items })
}
