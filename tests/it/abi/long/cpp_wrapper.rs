//! The C++ header: `tests/cpp/wrapper.cpp` looks at every promise of it, with each compiler that is there.

use std::collections::BTreeSet;

use testkit::ingest::{Answer, Ingest, items_of};
use testkit::{TempDir, caller, compile_cpp_with, have, succeed, tool};

fn wrapper_keeps_its_promises(compiler: &str) {
    let dir = TempDir::new("cpp-wrapper");
    let program = compile_cpp_with(compiler, "tests/cpp/wrapper.cpp", dir.path());
    let ingest = Ingest::start(|_| Answer::status(200)).unwrap();
    let output = succeed(caller(program).arg(dir.path()).arg(ingest.url()));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let arrived: Vec<String> = ingest.requests().iter().flat_map(items_of).collect();
    assert_eq!((arrived.len(), arrived.iter().collect::<BTreeSet<_>>().len()), (400, 400));
}

#[test]
#[ignore = "needs minutes and another toolchain: `just callers`"]
fn with_the_system_compiler() {
    let compiler = tool("CXX", "c++");
    if have(&compiler, "--version", "with_the_system_compiler") {
        wrapper_keeps_its_promises(&compiler);
    }
}

#[test]
#[ignore = "needs minutes and another toolchain: `just callers`"]
fn with_clang() {
    if have("clang++", "--version", "with_clang") {
        wrapper_keeps_its_promises("clang++");
    }
}
