//! Whatever the ingest answers, however many requests are in flight, in the client's own lane or in lanes of the dead, to
//! one key or one of two: nothing is lost, few requests are made while it lasts, others are not held up, and all goes on
//! when it is over, by itself.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use testkit::TempDir;
use testkit::client::{assert_ledger, item, lanes, number_of, open, open_offline, rejected};
use testkit::ingest::{Answer, Fault, Ingest, Request, items_of};
use testkit::wait::eventually;

use spanspool::{BatchTraceProcessor, RejectedItem, Stats};

/// Items for each key, in batches of four, also in each lane.
const ITEMS: u64 = 32;
const BATCHES: usize = 8;
/// Lanes of the dead, each with a part of the items.
const LANES: u64 = 4;
const MAX_DELAY: Duration = Duration::from_millis(200);
/// What the ingest asks for.
const RETRY_AFTER: Duration = Duration::from_secs(2);
/// An adopted lane that gets no further for longer than this gives way to another.
const GIVES_WAY_AFTER: Duration = Duration::from_millis(1200);
/// How long the ingest misbehaves.
const LASTS: Duration = Duration::from_millis(1000);
/// Requests that find a bad item in a batch: the batch, its halves, its items.
const HALVING: usize = 7;
/// Batches that are tested before the endpoint is held responsible.
const TESTED: usize = 2;
/// Requests of one probe when all is refused: three batches, and one item of each.
const ROUND: usize = 6;
/// Hundreds of lanes are made.
const SMALL: (&str, &str) = ("journal_bytes", "256 KiB");
const BAD: &str = "Bearer sk-bad";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Concerns {
    /// Everything that goes to the endpoint.
    Endpoint,
    /// Everything that goes to the endpoint, until it is too old.
    Obsolete,
    /// The key, which waits.
    Key,
    /// The key, which waits as long as it was told.
    ToldKey,
    /// The key, whose batches are set aside until it is set again.
    RefusedKey,
    /// The key, which nobody knows.
    UnknownKey,
    /// The items, if others are accepted.
    Items,
}

struct Case {
    name: &'static str,
    answer: fn() -> Answer,
    concerns: Concerns,
}

fn case(name: &'static str, concerns: Concerns, answer: fn() -> Answer) -> Case {
    Case { name, answer, concerns }
}

fn cases() -> Vec<Case> {
    use Concerns::{Endpoint, Items, Key, Obsolete, RefusedKey, ToldKey, UnknownKey};
    vec![
        case("400", Items, || Answer::status(400)),
        case("401", RefusedKey, || Answer::status(401)),
        case("403", RefusedKey, || Answer::status(403)),
        case("404", Endpoint, || Answer::status(404)),
        case("408", Endpoint, || Answer::status(408)),
        case("413", Items, || Answer::status(413)),
        case("429", Key, || Answer::status(429)),
        case("429 with Retry-After", ToldKey, || Answer::status(429).header("Retry-After", "2")),
        case("500", Endpoint, || Answer::status(500)),
        case("503", Endpoint, || Answer::status(503)),
        case("503 with Retry-After", ToldKey, || Answer::status(503).header("Retry-After", "2")),
        case("reset", Endpoint, || Answer::status(200).fault(Fault::ResetAfterRead)),
        case("hang", Endpoint, || Answer::status(200).fault(Fault::Hang(Duration::from_secs(3600)))),
        case("no key", UnknownKey, || Answer::status(200)),
        case("obsolete", Obsolete, || Answer::status(503)),
    ]
}

/// One square of the table.
#[derive(Clone, Copy)]
struct Cell<'a> {
    case: &'a Case,
    in_flight: usize,
    is_adopted: bool,
    two_keys: bool,
}

impl fmt::Display for Cell<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { case, in_flight, is_adopted, two_keys } = self;
        let (lane, keys) =
            (if *is_adopted { "adopted lanes" } else { "own lane" }, if *two_keys { 2 } else { 1 });
        write!(f, "{}, {in_flight} in flight, {lane}, keys: {keys}", case.name)
    }
}

