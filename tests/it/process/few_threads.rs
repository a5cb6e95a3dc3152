//! A client that can't start its threads: `init` fails and leaves nothing behind.

use testkit::{TempDir, caller, compile_c, succeed};

#[test]
fn init_that_can_not_start_a_thread_leaves_no_thread_and_no_lock() {
    let dir = TempDir::new("few_threads");
    let program = compile_c("tests/c/few_threads.c", dir.path());
    succeed(caller(program).arg(dir.join("spool")));
}
