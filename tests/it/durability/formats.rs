//! What this release wrote is read for ever: `tests/fixtures/spool-v<version>` holds a whole spool as a release left
//! it.
//!
//! `SPANSPOOL_UPDATE_FORMAT=1 cargo test --test it the_version_that_is_written` makes the one of the version that is
//! written now, once.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use spanspool::{Answer, Batch, BatchTraceProcessor, Config, Outcome, SpoolView, TracingExporter};
use testkit::{TempDir, root};

/// The format version that this release writes; its fixture is made once and then never touched.
const WRITTEN: u64 = 2;
/// Every version that this release reads.
const READ: &[u64] = &[1, 2];

const AT_VERSION: u64 = 8;
const AT_CHECK: u64 = 40;
const PATIENCE: Duration = Duration::from_secs(120);

fn fixture(version: u64) -> PathBuf {
    root().join(format!("tests/fixtures/spool-v{version}"))
}

/// Takes batches as `answer` says, and remembers those that it accepted.
struct Exporter<F>(Mutex<Vec<Batch>>, F);

impl<F: Fn(&Batch) -> Outcome + Send + Sync> TracingExporter for Exporter<F> {
    fn export(&self, batch: &Batch, _deadline: Option<Instant>) -> Outcome {
        let outcome = self.1(batch);
        self.0.lock().unwrap().push(batch.clone());
        outcome
    }
}

fn exporter<F: Fn(&Batch) -> Outcome + Send + Sync>(answer: F) -> Arc<Exporter<F>> {
    Arc::new(Exporter(Mutex::new(Vec::new()), answer))
}

fn accepted(_: &Batch) -> Outcome {
    Outcome::Accepted { status: 200 }
}

fn config(spool: &Path, more: &[(&str, &str)]) -> Config {
    let mut config = Config::new();
    config.set("spool_dir", spool.to_str().unwrap()).unwrap();
    for (key, value) in more {
        config.set(key, value).unwrap();
    }
    config
}

/// Fills `spool` with two lanes, and returns what must come out of it.
fn make(spool: &Path) -> Value {
    let small = [("journal_bytes", "128KiB"), ("max_batch_size", "4")];
    let mut items: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    // One lane with a rejected item, a batch that was formed and is not settled, and items of two key names after it.
    let answers = exporter(|batch| match batch.items().any(|item| item.starts_with(b"{\"bad\"")) {
        true => Outcome::Refused(Answer { status: 422, body: b"no \"bad\" here".to_vec() }),
        false if batch.first() < 3 => accepted(batch),
        false => Outcome::Hold { status: 404, reason: "HTTP 404".into() },
    });
    let first = BatchTraceProcessor::with_exporter(config(spool, &small), answers.clone()).unwrap();
    for item in ["{\"good\":1}", "{\"bad\":\"é \\u00e9\"}", "{\"good\":2}"] {
        first.enqueue(item.as_bytes()).unwrap();
    }
    first.flush(PATIENCE).unwrap();
    for n in 0..4 {
        let item = format!(" {{ \"formed\" : {n} , \"text\":\"é\\u00e9\" }}");
        first.enqueue(item.as_bytes()).unwrap();
        items.entry("").or_default().push(item);
    }
    assert!(first.flush(Duration::ZERO).is_err());
    let deadline = Instant::now() + PATIENCE;
    let formed = loop {
        if let Some(batch) = answers.0.lock().unwrap().iter().find(|batch| batch.first() == 3) {
            break batch.id();
        }
        assert!(Instant::now() < deadline, "no batch was formed");
        std::thread::sleep(Duration::from_millis(5));
    };
    for (n, key_name) in ["", "team-a", "team-é", "team-a"].into_iter().enumerate() {
        let item = format!("{{\"named\":{n}}}");
        match key_name {
            "" => first.enqueue(item.as_bytes()).unwrap(),
            _ => first.enqueue_as(key_name, item.as_bytes()).unwrap(),
        }
        items.entry(key_name).or_default().push(item);
    }

    // The other one with more than its journal has room for.
    let second = BatchTraceProcessor::open(config(spool, &[small[0], ("exporter", "none")])).unwrap();
    for n in 0..120 {
        let item = format!("{{\"n\":{n},\"pad\":\"{}\"}}", format!("{n:04x}").repeat(200));
        second.enqueue(item.as_bytes()).unwrap();
        items.entry("").or_default().push(item);
    }
    for processor in [&first, &second] {
        processor.sync().unwrap();
        assert!(processor.shutdown(Duration::ZERO).is_err(), "items stay");
    }
    let view = SpoolView::open(spool).unwrap();
    let rejected = view.rejected().unwrap();
    let [rejected] = &rejected[..] else { panic!("{rejected:?}") };
    assert_eq!((rejected.status, &rejected.answer[..]), (422, &b"no \"bad\" here"[..]));
    json!({
        "formed_batch": formed,
        "items": items,
        "accepted": 3 + 4 + 4 + 120,
        "delivered": 2,
        "rejected": {
            "id": rejected.id, "batch_id": rejected.batch_id, "reason": rejected.reason,
            "json": String::from_utf8(rejected.json.clone()).unwrap(),
        },
    })
}

