//! Release: freeing ring space that is settled, once no power cut can make it needed again.

use std::sync::atomic::Ordering::{Acquire, Release};

use crate::error::Result;
use crate::spool::journal::{HeaderCounter, Journal};

impl Journal {
    /// Makes the checkpoint durable, if it is not, then frees the ring space before its head.
    pub(crate) fn release(&self) -> Result<()> {
        let checkpoint = self.checkpoint();
        let head = checkpoint.head.pos;
        if self.durable_checkpoint.load(Acquire) != checkpoint.sequence {
            self.sync_header()?;
            self.durable_checkpoint.store(checkpoint.sequence, Release);
        }
        let tail = self.lock_tail();
        // Another thread may have released more meanwhile.
        let before = self.released.fetch_max(head, Release);
        self.set_counter(HeaderCounter::Released, head.max(before));
        if tail.waiting > 0 {
            self.room.notify_all();
        }
        Ok(())
    }

    /// Whether there is ring space that `release` would free.
    pub(crate) fn can_release(&self) -> bool {
        self.checkpoint().head.pos > self.released.load(Acquire)
    }
}
