//! An ingest that quotes the key anywhere in an answer: what is kept of the answer has no part of it.

use testkit::TempDir;
use testkit::client::{open, rejected};
use testkit::ingest::{Answer, Ingest, items_of};
use testkit::wait::PATIENCE;

const KEY: &str = "sk-QUOTED-0123456789ABCDEF";
/// So much of an answer is kept.
const KEPT_BYTES: usize = 4096;

#[test]
fn a_key_that_is_quoted_across_the_end_of_what_is_kept_is_blotted_out() {
    let dir = TempDir::new("quoted");
    let spool = dir.join("spool");
    // A lone item is refused with an answer that quotes the key at the offset that the item names.
    let ingest = Ingest::start(|request| {
        let items = items_of(request);
        let offset =
            |item: &String| item.strip_prefix(r#"{"offset":"#)?.strip_suffix('}')?.parse::<usize>().ok();
        match items.iter().filter_map(offset).collect::<Vec<_>>()[..] {
            [] => Answer::status(200),
            [offset] if items.len() == 1 => Answer::status(400).body(".".repeat(offset) + KEY + "..."),
            _ => Answer::status(400),
        }
    })
    .unwrap();
    let client = open(&spool, &ingest.url(), &[("api_key", KEY)]);
    let offsets = KEPT_BYTES - KEY.len() - 1..=KEPT_BYTES + 1;
    for offset in offsets.clone() {
        client.enqueue(format!(r#"{{"offset":{offset}}}"#).as_bytes()).unwrap();
        client.enqueue(br#"{"good":1}"#).unwrap();
    }
    client.flush(PATIENCE).unwrap();
    let rejected = rejected(&spool);
    assert_eq!(rejected.len(), offsets.count());
    for item in rejected {
        let answer = String::from_utf8(item.answer).unwrap();
        assert!(answer.len() >= KEPT_BYTES - 1 && answer.len() <= KEPT_BYTES, "{}", answer.len());
        // Not one letter of it: the rest is dots, and stars in its place.
        assert!(answer.chars().all(|c| c == '.' || c == '*'), "{}", &answer[KEPT_BYTES - 40..]);
    }
}