/// Every file below `dir`, as its path from there.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![dir.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path)
            } else {
                found.push(path.strip_prefix(dir).unwrap().into())
            }
        }
    }
    found.sort();
    found
}

fn pack(from: &Path, to: &Path) {
    for file in files(from) {
        let packed = to.join(format!("{}.gz", file.display()));
        fs::create_dir_all(packed.parent().unwrap()).unwrap();
        let mut encoder = GzEncoder::new(File::create(packed).unwrap(), Compression::best());
        encoder.write_all(&fs::read(from.join(&file)).unwrap()).unwrap();
        encoder.finish().unwrap();
    }
}

/// The spool of `version` as its release left it, and what must come out of it.
fn unpack(version: u64, to: &Path) -> Value {
    let from = fixture(version).join("spool");
    for file in files(&from) {
        let target = to.join(file.with_extension("").to_str().unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        let mut bytes = Vec::new();
        GzDecoder::new(File::open(from.join(&file)).unwrap()).read_to_end(&mut bytes).unwrap();
        fs::write(target, bytes).unwrap();
    }
    serde_json::from_slice(&fs::read(fixture(version).join("expected.json")).unwrap()).unwrap()
}

#[test]
fn the_version_that_is_written_has_its_fixture() {
    let fixture = fixture(WRITTEN);
    if env::var_os("SPANSPOOL_UPDATE_FORMAT").is_some() {
        let dir = TempDir::new("formats-make");
        let expected = make(&dir.join("spool"));
        assert!(!fixture.join("spool").exists(), "{} is there already, and is for ever", fixture.display());
        pack(&dir.join("spool"), &fixture.join("spool"));
        fs::write(fixture.join("expected.json"), serde_json::to_vec_pretty(&expected).unwrap()).unwrap();
    }
    let dir = TempDir::new("formats-written");
    unpack(WRITTEN, dir.path());
    for journal in journals(dir.path()) {
        assert_eq!(version_of(&journal), WRITTEN);
    }
}

/// The journals of the lanes in `spool`.
fn journals(spool: &Path) -> Vec<PathBuf> {
    let all = files(spool).into_iter().filter(|file| file.ends_with("journal"));
    let journals: Vec<_> = all.map(|file| spool.join(file)).collect();
    assert_eq!(journals.len(), 2);
    journals
}

fn version_of(journal: &Path) -> u64 {
    let mut version = [0; 8];
    File::open(journal).unwrap().read_exact_at(&mut version, AT_VERSION).unwrap();
    u64::from_ne_bytes(version)
}

#[test]
fn a_spool_of_every_version_is_read_to_the_last_byte() {
    for version in READ {
        let dir = TempDir::new("formats-read");
        let spool = dir.path();
        let expected = unpack(*version, spool);
        assert!(files(spool).iter().any(|file| file.to_str().unwrap().contains("/segments/")));
        let count = |key: &str| expected[key].as_u64().unwrap();
        let left = count("accepted") - count("delivered") - 1;

        let view = SpoolView::open(spool).unwrap();
        let mut pending = 0;
        view.pending(&mut |_, _| {
            pending += 1;
            true
        })
        .unwrap();
        assert_eq!(pending, left, "pending, seen from outside");
        let rejected = view.rejected().unwrap().remove(0);
        let seen = json!({
            "id": rejected.id, "batch_id": rejected.batch_id, "reason": rejected.reason,
            "json": String::from_utf8(rejected.json).unwrap(),
        });
        assert_eq!(seen, expected["rejected"]);

        let exporter = exporter(accepted);
        let settings = [("adopt_interval_ms", "20"), ("schedule_delay_ms", "0")];
        let processor =
            BatchTraceProcessor::with_exporter(config(spool, &settings), exporter.clone()).unwrap();
        let deadline = Instant::now() + PATIENCE;
        while view.lanes().unwrap().len() > 1 || processor.stats().unwrap().pending > 0 {
            assert!(Instant::now() < deadline, "not delivered in time");
            std::thread::sleep(Duration::from_millis(5));
        }
        let stats = processor.stats().unwrap();
        processor.shutdown(PATIENCE).unwrap();
        assert_eq!((stats.accepted, stats.rejected), (count("accepted"), 1));
        assert_eq!((stats.delivered, stats.dropped_corrupt), (count("accepted") - 1, 0));

        let batches = exporter.0.lock().unwrap();
        let formed = batches.iter().find(|batch| batch.id() == expected["formed_batch"].as_str().unwrap());
        let formed: Vec<_> = formed.expect("the formed batch keeps its id").items().collect();
        assert!(formed.len() == 4 && formed.iter().all(|item| item.starts_with(b" { \"formed\" : ")));
        let mut arrived: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for batch in &*batches {
            let items = batch.items().map(|item| String::from_utf8(item.to_vec()).unwrap());
            arrived.entry(batch.key_name()).or_default().extend(items);
        }
        // Which of the two lanes comes first is not fixed.
        let mut wanted: BTreeMap<String, Vec<String>> =
            serde_json::from_value(expected["items"].clone()).unwrap();
        wanted.values_mut().for_each(|items| items.sort());
        arrived.values_mut().for_each(|items| items.sort());
        assert_eq!(serde_json::to_value(arrived).unwrap(), serde_json::to_value(wanted).unwrap());
    }
}

#[test]
fn a_lane_of_a_newer_version_is_refused_by_name_and_left_untouched() {
    let dir = TempDir::new("formats-newer");
    let spool = dir.path();
    unpack(WRITTEN, spool);
    for journal in journals(spool) {
        let file = File::options().read(true).write(true).open(journal).unwrap();
        file.write_all_at(&(WRITTEN + 1).to_ne_bytes(), AT_VERSION).unwrap();
        // A wrong check would be damage.
        let mut checked = [0; (AT_CHECK - AT_VERSION) as usize];
        file.read_exact_at(&mut checked, AT_VERSION).unwrap();
        file.write_all_at(&u64::from(crc32fast::hash(&checked)).to_ne_bytes(), AT_CHECK).unwrap();
    }
    let state = |file: &PathBuf| {
        let path = spool.join(file);
        (file.clone(), fs::metadata(&path).unwrap().modified().unwrap(), fs::read(&path).unwrap())
    };
    let before: Vec<_> = files(spool).iter().map(state).collect();

    let log = Arc::new(Mutex::new(Vec::new()));
    let mut config = config(spool, &[("exporter", "none")]);
    let lines = log.clone();
    config.set_log(move |_, line| lines.lock().unwrap().push(line.to_owned()));
    let processor = BatchTraceProcessor::open(config).unwrap();
    processor.enqueue(b"{}").unwrap();
    drop(processor);

    let said = format!("format version {}; this release reads 1 and {WRITTEN}", WRITTEN + 1);
    let log = log.lock().unwrap();
    assert_eq!(log.iter().filter(|line| line.contains(&said)).count(), 2, "{log:?}");
    let after: Vec<_> = before.iter().map(|(file, ..)| state(file)).collect();
    for (before, after) in before.iter().zip(&after) {
        assert!(before == after, "{} was changed", before.0.display());
    }
}
