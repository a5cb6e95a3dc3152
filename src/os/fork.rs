//! Fork: a child of `fork` shares nothing with its parent that would bind either.
//!
//! A child has only the thread that forked. The parent's other threads are gone, and the locks they held stay locked.
//! So the child leaves the parent's state alone: it closes the descriptors that hold the parent's locks, and makes
//! everything again at its first call. It never joins, drops or unmaps anything of the parent's.
//!
//! `fork` calls handlers of ours. A process that was made by a raw `clone` did not call them: it finds a page wiped that
//! holds a word in every process that knows what it is.

#![allow(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::os::fd::RawFd;
use std::ptr::null_mut;
use std::sync::Once;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32, AtomicU64};
use std::time::Duration;

use crate::os::inode::Inode;

/// Counts the forks between the first process and this one.
static GENERATION: AtomicU64 = AtomicU64::new(0);
/// Held while no fork may happen, by [`exclude`] and by a fork itself.
static EXCLUDED: AtomicBool = AtomicBool::new(false);
/// Descriptors that a child closes.
static CLOSED_IN_CHILD: Slots = Slots::new();
/// Where the word [`KNOWN`] is; null before [`watch`].
static WORD: AtomicPtr<AtomicU32> = AtomicPtr::new(null_mut());
/// The process that knows what it is, where the system can't wipe a page for a child.
static PID: AtomicU32 = AtomicU32::new(0);

/// This process knows that it is none of its parent's.
const KNOWN: u32 = 2;
/// A thread of it is about to know.
const LEARNING: u32 = 1;

thread_local! {
    static EXCLUDING: Cell<u32> = const { Cell::new(0) };
    static DEFERRED: RefCell<Vec<Box<dyn FnOnce()>>> = const { RefCell::new(Vec::new()) };
}

/// How many forks lie between the first process that used this library and this one.
pub(crate) fn generation() -> u64 {
    let word = WORD.load(Acquire);
    // SAFETY: the page is never unmapped.
    let Some(word) = (unsafe { word.as_ref() }) else { return GENERATION.load(Relaxed) };
    if word.load(Acquire) != KNOWN || PID.load(Relaxed) != 0 && PID.load(Relaxed) != std::process::id() {
        learn(word);
    }
    GENERATION.load(Relaxed)
}

/// Lets a process that was just made know that it is a child.
#[cold]
fn learn(word: &AtomicU32) {
    if word.load(Acquire) == KNOWN {
        let pid = std::process::id();
        if PID.swap(pid, AcqRel) != pid {
            become_child();
        }
    } else if word.compare_exchange(0, LEARNING, AcqRel, Acquire).is_ok() {
        become_child();
        word.store(KNOWN, Release);
    } else {
        while word.load(Acquire) == LEARNING {
            std::thread::yield_now();
        }
    }
}

/// Prepares every later `fork` of this process.
pub(crate) fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let (word, is_wiped) = wiped_page();
        if !is_wiped {
            PID.store(std::process::id(), Relaxed);
        }
        WORD.store(word, Release);
        // SAFETY: the handlers are plain functions that only touch atomics, yield and close descriptors, all of which
        // a child of a process with many threads may do.
        unsafe {
            libc::pthread_atfork(Some(before_fork), Some(after_fork_in_parent), Some(after_fork_in_child));
        }
    });
}

/// A page with [`KNOWN`] in it, and whether children find it wiped.
fn wiped_page() -> (*mut AtomicU32, bool) {
    #[cfg(target_os = "linux")]
    // SAFETY: a fresh mapping that nothing else refers to, as long as a word.
    unsafe {
        let (len, access) = (size_of::<AtomicU32>(), libc::PROT_READ | libc::PROT_WRITE);
        let page = libc::mmap(null_mut(), len, access, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0);
        if page != libc::MAP_FAILED {
            let word = page.cast::<AtomicU32>();
            (*word).store(KNOWN, Relaxed);
            return (word, libc::madvise(page, len, libc::MADV_WIPEONFORK) == 0);
        }
    }
    (Box::into_raw(Box::new(AtomicU32::new(KNOWN))), false)
}

extern "C" fn before_fork() {
    // A fork inside of an exclusion, by a signal handler, must not wait for itself.
    if EXCLUDING.get() == 0 {
        acquire();
    }
}

extern "C" fn after_fork_in_parent() {
    if EXCLUDING.get() == 0 {
        EXCLUDED.store(false, Release);
    }
}

extern "C" fn after_fork_in_child() {
    generation();
}

fn become_child() {
    GENERATION.fetch_add(1, Relaxed);
    CLOSED_IN_CHILD.each(|slot| {
        let Some(held) = slot.take() else { return };
        if held.inode.is_of(held.fd) {
            // SAFETY: registered by its owner, which does not run in this process.
            unsafe { libc::close(held.fd) };
        }
    });
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
    // In a process made by `clone`, the parent's exclusion means nothing.
    generation();
    if EXCLUDING.get() == 0 {
        acquire();
    }
    EXCLUDING.set(EXCLUDING.get() + 1);
    let held = Held;
    let value = work();
    drop(held);
    if EXCLUDING.get() == 0 {
        DEFERRED.take().into_iter().for_each(|deferred| deferred());
    }
    value
}

/// Whether this thread runs in [`exclude`].
pub(crate) fn is_excluding() -> bool {
    EXCLUDING.get() > 0
}

