//! Template: a spool as processes that died left it, and what is known of each of its items.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use spanspool::{
    Answer, Batch, BatchTraceProcessor, Config, Destination, Outcome, SpoolView, TracingExporter,
};

use testkit::client::{long_item, number_of};
use testkit::form::Form;
use testkit::wait::PATIENCE;

/// A header of the journal's file is so long.
pub const HEADER_BYTES: usize = 64 << 10;
pub const RECORD_HEADER: usize = 40;
const FRAGMENT_HEADER: usize = 28;

/// A spool and the places of its items.
pub struct Template {
    pub name: &'static str,
    /// What its items are.
    pub form: Form,
    /// Every file, below `dir`, with its bytes.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
    /// The items that are pending: each must arrive unless all its places are touched.
    pub pending: BTreeMap<String, Vec<Place>>,
    /// The items of the rejected store, each with its file.
    pub rejected: BTreeMap<String, Vec<Place>>,
    /// Every item that was ever enqueued.
    pub all: BTreeMap<String, ()>,
}

/// Bytes without which an item can't be had.
#[derive(Debug, Clone)]
pub struct Place {
    pub file: PathBuf,
    pub bytes: Vec<Range<usize>>,
}

const NAMES: [&str; 5] = ["journal", "segments", "keys", "rejected", "orphans"];

impl Template {
    pub fn make_all(dir: &Path) {
        for (name, form) in kinds() {
            let spool = dir.join(form.exporter()).join(name);
            fs::create_dir_all(&spool).unwrap();
            match name {
                "journal" => fill(&spool, form, 0..60),
                "segments" => {
                    // Each run makes a segment of its own.
                    fill(&spool, form, 0..250);
                    fill(&spool, form, 250..500);
                }
                "keys" => half_delivered(&spool, form),
                "rejected" => refused(&spool, form),
                _ => two_lanes(&spool, form),
            }
        }
    }

    pub fn load_all(dir: &Path) -> Vec<Template> {
        let load = |(name, form): (_, Form)| Self::load(name, form, dir.join(form.exporter()).join(name));
        kinds().map(load).collect()
    }

    fn load(name: &'static str, form: Form, dir: PathBuf) -> Self {
        let mut files = BTreeMap::new();
        read_tree(&dir, &dir, &mut files);
        // What a client makes of the undamaged spool says which items each batch has.
        let probe = dir.with_file_name(format!("{name}-{}", std::process::id()));
        write_tree(&probe, &files);
        let taker = Arc::new(Taker::new(form));
        drain(&probe, &taker);
        let rejected: Vec<(String, String)> = SpoolView::open(&dir)
            .unwrap()
            .rejected()
            .unwrap()
            .into_iter()
            .map(|item| (item.id, form.text(&item.json).unwrap()))
            .collect();
        fs::remove_dir_all(&probe).unwrap();

        let fragments = fragments(&files);
        let mut pending = BTreeMap::new();
        for (id, items) in taker.batches.lock().unwrap().iter() {
            let (lane, first) = id.split_once('-').unwrap();
            let first: u64 = first.split_once('-').unwrap().0.parse().unwrap();
            let stored = fragments.get(&(lane.to_owned(), first)).cloned().unwrap_or_default();
            for item in items {
                let place = in_journal(&files, lane, &form.item(item));
                pending.insert(
                    item.clone(),
                    if stored.is_empty() { place.into_iter().collect() } else { stored.clone() },
                );
            }
        }
        let rejected = rejected.into_iter().map(|(_, item)| {
            let holds = |bytes: &Vec<u8>| find(bytes, &form.item(&item)).is_some();
            let file = files.iter().find(|(path, bytes)| is_in(path, "rejected") && holds(bytes));
            let place = file.map(|(path, bytes)| Place { file: path.clone(), bytes: vec![0..bytes.len()] });
            (item, place.into_iter().collect())
        });
        let rejected: BTreeMap<String, Vec<Place>> = rejected.collect();
        let all = (0..1000).map(|n| (body(n), ())).collect();
        Self { name, form, files, pending, rejected, all }
    }
}

fn kinds() -> impl Iterator<Item = (&'static str, Form)> {
    Form::ALL.into_iter().flat_map(|form| NAMES.map(|name| (name, form)))
}

/// Where a program's own exporter sends items of this form.
fn destination(form: Form) -> Destination {
    match form {
        Form::Json => Destination::custom("unnamed"),
        Form::Otlp => settings(Path::new("unused"), &[("exporter", form.exporter())]).destination(),
    }
}

