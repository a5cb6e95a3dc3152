//! Stored batch: a batch as a segment holds it: bincode, the items compressed with LZ4.

use bincode::{BorrowDecode, Encode};

use crate::batch::Batch;
use crate::error::{Error, ErrorKind, Result};
use crate::os::memory;
use crate::spool::format::codec;

/// A batch and what the queue must know of it without looking at the items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredBatch {
    pub(crate) batch: Batch,
    /// Bytes of JSON before it in the lane's whole life.
    pub(crate) bytes_before: u64,
    /// When its newest item was accepted.
    pub(crate) newest_unix_ms: u64,
    /// When its oldest item was accepted.
    pub(crate) oldest_unix_ms: u64,
}

/// What is long in it is borrowed: an item may take a good part of the memory.
#[derive(Encode, BorrowDecode)]
struct Encoded<'a> {
    key_name: String,
    bytes_before: u64,
    oldest_unix_ms: u64,
    newest_unix_ms: u64,
    item_bytes: Vec<u32>,
    packing: u8,
    joined_bytes: u32,
    packed: &'a [u8],
}

const PLAIN: u8 = 0;
const LZ4: u8 = 1;
/// A byte of an LZ4 block stands for 255 at most: a bound on what a damaged length can ask for.
const LZ4_GROWTH: usize = 255;

impl StoredBatch {
    /// The seq after its last item.
    pub(crate) fn end(&self) -> u64 {
        self.batch.first() + self.batch.len() as u64
    }

    /// Bytes of JSON before its end in the lane's whole life.
    pub(crate) fn bytes_end(&self) -> u64 {
        self.bytes_before + self.batch.items_bytes()
    }

    /// As it is stored. There are two copies of its items at most meanwhile: an item may take a good part of the memory.
    pub(crate) fn encode(self) -> Result<Vec<u8>> {
        let Self { batch, bytes_before, oldest_unix_ms, newest_unix_ms } = self;
        let (first, joined_bytes) = (batch.first(), batch.joined().len());
        let key_name = batch.key_name().to_owned();
        let item_bytes = batch.items().map(|item| item.len() as u32).collect();
        let squeezed =
            Some(lz4_flex::block::compress(batch.joined())).filter(|packed| packed.len() < joined_bytes);
        let plain = squeezed.is_none().then_some(batch);
        let packing = if plain.is_some() { PLAIN } else { LZ4 };
        let packed = plain.as_ref().map(Batch::joined).or(squeezed.as_deref()).unwrap_or_default();
        let encoded = Encoded {
            key_name,
            bytes_before,
            oldest_unix_ms,
            newest_unix_ms,
            item_bytes,
            packing,
            joined_bytes: joined_bytes as u32,
            packed,
        };
        bincode::encode_to_vec(encoded, codec::ENCODING)
            .map_err(|e| Error::new(ErrorKind::Internal, format!("cannot encode batch {first}: {e}")))
    }

    /// Reads batch `first` of `lane` back. Errors: `Corrupt`, and `Io` when there is no memory for it now.
    pub(crate) fn decode(lane: &str, first: u64, bytes: &[u8]) -> Result<Self> {
        let damaged = |what: &str| {
            Error::new(
                ErrorKind::Corrupt,
                format!("batch {first} of lane {lane} cannot be read back: {what}"),
            )
        };
        let encoded: Encoded<'_> = codec::decode(bytes).map_err(|e| damaged(&e.to_string()))?;
        let Encoded { packing, packed, joined_bytes, .. } = encoded;
        let joined_bytes = joined_bytes as usize;
        match packing {
            PLAIN if packed.len() == joined_bytes => {}
            LZ4 if joined_bytes / LZ4_GROWTH <= packed.len() => {}
            PLAIN | LZ4 => return Err(damaged("it is said to be longer than it can be")),
            other => return Err(damaged(&format!("unknown packing {other}"))),
        }
        memory::ensure(format_args!("read batch {first} of lane {lane}"), 2 * joined_bytes)?;
        let unpack = |joined: &mut [u8]| {
            if packing == PLAIN {
                joined.copy_from_slice(packed);
                return Some(());
            }
            let unpacked = lz4_flex::block::decompress_into(packed, joined).ok()?;
            (unpacked == joined.len()).then_some(())
        };
        let batch =
            Batch::from_joined(lane, first, encoded.key_name, &encoded.item_bytes, joined_bytes, unpack)
                .ok_or_else(|| damaged("its items do not add up"))?;
        Ok(Self {
            batch,
            bytes_before: encoded.bytes_before,
            newest_unix_ms: encoded.newest_unix_ms,
            oldest_unix_ms: encoded.oldest_unix_ms,
        })
    }
}
