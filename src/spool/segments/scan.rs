//! Scan: reading stored values from files byte by byte, by the fragments that check themselves.
//!
//! Every segment that is not being written is read this way. sled may write to a damaged file when it opens it, and so
//! destroy what is still whole there; a scan only looks.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead};
use std::ops::Bound::{Excluded, Included, Unbounded};
use std::os::unix::fs::FileExt;

use crate::error::{Error, ErrorKind, Result};
use crate::os::kept::Kept;
use crate::os::memory;
use crate::spool::format::fragment::{Fragment, MAGIC, MAX_FRAGMENT_BYTES};
use crate::spool::held_path::{Access, HeldPath};
use crate::spool::segments::writer::DATABASE;

/// Bytes of a file that are looked at in one piece.
const WINDOW_BYTES: usize = 1 << 20;
/// What is read apart when a larger read fails: a bad sector costs its own block.
const BLOCK_BYTES: usize = 4096;

/// Where the whole fragments of some folders' files stand.
pub(crate) struct Scan {
    files: Vec<HeldPath>,
    fragments: BTreeMap<Key, Place>,
    /// The file that was read last.
    opened: Option<(u32, Kept<File>)>,
    /// Why some blocks or files could not be read: what they hold is not known.
    unread: Option<Error>,
}

/// A fragment, in the order of the values, and for each value in that of its versions.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    version: Version,
    index: u16,
}

/// A value as it was stored once. A spill that was cut short may have stored a part of it in another folder, or cut
/// otherwise: fragments of two versions must not be put together.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Version {
    id: u64,
    /// Of two, the later one is newer.
    folder: u32,
    count: u16,
}

#[derive(Clone, Copy)]
struct Place {
    file: u32,
    bytes: u32,
    offset: u64,
}

impl Scan {
    /// Looks through all files in `dirs`, the newest one last; folders and files that are absent hold nothing.
    pub(crate) fn of(dirs: &[HeldPath]) -> Result<Self> {
        let mut scan = Self { files: Vec::new(), fragments: BTreeMap::new(), opened: None, unread: None };
        let mut window = Vec::new();
        for (folder, dir) in (0..).zip(dirs) {
            for name in dir.names()? {
                scan.add(folder, &dir.join(name), &mut window)?;
            }
        }
        Ok(scan)
    }

    fn add(&mut self, folder: u32, path: &HeldPath, window: &mut Vec<u8>) -> Result<()> {
        if !path.is_file().map_err(|e| Error::io(format!("look at {path}"), e))? {
            if path.path().ends_with(DATABASE) {
                let what = format!("{path} is not a file");
                self.unread.get_or_insert_with(|| Error::new(ErrorKind::Io, what));
            }
            return Ok(());
        }
        let Some(file) = open(path)? else { return Ok(()) };
        let index = self.files.len() as u32;
        self.files.push(path.clone());
        let mut offset = 0;
        loop {
            if let Some(e) = read_at(&file, offset, WINDOW_BYTES + MAX_FRAGMENT_BYTES, window) {
                self.unread.get_or_insert_with(|| Error::io(format!("read {path}"), e));
            }
            let mut next = 0;
            for (at, fragment) in fragments(window, WINDOW_BYTES) {
                let bytes = fragment.bytes();
                next = at + bytes;
                let version = Version { id: fragment.id, folder, count: fragment.count };
                let place = Place { file: index, bytes: bytes as u32, offset: offset + at as u64 };
                self.fragments.insert(Key { version, index: fragment.index }, place);
            }
            if window.len() <= WINDOW_BYTES {
                return Ok(());
            }
            offset += next.max(WINDOW_BYTES) as u64;
        }
    }

    /// An error: some blocks or files could not be read.
    pub(crate) fn check_whole(&self) -> Result<()> {
        self.unread.clone().map_or(Ok(()), Err)
    }

    /// The newest version of the value `id` of which each fragment is whole. An error: it can't be read now.
    pub(crate) fn value(&mut self, id: u64) -> Result<Option<Vec<u8>>> {
        let first = Included(Key::first_of(id));
        let mut last = Included(Key::last_of(id));
        while let Some((key, _)) = self.fragments.range((first, last)).next_back() {
            let version = key.version;
            if let Some(value) = self.read(version)? {
                return Ok(Some(value));
            }
            last = Excluded(Key { version, index: 0 });
        }
        Ok(None)
    }

