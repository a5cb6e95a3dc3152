//! Sustained: a minute without an ingest, while the committer spills everything into segments.

use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::{Duration, Instant};

use crate::figure::{bytes, count, rate};
use crate::machine;
use crate::ours;
use crate::peers::Append;
use crate::plot::{Axis, Line, svg};
use crate::sheet::{Reach, Sheet};
use crate::{Result, items};

const OURS: Duration = Duration::from_secs(60);
/// Before ours and after it: the disk is the same for both.
const PEERS: Duration = Duration::from_secs(12);
const SAMPLED: Duration = Duration::from_secs(8);
const TICK: Duration = Duration::from_millis(500);
/// How many items are prepared. They are enqueued over and over.
const ITEMS: usize = 100_000;
/// Items enqueued between two looks at the clock.
const BURST_ITEMS: usize = 64;

/// What became of the items, and how fast they were accepted in each tick.
#[derive(Default)]
struct Run {
    accepted: u64,
    refused: u64,
    first_refusal: Option<String>,
    seconds: f64,
    ticks: Vec<f64>,
}

impl Run {
    fn rate(&self) -> f64 {
        self.accepted as f64 / self.seconds
    }

    fn count(&mut self, answer: Result<()>) {
        match answer {
            Ok(()) => self.accepted += 1,
            Err(error) => {
                self.refused += 1;
                self.first_refusal.get_or_insert_with(|| error.to_string());
            }
        }
    }
}

/// Measures and reports.
pub fn run(sheet: &mut Sheet, dir: &Path) -> Result<()> {
    with_spans(sheet, dir)?;
    with_sample_items(sheet, &dir.join("sampled"))
}

fn with_spans(sheet: &mut Sheet, dir: &Path) -> Result<()> {
    let spans = items::spans(ITEMS);
    let before = append(&dir.join("before"), &spans)?;
    // The peer leaves gigabytes of dirty pages. Ours must not wait for them.
    machine::sync(dir)?;
    let spool = dir.join("spans");
    let written_before = machine::device_bytes_written(dir);
    let client = ours::offline(&spool, &[])?;
    let ours = enqueue_for(OURS, &spans, |json| Ok(client.enqueue(json)?))?;
    client.sync()?;
    let written = (machine::device_bytes_written(dir) - written_before) as f64;
    drop(client);
    std::fs::remove_dir_all(&spool)?;
    machine::sync(dir)?;
    let after = append(&dir.join("after"), &spans)?;
    let theirs = (before.rate() + after.rate()) / 2.0;
    let what = format!("sustained for {} s, no ingest, 511 bytes, vs write(2)", OURS.as_secs());
    sheet.ratio(&what, rate(ours.rate()), rate(theirs), ours.rate() / theirs, Reach::AtLeast(1.0));
    figures(sheet, "sustained, 511 bytes", &ours, written);
    sheet.picture("throughput.svg", picture(&ours, &[before, after])?);
    Ok(())
}

fn append(dir: &Path, items: &[Vec<u8>]) -> Result<Run> {
    std::fs::create_dir(dir)?;
    let mut append = Append::new(dir)?;
    enqueue_for(PEERS, items, |json| append.enqueue(json))
}

/// Disk space and throughput for items of real runs.
fn with_sample_items(sheet: &mut Sheet, spool: &Path) -> Result<()> {
    let sample = items::sample();
    let mean = sample.iter().map(Vec::len).sum::<usize>() as f64 / sample.len() as f64;
    let client = ours::offline(spool, &[])?;
    let written_before = machine::device_bytes_written(spool);
    let run = enqueue_for(SAMPLED, &sample, |json| Ok(client.enqueue(json)?))?;
    client.sync()?;
    let written = (machine::device_bytes_written(spool) - written_before) as f64;
    let on_disk = machine::disk_bytes(spool) as f64 / run.accepted as f64;
    let what = "bytes on disk vs bytes of JSON, sample items";
    sheet.ratio(what, bytes(on_disk), bytes(mean), on_disk / mean, Reach::AtMost(0.5));
    figures(sheet, "sustained, sample items", &run, written);
    Ok(())
}

fn figures(sheet: &mut Sheet, what: &str, run: &Run, bytes_written: f64) {
    let figures = [
        ("accepted", count(run.accepted as f64)),
        ("refused", count(run.refused as f64)),
        ("rate", rate(run.rate())),
        ("written to the device for each item", bytes(bytes_written / run.accepted as f64)),
    ];
    sheet.figures(what, &figures);
    if let Some(refusal) = &run.first_refusal {
        sheet.note(format!("The first refusal ({what}): {refusal}"));
    }
}

/// Calls `enqueue` as fast as it returns, for `time`. Refusals are counted and do not end it.
fn enqueue_for(
    time: Duration,
    items: &[Vec<u8>],
    mut enqueue: impl FnMut(&[u8]) -> Result<()>,
) -> Result<Run> {
    let (accepted, ended) = (AtomicU64::new(0), AtomicBool::new(false));
    let mut run = Run::default();
    let begin = Instant::now();
    let mut ticks = std::thread::scope(|scope| {
        let watch = scope.spawn(|| watch(&accepted, &ended));
        let mut items = items.iter().cycle();
        while begin.elapsed() < time {
            for json in items.by_ref().take(BURST_ITEMS) {
                run.count(enqueue(json));
            }
            accepted.store(run.accepted, Relaxed);
        }
        run.seconds = begin.elapsed().as_secs_f64();
        ended.store(true, Relaxed);
        watch.join().map_err(|_| "the watch panicked")
    })?;
    // The last tick is not whole.
    ticks.pop();
    run.ticks = ticks;
    Ok(run)
}

/// Items a second in each tick, until `ended`.
fn watch(accepted: &AtomicU64, ended: &AtomicBool) -> Vec<f64> {
    let (mut ticks, mut last) = (Vec::new(), 0);
    while !ended.load(Relaxed) {
        std::thread::sleep(TICK);
        let now = accepted.load(Relaxed);
        ticks.push((now - last) as f64 / TICK.as_secs_f64());
        last = now;
    }
    ticks
}

fn picture(ours: &Run, peers: &[Run; 2]) -> Result<String> {
    let seconds = |n: usize| n as f64 * TICK.as_secs_f64();
    let x = Axis {
        title: "seconds",
        marks: (0..=6).map(|n| (f64::from(n) * 10.0, (n * 10).to_string())).collect(),
        is_log: false,
    };
    let most =
        ours.ticks.iter().chain(peers.iter().flat_map(|run| &run.ticks)).fold(0.0_f64, |a, b| a.max(*b));
    let top = (most / 250e3).ceil().max(1.0) as u32;
    let mark = |n: u32| (f64::from(n) * 250e3, rate(f64::from(n) * 250e3).to_string());
    let y = Axis { title: "items accepted", marks: (0..=top).map(mark).collect(), is_log: false };
    let line = |name: &str, run: &Run| Line {
        name: name.to_owned(),
        points: run.ticks.iter().enumerate().map(|(n, rate)| (seconds(n + 1), *rate)).collect(),
    };
    let lines =
        [line("spanspool", ours), line("write(2), before", &peers[0]), line("write(2), after", &peers[1])];
    svg("Throughput over time, 511 bytes, one thread, no ingest", &x, &y, &lines)
}
