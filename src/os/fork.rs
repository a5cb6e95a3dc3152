//! Fork: a child of `fork` shares nothing with its parent that would bind either.
//!
//! A child has only the thread that forked. The parent's other threads are gone, and the locks they held stay locked.
//! So the child leaves the parent's state alone: it closes the descriptors that hold the parent's locks, and makes
//! everything anew at its first call. It never joins, drops or unmaps anything of the parent's.

#![allow(unsafe_code)]

use std::cell::Cell;
use std::os::fd::RawFd;
use std::sync::Once;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64};
use std::time::Duration;

/// Counts the forks between the first process and this one.
static GENERATION: AtomicU64 = AtomicU64::new(0);
/// Held while no fork may happen, by [`exclude`] and by a fork itself.
static EXCLUDED: AtomicBool = AtomicBool::new(false);
/// Descriptors that a child closes; -1 is none.
static CLOSED_IN_CHILD: [AtomicI32; 1024] = [const { AtomicI32::new(-1) }; 1024];

thread_local! {
    static EXCLUDING: Cell<u32> = const { Cell::new(0) };
}

/// How many forks lie between the first process that used this library and this one.
pub(crate) fn generation() -> u64 {
    GENERATION.load(Relaxed)
}

/// Prepares every later `fork` of this process.
pub(crate) fn watch() {
    static ONCE: Once = Once::new();
    // SAFETY: the handlers are plain functions that only touch atomics, yield and close descriptors, all of which
    // a child of a process with many threads may do.
    ONCE.call_once(|| unsafe {
        libc::pthread_atfork(Some(before_fork), Some(after_fork_in_parent), Some(after_fork_in_child));
    });
}

extern "C" fn before_fork() {
    acquire();
}

extern "C" fn after_fork_in_parent() {
    EXCLUDED.store(false, Release);
}

extern "C" fn after_fork_in_child() {
    GENERATION.fetch_add(1, Relaxed);
    for slot in &CLOSED_IN_CHILD {
        let fd = slot.swap(-1, Relaxed);
        if fd >= 0 {
            // SAFETY: registered by its owner, which does not run in this process.
            unsafe { libc::close(fd) };
        }
    }
    EXCLUDED.store(false, Release);
}

/// Runs `work` while no thread can fork, so that no child sees what it changes half done.
pub(crate) fn exclude<T>(work: impl FnOnce() -> T) -> T {
    struct Held;
    impl Drop for Held {
        fn drop(&mut self) {
            EXCLUDING.set(EXCLUDING.get() - 1);
            if EXCLUDING.get() == 0 {
                EXCLUDED.store(false, Release);
            }
        }
    }
    if EXCLUDING.get() == 0 {
        acquire();
    }
    EXCLUDING.set(EXCLUDING.get() + 1);
    let _held = Held;
    work()
}

fn acquire() {
    let mut rounds = 0u32;
    while EXCLUDED.compare_exchange_weak(false, true, Acquire, Relaxed).is_err() {
        rounds += 1;
        if rounds < 100 { std::thread::yield_now() } else { std::thread::sleep(Duration::from_micros(200)) }
    }
}

/// Descriptors that a child of `fork` closes, because they hold locks of the parent's.
///
/// Make it inside [`exclude`], and drop it there together with the descriptors' owner.
pub(crate) struct ClosedInChild(Vec<RawFd>);

impl ClosedInChild {
    pub(crate) fn new(fds: Vec<RawFd>) -> Self {
        for fd in &fds {
            let free = |slot: &&AtomicI32| slot.compare_exchange(-1, *fd, Relaxed, Relaxed).is_ok();
            let _ = CLOSED_IN_CHILD.iter().find(free);
        }
        Self(fds)
    }
}

impl Drop for ClosedInChild {
    fn drop(&mut self) {
        for fd in &self.0 {
            let found = |slot: &&AtomicI32| slot.compare_exchange(*fd, -1, Relaxed, Relaxed).is_ok();
            let _ = CLOSED_IN_CHILD.iter().find(found);
        }
    }
}
