//! Descriptors: none of ours is ever 0, 1 or 2.
//!
//! A host that closed its standard descriptors may print all the same. The text must not reach a file of the spool or a
//! request.

#![allow(unsafe_code)]

use std::fs::{File, OpenOptions};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{Acquire, Release};

use crate::os::fork;
use crate::os::lock::Unpoison;

/// The first descriptor that is not a standard one.
const FIRST_FREE: RawFd = 3;

/// What keeps the standard descriptors taken while something is opened.
struct Placeholders {
    users: usize,
    files: Vec<File>,
}

static PLACEHOLDERS: Mutex<Placeholders> = Mutex::new(Placeholders { users: 0, files: Vec::new() });
/// As many users have placeholders: 0 once these are gone.
static USERS: AtomicUsize = AtomicUsize::new(0);
/// Counts how often placeholders were about to be made.
static MADE: AtomicUsize = AtomicUsize::new(0);

/// Runs `open`, which gets no standard descriptor even if the host has closed them.
///
/// Meanwhile `/dev/null` stands in for those that are closed.
pub(crate) fn above_standard<T>(open: impl FnOnce() -> T) -> T {
    let _using = Using::begin();
    open()
}

/// Somebody opens something: until then the placeholders stay.
struct Using;

impl Using {
    /// `None`: no placeholder is needed.
    fn begin() -> Option<Self> {
        if are_open_without_placeholders() {
            return None;
        }
        fork::exclude(|| {
            let mut placeholders = PLACEHOLDERS.lock().unpoisoned();
            if placeholders.users == 0 && (0..FIRST_FREE).all(is_open) {
                return None;
            }
            placeholders.users += 1;
            USERS.store(placeholders.users, Release);
            MADE.fetch_add(1, Release);
            placeholders.fill();
            Some(Self)
        })
    }
}

impl Drop for Using {
    fn drop(&mut self) {
        fork::exclude(|| {
            let mut placeholders = PLACEHOLDERS.lock().unpoisoned();
            placeholders.users -= 1;
            if placeholders.users == 0 {
                placeholders.files.clear();
            }
            USERS.store(placeholders.users, Release);
        });
    }
}

impl Placeholders {
    fn fill(&mut self) {
        while let Ok(file) = OpenOptions::new().read(true).write(true).open("/dev/null") {
            if file.as_raw_fd() >= FIRST_FREE {
                return;
            }
            self.files.push(file);
        }
    }
}

/// Whether the host has all standard descriptors, as most have: then nobody has to wait for anybody.
fn are_open_without_placeholders() -> bool {
    let made = MADE.load(Acquire);
    USERS.load(Acquire) == 0 && (0..FIRST_FREE).all(is_open) && MADE.load(Acquire) == made
}

fn is_open(fd: RawFd) -> bool {
    // SAFETY: no memory is involved; a closed descriptor is an error.
    unsafe { libc::fcntl(fd, libc::F_GETFD) >= 0 }
}
