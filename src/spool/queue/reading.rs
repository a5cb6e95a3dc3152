//! Reading: what the queue makes of a batch that was read, or was not, outside of its lock.

use crate::error::Error;
use crate::spool::journal::Journal;
use crate::spool::queue::Queue;
use crate::spool::segments::reading::{Found, Reading};

/// Why nothing was read.
pub(crate) enum ReadFailure {
    /// It can't be read now.
    Later(Error),
    /// It is lost for good; ask for the next batch.
    Lost(Error),
}

impl Queue {
    /// Records what `reading` found. An error: nothing, now or for good, and why.
    pub(crate) fn was_read(
        &mut self,
        journal: &Journal,
        reading: &Reading,
        found: Found,
    ) -> std::result::Result<(), ReadFailure> {
        // They may have been dropped meanwhile.
        let is_wanted = reading.seq() == self.next && self.next < self.checkpoint.head.seq;
        match found {
            Found::Batch(stored) => self.segments.keep_read(stored, self.next),
            Found::Misplaced(stored) => {
                self.segments.note_misplaced();
                self.segments.keep_read(stored, self.next);
            }
            Found::Damaged { end, why } if is_wanted => {
                self.segments.mark_damaged(self.next);
                self.leave_out(journal, end, None);
                return Err(ReadFailure::Lost(why));
            }
            Found::Unavailable { why, .. } if is_wanted => {
                // A segment that was away may be back.
                drop(self.segments.list());
                return Err(ReadFailure::Later(why));
            }
            Found::Damaged { .. } | Found::Unavailable { .. } => {}
        }
        Ok(())
    }
}
