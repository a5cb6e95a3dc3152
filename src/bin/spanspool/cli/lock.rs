//! Lock: mutexes that outlive a panic of a thread that held them.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is under the program's locks is whole after each step.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
