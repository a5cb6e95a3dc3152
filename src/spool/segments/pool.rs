//! Pool: whether sled has threads to write with.
//!
//! sled starts its threads once, at its first write, and goes on without those that the operating system refuses. With
//! none at all every call would wait for ever, because it tries again only for work that finds more than 7 pieces of it
//! waiting. So a scratch database comes first: its writes wait for nobody, and what reaches its file was written by a
//! thread of sled's. One thread is enough for all that a segment asks of it, and the last one never ends.

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind, Result};
use crate::os::lock::Unpoison;
use crate::os::thread;
use crate::spool::held_path::HeldPath;
use crate::spool::segments::writer::{Scratch, claim_sled};

/// Where the scratch database is, next to the segments.
const SCRATCH: &str = "pool";

/// How long a write of the scratch database may take before the next try is made later.
const PATIENCE: Duration = Duration::from_millis(500);

/// A write of the scratch database comes every few puts. The first try makes more than 7 of them; each later one makes
/// sled ask for a thread once or twice, which it does no more than 121 times in all.
const FIRST_PUTS: usize = 60;
const LATER_PUTS: usize = 10;

static HAS_THREADS: AtomicBool = AtomicBool::new(false);
/// The scratch database whose writes wait for a thread.
static STALLED: Mutex<Option<Scratch>> = Mutex::new(None);

/// Removes what a death left of a scratch database. What stays is in nobody's way.
pub(super) fn sweep_up(segments: &HeldPath) {
    let left = segments.join(SCRATCH);
    if left.is_folder() {
        drop(Scratch::remove(&left));
    }
}

/// Sees to it that sled has a thread. An error: there is none now, and a later call may find one.
///
/// `segments`: the folder of the segments, made where it is absent.
pub(crate) fn ensure_threads(segments: &HeldPath) -> Result<()> {
    // Without the claim no segment is made, and in a child of `fork` the lock below may never be let go.
    if HAS_THREADS.load(Acquire) || !claim_sled() {
        return Ok(());
    }
    segments.create()?;
    let mut stalled = STALLED.lock().unpoisoned();
    // sled gives up for good after too many refusals: it is asked only when a thread can be had.
    let probe = thread::spawn("probe", || ()).map(|probe| drop(probe.join()));
    probe.map_err(|e| Error::io("start a thread to write segments with", e))?;
    // The system counts an ended thread a moment longer.
    std::thread::sleep(Duration::from_millis(1));
    let (scratch, mut puts) = match stalled.take() {
        Some(scratch) => (scratch, LATER_PUTS),
        None => (Scratch::create(&segments.join(SCRATCH))?, FIRST_PUTS),
    };
    let deadline = Instant::now() + PATIENCE;
    while !scratch.is_written() {
        if puts > 0 {
            puts -= 1;
            if let Err(error) = scratch.put(puts as u8) {
                // Dropping it could wait for a thread for ever.
                std::mem::forget(scratch);
                return Err(error);
            }
        } else if Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        } else {
            *stalled = Some(scratch);
            let why = "sled, the database in it, has no thread: the operating system refused them";
            return Err(Error::new(ErrorKind::Io, format!("cannot write a segment: {why}")));
        }
    }
    HAS_THREADS.store(true, Release);
    Ok(())
}
