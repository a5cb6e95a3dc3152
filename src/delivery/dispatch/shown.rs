//! Shown: what the counters and the log tell of the dispatch.

use std::time::Instant;

use super::Dispatch;
use crate::delivery::allowance::Obstacle;
use crate::delivery::gate::{News, Why};
use crate::spool::ExportState;

/// Why nothing is sent during a pause.
const PAUSED: &str = "paused by the program; spanspool_wake ends it";

/// Something that the log tells.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::delivery) struct Note {
    /// Of the endpoint, or of a key.
    pub(in crate::delivery) key: Option<String>,
    /// Why its gate was shut; `None`: it was opened.
    pub(in crate::delivery) why: Option<Why>,
}

/// What the counters show.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::delivery) struct Status {
    pub(in crate::delivery) state: ExportState,
    pub(in crate::delivery) reason: String,
    pub(in crate::delivery) until: Option<Instant>,
}

impl Dispatch {
    pub(in crate::delivery) fn status(&self, now: Instant) -> Status {
        let is_sending = self.in_hand.values().any(|is_sending| *is_sending);
        // The batch that is to probe a key is in hand before its request begins.
        let at_key = || {
            let keys = self.passage.keys();
            self.at_keys.iter().find_map(|(name, jobs)| {
                let key = keys.get(name)?;
                let is_awaited = !jobs.is_empty() || key.refused.is_none() && !self.in_hand.is_empty();
                key.gate.why().filter(|_| is_awaited)
            })
        };
        // A gate that is due is shut until a request says otherwise.
        let waiting = match self.passage.why() {
            Some(_) if is_sending && self.passage.is_probed(now) => None,
            None if !is_sending => at_key(),
            why => why,
        };
        let (is_paused, over_budget) = match self.passage.obstacle(now).filter(|_| !is_sending) {
            Some(Obstacle::Paused) => (true, None),
            Some(Obstacle::Budget(until)) => (false, Some(until).filter(|_| !self.ready.is_empty())),
            _ => (false, None),
        };
        let (state, reason, until) = match waiting {
            _ if is_paused => (ExportState::Hold, PAUSED.to_owned(), None),
            Some((Why::Backoff(reason), until)) => (ExportState::Backoff, reason, Some(until)),
            Some((Why::Hold(reason), until)) => (ExportState::Hold, reason, Some(until)),
            None if is_sending => (ExportState::Sending, String::new(), None),
            None if over_budget.is_some() => {
                (ExportState::Backoff, "max_bytes_per_s is used up".to_owned(), over_budget)
            }
            None => (ExportState::Idle, String::new(), None),
        };
        Status { state, reason, until }
    }

    /// What the log is to tell since the last call.
    pub(in crate::delivery) fn take_notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }

    /// Whether threads that wait may have something to do since the last call.
    pub(in crate::delivery) fn take_change(&mut self) -> bool {
        std::mem::take(&mut self.has_changed)
    }

    /// Whether a gate that other lanes pass has changed since the last call.
    pub(in crate::delivery) fn take_gate_change(&mut self) -> bool {
        self.passage.take_change()
    }

    pub(super) fn note(&mut self, key: Option<String>, news: Option<News>) {
        let Some(news) = news else { return };
        let why = match (news, &key) {
            (News::Opened, _) => None,
            (News::Shut, None) => self.passage.why(),
            (News::Shut, Some(name)) => self.passage.keys().get(name).and_then(|key| key.gate.why()),
        };
        let why = why.map(|(why, _)| why);
        self.notes.push(Note { key, why });
    }
}
