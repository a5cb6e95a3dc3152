//! Ours: spanspool as a program uses it, with an ingest, with an exporter that accepts everything, or with neither.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use spanspool::{Batch, BatchTraceProcessor, Config, Outcome, TracingExporter};

use crate::Result;

/// Long enough for any wait here.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Accepts every batch at once, as the exporter of the in-memory peers does.
pub struct AcceptAll;

impl TracingExporter for AcceptAll {
    fn export(&self, _: &Batch, _: Option<Instant>) -> Outcome {
        Outcome::Accepted { status: 200 }
    }
}

/// The settings of a spool in `dir` that never fills up. A disk that does not keep up shows in the times.
fn config(dir: &Path, settings: &[(&str, &str)]) -> Result<Config> {
    let mut config = Config::new();
    config.set("spool_dir", &dir.to_string_lossy())?;
    config.set("max_spool_bytes", "200 GiB")?.set("enqueue_timeout_ms", "60000")?;
    for (name, value) in settings {
        config.set(name, value)?;
    }
    Ok(config)
}

/// A client that sends nothing.
pub fn offline(dir: &Path, settings: &[(&str, &str)]) -> Result<BatchTraceProcessor> {
    let mut config = config(dir, settings)?;
    config.set("exporter", "none")?;
    Ok(BatchTraceProcessor::open(config)?)
}

/// How long it takes to open the spool in `dir`.
pub fn opening_ns(dir: &Path) -> Result<f64> {
    let begin = Instant::now();
    let client = offline(dir, &[])?;
    let ns = begin.elapsed().as_nanos() as f64;
    drop(client);
    Ok(ns)
}

/// A client with an exporter that accepts everything at once.
pub fn accepted(dir: &Path, settings: &[(&str, &str)]) -> Result<BatchTraceProcessor> {
    with_exporter(dir, settings, Arc::new(AcceptAll))
}

/// A client with this exporter.
pub fn with_exporter(
    dir: &Path,
    settings: &[(&str, &str)],
    exporter: Arc<dyn TracingExporter>,
) -> Result<BatchTraceProcessor> {
    Ok(BatchTraceProcessor::with_exporter(config(dir, settings)?, exporter)?)
}

/// A client that posts to `url`.
pub fn online(dir: &Path, url: &str, settings: &[(&str, &str)]) -> Result<BatchTraceProcessor> {
    Ok(BatchTraceProcessor::open(config_for(dir, url, settings)?)?)
}

/// A client that leaves its items to another one that posts to `url`.
pub fn waiting(dir: &Path, url: &str, settings: &[(&str, &str)]) -> Result<BatchTraceProcessor> {
    Ok(BatchTraceProcessor::open_offline(config_for(dir, url, settings)?)?)
}

fn config_for(dir: &Path, url: &str, settings: &[(&str, &str)]) -> Result<Config> {
    let mut config = config(dir, settings)?;
    config.set("endpoint", url)?.set("api_key", "sk-bench")?;
    Ok(config)
}

/// Enqueues `count` items, cycling through `items`. The first refusal is an error.
pub fn fill(client: &BatchTraceProcessor, items: &[Vec<u8>], count: usize) -> Result<()> {
    for json in items.iter().cycle().take(count) {
        client.enqueue(json)?;
    }
    Ok(())
}
