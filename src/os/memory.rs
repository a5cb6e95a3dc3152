//! Memory: whether there is enough for large work. An allocation that fails ends the process, and a limit may be reached
//! for a while only.

#![allow(unsafe_code)]

use std::fmt;
use std::io;

use crate::error::{Error, Result};

/// Whether `bytes` more can be had now for doing `what`. They are given back at once: what comes next may still find less.
pub(crate) fn ensure(what: impl fmt::Display, bytes: usize) -> Result<()> {
    can_have(bytes).map_err(|e| Error::io(what, e))
}

fn can_have(bytes: usize) -> io::Result<()> {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a fresh mapping that nothing refers to is made and taken away; none of its pages is touched.
    unsafe {
        let probe = libc::mmap(
            std::ptr::null_mut(),
            bytes.max(1),
            access,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        if probe == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        libc::munmap(probe, bytes.max(1));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn there_is_a_little_and_not_everything() {
        ensure("do nothing", 0).unwrap();
        ensure("do a little", 1 << 20).unwrap();
        let error = ensure("do too much", usize::MAX / 2).unwrap_err();
        assert!(error.message().starts_with("cannot do too much: Cannot allocate memory"), "{error}");
    }
}
