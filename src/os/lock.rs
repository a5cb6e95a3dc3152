//! Locks that outlive a panic.

use std::sync::{LockResult, PoisonError};

/// Takes what a lock guards even if another thread panicked while it held the lock.
///
/// Nothing in this crate changes guarded state in steps that a panic could part, so a poisoned lock still guards a
/// consistent value.
pub(crate) trait Unpoison<T> {
    /// The guard, poisoned or not.
    fn unpoisoned(self) -> T;
}

impl<T> Unpoison<T> for LockResult<T> {
    fn unpoisoned(self) -> T {
        self.unwrap_or_else(PoisonError::into_inner)
    }
}
