//! Full: why a lane takes no more items, with the limit and how much of it is used.

use crate::error::{Error, ErrorKind};
use crate::spool::lane::Lane;
use crate::spool::segments::writer;

impl Lane {
    /// `max_queue_size` is reached.
    pub(super) fn queue_full(&self) -> Error {
        let pending = self.tail_seq().saturating_sub(self.stores.journal().checkpoint().cursor);
        let pending = pending + self.pending_beside();
        let (id, max) = (self.id(), self.settings.max_queue_size.unwrap_or(0));
        Error::new(ErrorKind::Full, format!("lane {id} has {pending} pending items; max_queue_size is {max}"))
    }

    /// There is no room in the journal, or none in the spool.
    pub(super) fn spool_full(&self) -> Error {
        let journal = self.stores.journal();
        let (id, used, ring) = (self.id(), journal.used_bytes(), journal.ring_bytes());
        let why = if !writer::claim_sled() {
            format!(
                "{used} of {ring} bytes of lane {id}'s journal are in use, and a process whose parent used segments cannot use any"
            )
        } else if self.mover.is_full() {
            self.takes_on_disk()
        } else {
            let waited = self.settings.enqueue_timeout.as_millis();
            format!(
                "{used} of {ring} bytes of lane {id}'s journal are in use after {waited} ms: the disk does not keep up"
            )
        };
        Error::new(ErrorKind::Full, why)
    }

    /// What the lane takes on disk and what it may take, for an error's text.
    pub(in crate::spool) fn takes_on_disk(&self) -> String {
        let (bytes, max) = (self.disk_bytes_with_kin(), self.settings.max_spool_bytes);
        format!("lane {} takes {bytes} bytes on disk; max_spool_bytes is {max}", self.id())
    }
}
