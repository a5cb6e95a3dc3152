//! Codec: bincode as the spool's files hold it, read back within bounds.

use bincode::config::{Configuration, standard};
use bincode::error::DecodeError;
use bincode::{BorrowDecode, borrow_decode_from_slice};

/// The encoding of all values.
pub(crate) const ENCODING: Configuration = standard();

const SMALL: usize = 64 << 10;
const MEDIUM: usize = 4 << 20;
/// Bytes of memory that a byte of input can stand for: two of them are an item of a rejected group, which takes 32.
const GROWTH: usize = 16;
/// The most that is ever read back.
const MAX_BYTES: usize = 2 << 30;

/// Reads a value from the beginning of `bytes`. A damaged length in it asks for roughly no more memory than a value of
/// as many bytes could need. The limit is part of a type, so it comes in steps.
pub(crate) fn decode<'a, T: BorrowDecode<'a, ()>>(bytes: &'a [u8]) -> Result<T, DecodeError> {
    let len = bytes.len();
    if len <= SMALL {
        borrow_decode_from_slice(bytes, ENCODING.with_limit::<{ GROWTH * SMALL }>())
    } else if len <= MEDIUM {
        borrow_decode_from_slice(bytes, ENCODING.with_limit::<{ GROWTH * MEDIUM }>())
    } else {
        borrow_decode_from_slice(bytes, ENCODING.with_limit::<MAX_BYTES>())
    }
    .map(|(value, _)| value)
}