impl Cell<'_> {
    fn concerns(&self) -> Concerns {
        self.case.concerns
    }

    fn others_go_on(&self) -> bool {
        self.two_keys && !matches!(self.concerns(), Concerns::Endpoint | Concerns::Obsolete)
    }

    /// Requests that may be under way at once.
    fn at_once(&self) -> usize {
        if self.is_adopted { self.in_flight + LANES as usize } else { self.in_flight }
    }

    /// Requests with the bad key that the client makes at most in `time`, whatever lanes they are of.
    fn most_requests(&self, time: Duration) -> usize {
        let lanes = if self.is_adopted { LANES as usize } else { 1 };
        let times = |every: Duration| (time.as_millis() / every.as_millis()) as usize + 1;
        // Of the client.
        let probes = times(MAX_DELAY);
        // An adopted lane begins again after it gave way to another.
        let begun = lanes * times(GIVES_WAY_AFTER);
        match self.concerns() {
            Concerns::UnknownKey => 0,
            // Each batch until it is done with, and again when it was not proven.
            Concerns::Items if self.two_keys => {
                2 * BATCHES * HALVING + 3 * self.at_once() + ROUND * probes + TESTED * HALVING * begun
            }
            Concerns::Items => 3 * self.at_once() + ROUND * probes + TESTED * HALVING * begun,
            // A key has a gate in each lane.
            Concerns::Key | Concerns::RefusedKey => 2 * self.at_once() + lanes * probes + begun,
            Concerns::ToldKey => self.at_once() + lanes * times(RETRY_AFTER) + begun,
            // Each that is accepted opens the gate.
            Concerns::Endpoint | Concerns::Obsolete if self.two_keys => {
                (BATCHES + 2) * self.at_once() + probes
            }
            Concerns::Endpoint | Concerns::Obsolete => 2 * self.at_once() + probes,
        }
    }
}

/// An ingest that answers what the bad key sends as its case says, until it is well.
struct Scripted {
    ingest: Ingest,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    is_well: bool,
    accepted: BTreeSet<u64>,
    /// Refused, each in a request of its own.
    refused_alone: BTreeSet<u64>,
}

impl Scripted {
    fn start(answer: fn() -> Answer) -> Self {
        let state: Arc<Mutex<State>> = Arc::default();
        let seen = state.clone();
        let ingest = Ingest::start(move |request| seen.lock().unwrap().answer(request, answer)).unwrap();
        Self { ingest, state }
    }

    fn get_well(&self) {
        self.state.lock().unwrap().is_well = true;
    }

    fn has_accepted(&self, mut numbers: Range<u64>) -> bool {
        let state = self.state.lock().unwrap();
        numbers.all(|n| state.accepted.contains(&n))
    }

    fn has_accepted_any(&self, from: u64) -> bool {
        self.state.lock().unwrap().accepted.range(from..).next().is_some()
    }

    fn has_refused_alone(&self, n: u64) -> bool {
        self.state.lock().unwrap().refused_alone.contains(&n)
    }

    /// Requests with the bad key.
    fn bad_requests(&self) -> usize {
        self.ingest.requests().iter().filter(|request| request.header("authorization") == Some(BAD)).count()
    }
}

impl State {
    fn answer(&mut self, request: &Request, answer: fn() -> Answer) -> Answer {
        let numbers: Vec<u64> = items_of(request).iter().map(|item| number_of(item)).collect();
        if self.is_well || request.header("authorization") != Some(BAD) {
            self.accepted.extend(numbers);
            return Answer::status(200);
        }
        if let [alone] = numbers[..] {
            self.refused_alone.insert(alone);
        }
        answer()
    }
}

fn enqueue_as(client: &BatchTraceProcessor, name: &str, numbers: Range<u64>) {
    numbers.for_each(|n| client.enqueue_as(name, item(n).as_bytes()).unwrap());
}

/// Hands over the items: to `client` itself, or to others that end before they sent any.
fn hand_over(cell: Cell, client: &BatchTraceProcessor, spool: &Path) {
    let enqueue = |client: &BatchTraceProcessor, part: Range<u64>| {
        enqueue_as(client, "bad", part.clone());
        if cell.two_keys {
            enqueue_as(client, "good", part.start + ITEMS..part.end + ITEMS);
        }
    };
    if !cell.is_adopted {
        return enqueue(client, 0..ITEMS);
    }
    // All at once: one would go on with the lane of another.
    let dying: Vec<_> = (0..LANES).map(|_| open_offline(spool, &[SMALL])).collect();
    let each = ITEMS / LANES;
    for (client, n) in dying.iter().zip(0..) {
        enqueue(client, n * each..(n + 1) * each);
    }
}

/// Waits until `condition` holds. So many cells wait at once that each looks only now and then.
fn in_time(what: &str, cell: Cell, mut condition: impl FnMut() -> bool) {
    eventually(&format!("{what}: {cell}"), || {
        thread::sleep(Duration::from_millis(20));
        condition()
    });
}

/// The counters of all lanes together.
fn sum(spool: &Path) -> Stats {
    let mut sum = Stats::default();
    for lane in lanes(spool) {
        let stats = lane.stats;
        sum.accepted += stats.accepted;
        sum.delivered += stats.delivered;
        sum.rejected += stats.rejected;
        sum.dropped_expired += stats.dropped_expired;
        sum.dropped_corrupt += stats.dropped_corrupt;
        sum.dropped_overflow += stats.dropped_overflow;
        sum.pending += stats.pending;
    }
    sum
}

fn number(rejected: &RejectedItem) -> u64 {
    number_of(std::str::from_utf8(&rejected.json).unwrap())
}

