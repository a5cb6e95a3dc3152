//! Fragment: a piece of a stored value, small enough that sled never puts it into a blob file.
//!
//! ```text
//!  0  magic "SPFR"   4  format version   5  unused   6  index   8  fragments in all   10  unused
//! 12  payload bytes  16  value id   24  CRC-32 of all the rest   28  payload
//! ```
//! Little-endian. Each fragment names and checks itself, so that a scan of a damaged file finds every whole one.

/// The longest fragment: a larger page would leave sled's log for a file of its own, which is never synced.
pub(crate) const MAX_FRAGMENT_BYTES: usize = 60 << 10;

pub(crate) const MAGIC: [u8; 4] = *b"SPFR";
/// The version of the format of everything inside fragments; raised with every change of it.
const FORMAT_VERSION: u8 = 1;
const HEADER: usize = 28;
const AT_CRC: usize = 24;

/// What a fragment says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fragment<'a> {
    pub(crate) id: u64,
    pub(crate) index: u16,
    pub(crate) count: u16,
    pub(crate) payload: &'a [u8],
}

/// Why bytes are no fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    Damaged,
    /// Written by another version of the format.
    Version(u8),
}

/// Cuts the value `id` into fragments, in order, each when it is asked for; `None` when it is too long.
pub(crate) fn split(id: u64, value: &[u8]) -> Option<impl Iterator<Item = Vec<u8>>> {
    let room = MAX_FRAGMENT_BYTES - HEADER;
    let count = u16::try_from(value.len().div_ceil(room).max(1)).ok()?;
    let mut pieces = value.chunks(room);
    Some(
        (0..count).map(move |index| {
            Fragment { id, index, count, payload: pieces.next().unwrap_or_default() }.encode()
        }),
    )
}

/// Puts a value together again from its fragments in order.
pub(crate) fn join<'a>(id: u64, fragments: impl Iterator<Item = &'a [u8]>) -> Result<Vec<u8>, Flaw> {
    let mut value = Vec::new();
    let mut next = 0;
    let mut count = 0;
    for bytes in fragments {
        let fragment = Fragment::decode(bytes)?;
        if fragment.id != id || fragment.index != next {
            return Err(Flaw::Damaged);
        }
        value.extend_from_slice(fragment.payload);
        next += 1;
        count = fragment.count;
    }
    if next == 0 || next != count { Err(Flaw::Damaged) } else { Ok(value) }
}

/// The fragments that `bytes` begins with, one after the other, as long as they are whole.
pub(crate) fn cut(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let len = Fragment::decode(bytes).ok()?.bytes();
        let (piece, rest) = bytes.split_at_checked(len)?;
        bytes = rest;
        Some(piece)
    })
}

impl<'a> Fragment<'a> {
    /// Bytes that it takes, its header included.
    pub(crate) fn bytes(&self) -> usize {
        HEADER + self.payload.len()
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER + self.payload.len());
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&[FORMAT_VERSION, 0]);
        bytes.extend_from_slice(&self.index.to_le_bytes());
        bytes.extend_from_slice(&self.count.to_le_bytes());
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(&(self.payload.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&self.id.to_le_bytes());
        let crc = crc_of(&bytes, self.payload);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes.extend_from_slice(self.payload);
        bytes
    }

    /// Reads the fragment that `bytes` begins with; more may follow it.
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self, Flaw> {
        let (header, rest) = bytes.split_at_checked(HEADER).ok_or(Flaw::Damaged)?;
        if header[..4] != MAGIC {
            return Err(Flaw::Damaged);
        }
        if header[4] != FORMAT_VERSION {
            return Err(Flaw::Version(header[4]));
        }
        let u16_at = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
        let u32_at =
            |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let payload = rest.get(..u32_at(12) as usize).ok_or(Flaw::Damaged)?;
        if crc_of(&header[..AT_CRC], payload) != u32_at(AT_CRC) {
            return Err(Flaw::Damaged);
        }
        let id = u64::from(u32_at(16)) | u64::from(u32_at(20)) << 32;
        Ok(Self { id, index: u16_at(6), count: u16_at(8), payload })
    }
}

fn crc_of(header: &[u8], payload: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(header);
    crc.update(payload);
    crc.finalize()
}
