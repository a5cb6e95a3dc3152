//! What waits for seconds that no condition can shorten.

use std::sync::atomic::AtomicU16;
use std::sync::atomic::Ordering::Relaxed;

use testkit::cli::run;
use testkit::ingest::{Answer, Ingest};

use super::spool_of;

#[test]
fn drain_ends_with_what_is_refused_and_nothing_proves() {
    let (_folder, dir) = spool_of("{\"id\":\"a\"}\n");
    static STATUS: AtomicU16 = AtomicU16::new(0);
    let ingest = Ingest::start(|_| Answer::status(STATUS.load(Relaxed))).unwrap();
    let endpoint = format!("endpoint={}", ingest.url());
    for (status, why) in [(400, "400"), (403, "403")] {
        STATUS.store(status, Relaxed);
        let ended = run(&["drain", "--spool-dir", &dir, "--set", &endpoint]).with(1);
        for part in ["1 pending: hold", why, "nothing can be delivered until that changes"] {
            assert!(ended.out.contains(part), "{part} in {}", ended.out);
        }
    }
    STATUS.store(200, Relaxed);
    run(&["drain", "--spool-dir", &dir, "--set", &endpoint]).with(0);
}
