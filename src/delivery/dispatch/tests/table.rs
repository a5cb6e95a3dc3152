//! What the trial asks next, by table.

use std::ops::Range;

use super::{MAX, Sim, accepted, answer, refused};
use crate::export::Outcome;

struct Case {
    name: &'static str,
    batches: &'static [Range<u64>],
    /// What the ingest refuses, given the items and how many holds there were, about.
    refuses: fn(items: Range<u64>, minute: u64) -> Option<u16>,
    /// `+`: accepted, `-`: refused, `hold`, `settled delivered/bad`.
    expected: &'static str,
}

fn bad(when: bool) -> Option<u16> {
    when.then_some(400)
}

const CASES: [Case; 12] = [
    Case {
        name: "all is well",
        batches: &[0..4, 4..6],
        refuses: |_, _| None,
        expected: "+0..4 settled 4/0 +4..6 settled 2/0",
    },
    Case {
        name: "one bad item is found by halving",
        batches: &[0..4],
        refuses: |items, _| bad(items.contains(&1)),
        expected: "-0..4 -0..2 +0..1 -1..2 +2..4 settled 3/1",
    },
    Case {
        name: "bad items before good ones are unproven until something is accepted",
        batches: &[0..2, 2..3],
        refuses: |items, _| bad(items.start < 2),
        expected: "-0..2 -0..1 -1..2 +2..3 settled 0/2 settled 1/0",
    },
    Case {
        name: "after a confirming batch the next batches are not doubted before they are refused whole",
        batches: &[0..1, 1..2, 2..3, 3..4],
        refuses: |items, _| bad(items.start == 0 || items.start == 2),
        expected: "-0..1 +1..2 settled 0/1 settled 1/0 -2..3 +3..4 settled 0/1 settled 1/0",
    },
    Case {
        name: "a bad item alone waits for another batch",
        batches: &[0..1],
        refuses: |_, _| bad(true),
        expected: "-0..1 hold -0..1 hold -0..1 hold -0..1 hold",
    },
    Case {
        name: "an endpoint that refuses everything is asked for up to three batches and an item of each after each hold",
        batches: &[0..2, 2..4, 4..5, 5..7],
        refuses: |_, _| bad(true),
        expected: "-0..2 -0..1 -1..2 -2..4 -2..3 -3..4 hold \
                   -0..2 -0..1 -2..4 -2..3 -4..5 hold \
                   -0..2 -1..2 -4..5 -5..7 -5..6 hold \
                   -0..2 -0..1 -5..7 -6..7 hold",
    },
    Case {
        name: "when the endpoint relents all is delivered in order",
        batches: &[0..2, 2..4],
        refuses: |_, holds| bad(holds == 0),
        expected: "-0..2 -0..1 -1..2 -2..4 -2..3 -3..4 hold +0..2 settled 2/0 +2..4 settled 2/0",
    },
    Case {
        name: "what was tried alone after a hold costs the others nothing",
        batches: &[0..3, 3..4],
        refuses: |items, holds| bad(holds == 0 || items.contains(&0)),
        expected: "-0..3 -0..1 -1..3 -1..2 -2..3 -3..4 hold \
                   -0..3 -0..1 +3..4 settled 1/0 +1..3 settled 2/1",
    },
    Case {
        name: "bad items in a row are passed, one more batch with each hold",
        batches: &[0..1, 1..2, 2..3, 3..4],
        refuses: |items, _| bad(items.start < 3),
        expected: "-0..1 -1..2 hold -0..1 -1..2 -2..3 hold -0..1 -2..3 +3..4 settled 0/1 settled 0/1 settled 1/0 \
                   -1..2 settled 0/1",
    },
    Case {
        name: "an item that is larger than all that was accepted is too large",
        batches: &[0..1, 1_000_000_000..1_000_000_002],
        refuses: |items, _| (items.start > 0).then_some(413),
        expected: "+0..1 settled 1/0 -1000000000..1000000002 -1000000000..1000000001 -1000000001..1000000002 \
                   settled 0/2",
    },
    Case {
        name: "an ingest that finds everything too large may be at fault",
        batches: &[0..1],
        refuses: |_, _| Some(413),
        expected: "-0..1 hold -0..1 hold -0..1 hold -0..1 hold",
    },
    Case {
        name: "an item too large next to a refused one leaves the batch unproven",
        batches: &[0..2, 2..3],
        refuses: |items, _| match items.start {
            0 => Some(413),
            1 => Some(400),
            _ => None,
        },
        expected: "-0..2 -0..1 -1..2 +2..3 settled 0/2 settled 1/0",
    },
];

#[test]
fn the_trial_asks_what_the_table_says() {
    let mut wrong = Vec::new();
    for case in &CASES {
        let mut sim = Sim::new(1, case.batches.iter().map(|items| (items.clone(), "")));
        sim.run(MAX * 7 / 2, &|request| {
            let holds = (request.time.as_secs_f64() / MAX.as_secs_f64()).floor() as u64;
            match (case.refuses)(request.items.clone(), holds) {
                None => accepted(),
                Some(413) => Outcome::TooLarge(answer(413)),
                Some(_) => refused(),
            }
        });
        if sim.events.join(" ") != case.expected {
            wrong.push(format!("{}:\n{}\nnot\n{}", case.name, sim.events.join(" "), case.expected));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
