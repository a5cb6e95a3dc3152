//! Fleet: the example of many hosts, a Collector and Kafka, and whether it would see a loss.

use std::process::Output;

use testkit::run::{LONG, output_within};
use testkit::{TempDir, caller, have, root};

use super::collector::{free_port, is_asked_for};
use crate::abi::long::go::{have_go, have_modules};

/// Runs the example for 20 seconds with 4 hosts.
fn run(wait_for_result: &str) -> Output {
    let dir = TempDir::new("fleet");
    let mut run = caller(root().join("examples/fleet/run"));
    run.args(["4", "20"]).env("TMPDIR", dir.path()).env("WAIT_FOR_RESULT", wait_for_result);
    run.env("OTLP_PORT", free_port().to_string()).env("KAFKA_PORT", free_port().to_string());
    output_within(LONG, &mut run, "examples/fleet/run")
}

#[test]
#[ignore = "needs a Collector: `just collector`"]
fn a_fleet_loses_no_span_unless_the_collector_answers_too_early() {
    let test = "a_fleet_loses_no_span_unless_the_collector_answers_too_early";
    let tools = [("java", "-version"), ("mvn", "--version"), ("python3", "--version")];
    if !is_asked_for(test)
        || !have_go(test)
        || !have_modules("examples/fleet/collector", test)
        || !tools.iter().all(|(tool, flag)| have(tool, flag, test))
    {
        return;
    }
    for (wait_for_result, status) in [("true", 0), ("false", 1)] {
        let output = run(wait_for_result);
        let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        assert_eq!(output.status.code(), Some(status), "{}{}", said[0], said[1]);
        // A status of 1 could be anything that went wrong.
        let none_missing = said[0].contains(" arrived, 0 missing\n");
        assert!(said[0].contains(" missing\n"), "{}", said[0]);
        assert_eq!(none_missing, status == 0, "{}", said[0]);
    }
}
