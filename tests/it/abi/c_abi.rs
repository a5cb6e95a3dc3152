//! C programs against the header and the shared library: every argument a C caller can get wrong.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use spanspool::SpoolView;
use testkit::ingest::{Answer, Ingest, items_of};
use testkit::{TempDir, caller, compile_c, have, is_instrumented, succeed, tool};

/// Compiles `tests/c/<name>.c` and runs it; it must be content and silent on standard error.
fn run_c(name: &str, dir: &TempDir, arguments: &[&Path]) {
    if !have(&tool("CC", "cc"), "--version", name) {
        return;
    }
    let program = compile_c(&format!("tests/c/{name}.c"), dir.path());
    let output = succeed(caller(program).args(arguments));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "the library never prints");
}

#[test]
fn arguments_that_are_not_allowed_are_refused() {
    let dir = TempDir::new("c-arguments");
    run_c("arguments", &dir, &[&dir.join("spool")]);
}

#[test]
fn settings_that_are_not_allowed_are_named() {
    let dir = TempDir::new("c-settings");
    run_c("settings", &dir, &[dir.path()]);
}

#[test]
fn lifecycle_is_safe_in_any_order() {
    let dir = TempDir::new("c-lifecycle");
    run_c("lifecycle", &dir, &[dir.path()]);
}

#[test]
fn last_error_says_what_was_wrong_where_and_to_whom() {
    let dir = TempDir::new("c-last-error");
    let tool = is_instrumented().then_some(Path::new("sanitizer"));
    run_c("last_error", &dir, &[&[dir.path()], tool.as_slice()].concat());
}

#[test]
fn log_function_is_not_called_late() {
    if cfg!(target_os = "linux") {
        let dir = TempDir::new("c-late-log");
        run_c("late_log", &dir, &[dir.path()]);
    }
}

#[test]
fn batches_that_wait_for_their_key_are_counted() {
    let dir = TempDir::new("c-held");
    let ingest = Ingest::start(|_| Answer::status(200)).unwrap();
    let spool = dir.join("spool");
    run_c("held", &dir, &[&spool, Path::new(&ingest.url())]);
    if spool.exists() {
        let held: Vec<u64> = SpoolView::open(&spool)
            .unwrap()
            .lanes()
            .unwrap()
            .iter()
            .map(|lane| lane.stats.held_batches)
            .collect();
        assert_eq!(held, [1]);
    }
}

#[test]
fn accepted_items_arrive_byte_for_byte_and_others_are_refused() {
    let dir = TempDir::new("c-items");
    let ingest = Ingest::start(|_| Answer::status(200)).unwrap();
    let accepted = dir.join("accepted");
    let (spool, other) = (dir.join("spool"), dir.join("other"));
    run_c("items", &dir, &[&spool, &other, Path::new(&ingest.url()), &accepted]);
    if !accepted.exists() {
        return;
    }
    let arrived: Vec<String> = ingest.requests().iter().flat_map(items_of).collect();
    let accepted = fs::read_to_string(accepted).unwrap();
    // RawValue leaves out the blanks round an item.
    let expected: Vec<&str> = accepted.split_terminator('\0').map(str::trim_ascii).collect();
    assert!(expected.len() > 10);
    assert_eq!(arrived.len(), expected.len());
    let differs = arrived.iter().zip(&expected).find(|(arrived, expected)| arrived != *expected);
    assert!(differs.is_none(), "arrived, expected: {:.400}", format!("{differs:?}"));
}

#[test]
fn a_panic_stays_inside_the_shipped_library() {
    if !cfg!(target_os = "linux") {
        return;
    }
    let dir = TempDir::new("c-panic");
    let ingest = Ingest::start(|_| Answer::status(200)).unwrap();
    let accepted = dir.join("accepted");
    run_c("panic", &dir, &[&dir.join("spool"), Path::new(&ingest.url()), &accepted]);
    let Ok(accepted) = fs::read_to_string(accepted) else { return };
    let id = |item: &String| {
        let item: serde_json::Value = serde_json::from_str(item).unwrap();
        item["id"].as_str().unwrap().to_owned()
    };
    let arrived: BTreeSet<String> =
        ingest.requests().iter().flat_map(items_of).map(|item| id(&item)).collect();
    let expected: BTreeSet<String> = accepted.lines().map(str::to_owned).collect();
    assert!(expected.len() > 40);
    assert_eq!(arrived, expected, "what got OK arrives, and nothing else does");
}
