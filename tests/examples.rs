//! The examples do what they show.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;
#[path = "../src/bin/spanspool/ingest.rs"]
mod ingest;

use std::path::{Path, PathBuf};

use common::{TempDir, caller, compile_c, have, lib_dir, root, succeed, tool};
use ingest::{Answer, Ingest, items_of};

#[test]
fn c_quickstart_delivers_its_item() {
    if !have(&tool("CC", "cc"), "--version", "c_quickstart_delivers_its_item") {
        return;
    }
    let dir = TempDir::new("quickstart");
    let program = compile_c("examples/c/quickstart.c", dir.path());
    let ingest = Ingest::start(|_| Answer::status(200)).unwrap();
    let run = |endpoint: &str| {
        let mut command = caller(&program);
        command.arg(dir.join("spool")).arg(endpoint);
        command
    };

    let output = succeed(&mut run(&ingest.url()));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let items: Vec<String> = ingest.requests().iter().flat_map(items_of).collect();
    assert_eq!(items.len(), 1);
    assert!(items[0].contains(r#""workflow_name":"quickstart""#), "{items:?}");

    let output = run("not a url").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.starts_with("cannot open the spool: ") && text.contains("'not a url'"), "{text}");
}

#[test]
fn rust_quickstart_delivers_its_trace_and_spans() {
    let dir = TempDir::new("quickstart-rust");
    let ingest = Ingest::start(|_| Answer::status(200)).unwrap();
    let program = example("quickstart");
    let run = |endpoint: &str| {
        let mut command = caller(&program);
        command.arg(dir.join("spool")).arg(endpoint);
        command
    };

    let output = succeed(&mut run(&ingest.url()));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let items: Vec<String> = ingest.requests().iter().flat_map(items_of).collect();
    let [trace, call, agent] = &items[..] else { panic!("{items:?}") };
    assert!(trace.contains(r#""workflow_name":"quickstart""#), "{trace}");
    assert!(call.contains(r#""name":"lookup","input":null,"output":"42""#), "{call}");
    let agent: spanspool::Span = serde_json::from_str(agent).unwrap();
    assert!(call.contains(&format!(r#""parent_id":"{}""#, agent.id)), "{call}");

    let output = run("not a url").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("'not a url'"), "{text}");
}

/// A Rust example as `cargo test` built it. With `--test examples` alone it is built by `cargo build --examples`.
fn example(name: &str) -> PathBuf {
    let program = lib_dir().with_file_name("examples").join(name);
    let built = |path: &Path| path.metadata().unwrap().modified().unwrap();
    let source = root().join(format!("examples/rust/{name}.rs"));
    assert!(
        program.exists() && built(&program) >= built(&source),
        "{} is not up to date: run `cargo build --examples`",
        program.display()
    );
    program
}
