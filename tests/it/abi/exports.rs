//! What leaves the shared library: the functions of the header, as reviewed in `capi/exports.txt`, and nothing else.

use std::fs;
use std::process::Command;

use testkit::{have, lib_dir, root, succeed, tool};

/// The reviewed list.
fn reviewed() -> Vec<String> {
    let list = fs::read_to_string(root().join("capi/exports.txt")).unwrap();
    list.lines().map(str::to_owned).collect()
}

#[test]
fn shared_library_exports_the_reviewed_list_and_nothing_else() {
    if !have("nm", "--version", "shared_library_exports_the_reviewed_list_and_nothing_else") {
        return;
    }
    let mut nm = Command::new("nm");
    nm.args(["--dynamic", "--defined-only", "--format=posix"]).arg(lib_dir().join("libspanspool.so"));
    let text = String::from_utf8(succeed(&mut nm).stdout).unwrap();
    let mut exported: Vec<&str> = text.lines().map(|line| line.split(' ').next().unwrap()).collect();
    exported.sort_unstable();
    assert_eq!(exported, reviewed(), "libspanspool.so exports this, capi/exports.txt allows that");
}

#[test]
fn header_declares_the_reviewed_list() {
    let header = fs::read_to_string(root().join("include/spanspool.h")).unwrap();
    let (_, functions) = header.split_once("extern \"C\" {").unwrap();
    // A declaration begins its line; comments and parameters do not.
    let declared = functions.lines().filter(|line| line.starts_with(|c: char| c.is_alphabetic()));
    let name = |line: &str| line.split_once('(').unwrap().0.rsplit([' ', '*']).next().unwrap().to_owned();
    let mut declared: Vec<String> = declared.map(name).collect();
    declared.sort_unstable();
    assert_eq!(declared, reviewed(), "include/spanspool.h declares this, capi/exports.txt allows that");
}

#[test]
fn what_only_the_program_needs_is_not_in_the_library() {
    let mut tree = Command::new(tool("CARGO", "cargo"));
    tree.args(["tree", "--offline", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}"]);
    tree.args(["--package", "spanspool-capi"]).current_dir(root());
    let library = String::from_utf8(succeed(&mut tree).stdout).unwrap();
    assert!(library.contains("ureq "), "{library}");
    for only_program in ["oxhttp ", "clap ", "indicatif "] {
        assert!(!library.contains(only_program), "{only_program} in {library}");
    }
    let bytes = fs::read(lib_dir().join("libspanspool.so")).unwrap();
    for text in ["default-src 'none'", "<!doctype html>"] {
        assert!(!bytes.windows(text.len()).any(|it| it == text.as_bytes()), "{text}");
    }
}