fn run(cell: Cell) {
    let dir = TempDir::in_memory("every-answer");
    let (spool, scripted) = (dir.join("spool"), Scripted::start(cell.case.answer));
    let in_flight = cell.in_flight.to_string();
    let mut settings = vec![
        ("max_in_flight", &*in_flight),
        ("max_batch_size", "4"),
        ("base_delay_ms", "100"),
        ("max_delay_ms", "200"),
        ("request_timeout_ms", "300"),
        ("adopt_interval_ms", "200"),
        SMALL,
    ];
    if cell.concerns() == Concerns::Obsolete {
        settings.push(("max_age_s", "1"));
    }
    let client = open(&spool, &scripted.ingest.url(), &settings);
    client.set_named_key("good", "sk-good").unwrap();
    if cell.concerns() != Concerns::UnknownKey {
        client.set_named_key("bad", "sk-bad").unwrap();
    }
    let start = Instant::now();
    hand_over(cell, &client, &spool);
    let items = if cell.two_keys { 2 * ITEMS } else { ITEMS };
    let deadline = start + LASTS;
    if cell.others_go_on() {
        in_time("others go on", cell, || scripted.has_accepted(ITEMS..items));
    }
    thread::sleep(deadline.saturating_duration_since(Instant::now()));
    if cell.concerns() == Concerns::Obsolete {
        let is_over = |sum: Stats| sum.delivered + sum.dropped_expired == items;
        in_time("all are too old", cell, || is_over(sum(&spool)));
    }
    let requests = scripted.bad_requests();
    let most = cell.most_requests(start.elapsed());
    assert!(requests <= most, "{requests} requests, not {most}: {cell}");
    assert_set_aside_before(cell, &rejected(&spool));

    scripted.get_well();
    if matches!(cell.concerns(), Concerns::RefusedKey | Concerns::UnknownKey) {
        client.set_named_key("bad", "sk-bad").unwrap();
    }
    assert_goes_on(cell, &client, &spool, &scripted, items);
}

/// Nothing is given up for an answer that may not be its fault.
fn assert_set_aside_before(cell: Cell, rejected: &[RejectedItem]) {
    let expected: &[(u16, &str)] = match cell.concerns() {
        Concerns::RefusedKey => &[(401, "key_refused:bad"), (403, "key_refused:bad")],
        Concerns::UnknownKey => &[(0, "no_key:bad")],
        Concerns::Items if cell.two_keys => &[(400, "refused"), (413, "too_large")],
        _ => &[],
    };
    for item in rejected {
        assert!(expected.contains(&(item.status, &item.reason)), "{item:?}: {cell}");
        assert!(number(item) < ITEMS, "another key's {item:?}: {cell}");
    }
}

/// The ingest is well: without being asked to, the client delivers what is left, and what comes again.
fn assert_goes_on(cell: Cell, client: &BatchTraceProcessor, spool: &Path, scripted: &Scripted, items: u64) {
    if cell.concerns() == Concerns::Obsolete {
        // On a slow machine one may be too old before it is sent.
        let mut fresh = 2 * ITEMS..;
        let arrives = || {
            fresh.next().is_some_and(|n| {
                enqueue_as(client, "bad", n..n + 1);
                scripted.has_accepted_any(2 * ITEMS)
            })
        };
        return in_time("new ones arrive", cell, arrives);
    }
    if cell.concerns() != Concerns::Items {
        in_time("all arrive", cell, || scripted.has_accepted(0..items));
        in_time("all are settled", cell, || sum(spool).delivered >= items);
        in_time("none stays set aside", cell, || rejected(spool).is_empty());
    } else {
        let is_over = |sum: Stats| sum.delivered + sum.rejected == items && sum.pending == 0;
        in_time("all are settled", cell, || is_over(sum(spool)));
        // What was refused last is bad once something is accepted. What is sent again is as good as any.
        let aside = rejected(spool);
        assert!(aside.iter().all(|item| scripted.has_refused_alone(number(item))), "{aside:?}: {cell}");
        in_time("all arrive", cell, || {
            client.requeue_rejected(&[]).unwrap();
            scripted.has_accepted(0..items)
        });
    }
    let sum = sum(spool);
    assert_ledger(&sum);
    assert_eq!(sum.dropped_expired + sum.dropped_corrupt + sum.dropped_overflow, 0, "{sum:?}: {cell}");
}

fn run_all(in_flight: usize) {
    let cases = cases();
    for is_adopted in [false, true] {
        thread::scope(|scope| {
            for case in &cases {
                for two_keys in [false, true] {
                    scope.spawn(move || run(Cell { case, in_flight, is_adopted, two_keys }));
                }
            }
        });
    }
}

#[test]
fn every_answer_costs_only_what_it_concerns_with_one_request_in_flight() {
    run_all(1);
}

#[test]
fn every_answer_costs_only_what_it_concerns_with_two_requests_in_flight() {
    run_all(2);
}

#[test]
fn every_answer_costs_only_what_it_concerns_with_eight_requests_in_flight() {
    run_all(8);
}
