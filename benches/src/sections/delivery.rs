//! Delivery: how fast a backlog goes to an ingest on this machine, next to prepared requests of the same length.

use std::path::Path;
use std::time::{Duration, Instant};

use spanspool::BatchTraceProcessor;

use crate::drain::{self, Spent};
use crate::figure::{ns, rate};
use crate::ours::{self, PATIENCE};
use crate::peers::post_all;
use crate::server::{Manners, Server};
use crate::sheet::{Reach, Sheet};
use crate::{Result, items};

const ROUNDS: usize = 3;
const DRAIN_ROUNDS: usize = 9;
const BATCH_ITEMS: usize = 128;
const BATCHES: usize = 8_000;
const DELAY_MS: u64 = 50;
/// An ingest that fails now and then answers after this time.
const BUSY_DELAY_MS: u64 = 5;
const FAILS_ONE_IN: u64 = 100;
const LOOK_EVERY: Duration = Duration::from_millis(1);
const OUTAGE_MS: u64 = 10_000;
/// Tries every second during the outage.
const OFTEN: [(&str, &str); 2] = [("base_delay_ms", "1000"), ("max_delay_ms", "1000")];
/// About 1 GiB.
const OUTAGE_BATCHES: usize = 16_000;

/// Measures and reports.
pub fn run(sheet: &mut Sheet, dir: &Path) -> Result<()> {
    at_full_speed(sheet, dir)?;
    with_a_slow_ingest(sheet, dir)?;
    with_failures(sheet, dir)?;
    after_an_outage(sheet, dir)
}

fn at_full_speed(sheet: &mut Sheet, dir: &Path) -> Result<()> {
    let server = Server::start(Manners::default())?;
    let spans = items::spans(BATCHES * BATCH_ITEMS);
    let bodies: Vec<Vec<u8>> = spans.chunks(BATCH_ITEMS).map(body).collect();
    let (ours, theirs) = drain::in_turns(
        DRAIN_ROUNDS,
        |n| drain::once(&dir.join(n.to_string()), &server.url(), &spans, &[]),
        || post_all(&server.url(), &bodies),
    )?;
    let count = (DRAIN_ROUNDS * spans.len()) as f64;
    sheet.ratio(
        "delivery to an instant ingest, 128 a batch, vs bare ureq",
        rate(count / ours.wall_s),
        rate(count / theirs.wall_s),
        theirs.wall_s / ours.wall_s,
        Reach::AtLeast(0.95),
    );
    let per_item = |spent: Spent| ns(spent.cpu_s / count * 1e9);
    sheet.ratio(
        "CPU time of the sender for each item delivered, vs bare ureq",
        per_item(ours),
        per_item(theirs),
        ours.cpu_s / theirs.cpu_s,
        Reach::AtMost(1.3),
    );
    Ok(())
}

/// Concurrent requests make up for an ingest that is slow to answer.
fn with_a_slow_ingest(sheet: &mut Sheet, dir: &Path) -> Result<()> {
    let server = Server::start(Manners { delay_ms: DELAY_MS, ..Manners::default() })?;
    let rate_of = |in_flight: u32, batches: usize| {
        let spans = items::spans(batches * BATCH_ITEMS);
        let spool = dir.join(format!("in-flight-{in_flight}"));
        let in_flight = ("max_in_flight", &*in_flight.to_string());
        let spent = drain::once(&spool, &server.url(), &spans, &[in_flight])?;
        Ok::<_, Box<dyn std::error::Error>>(spans.len() as f64 / spent.wall_s)
    };
    let (eight, one) = (rate_of(8, 480)?, rate_of(1, 60)?);
    let what = "delivery, 50 ms a request, max_in_flight=8 vs 1";
    sheet.ratio(what, rate(eight), rate(one), eight / one, Reach::AtLeast(7.0));
    Ok(())
}

/// A request that fails here and there delays its own items only. The end is left out: there the last failure's wait is
/// all that is left.
fn with_failures(sheet: &mut Sheet, dir: &Path) -> Result<()> {
    let spans = items::spans(BATCHES * BATCH_ITEMS);
    let counted = BATCHES as u64 * 9 / 10;
    let mut rounds = Vec::new();
    for n in 0..ROUNDS {
        let rate_with = |fails_one_in: u64| {
            let manners = Manners { delay_ms: BUSY_DELAY_MS, fails_one_in, ..Manners::default() };
            let server = Server::start(manners)?;
            let spool = dir.join(format!("failures-{n}"));
            drain::fill(&spool, &server.url(), &spans, &[])?;
            let (client, spent) = Spent::by(|| {
                let client = ours::online(&spool, &server.url(), &[("max_in_flight", "8")])?;
                wait_for(&client, counted)?;
                Ok(client)
            })?;
            drain::delivered(client, &spool, &spans)?;
            Ok::<_, Box<dyn std::error::Error>>(counted as f64 / spent.wall_s)
        };
        rounds.push((rate_with(FAILS_ONE_IN)?, rate_with(0)?));
    }
    let what = "requests a second, max_in_flight=8, 1 % of them answered 503 vs none";
    sheet.rounds(what, &rounds, rate, Reach::AtLeast(0.9));
    Ok(())
}

/// The time from the first request that a well ingest accepts until a backlog is delivered. What is left of a wait when
/// it is well again is chance, for both.
fn after_an_outage(sheet: &mut Sheet, dir: &Path) -> Result<()> {
    let spans = items::spans(OUTAGE_BATCHES * BATCH_ITEMS);
    let bodies: Vec<Vec<u8>> = spans.chunks(BATCH_ITEMS).map(body).collect();
    let outage = || Server::start(Manners { down_ms: OUTAGE_MS, ..Manners::default() });
    let mut rounds = Vec::new();
    for n in 0..ROUNDS {
        let (server, spool) = (outage()?, dir.join(format!("outage-{n}")));
        drain::fill(&spool, &server.url(), &spans, &[])?;
        let client = ours::online(&spool, &server.url(), &OFTEN)?;
        wait_for(&client, 1)?;
        let ((), ours) = Spent::by(|| Ok(client.flush(PATIENCE)?))?;
        drain::delivered(client, &spool, &spans)?;
        // The loop has an outage of its own: after a wait, everything is slower for a while.
        let (first, rest) = bodies.split_at(1);
        let server = outage()?;
        post_all(&server.url(), first)?;
        let ((), theirs) = Spent::by(|| post_all(&server.url(), rest))?;
        rounds.push((ours.wall_s * 1e9, theirs.wall_s * 1e9));
    }
    let what = "1 GiB after an outage of 10 s, from the first answer to delivered, vs a bare loop";
    sheet.rounds(what, &rounds, ns, Reach::AtMost(1.1));
    Ok(())
}

/// Waits until as many requests were accepted.
fn wait_for(client: &BatchTraceProcessor, requests: u64) -> Result<()> {
    let until = Instant::now() + PATIENCE;
    while client.stats()?.batches_sent < requests {
        if Instant::now() > until {
            return Err("the requests did not get through".into());
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
}

fn body(items: &[Vec<u8>]) -> Vec<u8> {
    [b"{\"data\":[", &items.join(&b","[..])[..], b"]}"].concat()
}
