//! Scan: reading stored values from files byte by byte, by the fragments that check themselves.
//!
//! Every segment that is not being written is read this way. sled may write to a damaged file when it opens it, and so
//! destroy what is still whole there; a scan only looks.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead};
use std::os::unix::fs::FileExt;

use crate::error::{Error, Result};
use crate::os::kept::Kept;
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
    /// The versions of each value, in the order in which they were found.
    values: BTreeMap<u64, Vec<Version>>,
    /// The file that was read last.
    opened: Option<(usize, Kept<File>)>,
    /// Why some blocks could not be read: what they hold is not known.
    unread: Option<Error>,
}

/// A value as it was stored once. A spill that was cut short may have stored a part of it in another folder, or cut
/// otherwise: fragments of two versions must not be put together.
struct Version {
    folder: usize,
    count: u16,
    pieces: BTreeMap<u16, Place>,
}

#[derive(Clone, Copy)]
struct Place {
    file: usize,
    offset: u64,
    bytes: usize,
}

impl Scan {
    /// Looks through all files in `dirs`, the newest one last; folders and files that are absent hold nothing.
    pub(crate) fn of(dirs: &[HeldPath]) -> Result<Self> {
        let mut scan = Self { files: Vec::new(), values: BTreeMap::new(), opened: None, unread: None };
        for (folder, dir) in dirs.iter().enumerate() {
            for name in dir.names()? {
                scan.add(folder, &dir.join(name))?;
            }
        }
        Ok(scan)
    }

    fn add(&mut self, folder: usize, path: &HeldPath) -> Result<()> {
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
                let place = Place { file: index, offset: offset + at as u64, bytes };
                self.version(fragment.id, folder, fragment.count).pieces.insert(fragment.index, place);
            }
            if window.len() <= WINDOW_BYTES {
                return Ok(());
            }
            offset += next.max(WINDOW_BYTES) as u64;
        }
    }

    fn version(&mut self, id: u64, folder: usize, count: u16) -> &mut Version {
        let versions = self.values.entry(id).or_default();
        let known = versions.iter().position(|it| (it.folder, it.count) == (folder, count));
        let at = known.unwrap_or(versions.len());
        if known.is_none() {
            versions.push(Version { folder, count, pieces: BTreeMap::new() });
        }
        &mut versions[at]
    }

    /// An error: some blocks could not be read.
    pub(crate) fn check_whole(&self) -> Result<()> {
        self.unread.clone().map_or(Ok(()), Err)
    }

    /// The newest version of the value `id` of which each fragment is whole. An error: it can't be read now.
    pub(crate) fn value(&mut self, id: u64) -> Result<Option<Vec<u8>>> {
        let Self { files, values, opened, .. } = self;
        for version in values.get(&id).into_iter().flatten().rev() {
            if let Some(value) = version.read(id, files, opened)? {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    /// The ids of all values of which any fragment was found, in order.
    pub(crate) fn ids(&self) -> impl Iterator<Item = u64> {
        self.values.keys().copied()
    }

    /// The last id that is not after `id`.
    pub(crate) fn id_up_to(&self, id: u64) -> Option<u64> {
        self.values.range(..=id).next_back().map(|(id, _)| *id)
    }

    /// The next id after `id`.
    pub(crate) fn next_id(&self, id: u64) -> Option<u64> {
        self.values.range(id + 1..).next().map(|(id, _)| *id)
    }
}

impl Version {
    /// `opened` is the file that was read last.
    fn read(
        &self,
        id: u64,
        files: &[HeldPath],
        opened: &mut Option<(usize, Kept<File>)>,
    ) -> Result<Option<Vec<u8>>> {
        let most = self.count as usize * MAX_FRAGMENT_BYTES;
        memory::ensure(format_args!("read item {id} from a segment"), 3 * most)?;
        let mut value = Vec::new();
        let mut bytes = Vec::new();
        for index in 0..self.count {
            let Some(place) = self.pieces.get(&index) else { return Ok(None) };
            if opened.as_ref().is_none_or(|(file, open)| *file != place.file || !open.is_ours()) {
                let Some(path) = files.get(place.file) else { return Ok(None) };
                let file = path.open_file(Access::Read).map_err(|e| Error::io(format!("open {path}"), e))?;
                *opened = Some((place.file, Kept::new(file)));
            }
            let Some((_, file)) = opened else { return Ok(None) };
            bytes.resize(place.bytes, 0);
            match file.unchecked().read_exact_at(&mut bytes, place.offset) {
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
        Ok((self.count > 0).then_some(value))
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
