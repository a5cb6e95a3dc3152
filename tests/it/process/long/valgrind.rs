//! Valgrind finds nothing in the calls of the C interface and in the ways to fork and to exit: no invalid access, no
//! use of what was never written.
//!
//! Leaks are not looked for: a child of `fork` abandons what was its parent's by design. Nor are races, by helgrind:
//! it knows the locks of pthread only, and takes every use of the standard library's for a race; `sanitizers`
//! looks for them.

use std::path::Path;
use std::process::Command;

use testkit::host::{Host, accepting, assert_each_once, settings, wait_for_items};
use testkit::{TempDir, caller, compile_c, have, root, succeed};

/// What valgrind ends with when it found something.
const FOUND: &str = "--error-exitcode=99";

fn memcheck(program: &Path) -> Command {
    let mut command = caller("valgrind");
    command.args([FOUND, "--quiet", "--fair-sched=yes", "--leak-check=no", "--trace-children=no"]);
    command.arg(format!("--suppressions={}", root().join("tests/it/process/long/valgrind.supp").display()));
    // A child is checked too, and its exit code tells; what it would say goes amiss between the parent's lines.
    command.arg("--child-silent-after-fork=yes").arg(program);
    command
}

#[test]
#[ignore = "needs minutes and another toolchain: `just callers`"]
fn forks_are_clean() {
    if !have("valgrind", "--version", "forks_are_clean") {
        return;
    }
    let (dir, ingest) = (TempDir::new("valgrind-fork"), accepting());
    let (program, spool) = (Host::compile(&dir), dir.join("spool"));
    let more = ["journal_bytes=192KiB"];
    let mut host = Host::run(memcheck(&program).args(settings(&spool, &ingest.url(), &more)));
    assert_eq!(host.line(), "ready");
    assert_eq!(host.ask("enqueue parent 100 100"), "0 100");
    assert_eq!(host.ask("fork enqueue child 10; flush 60000; free"), "0 10");
    assert_eq!((host.line(), host.line(), host.line()), ("0".into(), "0".into(), "0".into()));
    assert_eq!(host.ask("fork free"), "0");
    assert_eq!(host.line(), "0");
    assert_eq!(host.ask("nest 2 generation"), "0");
    // Now with segments in the parent.
    assert_eq!(host.ask("enqueue more 300 1000"), "0 300");
    assert_eq!(host.ask("fork enqueue late 10; flush 60000"), "0 10");
    assert_eq!((host.line(), host.line()), ("0".into(), "0".into()));
    assert_eq!(host.ask("flush 60000"), "0");
    let expected =
        [("parent", 100), ("child", 10), ("generation1", 1), ("generation2", 1), ("more", 300), ("late", 10)];
    assert_each_once(&ingest, &expected);
    assert_eq!(host.ask("free"), "0");
    host.end();
}

#[test]
#[ignore = "needs minutes and another toolchain: `just callers`"]
fn exits_are_clean() {
    if !have("valgrind", "--version", "exits_are_clean") {
        return;
    }
    let dir = TempDir::new("valgrind-exit");
    let program = compile_c("tests/c/exit.c", dir.path());
    for way in ["exit", "_exit", "return"] {
        let ingest = accepting();
        let (spool, counters) = (dir.join(&format!("{way}-spool")), dir.join(&format!("{way}-counters")));
        let mut command = memcheck(&program);
        command.arg(way).arg(&counters).args(settings(&spool, &ingest.url(), &["schedule_delay_ms=1"]));
        let mut host = Host::run(&mut command);
        wait_for_items(&ingest, 100);
        host.tell("");
        host.end();
    }
}

/// Runs `tests/c/<name>.c`, which checks itself.
fn is_clean(name: &str, dir: &TempDir, arguments: &[String]) {
    let program = compile_c(&format!("tests/c/{name}.c"), dir.path());
    succeed(memcheck(&program).args(arguments));
}

#[test]
#[ignore = "needs minutes and another toolchain: `just callers`"]
fn calls_are_clean() {
    if !have("valgrind", "--version", "calls_are_clean") {
        return;
    }
    let (dir, ingest) = (TempDir::new("valgrind-calls"), accepting());
    let path = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    is_clean("arguments", &dir, &[path("arguments-spool")]);
    is_clean("settings", &dir, &[path("")]);
    is_clean("lifecycle", &dir, &[path("")]);
    is_clean("last_error", &dir, &[path("last-error"), "valgrind".into()]);
    is_clean("items", &dir, &[path("spool"), path("other-spool"), ingest.url(), path("accepted")]);
    is_clean("fork_console", &dir, &[path("console-spool")]);
    let more = ["journal_bytes=192KiB"];
    is_clean("environment", &dir, &settings(&dir.join("environment-spool"), &ingest.url(), &more));
}
