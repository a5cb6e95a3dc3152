//! Read trouble: segments can't be found or read now.

use std::time::{Duration, Instant};

use crate::spool::ExportState;

/// How long after the disk failed to give a batch it is asked again.
const AGAIN_AFTER: Duration = Duration::from_millis(100);
/// It doubles up to this.
const AGAIN_AFTER_AT_MOST: Duration = Duration::from_secs(5);

/// Whether there is trouble.
#[derive(Default)]
pub(super) struct ReadTrouble(Option<Trouble>);

struct Trouble {
    /// How often in a row it was met.
    times: u32,
    /// It has lasted for as long as the longest wait: somebody has to mend it.
    lasts: bool,
    again_at: Instant,
    why: String,
}

impl ReadTrouble {
    /// Notes a failure. Returns when to try again, and whether it is the first one.
    pub(super) fn begin(&mut self, why: &str) -> (Instant, bool) {
        let before = self.0.as_ref().map_or(0, |trouble| trouble.times);
        let delay = AGAIN_AFTER.saturating_mul(1 << before.min(16)).min(AGAIN_AFTER_AT_MOST);
        let (again_at, lasts) = (Instant::now() + delay, delay == AGAIN_AFTER_AT_MOST);
        self.0 = Some(Trouble { times: before + 1, lasts, again_at, why: why.to_owned() });
        (again_at, before == 0)
    }

    /// Notes that all is well; returns whether it was not.
    pub(super) fn end(&mut self) -> bool {
        self.0.take().is_some()
    }

    /// How the trouble is shown, why there is any, and when to try again.
    pub(super) fn shown(&self) -> Option<(ExportState, &str, Instant)> {
        let state = |trouble: &Trouble| if trouble.lasts { ExportState::Hold } else { ExportState::Backoff };
        self.0.as_ref().map(|trouble| (state(trouble), &*trouble.why, trouble.again_at))
    }
}
