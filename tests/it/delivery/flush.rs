//! A flush succeeds once all that was enqueued before it is settled, and not before.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::thread;
use std::time::{Duration, Instant};

use spanspool::{Batch, BatchTraceProcessor, ErrorKind, Outcome, TracingExporter};
use testkit::TempDir;
use testkit::client::{NEVER_MS, assert_ledger, config, item};
use testkit::wait::PATIENCE;

/// Puts off what is sent with the key "busy".
#[derive(Default)]
struct Busy(AtomicBool);

impl TracingExporter for Busy {
    fn export(&self, batch: &Batch, _deadline: Option<Instant>) -> Outcome {
        match batch.key_name() {
            "busy" if self.0.load(Acquire) => {
                Outcome::Retry { status: 429, after: None, reason: "HTTP 429".into() }
            }
            _ => Outcome::Accepted { status: 200 },
        }
    }

    fn has_named_key(&self, _name: &str) -> bool {
        true
    }
}

#[test]
fn flush_waits_for_the_items_of_each_key_while_others_go_on_enqueueing() {
    let (dir, busy) = (TempDir::new("flush-keys"), Arc::new(Busy::default()));
    let settings = [("schedule_delay_ms", NEVER_MS), ("max_batch_size", "65536")];
    let config = config(&dir.join("spool"), "http://127.0.0.1:9/", &settings);
    let client = BatchTraceProcessor::with_exporter(config, busy.clone()).unwrap();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0.. {
                if is_over.load(Acquire) {
                    return;
                }
                client.enqueue_as("free", item(n).as_bytes()).unwrap();
                thread::yield_now();
            }
        });
        let early = (0..20).filter(|n| {
            busy.0.store(true, Release);
            client.enqueue_as("busy", item(*n).as_bytes()).unwrap();
            let first = client.flush(Duration::from_millis(100));
            busy.0.store(false, Release);
            client.flush(PATIENCE).unwrap();
            !first.is_err_and(|error| error.kind() == ErrorKind::Timeout)
        });
        let early = early.count();
        is_over.store(true, Release);
        assert_eq!(early, 0, "flushes ended before an item was settled");
    });
    client.flush(PATIENCE).unwrap();
    let stats = client.stats().unwrap();
    assert_ledger(&stats);
    assert_eq!((stats.pending, stats.rejected), (0, 0));
}
