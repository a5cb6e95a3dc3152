//! Scan: reading stored values from files byte by byte, by the fragments that check themselves.
//!
//! Every segment that is not being written is read this way. sled may write to a damaged file when it opens it, and so
//! destroy what is still whole there; a scan only looks.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead};
use std::os::unix::fs::FileExt;

use crate::error::{Error, Result};
use crate::os::memory;
use crate::spool::format::fragment::{Fragment, MAGIC, MAX_FRAGMENT_BYTES};
use crate::spool::held_path::{Access, HeldPath};

/// Bytes of a file that are looked at in one piece.
const WINDOW_BYTES: usize = 1 << 20;
/// What is read apart when a larger read fails: a bad sector costs its own block.
const BLOCK_BYTES: usize = 4096;

/// Where the whole fragments of some folders' files stand.
pub(crate) struct Scan {
    files: Vec<HeldPath>,
    values: BTreeMap<u64, Pieces>,
    /// The file that was read last.
    opened: Option<(usize, File)>,
    /// Why some blocks could not be read: what they hold is not known.
    unread: Option<Error>,
}

#[derive(Default)]
struct Pieces {
    count: u16,
    at: BTreeMap<u16, Place>,
}

#[derive(Clone, Copy)]
struct Place {
    file: usize,
    offset: u64,
    bytes: usize,
}

impl Scan {
    /// Looks through all files in `dirs`; folders and files that are absent hold nothing.
    pub(crate) fn of(dirs: &[HeldPath]) -> Result<Self> {
        let mut scan = Self { files: Vec::new(), values: BTreeMap::new(), opened: None, unread: None };
        for dir in dirs {
            for name in dir.names()? {
                scan.add(&dir.join(name))?;
            }
        }
        Ok(scan)
    }

    fn add(&mut self, path: &HeldPath) -> Result<()> {
        if !path.is_file() {
            return Ok(());
        }
        let Some(file) = open(path)? else { return Ok(()) };
        let index = self.files.len();
        self.files.push(path.clone());
        let mut offset = 0;
        loop {
            let (window, trouble) = read_at(&file, offset, WINDOW_BYTES + MAX_FRAGMENT_BYTES);
            if let Some(e) = trouble {
                self.unread.get_or_insert_with(|| Error::io(format!("read {path}"), e));
            }
            let mut next = 0;
            for (at, fragment) in fragments(&window, WINDOW_BYTES) {
                let bytes = fragment.bytes();
                next = at + bytes;
                let pieces = self.values.entry(fragment.id).or_default();
                pieces.count = fragment.count;
                let place = Place { file: index, offset: offset + at as u64, bytes };
                pieces.at.entry(fragment.index).or_insert(place);
            }
            if window.len() <= WINDOW_BYTES {
                return Ok(());
            }
            offset += next.max(WINDOW_BYTES) as u64;
        }
    }

    /// An error: some blocks could not be read.
    pub(crate) fn check_whole(&self) -> Result<()> {
        self.unread.clone().map_or(Ok(()), Err)
    }

    /// The value `id`, when each of its fragments is whole. An error: it can't be read now.
    pub(crate) fn value(&mut self, id: u64) -> Result<Option<Vec<u8>>> {
        let Some(pieces) = self.values.get(&id) else { return Ok(None) };
        let most = pieces.count as usize * MAX_FRAGMENT_BYTES;
        memory::ensure(format_args!("read item {id} from a segment"), 3 * most)?;
        let mut value = Vec::new();
        let mut bytes = Vec::new();
        for index in 0..pieces.count {
            let Some(place) = pieces.at.get(&index) else { return Ok(None) };
            if self.opened.as_ref().is_none_or(|(file, _)| *file != place.file) {
                let Some(path) = self.files.get(place.file) else { return Ok(None) };
                let file = path.open_file(Access::Read).map_err(|e| Error::io(format!("open {path}"), e))?;
                self.opened = Some((place.file, file));
            }
            let Some((_, file)) = &self.opened else { return Ok(None) };
            bytes.resize(place.bytes, 0);
            match file.read_exact_at(&mut bytes, place.offset) {
                Ok(()) => {}
                // It was cut since it was found.
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
                Err(e) => return Err(Error::io(format!("read item {id} from a segment"), e)),
            }
            match Fragment::decode(&bytes) {
                Ok(piece) if (piece.id, piece.index) == (id, index) => value.extend_from_slice(piece.payload),
                // It was changed or cut since it was found.
                _ => return Ok(None),
            }
        }
        Ok((pieces.count > 0).then_some(value))
    }

