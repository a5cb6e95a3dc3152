//! Memory: whether there is enough for large work. An allocation that fails ends the process, and a limit may be reached
//! for a while only.

#![allow(unsafe_code)]

use std::fmt;
use std::io;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// What little work takes at most: a batch of the default size and its request are.
const LITTLE: usize = 4 << 20;
/// For how long there is enough for little work once there was. Asking takes two system calls, and a batch asks often.
const GOOD_FOR: Duration = Duration::from_millis(2);

/// Whether `bytes` more can be had now for doing `what`. They are given back at once: what comes next may still find
/// less.
pub(crate) fn ensure(what: impl fmt::Display, bytes: usize) -> Result<()> {
    static ENOUGH_UNTIL: Mutex<Option<Instant>> = Mutex::new(None);
    if bytes > LITTLE {
        return can_have(bytes).map_err(|e| Error::io(what, e));
    }
    let now = Instant::now();
    // Never waited for: a child of `fork` may find it locked for ever.
    let mut enough_until = ENOUGH_UNTIL.try_lock().ok();
    if enough_until.as_ref().is_some_and(|until| until.is_some_and(|until| now < until)) {
        return Ok(());
    }
    match can_have(LITTLE) {
        Ok(()) => {
            enough_until.iter_mut().for_each(|until| **until = Some(now + GOOD_FOR));
            Ok(())
        }
        Err(_) => can_have(bytes).map_err(|e| Error::io(what, e)),
    }
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