/// An item of a size of its own.
fn body(n: u64) -> String {
    long_item(n, 200 + (n * 37 % 700) as usize)
}

pub fn is_in(path: &Path, folder: &str) -> bool {
    path.components().any(|part| part.as_os_str() == folder)
}

pub fn settings(spool: &Path, more: &[(&str, &str)]) -> Config {
    let mut config = Config::new();
    let fixed = [
        ("spool_dir", spool.to_str().unwrap()),
        ("journal_bytes", "128 KiB"),
        ("enqueue_timeout_ms", "60000"),
        ("schedule_delay_ms", "0"),
        ("adopt_interval_ms", "1"),
        ("base_delay_ms", "1"),
        ("max_delay_ms", "5"),
        ("max_batch_size", "16"),
    ];
    for (key, value) in fixed.iter().chain(more) {
        config.set(key, value).unwrap();
    }
    config
}

/// A client that sends nothing.
fn offline(spool: &Path, form: Form) -> BatchTraceProcessor {
    let exporter = if form == Form::Json { "none" } else { form.exporter() };
    BatchTraceProcessor::open_offline(settings(spool, &[("exporter", exporter)])).unwrap()
}

fn fill(spool: &Path, form: Form, numbers: Range<u64>) {
    let client = offline(spool, form);
    for n in numbers {
        client.enqueue(&form.item(&body(n))).unwrap();
    }
}

/// Several key names, sorted into segments, and some batches delivered, the last in the middle of the journal.
fn half_delivered(spool: &Path, form: Form) {
    let exporter = Arc::new(Scripted { form, accepts: Mutex::new(5), refuses: false });
    let client = BatchTraceProcessor::with_exporter(settings(spool, &[]), exporter.clone()).unwrap();
    for n in 0..300 {
        let item = form.item(&body(n));
        match n % 3 {
            0 => client.enqueue(&item).unwrap(),
            1 => client.enqueue_as("one", &item).unwrap(),
            _ => client.enqueue_as("two", &item).unwrap(),
        }
    }
    let deadline = Instant::now() + PATIENCE;
    while client.stats().unwrap().delivered < 60 && *exporter.accepts.lock().unwrap() > 0 {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn refused(spool: &Path, form: Form) {
    let exporter = Arc::new(Scripted { form, accepts: Mutex::new(u64::MAX), refuses: true });
    let client = BatchTraceProcessor::with_exporter(settings(spool, &[]), exporter).unwrap();
    for n in 0..60 {
        client.enqueue(&form.item(&body(n))).unwrap();
    }
    client.flush(PATIENCE).unwrap();
    assert!(client.stats().unwrap().rejected > 3);
    drop(client);
    fill(spool, form, 60..90);
}

fn two_lanes(spool: &Path, form: Form) {
    let [first, second] = [0, 1].map(|_| offline(spool, form));
    for n in 0..40 {
        first.enqueue(&form.item(&body(n))).unwrap();
    }
    for n in 40..300 {
        second.enqueue(&form.item(&body(n))).unwrap();
    }
}

/// An exporter that accepts so many batches, or refuses every tenth item.
struct Scripted {
    form: Form,
    accepts: Mutex<u64>,
    refuses: bool,
}

impl TracingExporter for Scripted {
    fn export(&self, batch: &Batch, _deadline: Option<Instant>) -> Outcome {
        let is_bad = |item: &[u8]| number_of(&self.form.text(item).unwrap()).is_multiple_of(10);
        if self.refuses && batch.items().any(is_bad) {
            return Outcome::Refused(Answer { status: 400, body: b"every tenth is bad".to_vec() });
        }
        let mut accepts = self.accepts.lock().unwrap();
        if *accepts == 0 {
            return Outcome::Retry { status: 503, after: None, reason: "busy".into() };
        }
        *accepts -= 1;
        Outcome::Accepted { status: 200 }
    }

    fn destination(&self) -> Destination {
        destination(self.form)
    }
}

/// An exporter that takes everything.
pub struct Taker {
    form: Form,
    pub batches: Mutex<HashMap<String, Vec<String>>>,
    /// Items that are not of the form.
    pub torn: Mutex<u64>,
}

impl Taker {
    pub fn new(form: Form) -> Self {
        Self { form, batches: Mutex::default(), torn: Mutex::default() }
    }

    pub fn items(&self) -> BTreeMap<String, u64> {
        let mut items = BTreeMap::new();
        for item in self.batches.lock().unwrap().values().flatten() {
            *items.entry(item.clone()).or_insert(0) += 1;
        }
        items
    }
}

impl TracingExporter for Taker {
    fn export(&self, batch: &Batch, _deadline: Option<Instant>) -> Outcome {
        let items: Vec<String> = batch.items().filter_map(|item| self.form.text(item)).collect();
        *self.torn.lock().unwrap() += (batch.len() - items.len()) as u64;
        self.batches.lock().unwrap().entry(batch.id()).or_default().extend(items);
        Outcome::Accepted { status: 200 }
    }

    fn destination(&self) -> Destination {
        destination(self.form)
    }
}

/// Delivers all that can be had out of `spool`, lanes of dead processes included.
pub fn drain(spool: &Path, taker: &Arc<Taker>) {
    let client = BatchTraceProcessor::with_exporter(settings(spool, &[]), taker.clone()).unwrap();
    let view = SpoolView::open(spool).unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        client.flush(PATIENCE).unwrap();
        // First: a damaged lane's items are pending elsewhere before it is gone.
        let readable = view.unreadable().unwrap().is_empty();
        let lanes = view.lanes().unwrap();
        let left: u64 = lanes.iter().map(|lane| lane.stats.pending).sum();
        // What a repair made of a lane without a whole item is for JSON, and has nothing but its counters.
        let own = lanes.iter().filter(|lane| Form::of(&lane.destination) == taker.form).count();
        if own == 1 && left == 0 && readable {
            break;
        }
        assert!(Instant::now() < deadline, "never drained: {lanes:?} {:?}", view.unreadable());
        std::thread::sleep(Duration::from_micros(500));
    }
    client.shutdown(PATIENCE).unwrap();
}

pub fn read_tree(root: &Path, dir: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_tree(root, &path, files);
        } else {
            files.insert(path.strip_prefix(root).unwrap().to_path_buf(), fs::read(&path).unwrap());
        }
    }
}

