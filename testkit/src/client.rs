//! Client: what tests of a whole client share: opening one, items with numbers, waiting with a deadline, the ledger.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use spanspool::{BatchTraceProcessor, Config, LaneStatus, RejectedItem, SpoolView, Stats};

use crate::ingest::{Answer, Ingest, Request, items_of};
use crate::wait::{PATIENCE, eventually};

/// As a setting in milliseconds: so long that it never comes in a test.
pub const NEVER_MS: &str = "3600000";

/// Values of `export_state`.
pub const BACKOFF: u64 = 2;
pub const HOLD: u64 = 3;

/// An enqueue that waits for room as long as a slow machine needs; a test of a full spool sets it itself.
pub const PATIENT: (&str, &str) = ("enqueue_timeout_ms", "60000");

/// Settings that send at once and try again soon, then `settings`.
pub fn config(spool: &Path, url: &str, settings: &[(&str, &str)]) -> Config {
    let mut config = Config::new();
    config.set("spool_dir", spool.to_str().unwrap()).unwrap();
    config.set("endpoint", url).unwrap();
    for (key, value) in
        [("schedule_delay_ms", "10"), ("base_delay_ms", "10"), ("max_delay_ms", "100"), PATIENT]
    {
        config.set(key, value).unwrap();
    }
    for (key, value) in settings {
        config.set(key, value).unwrap();
    }
    config
}

pub fn open(spool: &Path, url: &str, settings: &[(&str, &str)]) -> BatchTraceProcessor {
    BatchTraceProcessor::open(config(spool, url, settings)).unwrap()
}

/// A client that sends nothing.
pub fn open_offline(spool: &Path, settings: &[(&str, &str)]) -> BatchTraceProcessor {
    let mut config = config(spool, "http://127.0.0.1:9/", settings);
    config.set("exporter", "none").unwrap();
    BatchTraceProcessor::open(config).unwrap()
}

/// Ends `client` and waits until its lane is let go, however slow the disk is: the next client takes it over.
pub fn let_go(client: BatchTraceProcessor, spool: &Path) {
    drop(client);
    eventually("the lane is let go", || lanes(spool).iter().all(|lane| lane.owner_pid.is_none()));
}

/// An item that tells its number.
pub fn item(n: u64) -> String {
    format!(r#"{{"n":{n}}}"#)
}

/// An item of `bytes` bytes that tells its number; what fills it does not compress.
pub fn long_item(n: u64, bytes: usize) -> String {
    let mut text = format!(r#"{{"n":{n},"pad":""#);
    let mut noise = Noise::new(n);
    while text.len() < bytes - 2 {
        text.push(char::from(
            b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"[noise.below(64) as usize],
        ));
    }
    text + "\"}"
}

/// The number of an item made by [`item`] or [`long_item`].
pub fn number_of(item: &str) -> u64 {
    let digits = item.strip_prefix(r#"{"n":"#).unwrap();
    digits[..digits.find([',', '}']).unwrap()].parse().unwrap()
}

pub fn enqueue(client: &BatchTraceProcessor, numbers: impl IntoIterator<Item = u64>) {
    for n in numbers {
        client.enqueue(item(n).as_bytes()).unwrap();
    }
}

/// The numbers of the items in all requests, in order of arrival.
pub fn arrived(ingest: &Ingest) -> Vec<u64> {
    ingest.requests().iter().flat_map(items_of).map(|item| number_of(&item)).collect()
}

/// The value of a header that must be there, once.
pub fn the_header<'a>(request: &'a Request, name: &str) -> &'a str {
    let mut values = request.headers.iter().filter(|(n, _)| n == name);
    let value = values.next().unwrap_or_else(|| panic!("no {name}: {:?}", request.headers));
    assert!(values.next().is_none(), "{name} is there twice");
    &value.1
}

pub fn batch_id(request: &Request) -> &str {
    the_header(request, "idempotency-key")
}

/// Lane, first number and items of a batch's id. A CRC ends it.
pub fn parts_of_id(batch_id: &str) -> Option<(&str, u64, u64)> {
    let mut parts = batch_id.rsplitn(4, '-');
    let (_crc, items, first, lane) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    Some((lane, first.parse().ok()?, items.parse().ok()?))
}

/// The items that an ingest took, in order.
#[derive(Clone, Default)]
pub struct Received(Arc<Mutex<Vec<String>>>);

impl Received {
    /// Takes all of the request's items.
    pub fn take(&self, request: &Request) -> Answer {
        self.0.lock().unwrap().extend(items_of(request));
        Answer::status(200)
    }

    pub fn items(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    pub fn numbers(&self) -> Vec<u64> {
        self.items().iter().map(|item| number_of(item)).collect()
    }
}

/// Waits for that many requests.
pub fn wait_for_requests(ingest: &Ingest, count: usize) {
    assert!(ingest.wait_until(Instant::now() + PATIENCE, |requests| requests.len() >= count));
}

pub fn wait_for_state(client: &BatchTraceProcessor, state: u64) {
    eventually("export_state", || client.stats().unwrap().export_state == state);
}

pub fn settled(stats: &Stats) -> u64 {
    stats.delivered + stats.rejected + stats.dropped_overflow + stats.dropped_expired + stats.dropped_corrupt
}

pub fn assert_ledger(stats: &Stats) {
    assert_eq!(stats.accepted, settled(stats) + stats.pending, "{stats:?}");
}

/// Everything that was accepted is delivered.
pub fn assert_all_delivered(client: &BatchTraceProcessor, items: u64) {
    let stats = client.stats().unwrap();
    assert_ledger(&stats);
    assert_eq!((stats.accepted, stats.delivered, stats.pending), (items, items, 0), "{stats:?}");
    assert_eq!(stats.pending_bytes, 0, "{stats:?}");
}

pub fn view(spool: &Path) -> SpoolView {
    SpoolView::open(spool).unwrap()
}

pub fn lanes(spool: &Path) -> Vec<LaneStatus> {
    view(spool).lanes().unwrap()
}

pub fn rejected(spool: &Path) -> Vec<RejectedItem> {
    view(spool).rejected().unwrap()
}

/// The folder of the spool's only lane.
pub fn lane_dir(spool: &Path) -> PathBuf {
    let mut dirs: Vec<PathBuf> =
        fs::read_dir(spool.join("lanes")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(dirs.len(), 1, "{dirs:?}");
    dirs.remove(0)
}

/// The folders of the segments of the spool's only lane, oldest first.
pub fn segment_dirs(spool: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(lane_dir(spool).join("segments")) else { return Vec::new() };
    let mut dirs: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    dirs.sort();
    dirs
}

/// Bytes that `dir` and all in it take on disk, folders included; what vanishes meanwhile takes none.
pub fn disk_usage(dir: &Path) -> u64 {
    let Ok(metadata) = fs::symlink_metadata(dir) else { return 0 };
    let below = fs::read_dir(dir).map_or(0, |entries| entries.flatten().map(|e| disk_usage(&e.path())).sum());
    metadata.blocks() * 512 + below
}

/// Random numbers that a seed repeats (splitmix64, Steele et al. 2014).
pub struct Noise(u64);

impl Noise {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number from 0 up to `limit`, without it.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ z >> 31) % limit
    }
}
