//! Items of several keys, which change places when they move into a segment.

use std::time::{Duration, Instant};

use testkit::TempDir;
use testkit::client::{PATIENT, open_offline};

use crate::cli::view::{Viewer, agents_span};

const KEYS: [&str; 3] = ["a", "b", "c"];
/// As long as the viewer takes to look several times.
const TIME: Duration = Duration::from_secs(6);

#[test]
fn each_item_is_counted_once_while_items_of_several_keys_move_into_segments() {
    let dir = TempDir::new("view-keys");
    let spool = dir.join("spool");
    let client = open_offline(&spool, &[("journal_bytes", "256 KiB"), PATIENT]);
    let viewer = Viewer::of(&spool);
    viewer.loaded();
    let begun = Instant::now();
    let mut count = 0;
    while begun.elapsed() < TIME || count % KEYS.len() != 0 {
        // A trace is of one key, as a run of an agent is.
        let of = count % KEYS.len();
        let item = agents_span(&format!("trace_{of}"), &count.to_string(), None, 1);
        client.enqueue_as(KEYS[of], item.as_bytes()).unwrap();
        count += 1;
        if count % 100 == 0 {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    let spans = |traces: &[serde_json::Value]| -> Vec<usize> {
        traces.iter().map(|trace| trace["spans"].as_u64().unwrap() as usize).collect()
    };
    let seen = viewer.traces_when("all are read", |traces| {
        println!("{count}: {:?} {}", spans(traces), viewer.json("api/now")["loading"]);
        spans(traces).iter().sum::<usize>() >= count
    });
    assert_eq!(spans(&seen), [count / KEYS.len(); KEYS.len()]);
}
