//! Client: what one makes, what of it is still to be sent, and in what order.

use crate::delivery::{Epoch, Streams};
use crate::events::Ms;
use crate::policy::Policy;

/// What clients make, and how they batch it.
#[derive(Clone, Copy)]
pub struct Making {
    /// Time between two items.
    pub gap: f64,
    /// `max_batch_size`.
    pub batch: u32,
    /// `schedule_delay_ms`.
    pub schedule_delay: Ms,
    /// How long before time 0 the oldest item that waits was made.
    pub since: Ms,
}

/// In which order a backlog and what is new are sent.
#[derive(Clone, Copy, PartialEq)]
pub enum Order {
    /// One after the other.
    OldestFirst,
    /// What is new at once, and with this share of the requests the backlog (`backlog_share`).
    NewestFirst(f64),
}

/// Items that travel together.
#[derive(Clone, Copy)]
pub struct Batch {
    /// The first one.
    pub first: u32,
    /// The one after the last.
    pub end: u32,
    /// Requests so far.
    pub attempts: u32,
    /// It waits until then.
    pub not_before: Ms,
    /// The ingest has it already.
    pub is_taken: bool,
}

/// Bytes of an item as it is sent.
pub const ITEM_BYTES: u64 = 500;

impl Batch {
    /// What a request with it uploads.
    pub fn bytes(&self) -> u64 {
        u64::from(self.end - self.first) * ITEM_BYTES
    }
}

/// A client. Its items are numbered from 0, the first that waits at time 0.
pub struct Client {
    /// When it sends.
    pub policy: Policy,
    /// When item 0 was made, after `-since`.
    phase: f64,
    /// The next item of the backlog, and the item after its last.
    backlog: (u32, u32),
    /// The next item of what is new, once there is a backlog apart from it.
    fresh: u32,
    /// Batches that are to be sent again.
    again: Vec<Batch>,
    /// Whose turn it is, with `NewestFirst`.
    streams: Option<Streams>,
    /// Requests under way.
    pub in_flight: usize,
    /// It looks then at the latest.
    pub wakes_at: Ms,
    /// It has made a request since the ingest's return.
    pub has_come: bool,
    /// Its connection is open until then.
    pub connected_until: Ms,
    /// Nothing was accepted since.
    failed_at: Option<Ms>,
    /// The newest item that was accepted.
    pub newest: Option<u32>,
    /// Items accepted that were made during the outage.
    pub drained: u32,
    /// Items made during the outage.
    pub made_in_outage: u32,
}

/// A failure that lasts as long leaves a backlog apart from what is new.
const OUTAGE: Ms = 30_000;

impl Client {
    /// One that has sent nothing since the outage began.
    pub fn new(policy: Policy, phase: f64, order: Order, making: &Making, up_at: Ms, epoch: Epoch) -> Self {
        let streams = match order {
            Order::OldestFirst => None,
            Order::NewestFirst(share) => Some(Streams::new(share, epoch)),
        };
        let mut client = Self {
            policy,
            phase,
            backlog: (0, u32::MAX),
            fresh: u32::MAX,
            again: Vec::new(),
            streams,
            in_flight: 0,
            wakes_at: 0,
            has_come: false,
            connected_until: 0,
            failed_at: None,
            newest: None,
            drained: 0,
            made_in_outage: 0,
        };
        client.made_in_outage = client.made(making, up_at);
        client
    }

    /// Items made by `now`.
    fn made(&self, making: &Making, now: Ms) -> u32 {
        (((now + making.since) as f64 - self.phase) / making.gap + 1.0).max(0.0) as u32
    }

    /// How old the newest item is that was accepted.
    pub fn age(&self, making: &Making, now: Ms) -> f64 {
        // Before the outage all were delivered.
        let newest = self.newest.map_or(0.0, f64::from);
        (now + making.since) as f64 - (self.phase + newest * making.gap)
    }

    /// The next batch that is due, or when there is one.
    pub fn take(&mut self, making: &Making, now: Ms) -> Result<Batch, Ms> {
        if let Some(ready) = self.again.iter().position(|batch| batch.not_before <= now) {
            return Ok(self.again.remove(ready));
        }
        let due_at = self.again.iter().map(|batch| batch.not_before).min().unwrap_or(Ms::MAX);
        let made = self.made(making, now);
        let (next, end) = self.backlog;
        let backlog = self.due(next, end.min(made), end <= made, making, now);
        let fresh = if self.fresh == u32::MAX {
            Err(Ms::MAX)
        } else {
            self.due(self.fresh, made, false, making, now)
        };
        let takes_backlog = match (backlog, fresh) {
            (Ok(_), Ok(_)) => self.streams.as_mut().is_some_and(|streams| streams.is_backlogs(now)),
            (Ok(_), Err(_)) => true,
            (Err(_), Ok(_)) => false,
            (Err(a), Err(b)) => return Err(due_at.min(a).min(b)),
        };
        let (first, end) = if takes_backlog {
            let end = backlog.unwrap_or(next);
            self.backlog.0 = end;
            (next, end)
        } else {
            let first = self.fresh;
            self.fresh = fresh.unwrap_or(first);
            (first, self.fresh)
        };
        Ok(Batch { first, end, attempts: 0, not_before: 0, is_taken: false })
    }

    /// The end of the batch that begins with `next`, of items up to `end`, or when it is due.
    fn due(&self, next: u32, end: u32, is_closed: bool, making: &Making, now: Ms) -> Result<u32, Ms> {
        let full = next.saturating_add(making.batch);
        let made_at = |item: u32| {
            (self.phase + f64::from(item) * making.gap - making.since as f64).max(0.0).ceil() as Ms
        };
        let due_at = made_at(next) + making.schedule_delay;
        if full <= end {
            Ok(full)
        } else if next < end && (is_closed || due_at <= now) {
            Ok(end)
        } else if is_closed {
            Err(Ms::MAX)
        } else {
            Err(due_at.min(made_at(full - 1)).max(now + 1))
        }
    }

    /// `batch` was accepted. Returns how many of its items were made during the outage.
    pub fn accepted(&mut self, batch: &Batch, making: &Making, now: Ms) -> u32 {
        self.newest = self.newest.max(Some(batch.end - 1));
        let failed_for = self.failed_at.take().map_or(0, |at| now - at);
        let has_backlog = self.fresh != u32::MAX && self.backlog.0 < self.backlog.1;
        if failed_for >= OUTAGE && self.streams.is_some() && !has_backlog {
            let made = self.made(making, now);
            self.backlog = (if self.fresh == u32::MAX { self.backlog.0 } else { self.fresh }, made);
            self.fresh = made;
        }
        let drained = batch.end.min(self.made_in_outage).saturating_sub(batch.first);
        self.drained += drained;
        drained
    }

    /// A request with `batch` failed.
    pub fn failed(&mut self, batch: Batch, now: Ms) {
        self.failed_at.get_or_insert(now);
        self.put_back(batch);
    }

    /// `batch` is to be sent, before any that was not formed yet.
    pub fn put_back(&mut self, batch: Batch) {
        let at = self.again.partition_point(|other| other.first < batch.first);
        self.again.insert(at, batch);
    }
}
