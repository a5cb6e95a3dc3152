//! Primitives: what threads share the journal by. They are loom's when the models run (see `models`).

#[cfg(all(loom, test))]
pub(super) use loom::{
    sync::atomic::AtomicU64,
    sync::{Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard},
    thread::{Thread, current, park, yield_now},
};
#[cfg(not(all(loom, test)))]
pub(super) use std::{
    sync::atomic::AtomicU64,
    sync::{Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard},
    thread::{Thread, current, park, yield_now},
};
