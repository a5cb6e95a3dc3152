//! A machine on which every step takes long.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use testkit::TempDir;
use testkit::client::{enqueue, open};
use testkit::wait::eventually;

use crate::delivery::pace::failing;

/// Threads that leave no core idle until it is dropped.
struct Busy(Arc<AtomicBool>);

impl Busy {
    fn start() -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        for _ in 0..4 * std::thread::available_parallelism().unwrap().get() {
            let ended = ended.clone();
            std::thread::spawn(move || while !ended.load(Relaxed) {});
        }
        Self(ended)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// A backoff may end while a thread asks the lane for another batch: on a busy machine that takes longer than a millisecond.
#[test]
fn a_batch_that_becomes_due_meanwhile_is_sent_on_a_busy_machine() {
    let dir = TempDir::new("pace");
    let (ingest, _) = failing(|n| n < 200);
    let settings = [("base_delay_ms", "1"), ("max_delay_ms", "1"), ("max_in_flight", "2")];
    let client = open(&dir.join("spool"), &ingest.url(), &settings);
    let _busy = Busy::start();
    enqueue(&client, [1]);
    eventually("the item is delivered", || client.stats().unwrap().delivered == 1);
}
