//! The list of traces takes no more memory than it may, and what is left out for that is said.

use serde_json::Value;
use testkit::TempDir;
use testkit::client::open_offline;

use crate::cli::view::{Viewer, agents_trace};

/// The most memory for the list, in MiB.
const MOST_MIB: usize = 112;
/// The texts of these traces alone are twice that: of each its id and its name are kept, cut to 256 characters.
const TRACES: usize = 2 * (MOST_MIB << 20) / (2 * 256 * '𝕩'.len_utf8());

/// An item that takes as much memory in the list as can be.
fn large(n: usize) -> String {
    let text = format!("<{n}> {}", "𝕩".repeat(256));
    agents_trace(&text, &text)
}

/// Counts in what is said: "12,345 older items left out" is 12,345.
fn counts(note: &Value) -> usize {
    let parts = note.as_str().unwrap_or_default().split("; ");
    let left_out = parts.filter(|part| part.contains("left out: the list takes all the memory that it may"));
    left_out.map(|part| part.split(' ').next().unwrap().replace(',', "").parse::<usize>().unwrap()).sum()
}

#[test]
fn older_traces_are_left_out_when_the_list_takes_all_the_memory_that_it_may() {
    let dir = TempDir::new("view-limit");
    let spool = dir.join("spool");
    let client = open_offline(&spool, &[]);
    (0..TRACES).for_each(|n| client.enqueue(large(n).as_bytes()).unwrap());
    let viewer = Viewer::of(&spool);
    let is_listed = |n: usize| viewer.json(&format!("api/traces?limit=1&q=%3C{n}%3E"))["total"] == 1;
    let total = || viewer.json("api/traces?limit=1")["total"].as_u64().unwrap() as usize;

    let note = &viewer.loaded()["loading"]["note"];
    let listed = total();
    assert!((TRACES / 4..TRACES * 3 / 5).contains(&listed), "{listed} of {TRACES}");
    assert_eq!(counts(note), TRACES - listed, "{note}");
    assert!(note.as_str().unwrap().contains("older items left out"), "{note}");
    for (n, of_the_newest) in
        [(TRACES - 1, true), (TRACES - listed / 3, true), (TRACES / 8, false), (0, false)]
    {
        assert_eq!(is_listed(n), of_the_newest, "{n} of {TRACES}");
    }

    // The oldest make room for what is new.
    client.enqueue(large(TRACES).as_bytes()).unwrap();
    testkit::wait::eventually("the new one is listed", || is_listed(TRACES));
    testkit::wait::eventually("the oldest are forgotten, and that is said", || {
        let note = viewer.json("api/now")["loading"]["note"].clone();
        total() < listed && counts(&note) == TRACES + 1 - total()
    });
    assert!(is_listed(TRACES), "the new one is still listed");
    drop(client);
}
