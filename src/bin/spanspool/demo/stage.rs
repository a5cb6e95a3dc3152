//! Stage: the folder and the port that the demo runs on, and its acts up to the verdict.

use std::collections::HashSet;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ChildStdout;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use spanspool::{BatchTraceProcessor, Config, LaneStatus, SpoolView};

use super::child::{self, Program};
use super::ingest::{Answer, Fault, Ingest};
use super::items::Items;
use super::{DEMO_KEY, REFUSALS, fact, failed, heading};
use crate::cli::human::{count, duration};
use crate::cli::ledger::totals;
use crate::cli::outcome::Failure;
use crate::cli::progress::Progress;
use crate::cli::report::waiting;

/// The program is killed when this many items are acknowledged.
const KILL_AFTER: usize = 2000;
/// Small, so that there are many requests to watch.
const BATCH_SIZE: usize = 32;
/// How long the ingest takes to answer: slow enough to watch.
const ANSWER_DELAY: Duration = Duration::from_millis(15);
/// The longest wait for each thing that is sure to happen within moments.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// The folder of the spool and the port of the ingest.
pub struct Stage {
    items: Items,
    dir: PathBuf,
    port: u16,
}

impl Stage {
    pub fn set(dir: &Path, items: Items) -> Result<Self, Failure> {
        // The kernel names a free port. Once the listener is dropped, connections to it are refused.
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .map_err(|e| failed("find a free port of 127.0.0.1", e))?;
        let port = listener.local_addr().map_err(|e| failed("find a free port of 127.0.0.1", e))?.port();
        Ok(Self { items, dir: dir.to_path_buf(), port })
    }

    fn endpoint(&self) -> String {
        let path = if self.items.is_otlp { "/v1/traces" } else { "/v1/traces/ingest" };
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// The same for both processes. All delays are short: a real outage takes too long to watch.
    fn settings(&self) -> Vec<(&'static str, OsString)> {
        vec![
            ("spool_dir", self.dir.clone().into()),
            ("exporter", if self.items.is_otlp { "otlp" } else { "backend" }.into()),
            ("endpoint", self.endpoint().into()),
            ("max_batch_size", BATCH_SIZE.to_string().into()),
            ("schedule_delay_ms", "50".into()),
            ("base_delay_ms", "100".into()),
            ("max_delay_ms", "400".into()),
        ]
    }

    pub fn lanes(&self) -> Result<Vec<LaneStatus>, Failure> {
        Ok(SpoolView::open(&self.dir)?.lanes()?)
    }

    /// Acts 1 and 2. Returns the ids that were acknowledged to the killed program.
    pub fn offline_and_kill(&self, out: &mut dyn Write) -> Result<HashSet<String>, Failure> {
        heading(out, 1, "OFFLINE", "a program enqueues real items while the ingest is down")?;
        fact(out, "spool", self.dir.display())?;
        fact(out, "ingest", format!("{}, where nothing listens", self.endpoint()))?;
        let (mut program, ids) = Program::start(&self.settings())?;
        fact(out, "program", format!("process {}, {} threads", program.pid(), child::THREADS))?;
        let form = if self.items.is_otlp { ", each a request of OTLP" } else { "" };
        let items = self.items.per_round();
        fact(out, "items", format!("{items} of an agent's run{form}, over and over under new ids"))?;

        let ids = listen(ids);
        let mut acknowledged = wait_for_ids(&ids)?;
        let by_sigkill = program.kill().map_err(|e| failed("kill the program", e))?;
        // What the program printed before it died; then the pipe ends.
        acknowledged.extend(ids.iter());
        if !by_sigkill {
            return Err(Failure::Failed("the program ended before it could be killed".into()));
        }
        let held = totals(&self.lanes()?).pending;
        let told = acknowledged.len() as u64;
        heading(out, 2, "KILL", "SIGKILL in the middle of its work: no handler, no flush")?;
        fact(
            out,
            "acknowledged so far",
            format!("{:>7} items, each counted after enqueue said OK", count(told)),
        )?;
        let more = match held.checked_sub(told) {
            None => "FEWER than acknowledged".to_owned(),
            Some(0) => "exactly those".to_owned(),
            Some(n) => format!("{n} more: on disk, but the kill was faster than the count"),
        };
        fact(out, "the spool holds", format!("{:>7} items, {more}", count(held)))?;
        Ok(acknowledged)
    }

    /// Act 3: this process adopts the lane of the killed one.
    pub fn restart(&self, out: &mut dyn Write) -> Result<BatchTraceProcessor, Failure> {
        let mut config = Config::new();
        for (key, value) in self.settings() {
            config.set_os(key, &value)?;
        }
        config.set("api_key", DEMO_KEY)?;
        let processor = BatchTraceProcessor::open(config)?;
        heading(out, 3, "RESTART", "another process opens the spool; the ingest is still down")?;
        fact(out, "process", std::process::id())?;
        fact(out, "found and adopted", format!("{:>7} items", count(processor.stats()?.pending)))?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(lane) = self.lanes()?.iter().find(|lane| lane.stats.state().is_waiting()) {
                fact(out, "exporter", waiting(lane))?;
                return Ok(processor);
            }
            if Instant::now() >= deadline {
                return Err(Failure::Failed("the exporter did not notice that the ingest is down".into()));
            }
            thread::sleep(LOOK_INTERVAL);
        }
    }

