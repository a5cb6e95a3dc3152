//! Contents: where the batches of a segment begin, so that the oldest can be dropped without reading it.

use crate::error::Result;
use crate::spool::held_path::HeldPath;
use crate::spool::segments::Segments;
use crate::spool::segments::reading::ScanSlot;
use crate::spool::segments::scan::Scan;

use crate::os::lock::Unpoison;

/// A segment whose batches are not known yet, as a dead owner left it.
pub(crate) struct Survey {
    pub(super) first: u64,
    pub(super) path: HeldPath,
    pub(super) scan: ScanSlot,
}

impl Survey {
    /// Looks through the segment's files, for `Segments::note_contents`. An error: they can't be read now.
    pub(crate) fn read(&self) -> Result<Contents> {
        let batches = self.look(|scan| scan.ids().collect())?;
        Ok(Contents { segment: self.first, batches })
    }

    fn look<T>(&self, of: impl FnOnce(&Scan) -> T) -> Result<T> {
        let mut slot = self.scan.lock().unpoisoned();
        let scan = match &mut *slot {
            Some(scan) => scan,
            empty => empty.insert(Scan::of(std::slice::from_ref(&self.path))?),
        };
        Ok(of(scan))
    }
}

/// The first item of each batch of a segment, in order.
pub(crate) struct Contents {
    segment: u64,
    batches: Vec<u64>,
}

impl Segments {
    /// The seq after the oldest batch, which begins at `cursor`; all items before `head` are in segments. An error: what
    /// is to be looked through to know it.
    pub(crate) fn batch_end(&self, cursor: u64, head: u64) -> std::result::Result<u64, Survey> {
        let end = self.next_first(cursor).map_or(head, |next| next.min(head));
        // Items whose segment is gone are dropped together.
        let Some((first, entry)) = self.entries.range(..=cursor).next_back() else { return Ok(end) };
        let Some(batches) = &entry.batches else {
            return Err(Survey { first: *first, path: self.path(*first), scan: entry.scan.clone() });
        };
        let after = batches.partition_point(|batch| *batch <= cursor);
        Ok(batches.get(after).map_or(end, |next| end.min(*next)))
    }

    /// Remembers what a survey has found.
    pub(crate) fn note_contents(&mut self, found: Contents) {
        if let Some(entry) = self.entries.get_mut(&found.segment) {
            entry.batches.get_or_insert(found.batches);
        }
    }

    /// The first item of the batch that `seq` is in, if its segment has one. An error: it can't be read now.
    pub(crate) fn batch_with(&self, seq: u64) -> Result<Option<u64>> {
        let Some((first, entry)) = self.entries.range(..=seq).next_back() else { return Ok(None) };
        let survey = Survey { first: *first, path: self.path(*first), scan: entry.scan.clone() };
        survey.look(|scan| scan.id_up_to(seq))
    }

    /// About how many bytes of the oldest segment hold items that are not settled. They come free with the last of them.
    pub(crate) fn oldest_live_bytes(&mut self, cursor: u64, head: u64) -> u64 {
        let Some(first) = self.entries.keys().next().copied().filter(|_| cursor < head) else { return 0 };
        let end = self.next_first(first).unwrap_or(head).max(first + 1);
        let live = end.saturating_sub(cursor.max(first));
        let bytes = self.disk_bytes_of(first);
        (u128::from(bytes) * u128::from(live) / u128::from(end - first)) as u64
    }
}
