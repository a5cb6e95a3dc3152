//! OTLP: what an item costs that is a request of OTLP, next to one of JSON, to prepared requests, and to the SDK's exporter.

use std::path::Path;
use std::time::Instant;

use spanspool::BatchTraceProcessor;
use spanspool_opentelemetry::SpoolSpanProcessor;

use crate::drain::{self, Spent};
use crate::figure::{ns, rate};
use crate::latency::Latencies;
use crate::ours::{self, PATIENCE};
use crate::peers::{Otel, post_all_with};
use crate::server::{Manners, Server};
use crate::sheet::{Reach, Sheet};
use crate::{Result, items};

const ROUNDS: usize = 9;
const BURSTS: usize = 10;
const BURST_ITEMS: usize = 12_000;
/// Few enough to stay in the CPU's cache: a caller has just made its item.
const ITEMS: usize = 256;
const BATCH_ITEMS: usize = 128;
const BATCHES: usize = 8_000;
const SPANS: usize = 200_000;
const EXPORTER: [(&str, &str); 1] = [("exporter", "otlp")];

/// Measures and reports.
pub fn run(sheet: &mut Sheet, dir: &Path) -> Result<()> {
    enqueue(sheet, dir)?;
    delivery(sheet, dir)?;
    from_the_sdk(sheet, dir)
}

/// Both are checked to the leaves.
fn enqueue(sheet: &mut Sheet, dir: &Path) -> Result<()> {
    let server = Server::start(Manners::default())?;
    let otlp = ours::online(&dir.join("otlp"), &server.url(), &EXPORTER)?;
    let json = ours::online(&dir.join("json"), &server.url(), &[])?;
    let (requests, spans) = (items::otlp_spans(ITEMS), items::spans(ITEMS));
    let round = |client: &BatchTraceProcessor, items: &[Vec<u8>]| {
        let mut all = Latencies::default();
        for _ in 0..BURSTS {
            all.join(Latencies::of(BURST_ITEMS, |n| client.enqueue(&items[n % ITEMS]))?);
            client.flush(PATIENCE)?;
        }
        Ok::<_, Box<dyn std::error::Error>>(all.at(0.5))
    };
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        rounds.push((round(&otlp, &requests)?, round(&json, &spans)?));
    }
    sheet.rounds("enqueue of a request of OTLP, p50, vs JSON of 511 bytes", &rounds, ns, Reach::AtMost(1.2));
    Ok(())
}

/// Requests of OTLP are one after the other in a body.
fn delivery(sheet: &mut Sheet, dir: &Path) -> Result<()> {
    let requests = items::otlp_spans(BATCHES * BATCH_ITEMS);
    let bodies: Vec<Vec<u8>> = requests.chunks(BATCH_ITEMS).map(<[_]>::concat).collect();
    let server = Server::start(Manners::default())?;
    let kind = [("Content-Type", "application/x-protobuf")];
    let (ours, theirs) = drain::in_turns(
        ROUNDS,
        |n| drain::once(&dir.join(format!("drain-{n}")), &server.url(), &requests, &EXPORTER),
        || post_all_with(&kind, &server.url(), &bodies),
    )?;
    let rate_of = |spent: Spent| (ROUNDS * requests.len()) as f64 / spent.wall_s;
    let what = "delivery of requests of OTLP, 128 a batch, vs bare ureq";
    let ratio = theirs.wall_s / ours.wall_s;
    sheet.ratio(what, rate(rate_of(ours)), rate(rate_of(theirs)), ratio, Reach::AtLeast(0.95));
    Ok(())
}

/// From the first span's start until all have arrived.
fn from_the_sdk(sheet: &mut Sheet, dir: &Path) -> Result<()> {
    let server = Server::start(Manners::default())?;
    let mut config = spanspool::Config::new();
    config.set("spool_dir", &dir.join("sdk").to_string_lossy())?.set("endpoint", &server.url())?;
    config.set("enqueue_timeout_ms", "60000")?;
    let ours = Otel::with(SpoolSpanProcessor::with_config(config)?);
    let theirs = Otel::exporting(&server.url(), SPANS)?;
    let delivered = |sdk: &Otel| {
        let begin = Instant::now();
        (0..SPANS).for_each(|n| sdk.span(n));
        sdk.flush()?;
        Ok::<_, Box<dyn std::error::Error>>(SPANS as f64 / begin.elapsed().as_secs_f64())
    };
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        rounds.push((delivered(&ours)?, delivered(&theirs)?));
    }
    let what = "spans from the SDK delivered, vs its batch processor and OTLP exporter";
    sheet.rounds(what, &rounds, rate, Reach::AtLeast(1.0));
    Ok(())
}
