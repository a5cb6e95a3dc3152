//! Witness: an ingest that keeps the record of what came and what it took.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use super::program::Name;
use testkit::client::{batch_id, parts_of_id};
use testkit::form::{Form, texts_of};
use testkit::ingest::{Answer, Fault, Ingest, Request};

/// How the ingest answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Mood {
    /// Takes everything but offensive items.
    Up,
    /// 503.
    Down,
    /// As `Up`, but every third answer is lost on the wire.
    Deaf,
}

/// One request, as it came.
#[derive(Clone)]
pub struct Seen {
    pub key: String,
    /// Of the body.
    pub hash: u64,
    pub items: Vec<Name>,
    /// Items that are not what any program made.
    pub torn: usize,
    pub received: bool,
}

/// The running ingest.
pub struct Witness {
    ingest: Ingest,
    mood: Arc<AtomicU64>,
    record: Arc<Mutex<Vec<Seen>>>,
}

impl Witness {
    pub fn start() -> Self {
        Self::start_with(|_| ())
    }

    /// The same, with the number of requests so far in a file, see `count_in`: it has each before it is answered.
    pub fn counting(file: &Path) -> Self {
        let file = File::create(file).unwrap();
        let note = move |requests: usize| file.write_all_at(&requests.to_ne_bytes(), 0).unwrap();
        note(0);
        Self::start_with(note)
    }

    fn start_with(note: impl Fn(usize) + Send + Sync + 'static) -> Self {
        let mood = Arc::new(AtomicU64::new(Mood::Up as u64));
        let record = Arc::new(Mutex::new(Vec::new()));
        let ingest = Ingest::start({
            let (mood, record) = (mood.clone(), record.clone());
            move |request| answer(request, mood.load(Ordering::Relaxed), &record, &note)
        });
        Self { ingest: ingest.unwrap(), mood, record }
    }

    /// Where to send items of this form.
    pub fn url(&self, form: Form) -> String {
        form.url(&self.ingest)
    }

    pub fn set_mood(&self, mood: Mood) {
        self.mood.store(mood as u64, Ordering::Relaxed);
    }

    /// Every request so far, in order.
    pub fn record(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.record.lock().unwrap()
    }
}

/// The number of requests that stands in the file of `Witness::counting`.
pub fn count_in(file: &Path) -> usize {
    usize::from_ne_bytes(fs::read(file).unwrap().try_into().unwrap())
}

/// Items that the ingest took in these requests.
pub fn received_in(record: &[Seen]) -> HashSet<Name> {
    record.iter().filter(|seen| seen.received).flat_map(|seen| seen.items.iter().copied()).collect()
}

/// Whether `key` is that of a batch that came in these requests, or of a part of one: into which parts a refused batch
/// falls depends on what else was refused meanwhile.
pub fn is_of_known_batch(key: &str, record: &[Seen]) -> bool {
    let Some((lane, first, items)) = parts_of_id(key) else { return false };
    let holds = |(other, begin, all): (&str, u64, u64)| {
        other == lane && begin <= first && first + items <= begin + all
    };
    record.iter().filter_map(|seen| parts_of_id(&seen.key)).any(holds)
}

/// The requests' keys and the bytes that came under each.
pub fn keys_in(record: &[Seen]) -> HashMap<&str, u64> {
    record.iter().map(|seen| (seen.key.as_str(), seen.hash)).collect()
}

fn answer(request: &Request, mood: u64, record: &Mutex<Vec<Seen>>, note: &impl Fn(usize)) -> Answer {
    let texts = texts_of(request);
    let items: Vec<Name> = texts.iter().filter_map(|text| Name::of(text)).collect();
    let offends = items.iter().any(|name| name.is_offensive());
    let mut hasher = DefaultHasher::new();
    request.body.hash(&mut hasher);
    let items_alone = (items.len() == 1).then(|| items[0]).filter(|_| offends);
    let received = mood != Mood::Down as u64 && !offends;
    let seen = Seen {
        key: batch_id(request).to_owned(),
        hash: hasher.finish(),
        torn: texts.len() - items.len(),
        items,
        received,
    };
    let mut record = record.lock().unwrap();
    record.push(seen);
    note(record.len());
    // Nobody can tell a lone offender from an endpoint that refuses everything, so a batch of one would be put on hold.
    let came_with_others =
        |name: &Name| record.iter().any(|seen| seen.items.len() > 1 && seen.items.contains(name));
    let refusal = match items_alone {
        Some(name) if !came_with_others(&name) => Answer::status(413),
        _ => Answer::status(400).body("an item is not liked"),
    };
    let lost = mood == Mood::Deaf as u64 && record.len().is_multiple_of(3);
    match (received, offends) {
        (true, _) if lost => Answer::status(200).fault(Fault::ResetAfterRead),
        (true, _) => Answer::status(200),
        (false, true) if mood != Mood::Down as u64 => refusal,
        _ => Answer::status(503),
    }
}
