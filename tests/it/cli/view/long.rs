//! A backlog as large as they come.

mod keys;
mod limit;
mod put_off;

use std::fs;
use std::time::Instant;

use testkit::TempDir;
use testkit::client::{PATIENT, open_offline};
use testkit::run::LONG;
use testkit::succeed;
use testkit::wait::until;

use super::Viewer;
use crate::cli::long::browser_tests;

const SPANS: u32 = 3_000_000;
const SPANS_PER_TRACE: u32 = 10;

/// What the process has had in memory at most, in MiB.
fn peak_mib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

#[test]
#[ignore = "makes a spool of 1 GiB: cargo test --release --test it -- --ignored --nocapture view::long"]
fn three_million_spans_take_little_memory_and_the_page_is_there_at_once() {
    let dir = TempDir::new("view-backlog");
    let spool = dir.join("spool");
    let client = open_offline(&spool, &[("max_spool_bytes", "4GiB"), PATIENT]);
    let mut bytes = 0;
    for n in 0..SPANS {
        let (trace, second) = (n / SPANS_PER_TRACE, n / 40_000);
        let parent =
            if n % SPANS_PER_TRACE == 0 { "null".to_owned() } else { format!("\"span_{:024x}\"", n - 1) };
        let item = format!(
            r#"{{"object":"trace.span","id":"span_{n:024x}","trace_id":"trace_{trace:032x}","parent_id":{parent},"started_at":"2026-11-22T10:{:02}:{:02}.{:06}+00:00","ended_at":"2026-11-22T11:00:00+00:00","span_data":{{"type":"function","name":"lookup {}","input":"{:x}","output":"the order is on its way"}},"error":null}}"#,
            second / 60,
            second % 60,
            n % 40_000 * 25,
            trace % 1000,
            u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15),
        );
        bytes += item.len();
        client.enqueue(item.as_bytes()).unwrap();
    }
    println!("{} MiB of items", bytes >> 20);
    assert!(bytes > 1 << 30);

    let begin = Instant::now();
    let viewer = Viewer::of(&spool);
    assert_eq!(viewer.get("").status, 200);
    let now = viewer.json("api/now");
    println!("{:?} until the lanes are there", begin.elapsed());
    let first = until(begin + LONG, "a page of traces", || {
        Some(viewer.traces("limit=200")).filter(|rows| rows.len() == 200)
    });
    println!("{:?} until a page of traces is there; loading: {}", begin.elapsed(), now["loading"]);
    let now = until(begin + LONG, "all is loaded", || {
        let now = viewer.json("api/now");
        (now["loading"]["done"] == true).then_some(now)
    });
    println!("{:?} until all is loaded: {}", begin.elapsed(), now["loading"]);
    assert_eq!(now["loading"]["items"], SPANS);
    assert_eq!(viewer.json("api/traces?limit=1")["total"], SPANS / SPANS_PER_TRACE);
    let timed = |what: &str, look: &dyn Fn()| {
        let begin = Instant::now();
        look();
        println!("{:?} for {what}", begin.elapsed());
    };
    timed("the last page of traces", &|| assert_eq!(viewer.traces("offset=299900").len(), 100));
    timed("a search", &|| {
        assert_eq!(viewer.json("api/traces?q=lookup+999")["total"], SPANS / SPANS_PER_TRACE / 1000)
    });
    timed("a trace of the journal", &|| assert_eq!(viewer.spans_of(&first[0]).len() as u32, SPANS_PER_TRACE));
    let oldest = viewer.traces("offset=299999").remove(0);
    timed("a trace of a segment", &|| assert_eq!(viewer.spans_of(&oldest).len() as u32, SPANS_PER_TRACE));
    timed("another span of it", &|| assert_eq!(viewer.span(&viewer.spans_of(&oldest)[3]).status, 200));
    let peak = peak_mib(viewer.host.pid());
    println!("{peak} MiB of memory at most");
    assert!(peak <= 200, "{peak} MiB");
    drop((viewer, client));
    let Some(mut tests) = browser_tests("a backlog in a browser", &dir) else { return };
    tests.args(["-s", "test_backlog.py"]).env("SPANSPOOL_BACKLOG", &spool);
    println!("{}", String::from_utf8_lossy(&succeed(&mut tests).stdout));
}
