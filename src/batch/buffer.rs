//! Buffer: the bytes of a request's body. A dropped one serves the next batch: to make and clear another would take as
//! long as to unpack the items into it.

use std::mem::take;
use std::ops::{Deref, DerefMut, RangeInclusive};
use std::sync::Mutex;

/// How many buffers are kept, and of what length.
const MOST_SPARE: usize = 4;
const SPARE_BYTES: RangeInclusive<usize> = 16 << 10..=256 << 10;

// Never waited for: a child of `fork` may find it locked for ever.
static SPARE: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

#[derive(Clone, PartialEq, Eq)]
pub(super) struct Buffer(Vec<u8>);

impl Buffer {
    /// `len` bytes of any values: of a batch that was sent before, say.
    pub(super) fn of_any(len: usize) -> Self {
        let mut bytes = SPARE.try_lock().ok().and_then(|mut spare| spare.pop()).unwrap_or_default();
        bytes.resize(len, 0);
        Self(bytes)
    }

    pub(super) fn into_bytes(mut self) -> Vec<u8> {
        take(&mut self.0)
    }
}

impl From<Vec<u8>> for Buffer {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl Deref for Buffer {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if SPARE_BYTES.contains(&self.0.capacity())
            && let Ok(mut spare) = SPARE.try_lock()
            && spare.len() < MOST_SPARE
        {
            spare.push(take(&mut self.0));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_buffer_has_the_length_that_was_asked_for_whatever_was_there_before() {
        for len in [20_000, 100_000, 17_000, 300_000, 50_000, 0] {
            let mut buffer = Buffer::of_any(len);
            assert_eq!(buffer.len(), len);
            buffer.fill(0xff);
        }
    }

    #[test]
    fn only_a_few_buffers_are_kept() {
        drop([(); 20].map(|()| Buffer::of_any(20_000)));
        drop(Buffer::of_any(1 << 20));
        let kept = SPARE.lock().unwrap();
        assert!(kept.len() <= MOST_SPARE);
        assert!(kept.iter().all(|buffer| SPARE_BYTES.contains(&buffer.capacity())));
    }
}
