//! Waiting for a condition, with a deadline.

use std::thread;
use std::time::{Duration, Instant};

/// Longer than any step of a test takes on a slow machine.
pub const PATIENCE: Duration = Duration::from_secs(120);

const INTERVAL: Duration = Duration::from_millis(2);

/// Waits until `look` finds something; fails with `what` at the deadline.
#[track_caller]
pub fn until<T>(deadline: Instant, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "not in time: {what}");
        thread::sleep(INTERVAL);
    }
}

/// Waits until `condition` holds; fails with `what` when it never does.
#[track_caller]
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    until(Instant::now() + PATIENCE, what, || condition().then_some(()));
}
