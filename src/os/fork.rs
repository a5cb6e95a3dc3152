//! Fork: what a guest library owes the process it lives in: its threads take no signal of the host's, and a child
//! of `fork` shares nothing with its parent that would bind either.
//!
//! A child has only the thread that forked: the parent's other threads are gone, with the locks they held. So the
//! child touches none of the parent's state: it closes the descriptors that hold the parent's locks, and makes
//! everything anew at its first call. Nothing of the parent's is ever joined, dropped or unmapped there.

#![allow(unsafe_code)]

use std::cell::Cell;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::RawFd;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64};
use std::sync::{Arc, Once, OnceLock};
use std::thread::{Builder, JoinHandle};

use crate::error::Result;

/// Counts the forks between the first process and this one.
static GENERATION: AtomicU64 = AtomicU64::new(0);
/// Held while no fork may happen, by [`exclude`] and by a fork itself.
static EXCLUDED: AtomicBool = AtomicBool::new(false);
/// Descriptors that a child closes; -1 is none.
static CLOSED_IN_CHILD: [AtomicI32; 1024] = [const { AtomicI32::new(-1) }; 1024];

thread_local! {
    static EXCLUDING: Cell<u32> = const { Cell::new(0) };
}

/// Starts a thread named `spanspool-<role>` that has every signal blocked and does not push the host's threads off a
/// processor when it wakes, as do the threads it starts.
pub(crate) fn spawn(role: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    let mut old = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: both sets are ours; `old` is only read after pthread_sigmask wrote it. The new thread inherits
    // the mask that is in force while it is made, so there is no moment in which it could take a signal.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), old.as_mut_ptr());
    }
    let spawned = Builder::new().name(format!("spanspool-{role}")).spawn(|| {
        stay_behind();
        work();
    });
    // SAFETY: as above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, old.as_ptr(), std::ptr::null_mut()) };
    spawned
}

/// Has this thread wait for its turn when it wakes (SCHED_BATCH), unless the host has given it a policy of its own.
fn stay_behind() {
    #[cfg(target_os = "linux")]
    // SAFETY: the calls read `normal` only; 0 is the calling thread.
    unsafe {
        let normal = libc::sched_param { sched_priority: 0 };
        if libc::sched_getscheduler(0) == libc::SCHED_OTHER {
            libc::sched_setscheduler(0, libc::SCHED_BATCH, &raw const normal);
        }
    }
}

/// Runs `work` so that threads which it starts let the kernel put off their timeouts, to wake with others.
pub(crate) fn with_lazy_timers<T>(work: impl FnOnce() -> T) -> T {
    #[cfg(target_os = "linux")]
    // SAFETY: no memory is involved.
    unsafe {
        libc::prctl(libc::PR_SET_TIMERSLACK, 600_000_000_000u64, 0, 0, 0)
    };
    let value = work();
    #[cfg(target_os = "linux")]
    // SAFETY: as above; 0 is the thread's default.
    unsafe {
        libc::prctl(libc::PR_SET_TIMERSLACK, 0u64, 0, 0, 0)
    };
    value
}

/// The process's number among its forefathers that use this library.
pub(crate) fn generation() -> u64 {
    GENERATION.load(Relaxed)
}

/// Has children of `fork` noticed from now on.
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
            // SAFETY: registered by its owner, who does not run in this process.
            unsafe { libc::close(fd) };
        }
    }
    EXCLUDED.store(false, Release);
}

/// Runs `work` while no thread can fork: what it changes is never seen half done by a child.
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
        if rounds < 100 {
            std::thread::yield_now()
        } else {
            std::thread::sleep(std::time::Duration::from_micros(200))
        }
    }
}

/// Descriptors that a child of `fork` closes, because they hold locks of the parent's. To be made, and to be dropped
/// together with the descriptors' owner, inside [`exclude`].
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

/// The user that this process acts as.
pub(crate) fn user_id() -> u32 {
    // SAFETY: no memory is involved.
    unsafe { libc::geteuid() }
}

/// A value that each process makes for itself: a child of `fork` leaves the parent's alone.
pub(crate) struct PerProcess<T> {
    generation: u64,
    value: Option<Arc<T>>,
    child: OnceLock<Box<PerProcess<T>>>,
}

impl<T> PerProcess<T> {
    /// `value` is this process's.
    pub(crate) fn new(value: T) -> Self {
        Self { generation: generation(), value: Some(Arc::new(value)), child: OnceLock::new() }
    }

    /// This process's value, if it has one.
    pub(crate) fn get(&self) -> Option<&T> {
        let last = self.last();
        if last.generation == generation() { last.value.as_deref() } else { None }
    }

    /// This process's value, made from the nearest forefather's when there is none yet.
    pub(crate) fn get_or_renew(&self, renew: impl FnOnce(&T) -> Result<T>) -> Result<Option<&T>> {
        if let Some(value) = self.get() {
            return Ok(Some(value));
        }
        exclude(|| match (self.get(), &self.last().value) {
            (None, Some(value)) => {
                let renewed = Box::new(Self::new(renew(value)?));
                drop(self.last().child.set(renewed));
                Ok(())
            }
            _ => Ok(()),
        })?;
        Ok(self.get())
    }

    fn last(&self) -> &Self {
        let mut last = self;
        while let Some(child) = last.child.get() {
            last = child;
        }
        last
    }
}

impl<T> Drop for PerProcess<T> {
    fn drop(&mut self) {
        if self.generation != generation() {
            std::mem::forget(self.value.take());
        }
    }
}
