//! Volatile: a disk with a cache that a power cut empties. It keeps the record of all that it was told to write and to
//! flush, and makes an image of what could be left after a cut at any place of that record.
//!
//! What was written before a flush is there. Of each sector that was written since, there is one of the versions that
//! it had since: a disk may write its cache to the medium in any order, and a sector is all that it writes as one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::fuse::Served;
use testkit::client::Noise;

const BLOCK_BYTES: usize = 4096;

/// What a disk holds. A copy costs little: blocks are shared until they are written.
#[derive(Clone, Default)]
struct Blocks(BTreeMap<u64, Arc<[u8; BLOCK_BYTES]>>);

impl Blocks {
    fn read(&self, offset: u64, into: &mut [u8]) {
        each_part(offset, into.len(), |block, within, part| match self.0.get(&block) {
            Some(bytes) => into[part.clone()].copy_from_slice(&bytes[within..within + part.len()]),
            None => into[part].fill(0),
        });
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) {
        each_part(offset, bytes.len(), |block, within, part| {
            let target = self.0.entry(block).or_insert_with(|| Arc::new([0; BLOCK_BYTES]));
            Arc::make_mut(target)[within..within + part.len()].copy_from_slice(&bytes[part]);
        });
    }
}

/// Calls `each` with a block, the offset in it and the part of the `length` bytes from `offset` on that is there.
fn each_part(offset: u64, length: usize, mut each: impl FnMut(u64, usize, std::ops::Range<usize>)) {
    let mut done = 0;
    while done < length {
        let at = offset + done as u64;
        let within = (at % BLOCK_BYTES as u64) as usize;
        let part = done..length.min(done + BLOCK_BYTES - within);
        done = part.end;
        each(at / BLOCK_BYTES as u64, within, part);
    }
}

/// One thing that the disk was told, and what `Sample` said when it came.
struct Event<S> {
    /// Offset and bytes; `None`: a flush.
    write: Option<(u64, Vec<u8>)>,
    sample: S,
}

/// What stands in the world outside when something reaches the disk.
pub trait Sampler<S>: Fn() -> S + Send + Sync {}
impl<S, F: Fn() -> S + Send + Sync> Sampler<S> for F {}

/// What the disk was, what came since, and what is asked at each event.
type Recording<S> = (Blocks, Vec<Event<S>>, Box<dyn Sampler<S>>);

struct State<S> {
    now: Blocks,
    /// What `now` was when the record began, and what came since; `None`: nothing is recorded.
    record: Option<Recording<S>>,
}

/// The disk.
pub struct Volatile<S> {
    bytes: u64,
    state: Mutex<State<S>>,
}

impl<S> Volatile<S> {
    pub fn new(bytes: u64) -> Self {
        Self { bytes, state: Mutex::new(State { now: Blocks::default(), record: None }) }
    }

    /// Begins the record: all that was written before is on the medium. `sample` is called with each event, before it
    /// counts.
    pub fn begin_record(&self, sample: impl Fn() -> S + Send + Sync + 'static) {
        let mut state = self.state.lock().unwrap();
        state.record = Some((state.now.clone(), Vec::new(), Box::new(sample)));
    }

    /// Ends the record. `honest`: flushes count.
    pub fn end_record(&self, honest: bool) -> Record<S> {
        let (medium, mut events, _) = self.state.lock().unwrap().record.take().unwrap();
        if !honest {
            events.retain(|event| event.write.is_some());
        }
        Record { bytes: self.bytes, medium, events, flushed: 0 }
    }

    fn note(&self, write: Option<(u64, Vec<u8>)>) {
        let mut state = self.state.lock().unwrap();
        if let Some((offset, bytes)) = &write {
            state.now.write(*offset, bytes);
        }
        if let Some((_, events, sample)) = &mut state.record {
            events.push(Event { write, sample: sample() });
        }
    }
}

impl<S: Send + Sync> Served for Volatile<S> {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read(&self, offset: u64, into: &mut [u8]) {
        self.state.lock().unwrap().now.read(offset, into);
    }

    fn write(&self, offset: u64, bytes: &[u8]) {
        self.note(Some((offset, bytes.to_vec())));
    }

    fn flush(&self) {
        self.note(None);
    }
}

/// What a disk was told, in order.
pub struct Record<S> {
    bytes: u64,
    /// What is certain to be on the medium after the first `flushed` events.
    medium: Blocks,
    events: Vec<Event<S>>,
    flushed: usize,
}

impl<S> Record<S> {
    /// Of each event whether it is a flush, and what was sampled when it came: the state of the world at a cut just
    /// before it.
    pub fn events(&self) -> impl Iterator<Item = (bool, &S)> {
        self.events.iter().map(|event| (event.write.is_none(), &event.sample))
    }

    /// What a cut just before event `cut` may leave: of the sectors that are not certain, each stays as it was with
    /// probability `lost` in a hundred; with 0 nothing that was written is lost. Cuts come in order.
    pub fn image(&mut self, cut: usize, lost: u64, sector_bytes: usize, noise: &mut Noise) -> Arc<Image> {
        let certain = (0..cut).rev().find(|at| self.events[*at].write.is_none()).map_or(0, |at| at + 1);
        assert!(self.flushed <= certain, "cuts come in order");
        for event in &self.events[self.flushed..certain] {
            if let Some((offset, bytes)) = &event.write {
                self.medium.write(*offset, bytes);
            }
        }
        self.flushed = certain;
        let mut versions: BTreeMap<u64, Vec<&[u8]>> = BTreeMap::new();
        for (offset, bytes) in self.events[certain..cut].iter().filter_map(|event| event.write.as_ref()) {
            for (at, sector) in bytes.chunks(sector_bytes).enumerate() {
                versions.entry(offset + (at * sector_bytes) as u64).or_default().push(sector);
            }
        }
        let mut blocks = self.medium.clone();
        for (offset, versions) in versions {
            let newest = versions.len() - 1;
            let version = if lost == 0 { newest } else { noise.below(versions.len() as u64) as usize };
            if noise.below(100) >= lost {
                blocks.write(offset, versions[version]);
            }
        }
        Arc::new(Image { bytes: self.bytes, blocks: Mutex::new(blocks) })
    }
}

/// What a cut left.
pub struct Image {
    bytes: u64,
    blocks: Mutex<Blocks>,
}

impl Served for Image {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read(&self, offset: u64, into: &mut [u8]) {
        self.blocks.lock().unwrap().read(offset, into);
    }

    fn write(&self, offset: u64, bytes: &[u8]) {
        self.blocks.lock().unwrap().write(offset, bytes);
    }

    fn flush(&self) {}
}