    /// `None`: not all of it is here.
    fn read(&mut self, version: Version) -> Result<Option<Vec<u8>>> {
        let Version { id, count, .. } = version;
        let most = count as usize * MAX_FRAGMENT_BYTES;
        memory::ensure(format_args!("read item {id} from a segment"), 3 * most)?;
        let mut value = Vec::new();
        let mut bytes = Vec::new();
        for index in 0..count {
            let Some(place) = self.fragments.get(&Key { version, index }).copied() else { return Ok(None) };
            let Some(file) = self.file(place.file)? else { return Ok(None) };
            bytes.resize(place.bytes as usize, 0);
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
        Ok((count > 0).then_some(value))
    }

    fn file(&mut self, index: u32) -> Result<Option<&File>> {
        if self.opened.as_ref().is_none_or(|(opened, file)| *opened != index || !file.is_ours()) {
            let Some(path) = self.files.get(index as usize) else { return Ok(None) };
            let file = path.open_file(Access::Read).map_err(|e| Error::io(format!("open {path}"), e))?;
            self.opened = Some((index, Kept::new(file)));
        }
        Ok(self.opened.as_ref().map(|(_, file)| file.unchecked()))
    }

    /// The ids of all values of which any fragment was found, in order.
    pub(crate) fn ids(&self) -> impl Iterator<Item = u64> {
        let mut last = None;
        self.fragments.keys().map(|key| key.version.id).filter(move |id| last.replace(*id) != Some(*id))
    }

    /// The last id that is not after `id`.
    pub(crate) fn id_up_to(&self, id: u64) -> Option<u64> {
        self.fragments.range(..=Key::last_of(id)).next_back().map(|(key, _)| key.version.id)
    }

    /// The next id after `id`.
    pub(crate) fn next_id(&self, id: u64) -> Option<u64> {
        self.fragments.range((Excluded(Key::last_of(id)), Unbounded)).next().map(|(key, _)| key.version.id)
    }
}

impl Key {
    /// No fragment of the value `id` is before it.
    fn first_of(id: u64) -> Self {
        Self { version: Version { id, folder: 0, count: 0 }, index: 0 }
    }

    /// No fragment of the value `id` is after it.
    fn last_of(id: u64) -> Self {
        Self { version: Version { id, folder: u32::MAX, count: u16::MAX }, index: u16::MAX }
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

/// Fills `bytes` with up to `len` bytes from `offset` on; says why some of them could not be read: those are zeros.
fn read_at(file: &File, offset: u64, len: usize, bytes: &mut Vec<u8>) -> Option<io::Error> {
    let (size, trouble) = match file.metadata() {
        Ok(metadata) => (metadata.len(), None),
        Err(e) => (0, Some(e)),
    };
    bytes.resize(len.min(usize::try_from(size.saturating_sub(offset)).unwrap_or(usize::MAX)), 0);
    if file.read_exact_at(bytes, offset).is_ok() {
        return trouble;
    }
    read_by_block(file, offset, bytes)
}

fn read_by_block(file: &File, offset: u64, bytes: &mut [u8]) -> Option<io::Error> {
    let mut trouble = None;
    for (i, block) in bytes.chunks_mut(BLOCK_BYTES).enumerate() {
        if let Err(e) = file.read_exact_at(block, offset + (i * BLOCK_BYTES) as u64) {
            block.fill(0);
            // A file that was cut meanwhile has nothing there.
            trouble = trouble.or(Some(e).filter(|e| e.kind() != io::ErrorKind::UnexpectedEof));
        }
    }
    trouble
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::spool::format::fragment;

    #[test]
    fn fragments_of_two_versions_are_never_put_together() {
        let root = std::env::temp_dir().join(format!("spanspool-versions-{}", std::process::id()));
        let pieces = |byte: u8, len: usize| -> Vec<Vec<u8>> {
            fragment::split(7, &vec![byte; len]).into_iter().flatten().collect()
        };
        let (long, short) = (pieces(b'l', 150_000), pieces(b's', 100_000));
        let value_in = |folders: &[Vec<u8>]| {
            drop(std::fs::remove_dir_all(&root));
            let dirs: Vec<HeldPath> = folders
                .iter()
                .enumerate()
                .map(|(n, bytes)| {
                    let dir = root.join(n.to_string());
                    std::fs::create_dir_all(&dir).unwrap();
                    std::fs::write(dir.join("db"), bytes).unwrap();
                    HeldPath::open(&dir).unwrap()
                })
                .collect();
            let value = Scan::of(&dirs).unwrap().value(7).unwrap();
            drop(std::fs::remove_dir_all(&root));
            value
        };
        // The older one was cut short.
        assert_eq!(value_in(&[long[..2].concat(), short.concat()]), Some(vec![b's'; 100_000]));
        assert_eq!(value_in(&[[long[..2].concat(), short.concat()].concat()]), Some(vec![b's'; 100_000]));
        // The newer one was, and the older one is the only one that is whole.
        assert_eq!(value_in(&[long.concat(), short[..1].concat()]), Some(vec![b'l'; 150_000]));
        // Both are whole.
        assert_eq!(value_in(&[long.concat(), short.concat()]), Some(vec![b's'; 100_000]));
        assert_eq!(value_in(&[long[..1].concat(), long[1..].concat()]), None);
    }

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