    /// The ids of all values of which any fragment was found, in order.
    pub(crate) fn ids(&self) -> impl Iterator<Item = u64> {
        self.values.keys().copied()
    }

    /// The next id after `id`.
    pub(crate) fn next_id(&self, id: u64) -> Option<u64> {
        self.values.range(id + 1..).next().map(|(id, _)| *id)
    }
}

/// The whole fragments in `bytes` that begin before `end`, with their offsets.
pub(crate) fn fragments(bytes: &[u8], end: usize) -> impl Iterator<Item = (usize, Fragment<'_>)> {
    let mut from = 0;
    std::iter::from_fn(move || {
        loop {
            // What lies between fragments is mostly zeros: `skip_until` looks at many of them at a time.
            let mut rest = bytes.get(from..).filter(|rest| !rest.is_empty())?;
            let at = from + rest.skip_until(MAGIC[0]).ok()? - 1;
            if at >= end || bytes[at] != MAGIC[0] {
                return None;
            }
            from = at + 1;
            if let Ok(fragment) = Fragment::decode(&bytes[at..]) {
                from = at + fragment.bytes();
                return Some((at, fragment));
            }
        }
    })
}

fn open(path: &HeldPath) -> Result<Option<File>> {
    match path.open_file(Access::Read) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some).map_err(|e| Error::io(format!("open {path}"), e)),
    }
}

/// Up to `len` bytes from `offset` on, and why some of them could not be read: those are zeros.
fn read_at(file: &File, offset: u64, len: usize) -> (Vec<u8>, Option<io::Error>) {
    let size = match file.metadata() {
        Ok(metadata) => metadata.len(),
        Err(e) => return (Vec::new(), Some(e)),
    };
    let len = len.min(usize::try_from(size.saturating_sub(offset)).unwrap_or(usize::MAX));
    let mut bytes = vec![0; len];
    let mut trouble = None;
    if file.read_exact_at(&mut bytes, offset).is_err() {
        bytes.fill(0);
        for (i, block) in bytes.chunks_mut(BLOCK_BYTES).enumerate() {
            if let Err(e) = file.read_exact_at(block, offset + (i * BLOCK_BYTES) as u64) {
                block.fill(0);
                // A file that was cut meanwhile has nothing there.
                trouble = trouble.or(Some(e).filter(|e| e.kind() != io::ErrorKind::UnexpectedEof));
            }
        }
    }
    (bytes, trouble)
}

#[cfg(test)]
mod tests {
    use super::fragments;
    use crate::spool::format::fragment;

    #[test]
    fn whole_fragments_are_found_wherever_they_stand() {
        let pieces: Vec<Vec<u8>> = fragment::split(7, &[b'S'; 100_000]).into_iter().flatten().collect();
        let mut bytes = b"SPFR in front of it SS".to_vec();
        bytes.extend(&pieces[0]);
        bytes.extend(b"SP");
        let second = bytes.len();
        bytes.extend(&pieces[1]);
        let found =
            |bytes: &[u8]| fragments(bytes, bytes.len()).map(|(at, f)| (at, f.index)).collect::<Vec<_>>();
        assert_eq!(found(&bytes), [(22, 0), (second, 1)]);
        bytes[5000] ^= 1;
        assert_eq!(found(&bytes), [(second, 1)]);
        bytes.truncate(bytes.len() - 1);
        assert_eq!(found(&bytes), []);
    }
}