/// Runs `work` now, or when this thread's exclusion ends: the host's code may fork, or never return.
pub(crate) fn outside_exclusion(work: impl FnOnce() + 'static) {
    if !is_excluding() {
        work();
    } else {
        DEFERRED.with_borrow_mut(|deferred| deferred.push(Box::new(work)));
    }
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
pub(crate) struct ClosedInChild(Vec<Held>);

impl ClosedInChild {
    pub(crate) fn new(fds: impl IntoIterator<Item = RawFd>) -> Self {
        let held = |fd| Inode::of(fd).ok().map(|inode| Held { fd, inode });
        let all: Vec<Held> = fds.into_iter().filter_map(held).collect();
        all.iter().for_each(|held| CLOSED_IN_CHILD.add(*held));
        Self(all)
    }

    /// Whether the host has closed none of them.
    pub(crate) fn are_ours(&self) -> bool {
        self.0.iter().all(|held| held.inode.is_of(held.fd))
    }
}

impl Drop for ClosedInChild {
    fn drop(&mut self) {
        self.0.iter().for_each(|held| CLOSED_IN_CHILD.remove(*held));
    }
}

/// A descriptor, and what it was open on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Held {
    fd: RawFd,
    inode: Inode,
}

const NO_FD: RawFd = -1;
/// Somebody is about to fill the slot.
const RESERVED: RawFd = -2;
const BLOCK: usize = 256;

struct Slot {
    fd: AtomicI32,
    device: AtomicU64,
    number: AtomicU64,
}

impl Slot {
    const fn new() -> Self {
        Self { fd: AtomicI32::new(NO_FD), device: AtomicU64::new(0), number: AtomicU64::new(0) }
    }

    fn get(&self) -> Option<Held> {
        let fd = self.fd.load(Acquire);
        let inode = Inode { device: self.device.load(Relaxed), number: self.number.load(Relaxed) };
        (fd >= 0).then_some(Held { fd, inode })
    }

    /// Empties it.
    fn take(&self) -> Option<Held> {
        let held = self.get();
        self.fd.store(NO_FD, Release);
        held
    }

    /// Fills it if it is empty.
    fn fill(&self, held: Held) -> bool {
        let is_free = self.fd.compare_exchange(NO_FD, RESERVED, Acquire, Relaxed).is_ok();
        if is_free {
            self.device.store(held.inode.device, Relaxed);
            self.number.store(held.inode.number, Relaxed);
            self.fd.store(held.fd, Release);
        }
        is_free
    }
}

/// Any number of descriptors, in blocks that are never freed: a child may look at them whenever it came into being.
struct Slots {
    slots: [Slot; BLOCK],
    next: AtomicPtr<Slots>,
}

impl Slots {
    const fn new() -> Self {
        Self { slots: [const { Slot::new() }; BLOCK], next: AtomicPtr::new(null_mut()) }
    }

    fn add(&self, held: Held) {
        let mut block = self;
        while !block.slots.iter().any(|slot| slot.fill(held)) {
            if block.next().is_none() {
                let fresh = Box::into_raw(Box::new(Self::new()));
                if block.next.compare_exchange(null_mut(), fresh, AcqRel, Acquire).is_err() {
                    // SAFETY: made above, and nobody else has it.
                    drop(unsafe { Box::from_raw(fresh) });
                }
            }
            match block.next() {
                Some(next) => block = next,
                None => return,
            }
        }
    }

    fn remove(&self, held: Held) {
        let mut block = Some(self);
        while let Some(here) = block {
            if let Some(slot) = here.slots.iter().find(|slot| slot.get() == Some(held)) {
                slot.take();
                return;
            }
            block = here.next();
        }
    }

    fn each(&self, work: impl Fn(&Slot)) {
        let mut block = Some(self);
        while let Some(here) = block {
            here.slots.iter().for_each(&work);
            block = here.next();
        }
    }

    fn next(&self) -> Option<&Self> {
        // SAFETY: null, or a block that is never freed.
        unsafe { self.next.load(Acquire).as_ref() }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn all(slots: &Slots) -> Vec<RawFd> {
        let found = RefCell::new(Vec::new());
        slots.each(|slot| found.borrow_mut().extend(slot.get().map(|held| held.fd)));
        found.take()
    }

    fn held(fd: RawFd) -> Held {
        Held { fd, inode: Inode { device: 1, number: fd as u64 } }
    }

    #[test]
    fn there_are_slots_for_any_number_of_descriptors() {
        let slots: &'static Slots = Box::leak(Box::new(Slots::new()));
        let many = 5 * BLOCK as RawFd;
        std::thread::scope(|scope| {
            for part in 0..4 {
                scope.spawn(move || (part..many).step_by(4).for_each(|fd| slots.add(held(fd))));
            }
        });
        let mut found = all(slots);
        found.sort_unstable();
        assert_eq!(found, (0..many).collect::<Vec<_>>());
        (0..many).step_by(2).for_each(|fd| slots.remove(held(fd)));
        assert_eq!(all(slots).len(), many as usize / 2);
    }

    #[test]
    fn what_the_host_is_told_waits_for_the_end_of_an_exclusion() {
        static STEPS: AtomicU32 = AtomicU32::new(0);
        exclude(|| {
            exclude(|| outside_exclusion(|| assert_eq!(STEPS.fetch_add(1, Relaxed), 1)));
            assert_eq!(STEPS.fetch_add(1, Relaxed), 0);
        });
        outside_exclusion(|| assert_eq!(STEPS.fetch_add(1, Relaxed), 2));
        assert_eq!(STEPS.load(Relaxed), 3);
    }
}
