//! The examples do what they show.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;
#[path = "../src/bin/spanspool/ingest.rs"]
mod ingest;

use common::{TempDir, caller, compile_c, have, succeed, tool};
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
