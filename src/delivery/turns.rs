//! Turns: which stream of a client's items sends next with `order=newest_first`: the new items, or a backlog.
//!
//! As long as both have something to send, `backlog_share` of the requests are the backlog's. A stream that has nothing
//! leaves all of them to the other. Of several backlogs the oldest goes first. All streams together keep to
//! `max_in_flight`: a request more for the one is a request less for the other.
//!
//! Pure: time is passed in.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What has just sent is expected to go on: it looks for its next batch.
const RETURNS_WITHIN: Duration = Duration::from_millis(50);
/// What wants to send says so again before that. A stream that ends counts no longer.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(1);

/// Whose items a request carries. They sort by whose turn it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stream {
    /// Those of the lane that takes new ones.
    New,
    /// Those of the lane with this id; ids sort by age.
    Backlog(String),
}

/// Whose turn it is.
pub(super) struct Turns {
    share: f64,
    most_under_way: usize,
    under_way: usize,
    /// What the backlog's share of contested requests has added up to. The turn is its when one more makes it 1.
    saved: f64,
    /// The streams that have something to send, each until when that holds.
    wanting: BTreeMap<Stream, Instant>,
}

impl Turns {
    pub(super) fn new(share: f64, most_under_way: usize) -> Self {
        Self { share, most_under_way, under_way: 0, saved: 0.0, wanting: BTreeMap::new() }
    }

    /// Whether a request of `stream` may begin.
    pub(super) fn may_begin(&self, stream: &Stream, now: Instant) -> bool {
        if self.under_way >= self.most_under_way {
            return false;
        }
        match stream {
            Stream::New => !(self.is_backlogs() && self.wants(|it| *it != Stream::New, now)),
            Stream::Backlog(_) => {
                let is_older = |it: &Stream| *it != Stream::New && it < stream;
                (self.is_backlogs() || !self.wants(|it| *it == Stream::New, now))
                    && !self.wants(is_older, now)
            }
        }
    }

    /// `stream` has a request to make, and must wait.
    pub(super) fn note_waiting(&mut self, stream: &Stream, now: Instant) {
        self.wanting.insert(stream.clone(), now + FORGOTTEN_AFTER);
    }

    /// A request of `stream` begins. `has_more`: another one waits.
    pub(super) fn begin(&mut self, stream: &Stream, has_more: bool, now: Instant) {
        let rival = |it: &Stream| (*it == Stream::New) != (*stream == Stream::New);
        if self.wants(rival, now) {
            self.saved += self.share - f64::from(u8::from(*stream != Stream::New));
        }
        self.under_way += 1;
        if has_more {
            self.note_waiting(stream, now);
        } else {
            self.wanting.remove(stream);
        }
    }

    /// A request of `stream` has ended.
    pub(super) fn end(&mut self, stream: &Stream, now: Instant) {
        self.under_way = self.under_way.saturating_sub(1);
        let until = self.wanting.entry(stream.clone()).or_insert(now);
        *until = (*until).max(now + RETURNS_WITHIN);
    }

    /// `stream` has nothing to send now. Returns whether it had.
    pub(super) fn note_idle(&mut self, stream: &Stream) -> bool {
        self.wanting.remove(stream).is_some()
    }

    fn is_backlogs(&self) -> bool {
        // The sum of shares that are no binary fractions may stay a little under 1.
        self.saved + self.share > 1.0 - 1e-9
    }

    fn wants(&self, which: impl Fn(&Stream) -> bool, now: Instant) -> bool {
        self.wanting.iter().any(|(stream, until)| which(stream) && now < *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn old(id: &str) -> Stream {
        Stream::Backlog(id.to_owned())
    }

    /// Of `requests` requests, one at a time, how many are the backlog's when both always have more.
    fn backlogs(share: f64, requests: usize) -> usize {
        let (mut turns, now, mut count) = (Turns::new(share, 1), Instant::now(), 0);
        turns.note_waiting(&old("a"), now);
        turns.note_waiting(&Stream::New, now);
        for _ in 0..requests {
            let may = [Stream::New, old("a")].map(|stream| turns.may_begin(&stream, now));
            assert!(may[0] != may[1], "it is one's turn, not {may:?}");
            let stream = if may[0] { Stream::New } else { old("a") };
            count += usize::from(may[1]);
            turns.begin(&stream, true, now);
            assert!(!turns.may_begin(&Stream::New, now) && !turns.may_begin(&old("a"), now));
            turns.end(&stream, now);
        }
        count
    }

    #[test]
    fn the_backlog_gets_its_share_as_long_as_both_have_something_to_send() {
        for (share, expected) in [(0.0, 0), (0.1, 10), (0.5, 50), (0.9, 90), (1.0, 100)] {
            assert_eq!(backlogs(share, 100), expected, "share {share}");
        }
    }

    #[test]
    fn who_has_nothing_to_send_leaves_all_requests_to_the_other() {
        let (mut turns, now) = (Turns::new(0.0, 1), Instant::now());
        assert!(turns.may_begin(&old("a"), now));
        turns.note_waiting(&Stream::New, now);
        assert!(!turns.may_begin(&old("a"), now));
        assert!(turns.may_begin(&old("a"), now + FORGOTTEN_AFTER));
        turns.begin(&Stream::New, false, now);
        turns.end(&Stream::New, now);
        assert!(!turns.may_begin(&old("a"), now), "it has just sent and looks for more");
        assert!(turns.note_idle(&Stream::New));
        assert!(turns.may_begin(&old("a"), now));
    }

    #[test]
    fn the_oldest_backlog_goes_first() {
        let (mut turns, now) = (Turns::new(0.5, 2), Instant::now());
        turns.note_waiting(&old("b"), now);
        turns.note_waiting(&old("a"), now);
        assert!(!turns.may_begin(&old("b"), now));
        assert!(turns.may_begin(&old("a"), now));
        turns.begin(&old("a"), false, now);
        assert!(turns.may_begin(&old("b"), now), "what has all it wants under way leaves the rest to others");
        turns.begin(&old("b"), false, now);
        assert!(!turns.may_begin(&Stream::New, now), "as many are under way as may be");
    }
}
