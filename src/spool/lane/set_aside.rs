//! Set aside: the lane's side toward its rejected store, and how much of the disk that may take.

use crate::config::Level;
use crate::error::Result;
use crate::spool::lane::Lane;
use crate::spool::set_aside::rejected::Room;
use crate::spool::set_aside::rejection::Rejection;

impl Lane {
    /// Puts `rejection` into the rejected store, durably. Its items count as rejected once the batch is settled, or as
    /// dropped if there is no room for them.
    pub(crate) fn set_aside(&self, rejection: &Rejection) -> Result<()> {
        let (put, outcome) = self.stores.rejected().put(rejection, self.rejected_room());
        self.count_evicted(put.evicted);
        outcome?;
        self.note_reason(&rejection.reason);
        let takes = self.stores.count_disk();
        if !put.is_kept {
            let (id, max, items) = (self.id(), self.settings.max_spool_bytes, rejection.items.len());
            self.log.line(
                Level::Error,
                format_args!(
                    "{items} items of batch {} are dropped ({}): lane {id} takes {takes} bytes on disk, and \
                     max_spool_bytes is {max}",
                    rejection.batch_id, rejection.reason
                ),
            );
        }
        Ok(())
    }

    /// What the rejected store may take: as much as its own setting says, and no more than the rest of the lane leaves of
    /// `max_spool_bytes`.
    pub(super) fn rejected_room(&self) -> Room {
        let others = self.stores.disk_bytes_but_rejected();
        Room {
            max_bytes: self.settings.max_rejected_bytes,
            left_bytes: self.max_spool_bytes().saturating_sub(others),
        }
    }

    /// What the lane takes on disk, with the share of the rejected store counted as taken: segments leave it free.
    pub(in crate::spool) fn disk_bytes_for_segments(&self) -> u64 {
        let takes = self.stores.count_disk();
        takes + self.settings.rejected_share.saturating_sub(self.stores.rejected().disk_bytes())
    }

    /// Sees to it that the rejected store has no item that is still on its way, so that the cursor may move.
    pub(crate) fn tidy_rejected(&self) -> Result<()> {
        self.stores.rejected().tidy()
    }
}
