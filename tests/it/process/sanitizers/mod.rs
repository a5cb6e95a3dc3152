//! AddressSanitizer and ThreadSanitizer find nothing in the library while the tests of its C interface, of forks and of
//! exits run against it; and they are in it: a host that breaks the rules is reported from inside the library.
//!
//! The library and Rust's standard library are built again for each, into `target/sanitizers`; the C programs are built
//! with the same sanitizer and linked to the compiler's own runtime of it.

mod instrumented;

use std::env;
use std::process::Command;

use instrumented::{Instrumented, Sanitizer};
use testkit::{TempDir, caller, succeed};

#[test]
#[ignore = "builds the standard library twice, minutes of work: cargo test --test it sanitizers -- --ignored"]
fn address_sanitizer_finds_nothing_but_what_a_bad_host_does() {
    let Some(instrumented) = Instrumented::build(Sanitizer::Address, "the AddressSanitizer test") else {
        return;
    };
    is_in(&instrumented, "overflow", "heap-buffer-overflow");
    is_in(&instrumented, "freed", "heap-use-after-free");
    finds_nothing(&instrumented, &["abi::c_abi::", "process::fork::", "process::exit::"]);
}

#[test]
#[ignore = "builds the standard library twice, minutes of work: cargo test --test it sanitizers -- --ignored"]
fn thread_sanitizer_finds_nothing_but_what_a_bad_host_does() {
    let Some(instrumented) = Instrumented::build(Sanitizer::Thread, "the ThreadSanitizer test") else {
        return;
    };
    is_in(&instrumented, "race", "data race");
    // Its program has a pthread_create of its own, in whose place ThreadSanitizer needs to be.
    let skipped = ["--skip", "log_function_is_not_called_late"];
    let tests = ["abi::c_abi::", "process::fork::", "process::exit::", "process::long::prefork::"];
    finds_nothing(&instrumented, &[&tests[..], &skipped].concat());
}

/// What tests/c/bad_host.c does in the way `way` is reported as `what`, with a frame inside the library; and of the
/// same program when it does no wrong nothing is reported.
fn is_in(instrumented: &Instrumented, way: &str, what: &str) {
    let dir = TempDir::new("sanitizer-bad-host");
    let program = instrumented.build.compile_c("tests/c/bad_host.c", dir.path());
    let run = |way: &str| {
        let (spool, reports) = (dir.join(&format!("{way}-spool")), dir.join(&format!("{way}-reports")));
        let mut command = caller(&program);
        command.env("LD_LIBRARY_PATH", &instrumented.build.lib_dir).arg(way).arg(spool);
        instrumented.watch(&mut command, &reports);
        let status = command.status().unwrap();
        (status, instrumented.reports(&reports).0)
    };
    let (status, reports) = run("none");
    assert!(status.success() && reports.is_empty(), "{status}: {}", reports.concat());
    let (_, reports) = run(way);
    let found = |report: &String| {
        report.contains(what) && report.contains("libspanspool.so: ") && report.contains("spanspool_enqueue")
    };
    assert!(reports.iter().any(found), "{way}: no {what} inside the library in: {}", reports.concat());
}

/// The tests below `tests` pass with the instrumented library, and no process of theirs reports anything.
fn finds_nothing(instrumented: &Instrumented, tests: &[&str]) {
    let dir = TempDir::new("sanitizer");
    let reports = dir.join("reports");
    let mut command = Command::new(env::current_exe().unwrap());
    command.current_dir(testkit::root()).args(tests);
    instrumented.build.hand_to(&mut command);
    instrumented.watch(&mut command, &reports);
    let output = succeed(&mut command);
    let passed = String::from_utf8_lossy(&output.stdout).matches("... ok\n").count();
    let (left, suppressed) = instrumented.reports(&reports);
    println!("{passed} tests, {} reports, {suppressed} suppressed", left.len());
    assert!(passed >= 20, "{passed} tests passed: what ran?");
    assert!(left.is_empty(), "{} reports:\n{}", left.len(), left.concat());
}
