//! Real: real clients and a real ingest of limited capacity on this machine, for the model to be compared with.
//!
//! Each client is a handle of the library with a spool of its own. The ingest is an HTTP server that takes one request
//! after the other and refuses those that would wait too long.

#[path = "../../src/bin/spanspool/demo/ingest/mod.rs"]
#[allow(missing_docs, unused_imports, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod server;

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use server::{Answer, Request};
use spanspool::{BatchTraceProcessor, Config};

use crate::Result;
use crate::events::Ms;
use crate::measure::{Measured, SHARES, Second};
use crate::scenario::Scenario;

/// Marks an item that was made during the outage.
const MARK: &str = "\"in\":\"outage\"";
const PATIENCE: Duration = Duration::from_secs(300);

/// What the ingest has seen since its return.
struct Book {
    /// When all that was taken is worked off.
    done_at: Instant,
    seconds: Vec<Second>,
    /// When how much of the backlog had been delivered.
    drained: Vec<(Ms, u64)>,
}

/// Runs `scenario` with real clients, in real time, and measures what the model predicts.
pub fn run(scenario: &Scenario) -> Result<Measured> {
    let up_at = Instant::now() + Duration::from_millis(scenario.up_at());
    let book = Arc::new(Mutex::new(Book { done_at: up_at, seconds: Vec::new(), drained: Vec::new() }));
    let ingest = {
        let (book, scenario) = (book.clone(), scenario.clone());
        server::Ingest::start(move |request| answer(request, &scenario, up_at, &book))?
    };
    let dir = tempfile::Builder::new().prefix("spanspool-fleet-").tempdir()?;
    let mut clients = Vec::new();
    for n in 0..scenario.clients {
        clients.push(client(&dir.path().join(n.to_string()), &ingest.url(), scenario)?);
    }
    let backlog = make(&clients, scenario, up_at, &book)?;
    ingest.stop();
    for client in clients {
        // What is new by now stays in the spool.
        let _ = client.shutdown(Duration::ZERO);
    }
    let book = book.lock().unwrap_or_else(PoisonError::into_inner);
    let when = |share: f64| {
        let enough = |(_, items): &&(Ms, u64)| *items as f64 >= backlog as f64 * share;
        book.drained.iter().find(enough).map(|(at, _)| *at)
    };
    Ok(Measured {
        seconds: book.seconds.clone(),
        backlog,
        drained: SHARES.map(when),
        age: [f64::NAN; 2],
        fairness: f64::NAN,
    })
}

fn client(spool: &std::path::Path, url: &str, scenario: &Scenario) -> Result<BatchTraceProcessor> {
    let mut config = Config::new();
    config.set("spool_dir", &spool.to_string_lossy())?.set("endpoint", url)?.set("api_key", "sk-fleet")?;
    let settings = [
        ("journal_bytes", 1 << 20),
        ("max_batch_size", scenario.batch.into()),
        ("schedule_delay_ms", scenario.schedule_delay),
        ("base_delay_ms", scenario.settings.base_delay),
        ("max_delay_ms", scenario.settings.max_delay),
        ("max_in_flight", scenario.settings.max_in_flight as u64),
    ];
    for (name, value) in settings {
        config.set(name, &value.to_string())?;
    }
    Ok(BatchTraceProcessor::open(config)?)
}

/// Makes items for each client in turn until the backlog is delivered. Returns how many are in the backlog.
fn make(
    clients: &[BatchTraceProcessor],
    scenario: &Scenario,
    up_at: Instant,
    book: &Mutex<Book>,
) -> Result<u64> {
    let begin = up_at - Duration::from_millis(scenario.up_at());
    let gap = Duration::from_secs_f64(1.0 / scenario.items_per_s / f64::from(scenario.clients));
    let backlog = AtomicU64::new(0);
    for n in 0_u32.. {
        let at = begin + gap * n;
        std::thread::sleep(at.saturating_duration_since(Instant::now()));
        let is_in_outage = at < up_at;
        backlog.fetch_add(u64::from(is_in_outage), Relaxed);
        let mark = if is_in_outage { MARK } else { "\"in\":\"time\"" };
        let item = format!("{{\"object\":\"trace.span\",\"id\":\"span_{n:024x}\",{mark}}}");
        clients[n as usize % clients.len()].enqueue(item.as_bytes())?;
        if n % 100 == 0 && !is_in_outage {
            let drained =
                book.lock().unwrap_or_else(PoisonError::into_inner).drained.last().map(|last| last.1);
            if drained >= Some(backlog.load(Relaxed)) {
                break;
            }
            if at > up_at + PATIENCE {
                return Err(format!("{drained:?} of {backlog:?} items were delivered").into());
            }
        }
    }
    Ok(backlog.into_inner())
}

fn answer(request: &Request, scenario: &Scenario, up_at: Instant, book: &Mutex<Book>) -> Answer {
    let now = Instant::now();
    let Some(since) = now.checked_duration_since(up_at) else { return Answer::status(503) };
    let unit = Duration::from_secs_f64(1.0 / scenario.ingest.capacity);
    let mut locked = book.lock().unwrap_or_else(PoisonError::into_inner);
    let done_at = locked.done_at.max(now);
    let is_refused = done_at - now > Duration::from_millis(scenario.ingest.longest_wait);
    locked.done_at = done_at + if is_refused { unit.mul_f64(scenario.ingest.refusal) } else { unit };
    let until = locked.done_at;
    count(&mut locked, since, |second| {
        second.offered += 1;
        second.failed += u32::from(is_refused);
    });
    drop(locked);
    if is_refused {
        return Answer::status(503);
    }
    std::thread::sleep(until.saturating_duration_since(Instant::now()));
    let items = String::from_utf8_lossy(&request.body).matches(MARK).count() as u64;
    let mut locked = book.lock().unwrap_or_else(PoisonError::into_inner);
    let since = up_at.elapsed();
    count(&mut locked, since, |second| {
        second.accepted += 1;
        second.drained += items;
    });
    let before = locked.drained.last().map_or(0, |last| last.1);
    locked.drained.push((since.as_millis() as Ms, before + items));
    Answer::status(200)
}

fn count(book: &mut Book, since: Duration, what: impl FnOnce(&mut Second)) {
    let second = since.as_secs() as usize;
    if book.seconds.len() <= second {
        book.seconds.resize(second + 1, Second::default());
    }
    what(&mut book.seconds[second]);
}