    /// Act 4: the ingest comes up on its port, and everything is delivered.
    pub fn online(&self, processor: &BatchTraceProcessor, out: &mut dyn Write) -> Result<Ingest, Failure> {
        heading(out, 4, "ONLINE", "the ingest comes up, answers 503 twice, and then accepts everything")?;
        let seen = AtomicUsize::new(0);
        let ingest = Ingest::start_on(self.port, move |_| {
            let status = if seen.fetch_add(1, Ordering::Relaxed) < REFUSALS { 503 } else { 200 };
            Answer::status(status).fault(Fault::DelayBefore(ANSWER_DELAY))
        })
        .map_err(|e| failed(format!("listen on 127.0.0.1:{}", self.port), e))?;
        let progress = Progress::new("delivered");
        let (start, deadline) = (Instant::now(), Instant::now() + PATIENCE);
        let stats = loop {
            let stats = processor.stats()?;
            progress.show(stats.delivered, stats.accepted, "");
            if stats.pending == 0 || Instant::now() >= deadline {
                break stats;
            }
            thread::sleep(LOOK_INTERVAL);
        };
        progress.clear();
        let took = duration(start.elapsed().as_millis() as u64);
        fact(
            out,
            "delivered",
            format!("{:>7} items in {took}, up to {BATCH_SIZE} a request", count(stats.delivered)),
        )?;
        fact(
            out,
            "tried again",
            format!("{:>7} times, while nothing listened and after the 503s", count(stats.retries)),
        )?;
        Ok(ingest)
    }
}

/// Reads the ids in a thread of its own, so that waiting for them can have a deadline.
fn listen(ids: ChildStdout) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for id in BufReader::new(ids).lines().map_while(Result::ok) {
            if sender.send(id).is_err() {
                return;
            }
        }
    });
    receiver
}

fn wait_for_ids(ids: &mpsc::Receiver<String>) -> Result<HashSet<String>, Failure> {
    let deadline = Instant::now() + PATIENCE;
    let mut heard = HashSet::new();
    while heard.len() < KILL_AFTER {
        match ids.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(id) => heard.extend([id]),
            Err(RecvTimeoutError::Timeout) => {
                let so_far = count(heard.len() as u64);
                return Err(Failure::Failed(format!(
                    "the program enqueued only {so_far} items in {PATIENCE:?}"
                )));
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Failure::Failed("the program ended before it could be killed".into()));
            }
        }
    }
    Ok(heard)
}
