//! Sustained: a minute without an ingest, while the committer moves everything into segments.

use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::{Duration, Instant};

use crate::machine;
use crate::ours;
use crate::peers::Append;
use crate::plot::{Axis, Line, svg};
use crate::report::{Reach, Report, rate};
use crate::{Result, items};

const OURS: Duration = Duration::from_secs(60);
/// Before ours and after it: the disk is the same for both.
const PEERS: Duration = Duration::from_secs(12);
const SAMPLED: Duration = Duration::from_secs(8);
const TICK: Duration = Duration::from_millis(500);
/// How many items are prepared; they come again and again.
const ITEMS: usize = 100_000;

/// How many items were taken, and how fast in each tick.
struct Run {
    items: u64,
    seconds: f64,
    ticks: Vec<f64>,
}

impl Run {
    fn rate(&self) -> f64 {
        self.items as f64 / self.seconds
    }
}

/// Measures and reports; returns the picture of the throughput.
pub fn run(report: &mut Report, dir: &Path) -> Result<String> {
    let spans = items::spans(ITEMS);
    let append = |name: &str| {
        let dir = dir.join(name);
        std::fs::create_dir(&dir)?;
        let mut append = Append::new(&dir)?;
        through(PEERS, &spans, |json| append.enqueue(json))
    };
    let before = append("before")?;
    let spool = dir.join("spans");
    let written_before = machine::device_bytes_written(dir);
    let client = ours::offline(&spool, &[])?;
    let ours = through(OURS, &spans, |json| Ok(client.enqueue(json)?))?;
    client.sync()?;
    let written = machine::device_bytes_written(dir) - written_before;
    drop(client);
    std::fs::remove_dir_all(&spool)?;
    let after = append("after")?;
    let theirs = (before.rate() + after.rate()) / 2.0;
    let ratio = ours.rate() / theirs;
    let what = "sustained for 60 s, no ingest, 511 bytes, beside write(2)";
    report.ratio(what, rate(ours.rate()), rate(theirs), ratio, Reach::AtLeast(1.0));
    report.figure(&format!(
        "- {} items of 511 bytes in {:.0} s, none refused: {:.0} bytes an item written to the device, {:.2} of the JSON.",
        ours.items,
        ours.seconds,
        written as f64 / ours.items as f64,
        written as f64 / (ours.items * items::SPAN_BYTES as u64) as f64,
    ));
    sampled(report, &dir.join("sampled"))?;
    Ok(picture(&ours, &[before, after]))
}

/// What items of real runs take.
fn sampled(report: &mut Report, spool: &Path) -> Result<()> {
    let sample = items::sample();
    let mean = sample.iter().map(Vec::len).sum::<usize>() as f64 / sample.len() as f64;
    let written_before = machine::device_bytes_written(spool.parent().unwrap_or(spool));
    let client = ours::offline(spool, &[])?;
    let run = through(SAMPLED, &sample, |json| Ok(client.enqueue(json)?))?;
    client.sync()?;
    let written = machine::device_bytes_written(spool) - written_before;
    let on_disk = machine::disk_bytes(spool) as f64 / run.items as f64;
    let what = "bytes on disk beside the JSON's, items of real runs";
    let texts = (format!("{on_disk:.0} B"), format!("{mean:.0} B"));
    report.ratio(what, texts.0, texts.1, on_disk / mean, Reach::AtMost(0.5));
    report.figure(&format!(
        "- {} items of real runs (mean {mean:.0} bytes): {}, {:.0} bytes an item written to the device.",
        run.items,
        rate(run.rate()),
        written as f64 / run.items as f64,
    ));
    Ok(())
}

/// Calls `enqueue` for `time` as fast as it comes back.
fn through(time: Duration, items: &[Vec<u8>], mut enqueue: impl FnMut(&[u8]) -> Result<()>) -> Result<Run> {
    let (done, ended) = (AtomicU64::new(0), AtomicBool::new(false));
    let begin = Instant::now();
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let (mut ticks, mut last) = (Vec::new(), 0);
            while !ended.load(Relaxed) {
                std::thread::sleep(TICK);
                let now = done.load(Relaxed);
                ticks.push((now - last) as f64 / TICK.as_secs_f64());
                last = now;
            }
            ticks
        });
        let mut count = 0;
        let mut result = Ok(());
        while result.is_ok() && begin.elapsed() < time {
            for json in items.iter().skip(count as usize % items.len()).take(64) {
                count += 1;
                result = enqueue(json);
                if result.is_err() {
                    break;
                }
            }
            done.store(count, Relaxed);
        }
        let seconds = begin.elapsed().as_secs_f64();
        ended.store(true, Relaxed);
        let mut ticks = watch.join().map_err(|_| "the watch panicked")?;
        // The last one is not whole.
        ticks.pop();
        result.map(|()| Run { items: count, seconds, ticks })
    })
}

fn picture(ours: &Run, peers: &[Run; 2]) -> String {
    let seconds = |n: usize| n as f64 * TICK.as_secs_f64();
    let x = Axis {
        title: "seconds",
        marks: (0..=6).map(|n| (f64::from(n) * 10.0, (n * 10).to_string())).collect(),
        is_log: false,
    };
    let most =
        ours.ticks.iter().chain(peers.iter().flat_map(|run| &run.ticks)).fold(0.0_f64, |a, b| a.max(*b));
    let top = (most / 250e3).ceil() as u32;
    let marks = (0..=top).map(|n| (f64::from(n) * 250e3, rate(f64::from(n) * 250e3))).collect();
    let y = Axis { title: "items", marks, is_log: false };
    let line = |name: &str, run: &Run| Line {
        name: name.to_owned(),
        points: run.ticks.iter().enumerate().map(|(n, rate)| (seconds(n + 1), *rate)).collect(),
    };
    let lines =
        [line("spanspool", ours), line("write(2), before", &peers[0]), line("write(2), after", &peers[1])];
    svg("Throughput over time, 511 bytes, one thread, no ingest", &x, &y, &lines)
}
