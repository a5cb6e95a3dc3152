//! The ports of the scripted ingest: one that has ended leaves its own to no other process that runs.

use std::env;

use testkit::ingest::{Answer, Ingest};

use crate::delivery::exporter::in_child;

#[test]
fn no_two_processes_that_run_take_the_same_port() {
    const TAKEN: &str = "SPANSPOOL_TEST_PORTS";
    let port = || Ingest::start(|_| Answer::status(200)).unwrap().port().to_string();
    // Those are free again, all of them.
    let ports: Vec<String> = (0..10).map(|_| port()).collect();
    if in_child(&[(TAKEN, &ports.join(" "))]) {
        let taken = env::var(TAKEN).unwrap();
        // As many as there are: it would come upon them.
        let own = (0..12_000).map(|_| port());
        let both: Vec<String> = own.filter(|own| taken.split(' ').any(|port| port == own)).collect();
        assert!(both.is_empty(), "{both:?}");
    }
}
