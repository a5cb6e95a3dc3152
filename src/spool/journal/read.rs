//! Read: the records of a journal that this process owns.

use crate::spool::checkpoint::LogPosition;
use crate::spool::journal::Journal;
use crate::spool::journal::damage;
use crate::spool::journal::record::{Frame, State};

/// What stands at a log position.
pub(crate) enum Read<'a> {
    Record(Record<'a>),
    /// Records whose bytes are not what was committed; the log position after them.
    Damaged(LogPosition),
    /// A record that its writer has not finished yet.
    Unfinished,
    /// Nothing yet.
    End,
}

/// A committed record.
#[derive(Clone, Copy)]
pub(crate) struct Record<'a> {
    frame: Frame,
    /// The log position after it.
    pub(crate) end: LogPosition,
    pub(crate) json: &'a [u8],
    pub(crate) key_name: &'a str,
    pub(crate) accepted_unix_ms: u64,
    /// Items of the batch that begins here, once one does.
    pub(crate) batch_items: Option<u64>,
}

impl Journal {
    /// What stands at `at`. The answer stays valid until the ring is released beyond it.
    pub(crate) fn read(&self, at: LogPosition) -> Read<'_> {
        self.read_before(self.end_pos(), at)
    }

    /// As `read`, as if `end_pos` were still the journal's. Who reads many records loads that once: each load takes the
    /// cache line away from the appends.
    pub(crate) fn read_before(&self, end_pos: u64, mut at: LogPosition) -> Read<'_> {
        loop {
            if at.pos >= end_pos {
                return Read::End;
            }
            let Some(frame) = Frame::load(&self.map, &at, self.salt) else {
                let Some(after) = self.after_damage(at) else { return Read::End };
                if after.seq > at.seq {
                    return self.damaged(at, after);
                }
                at = after;
                continue;
            };
            match frame.state(&self.map) {
                State::Dead => at = frame.skip(&at),
                // Those that a death left unfinished were buried.
                State::Reserved if at.pos >= self.unchecked_before => return Read::Unfinished,
                State::Reserved | State::Damaged => return self.damaged(at, frame.end(&at)),
                State::Committed(checksum) => {
                    let payload = frame.payload(&self.map);
                    if at.pos < self.unchecked_before && !frame.is_whole(payload, checksum) {
                        return self.damaged(at, frame.end(&at));
                    }
                    let (name, json) = payload.split_at(payload.len().min(frame.key_name_len.into()));
                    return Read::Record(Record {
                        end: frame.end(&at),
                        json,
                        key_name: std::str::from_utf8(name).unwrap_or_default(),
                        accepted_unix_ms: frame.accepted_unix_ms,
                        batch_items: frame.batch_items(&self.map),
                        frame,
                    });
                }
            }
        }
    }

    /// The log position after the damaged stretch at `at`, which lies before the tail.
    fn after_damage(&self, at: LogPosition) -> Option<LogPosition> {
        let end = if at.pos < self.anchor.pos { self.anchor } else { self.tail() };
        let survey = || {
            let counts = |frame: &Frame| damage::counts_alive(&self.map, frame);
            damage::survey(&self.map, self.salt, at, end, counts).0
        };
        self.damage.after(at, survey).filter(|after| *after != at)
    }

    fn damaged(&self, at: LogPosition, after: LogPosition) -> Read<'_> {
        self.damage.note(&self.map, at.pos, after.pos);
        Read::Damaged(after)
    }

    /// Persists that a batch of `items` begins with `record`: it will be the same batch after a crash.
    pub(crate) fn mark_batch(&self, record: &Record<'_>, items: u64) {
        record.frame.mark_batch(&self.map, items);
    }
}
