//! Enqueue: how long a call takes, next to calls that keep an item in memory or write it to a file.
//!
//! Calls come in bursts that fit in the journal; everything is delivered between them. The peers take turns.

use std::convert::Infallible;
use std::path::Path;

use crate::figure::ns;
use crate::latency::{Latencies, median};
use crate::ours::{self, PATIENCE};
use crate::peers::{Append, Otel, Ring};
use crate::plot::{Axis, Line, svg};
use crate::sheet::{Reach, Sheet};
use crate::{Result, items};

const ROUNDS: usize = 7;
const BURSTS: usize = 20;
const BURST_ITEMS: usize = 12_000;
/// Few enough to stay in the CPU's cache: a caller has just made its item.
const ITEMS: usize = 256;

/// One of those compared, and the latencies of its rounds.
struct Contender<'a> {
    name: &'static str,
    burst: Box<dyn FnMut() -> Result<Latencies> + 'a>,
    rounds: Vec<Latencies>,
}

impl<'a> Contender<'a> {
    fn new(name: &'static str, burst: impl FnMut() -> Result<Latencies> + 'a) -> Self {
        Self { name, burst: Box::new(burst), rounds: Vec::new() }
    }

    fn round(&mut self) -> Result<()> {
        let mut round = Latencies::default();
        for _ in 0..BURSTS {
            round.join((self.burst)()?);
        }
        self.rounds.push(round);
        Ok(())
    }

    fn at(&self, part: f64) -> f64 {
        median(self.rounds.iter().map(|round| round.at(part)))
    }

    /// The median over the rounds of this one's latency divided by `other`'s in the same round.
    fn ratio_to(&self, other: &Self, part: f64) -> f64 {
        let rounds = self.rounds.iter().zip(&other.rounds);
        median(rounds.map(|(ours, theirs)| ours.at(part) / theirs.at(part)))
    }
}

/// Measures and reports.
pub fn run(sheet: &mut Sheet, dir: &Path) -> Result<()> {
    let spans = items::spans(ITEMS);
    let full = ours::accepted(&dir.join("full"), &[])?;
    let unchecked = ours::accepted(&dir.join("unchecked"), &[("validation", "none")])?;
    // No burst fills a batch, so nothing reads the journal during a burst, as nothing reads the mapped ring.
    let alone = [("validation", "none"), ("max_batch_size", "65536"), ("max_batch_bytes", "64 MiB")];
    let alone = ours::accepted(&dir.join("alone"), &alone)?;
    let (otel, ring, mut append) = (Otel::new(1 << 16), Ring::new(dir)?, Append::new(dir)?);
    let burst = |client: &spanspool::BatchTraceProcessor| {
        let latencies = Latencies::of(BURST_ITEMS, |n| client.enqueue(&spans[n % ITEMS]))?;
        client.flush(PATIENCE)?;
        Ok(latencies)
    };
    let mut all = [
        Contender::new("spanspool", || burst(&full)),
        Contender::new("spanspool, validation=none", || burst(&unchecked)),
        Contender::new("validation=none, no delivery", || burst(&alone)),
        Contender::new("opentelemetry_sdk, in memory", || {
            let latencies = Latencies::of(BURST_ITEMS, |n| {
                otel.span(n);
                Ok::<_, Infallible>(())
            })?;
            otel.flush()?;
            Ok(latencies)
        }),
        Contender::new("write(2)", || Latencies::of(BURST_ITEMS, |n| append.enqueue(&spans[n % ITEMS]))),
        Contender::new("mapped ring", || {
            Latencies::of(BURST_ITEMS, |n| {
                ring.enqueue(&spans[n % ITEMS]);
                Ok(())
            })
        }),
    ];
    for _ in 0..ROUNDS {
        for contender in &mut all {
            contender.round()?;
        }
    }
    let [full, unchecked, alone, otel, append, ring] = &all;
    let mut compare = |what: &str, ours: &Contender<'_>, peer: &Contender<'_>, part: f64, most: f64| {
        let what = format!("enqueue, {what}, vs {}", peer.name);
        let figures = (ns(ours.at(part)), ns(peer.at(part)));
        sheet.ratio(&what, figures.0, figures.1, ours.ratio_to(peer, part), Reach::AtMost(most));
    };
    compare("p50", full, otel, 0.5, 1.0);
    compare("p50", full, append, 0.5, 0.3);
    compare("p99.9", full, otel, 0.999, 1.0);
    compare("validation=none, no delivery meanwhile, p50", alone, ring, 0.5, 1.5);
    sheet.figures("enqueue, validation=none, delivery on the other core", &[("p50", ns(unchecked.at(0.5)))]);
    sheet.picture("latency.svg", distributions(&all)?);
    Ok(())
}

fn distributions(all: &[Contender<'_>]) -> Result<String> {
    // The x axis shows how rare a call is: 10 stands for the slowest tenth.
    let rare = |share: f64| 1.0 / (1.0 - share);
    let shares = [0.0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9995, 0.9999];
    let marked =
        [(0.0, "min"), (0.5, "50 %"), (0.9, "90 %"), (0.99, "99 %"), (0.999, "99.9 %"), (0.9999, "99.99 %")];
    let x = Axis {
        title: "share of calls at least as fast",
        marks: marked.map(|(share, label)| (rare(share), label.to_owned())).to_vec(),
        is_log: true,
    };
    let marks = [10.0, 100.0, 1e3, 10e3, 100e3, 1e6].map(|value| (value, ns(value).to_string())).to_vec();
    let y = Axis { title: "latency", marks, is_log: true };
    let line = |contender: &Contender<'_>| Line {
        name: contender.name.to_owned(),
        points: shares.map(|share| (rare(share), contender.at(share))).to_vec(),
    };
    svg("Latency of one call, 511 bytes, one thread", &x, &y, &all.iter().map(line).collect::<Vec<_>>())
}
