//! The trial against a pretended ingest, by table.

#![allow(clippy::single_range_in_vec_init, reason = "the parts of a batch are ranges, often one")]
#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use super::{Next, Trial};
use crate::batch::Batch;
use crate::delivery::job::{Job, Refusal};
use crate::export::Answer;
use crate::spool::StoredBatch;

/// What the ingest does with a request of items of these numbers, after so many holds.
type Ingest = fn(items: Range<u64>, holds: usize) -> Option<Refusal>;

struct Case {
    name: &'static str,
    /// The batches: first in hand, later when a confirming one is asked for.
    first: &'static [Range<u64>],
    later: &'static [Range<u64>],
    ingest: Ingest,
    /// `+`: accepted, `-`: refused, `hold`, `settled delivered/bad`.
    expected: &'static str,
}

fn job(items: Range<u64>) -> Job {
    let mut batch = Batch::new("lane", items.start, "");
    items.for_each(|n| batch.push(format!("{{\"n\":{n}}}").as_bytes()));
    Job::new(Arc::new(StoredBatch { batch, bytes_before: 0, newest_unix_ms: 0, oldest_unix_ms: 0 }))
}

/// Runs the trial until it is done, or held more than three times.
fn run(case: &Case) -> String {
    let mut later: VecDeque<Job> = case.later.iter().cloned().map(job).collect();
    let mut trial = Trial::new(case.first.iter().cloned().map(job));
    let (mut events, mut holds) = (Vec::new(), 0);
    while holds <= 3 {
        let must_hold = match trial.next(false) {
            Next::Send(job) => {
                let (first, len) = (job.part().first(), job.part().len() as u64);
                let refusal = (case.ingest)(first..first + len, holds);
                let sign = if refusal.is_some() { '-' } else { '+' };
                events.push(format!("{sign}{first}..{}", first + len));
                match refusal {
                    None => job.accepted(),
                    Some(refusal) => job.refused(refusal, Answer { status: 400, body: Vec::new() }),
                }
                false
            }
            Next::Settle(job) => {
                events.push(format!("settled {}/{}", job.delivered, job.bad_items.len()));
                false
            }
            Next::Confirm => match later.pop_front() {
                Some(job) => {
                    trial.add(job);
                    false
                }
                None => true,
            },
            Next::Hold => true,
            Next::Done => return events.join(" "),
        };
        if must_hold {
            events.push("hold".into());
            holds += 1;
            trial.begin_again();
        }
    }
    events.join(" ")
}

fn refuse(when: bool) -> Option<Refusal> {
    when.then_some(Refusal::Content)
}

const CASES: [Case; 11] = [
    Case {
        name: "all is well",
        first: &[0..4, 4..6],
        later: &[],
        ingest: |_, _| None,
        expected: "+0..4 settled 4/0 +4..6 settled 2/0",
    },
    Case {
        name: "one bad item is found by halving",
        first: &[0..4],
        later: &[],
        ingest: |items, _| refuse(items.contains(&1)),
        expected: "-0..4 -0..2 +0..1 -1..2 +2..4 settled 3/1",
    },
    Case {
        name: "bad items before good ones are unproven until something is accepted",
        first: &[0..2],
        later: &[2..3],
        ingest: |items, _| refuse(items.start < 2),
        expected: "-0..2 -0..1 -1..2 +2..3 settled 1/0 settled 0/2",
    },
    Case {
        name: "after a confirming batch the next batches are not doubted",
        first: &[0..1, 1..2, 2..3, 3..4],
        later: &[],
        ingest: |items, _| refuse(items.start != 1),
        expected: "-0..1 +1..2 settled 1/0 -2..3 settled 0/1 -3..4 settled 0/1 settled 0/1",
    },
    Case {
        name: "a bad item alone waits for another batch",
        first: &[0..1],
        later: &[],
        ingest: |_, _| refuse(true),
        expected: "-0..1 hold -0..1 hold -0..1 hold -0..1 hold",
    },
    Case {
        name: "an endpoint that refuses everything costs one item of each of two batches after each hold, and one more batch",
        first: &[0..2],
        later: &[2..4, 4..5, 5..6],
        ingest: |_, _| refuse(true),
        expected: "-0..2 -0..1 -1..2 -2..4 -2..3 -3..4 hold \
                   -0..2 -0..1 -2..4 -2..3 -4..5 hold \
                   -0..2 -1..2 -2..4 -3..4 -5..6 hold \
                   -0..2 -0..1 -2..4 -2..3 hold",
    },
    Case {
        name: "when the endpoint relents all is delivered",
        first: &[0..2],
        later: &[2..4],
        ingest: |_, holds| refuse(holds == 0),
        expected: "-0..2 -0..1 -1..2 -2..4 -2..3 -3..4 hold +0..2 settled 2/0 +2..4 settled 2/0",
    },
    Case {
        name: "what was tried alone after a hold costs the others nothing",
        first: &[0..3, 3..4],
        later: &[],
        ingest: |items, holds| refuse(holds == 0 || items.contains(&0)),
        expected: "-0..3 -0..1 -1..3 -1..2 -2..3 -3..4 hold \
                   -0..3 -0..1 +3..4 settled 1/0 +1..3 settled 2/1",
    },
    Case {
        name: "bad items in a row are passed, one more batch with each hold",
        first: &[0..1],
        later: &[1..2, 2..3, 3..4],
        ingest: |items, _| refuse(items.start < 3),
        expected: "-0..1 -1..2 hold -0..1 -1..2 -2..3 hold -0..1 -1..2 +3..4 settled 1/0 \
                   -2..3 settled 0/1 settled 0/1 settled 0/1",
    },
    Case {
        name: "an item that is too large says nothing about the endpoint",
        first: &[0..2],
        later: &[],
        ingest: |_, _| Some(Refusal::Size),
        expected: "-0..2 -0..1 -1..2 settled 0/2",
    },
    Case {
        name: "an item too large next to a refused one leaves the batch unproven",
        first: &[0..2],
        later: &[2..3],
        ingest: |items, _| match items.start {
            0 => Some(Refusal::Size),
            1 => Some(Refusal::Content),
            _ => None,
        },
        expected: "-0..2 -0..1 -1..2 +2..3 settled 1/0 settled 0/2",
    },
];

#[test]
fn the_trial_asks_what_the_table_says() {
    for case in &CASES {
        assert_eq!(run(case), case.expected, "{}", case.name);
    }
}

#[test]
fn what_another_thread_delivers_proves_the_endpoint_too() {
    let mut trial = Trial::new([job(0..1)]);
    let Next::Send(sent) = trial.next(false) else { unreachable!() };
    sent.refused(Refusal::Content, Answer { status: 400, body: Vec::new() });
    assert!(matches!(trial.next(true), Next::Settle(settled) if settled.bad_items.len() == 1));
    assert!(matches!(trial.next(true), Next::Done));
}

#[test]
fn a_batch_that_was_given_up_is_settled_whatever_was_refused_of_it() {
    for give_up in [Job::drop_rest, Job::set_aside] {
        let mut trial = Trial::new([job(0..2)]);
        for _ in 0..2 {
            let Next::Send(sent) = trial.next(false) else { unreachable!() };
            sent.refused(Refusal::Content, Answer { status: 400, body: Vec::new() });
        }
        let Next::Send(sent) = trial.next(false) else { unreachable!() };
        give_up(sent);
        assert!(matches!(trial.next(false), Next::Settle(settled) if settled.bad_items.len() == 1));
        assert!(matches!(trial.next(false), Next::Done));
    }
}
