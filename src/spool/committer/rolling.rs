//! Rolling writer: the segment being written, and when a new one takes its place.

use std::sync::Arc;

use crate::error::Result;
use crate::spool::held_path::HeldPath;
use crate::spool::segments::writer::{Grain, Segment};
use crate::spool::segments::{Segments, pool};

/// A segment takes this many bytes of values: sled's memory and opening time grow with its file.
pub(super) const MAX_SEGMENT_BYTES: u64 = 32 << 20;

/// The segment that is being written. Only the committer has it.
pub(crate) struct RollingWriter {
    open: Option<Open>,
    grain: Grain,
    /// A segment takes this many bytes of values.
    max_bytes: u64,
}

struct Open {
    first: u64,
    segment: Arc<Segment>,
    bytes: u64,
}

impl RollingWriter {
    pub(crate) fn new(grain: Grain, max_bytes: u64) -> Self {
        Self { open: None, grain, max_bytes }
    }

    /// The segment being written, with its first item, for `Segments::publish`.
    pub(crate) fn current(&self) -> Option<(u64, &Arc<Segment>)> {
        self.open.as_ref().map(|open| (open.first, &open.segment))
    }

    /// How full the segment is: 1 when the next value goes into a new one.
    pub(crate) fn share_used(&self) -> f64 {
        self.open.as_ref().map_or(1.0, |open| (open.bytes as f64 / self.max_bytes as f64).min(1.0))
    }

    /// Whether the next `bytes` go into a new segment.
    pub(crate) fn must_roll(&self, bytes: u64) -> bool {
        self.open.as_ref().is_none_or(|open| open.bytes > 0 && open.bytes + bytes > self.max_bytes)
    }

    /// Appends `values` durably, in a new segment at `path` when `must_roll` says so. `first` is the item that they begin
    /// with, or the first one that is missing before them: its segment is where it is looked for.
    ///
    /// After an error the segment is given up. What it held is safe; what was to be added is still in the journal.
    pub(crate) fn append(
        &mut self,
        first: u64,
        values: &[(u64, Vec<u8>)],
        path: impl Fn(u64) -> HeldPath,
    ) -> Result<()> {
        let bytes: u64 = values.iter().map(|(_, value)| value.len() as u64).sum();
        if self.must_roll(bytes) {
            self.open = None;
            let dir = path(first);
            dir.remove()?;
            pool::ensure_threads(dir.parent().as_ref().unwrap_or(&dir))?;
            let made = Segment::create(&dir, self.grain).inspect_err(|_| drop(dir.remove()))?;
            self.open = Some(Open { first, segment: Arc::new(made), bytes: 0 });
        }
        let Some(open) = &mut self.open else { return Ok(()) };
        let outcome = open.segment.append(values);
        open.bytes += bytes;
        if outcome.is_err() {
            self.open = None;
        }
        outcome
    }

    /// Closes the segment; the next append makes a new one.
    pub(crate) fn close(&mut self, segments: &mut Segments) {
        if let Some(open) = self.open.take() {
            segments.retire(open.first);
        }
    }
}
