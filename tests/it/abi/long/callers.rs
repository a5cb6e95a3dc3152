//! The library from other languages, one small program each: what it enqueues arrives.

use std::process::Command;

use testkit::ingest::{Answer, Ingest, items_of};
use testkit::{TempDir, caller, compile_cpp, have, lib_dir, root, succeed, tool};

/// Runs `program` with a spool folder and an endpoint; the one item `expected` must arrive.
fn delivers(program: &mut Command, dir: &TempDir, expected: &str) {
    let ingest = Ingest::start(|_| Answer::status(200)).unwrap();
    let output = succeed(program.arg(dir.join("spool")).arg(ingest.url()));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(ingest.requests().iter().flat_map(items_of).collect::<Vec<_>>(), [expected]);
}

#[test]
fn cpp() {
    if have(&tool("CXX", "c++"), "--version", "cpp") {
        let dir = TempDir::new("cpp");
        let program = compile_cpp("tests/cpp/smoke.cpp", dir.path());
        delivers(&mut caller(program), &dir, r#"{"object":"trace","id":"trace_cpp"}"#);
    }
}

#[test]
fn python() {
    if have("python3", "--version", "python") {
        let dir = TempDir::new("python");
        let mut program = caller("python3");
        program.arg(root().join("tests/python/smoke.py")).arg(lib_dir().join("libspanspool.so"));
        delivers(&mut program, &dir, r#"{"object":"trace","id":"trace_python"}"#);
    }
}
