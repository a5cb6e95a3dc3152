//! The demo holds what it promises, and leaves nothing behind unless it is asked to.

use std::fs;

use testkit::TempDir;
use testkit::cli::{Ended, run, spanspool};

/// Plays it with its temporary folder in `folder`, and with an environment that must not matter.
fn demo(folder: &TempDir, more: &[&str]) -> Ended {
    let mut command = spanspool(&[]);
    command.arg("demo").args(more).env("TMPDIR", folder.path());
    command.env("OPENAI_API_KEY", "sk-the-real-one").env("ALL_PROXY", "http://127.0.0.1:9");
    command.output().unwrap().into()
}

#[test]
fn every_acknowledged_item_survives_the_kill_and_arrives() {
    assert_nothing_lost(&[]);
}

#[test]
fn requests_of_otlp_do_as_well() {
    let ended = assert_nothing_lost(&["--otlp"]);
    assert!(ended.contains("/v1/traces, where nothing listens"), "{ended}");
}

fn assert_nothing_lost(more: &[&str]) -> String {
    let folder = TempDir::new("cli");
    let ended = demo(&folder, more).with(0);
    for act in ["1  OFFLINE", "2  KILL", "3  RESTART", "4  ONLINE", "5  VERDICT"] {
        assert!(ended.out.contains(act), "{}", ended.out);
    }
    assert!(ended.out.contains(" + pending 0 + rejected 0 + dropped 0\n"), "{}", ended.out);
    assert!(ended.out.contains("Nothing was lost"), "{}", ended.out);
    assert!(!ended.out.contains("FAILED") && !ended.out.contains('\x1b'), "{}", ended.out);
    assert!(!(ended.out.clone() + &ended.err).contains("sk-the-real-one"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    ended.out
}

#[test]
fn kept_the_spool_can_be_looked_at() {
    let folder = TempDir::new("cli");
    let ended = demo(&folder, &["--keep"]).with(0);
    let dir = fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    let dir = dir.to_str().unwrap();
    assert!(ended.out.contains(dir), "{}", ended.out);
    let status = run(&["status", "--json", "--spool-dir", dir]).with(0).json();
    assert!(status["accepted"].as_u64() >= Some(2000), "{status}");
    assert_eq!(status["accepted"], status["delivered"], "{status}");
}