pub fn write_tree(to: &Path, files: &BTreeMap<PathBuf, Vec<u8>>) {
    for (path, bytes) in files {
        let path = to.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// The record of `item` in the journal of `lane`.
fn in_journal(files: &BTreeMap<PathBuf, Vec<u8>>, lane: &str, item: &[u8]) -> Option<Place> {
    let file = Path::new("lanes").join(lane).join("journal");
    let bytes = files.get(&file)?;
    let ring = bytes.len() - HEADER_BYTES;
    let wrapped = [&bytes[HEADER_BYTES..], &bytes[HEADER_BYTES..]].concat();
    let at = find(&wrapped, item)?;
    // In front of the item stand a key name of at most 3 bytes and the record's header.
    let begin = at.saturating_sub(RECORD_HEADER + 3) & !7;
    let end = (at + item.len()).next_multiple_of(8);
    let ranges = if end <= ring {
        vec![begin + HEADER_BYTES..end + HEADER_BYTES]
    } else {
        vec![begin.min(ring) + HEADER_BYTES..ring + HEADER_BYTES, HEADER_BYTES..end - ring + HEADER_BYTES]
    };
    Some(Place { file, bytes: ranges })
}

/// The fragments of each batch: for each file that has all of them, their places in it.
fn fragments(files: &BTreeMap<PathBuf, Vec<u8>>) -> BTreeMap<(String, u64), Vec<Place>> {
    let mut found: BTreeMap<(String, u64), Vec<Place>> = BTreeMap::new();
    for (path, bytes) in files.iter().filter(|(path, _)| is_in(path, "segments")) {
        let lane = path.components().nth(1).unwrap().as_os_str().to_str().unwrap().to_owned();
        let mut at = 0;
        while let Some(next) = find(&bytes[at..], b"SPFR") {
            at += next;
            let u32_at = |i: usize| u32::from_le_bytes(bytes[at + i..at + i + 4].try_into().unwrap());
            let id = u64::from_le_bytes(bytes[at + 16..at + 24].try_into().unwrap());
            let count = u16::from_le_bytes(bytes[at + 8..at + 10].try_into().unwrap());
            let end = at + FRAGMENT_HEADER + u32_at(12) as usize;
            // Batches of a campaign are of one fragment: each copy is enough by itself.
            assert_eq!(count, 1);
            let place = Place { file: path.clone(), bytes: vec![at..end] };
            found.entry((lane.clone(), id)).or_default().push(place);
            at = end;
        }
    }
    found
}

pub fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + bytes[from..].iter().position(|byte| *byte == what[0])?;
        if bytes[at..].starts_with(what) {
            return Some(at);
        }
        from = at + 1;
    }
}
