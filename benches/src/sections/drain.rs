//! Drain: how fast a backlog goes to an ingest on this machine, beside requests of the same length that are ready to be sent.

use std::path::Path;
use std::time::Instant;

use crate::latency::median;
use crate::machine::cpu_s;
use crate::ours::{self, PATIENCE};
use crate::peers::post_all;
use crate::report::{Reach, Report, rate};
use crate::server::Server;
use crate::{Result, items};

const ROUNDS: usize = 3;
const BATCH_ITEMS: usize = 128;
const BATCHES: usize = 8_000;
const DELAY_MS: u64 = 50;

/// Measures and reports.
pub fn run(report: &mut Report, dir: &Path) -> Result<()> {
    let server = Server::start(0)?;
    let spans = items::spans(BATCHES * BATCH_ITEMS);
    let bodies: Vec<Vec<u8>> = spans.chunks(BATCH_ITEMS).map(body).collect();
    let mut rounds = Vec::new();
    for n in 0..ROUNDS {
        let ours = ours_once(&dir.join(n.to_string()), &server.url(), &spans, "1")?;
        let (begin, cpu_before) = (Instant::now(), cpu_s());
        post_all(&server.url(), &bodies)?;
        let theirs = (begin.elapsed().as_secs_f64(), cpu_s() - cpu_before);
        rounds.push((ours, theirs));
    }
    let count = spans.len() as f64;
    let texts = (median(rounds.iter().map(|r| r.0.0)), median(rounds.iter().map(|r| r.1.0)));
    let ratio = median(rounds.iter().map(|(ours, theirs)| theirs.0 / ours.0));
    let what = "drain to an instant ingest, 128 a batch, beside bare ureq";
    report.ratio(what, rate(count / texts.0), rate(count / texts.1), ratio, Reach::AtLeast(0.9));
    let cpu = |seconds: f64| seconds / count * 1e6;
    report.figure(&format!(
        "- Processor time of the sender for an item drained: {:.2} µs; bare ureq: {:.2} µs.",
        cpu(median(rounds.iter().map(|r| r.0.1))),
        cpu(median(rounds.iter().map(|r| r.1.1))),
    ));
    waiting(report, dir)
}

/// An ingest that takes its time: requests under way at once make up for it.
fn waiting(report: &mut Report, dir: &Path) -> Result<()> {
    let server = Server::start(DELAY_MS)?;
    let of = |in_flight: usize, batches: usize| {
        let spans = items::spans(batches * BATCH_ITEMS);
        let spool = dir.join(format!("in-flight-{in_flight}"));
        let (seconds, _) = ours_once(&spool, &server.url(), &spans, &in_flight.to_string())?;
        Ok::<_, Box<dyn std::error::Error>>(spans.len() as f64 / seconds)
    };
    let (eight, one) = (of(8, 480)?, of(1, 60)?);
    let what = "drain, 50 ms a request, max_in_flight=8 beside 1";
    report.ratio(what, rate(eight), rate(one), eight / one, Reach::AtLeast(7.0));
    Ok(())
}

/// Seconds, and seconds of processor time, from opening a spool with `spans` until all are delivered.
fn ours_once(spool: &Path, url: &str, spans: &[Vec<u8>], in_flight: &str) -> Result<(f64, f64)> {
    let client = ours::offline(spool, &[])?;
    ours::fill(&client, spans, spans.len())?;
    client.sync()?;
    drop(client);
    let (begin, cpu_before) = (Instant::now(), cpu_s());
    let client = ours::online(spool, url, &[("max_in_flight", in_flight)])?;
    client.flush(PATIENCE)?;
    let spent = (begin.elapsed().as_secs_f64(), cpu_s() - cpu_before);
    let delivered = client.stats()?.delivered;
    drop(client);
    std::fs::remove_dir_all(spool)?;
    if delivered == spans.len() as u64 { Ok(spent) } else { Err(format!("{delivered} delivered").into()) }
}

fn body(items: &[Vec<u8>]) -> Vec<u8> {
    [b"{\"data\":[", &items.join(&b","[..])[..], b"]}"].concat()
}
