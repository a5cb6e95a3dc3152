//! Passage: what a lane's requests have to pass.
//!
//! That is the endpoint's gate. After everything of the lane was refused, it is the gate of doubt as well: a refusal says
//! nothing about what other lanes send, so it holds up none of them, but the lanes on hold probe one after another.

use std::sync::MutexGuard;
use std::time::Instant;

use crate::delivery::allowance::{Obstacle, Ticket};
use crate::delivery::gate::{News, Permit, Reply, Why};
use crate::delivery::key_gates::KeyGates;
use crate::delivery::outlet::Gates;
use crate::delivery::turns::Stream;
use crate::os::lock::Unpoison;

/// The way of one lane through the gates that all lanes of a client share.
pub(super) struct Passage {
    gates: Gates,
    /// Whose items the lane's are.
    stream: Stream,
    /// Bytes of the request that was put off last, for which a budget is saved up.
    needed_bytes: u64,
    /// Everything was refused, and nothing was accepted since.
    is_on_hold: bool,
    /// This lane probes for all that are on hold, with several requests.
    probe: Option<Permit>,
    /// A gate has changed since the last look at this.
    has_changed: bool,
}

impl Passage {
    pub(super) fn new(gates: Gates) -> Self {
        Self {
            gates,
            stream: Stream::New,
            needed_bytes: 0,
            is_on_hold: false,
            probe: None,
            has_changed: false,
        }
    }

    /// Sets whose items the lane's are.
    pub(super) fn set_stream(&mut self, stream: Stream) {
        self.note_idle();
        self.stream = stream;
    }

    /// Until when no request may pass; `None`: one may.
    pub(super) fn wait(&self, now: Instant) -> Option<Instant> {
        let at_doubt = || if self.is_held() { self.gates.doubt().wait(now) } else { None };
        let allowed = || self.obstacle(now).map(|obstacle| obstacle.until(now));
        self.gates.endpoint().wait(now).or_else(at_doubt).or_else(allowed)
    }

    /// Lets a request of so many bytes pass, or says until when to wait. `has_more`: another batch waits after it.
    pub(super) fn enter(
        &mut self,
        bytes: u64,
        has_more: bool,
        now: Instant,
    ) -> Result<(Permit, Ticket), Instant> {
        if let Some(until) = self.gates.endpoint().wait(now) {
            return Err(until);
        }
        let ticket = Ticket::take(self.gates.allowance(), &self.stream, bytes, has_more, now);
        self.note_turn();
        self.needed_bytes = if ticket.is_ok() { 0 } else { bytes };
        let mut ticket = ticket.map_err(|obstacle| obstacle.until(now))?;
        // Until it is under way it has used nothing.
        ticket.used = Some(0);
        if self.is_held() {
            self.probe = Some(self.gates.doubt().enter(now)?);
        }
        let permit = self.gates.endpoint().enter(now)?;
        ticket.used = None;
        Ok((permit, ticket))
    }

    /// Takes back the ticket of a request that has ended.
    pub(super) fn leave(&mut self, mut ticket: Ticket, now: Instant) {
        ticket.at = now;
        drop(ticket);
        self.note_turn();
    }

    /// The lane goes on waiting, for its turn if for nothing else.
    pub(super) fn note_waiting(&self, now: Instant) {
        self.gates.allowance().lock().unpoisoned().note_waiting(&self.stream, self.needed_bytes, now);
    }

    /// The lane has nothing to send now.
    pub(super) fn note_idle(&mut self) {
        self.gates.allowance().lock().unpoisoned().note_idle(&self.stream);
        self.note_turn();
    }

    /// What the client's own rules have against a request.
    pub(super) fn obstacle(&self, now: Instant) -> Option<Obstacle> {
        self.gates.allowance().lock().unpoisoned().obstacle(&self.stream, self.needed_bytes, now)
    }

    /// Other lanes are to look whether it is their turn, if it may be.
    fn note_turn(&mut self) {
        self.has_changed |= self.gates.allowance().lock().unpoisoned().take_change();
    }

    /// Takes back the permit of a request that the ingest answered.
    pub(super) fn answer(&mut self, permit: Permit, reply: Reply, now: Instant) -> Option<News> {
        let mut gate = self.gates.endpoint();
        let was_open = gate.is_open();
        let news = gate.answer(permit, reply, now);
        self.has_changed |= was_open != gate.is_open() || news.is_some();
        news
    }

    /// The request with this permit failed while others are accepted.
    pub(super) fn failed_alone(&self, permit: Permit) {
        self.gates.endpoint().failed_alone(permit);
    }

    /// Everything is refused, as far as what was asked in the gate of doubt's epoch `since` tells.
    pub(super) fn hold(&mut self, since: u64, reason: String, now: Instant) -> Option<News> {
        self.is_on_hold = true;
        let news = self.gates.doubt().close(since, reason, now);
        // Only now: a permit that comes back makes a gate due that waits for it.
        self.probe = None;
        news
    }

    /// Something was accepted, of whatever lane.
    pub(super) fn end_hold(&mut self) -> Option<News> {
        self.probe = None;
        let was_on_hold = std::mem::take(&mut self.is_on_hold);
        self.has_changed |= was_on_hold;
        if was_on_hold { self.gates.doubt().reopen() } else { None }
    }

    /// The epoch in which what is asked now tells something about a hold.
    pub(super) fn epoch(&self) -> u64 {
        self.gates.doubt().epoch()
    }

    /// Whether the endpoint's gate is open.
    pub(super) fn is_open(&self) -> bool {
        self.gates.endpoint().is_open()
    }

    /// Whether a request under way may be the one that probes for all.
    pub(super) fn is_probed(&self, now: Instant) -> bool {
        let gate = self.gates.endpoint();
        !gate.is_open() && gate.wait(now).is_none_or(|_| gate.is_probing())
    }

    /// Why nothing passes, and until when.
    pub(super) fn why(&self) -> Option<(Why, Instant)> {
        let at_doubt = || if self.is_held() { self.gates.doubt().why() } else { None };
        self.gates.endpoint().why().or_else(at_doubt)
    }

    /// The gates before keys.
    pub(super) fn keys(&self) -> MutexGuard<'_, KeyGates> {
        self.gates.keys()
    }

    /// A key's gate has changed.
    pub(super) fn note_change(&mut self) {
        self.has_changed = true;
    }

    /// Whether a gate has changed since the last call.
    pub(super) fn take_change(&mut self) -> bool {
        std::mem::take(&mut self.has_changed)
    }

    fn is_held(&self) -> bool {
        self.is_on_hold && self.probe.is_none()
    }
}
