//! Reopen: the checkpoint that a dead owner left, brought to what the journal holds.

use crate::spool::checkpoint::Checkpoint;
use crate::spool::journal::{Journal, Read, Record};

/// Moves the head to where the items begin that are not settled.
///
/// While the committer spills, the head stays, however far the cursor comes: a death just then leaves settled items after
/// the head.
pub(super) fn pass_settled(journal: &Journal, checkpoint: &mut Checkpoint) {
    while checkpoint.head.seq < checkpoint.cursor {
        checkpoint.head = match journal.read(checkpoint.head) {
            Read::Record(Record { end, .. }) | Read::Damaged(end) => end,
            Read::Unfinished | Read::End => journal.tail(),
        };
    }
    // More than the settled ones stood in a damaged stretch.
    let lost = checkpoint.head.seq - checkpoint.cursor;
    if lost > 0 {
        checkpoint.cursor = checkpoint.head.seq;
        checkpoint.settled_bytes = checkpoint.head.bytes;
        checkpoint.tally.dropped_corrupt += lost;
        checkpoint.sequence += 1;
        journal.store_checkpoint(checkpoint);
    }
}
