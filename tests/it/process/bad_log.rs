//! A log function of the host's that does what it must not.

use testkit::{TempDir, caller, compile_c, succeed};

#[test]
fn a_log_function_that_never_returns_keeps_no_call_and_no_child() {
    let dir = TempDir::new("bad-log");
    let program = compile_c("tests/c/stuck_log.c", dir.path());
    succeed(caller(program).arg(dir.join("spool")));
}

#[test]
fn a_log_function_that_forks_in_a_childs_first_call_keeps_nobody() {
    let dir = TempDir::new("bad-log-fork");
    let program = compile_c("tests/c/fork_in_log.c", dir.path());
    succeed(caller(program).arg(dir.join("spool")));
}
