//! Per process: a value that a child of `fork` makes again from its parent's.

use std::sync::{Arc, OnceLock};

use crate::error::Result;
use crate::os::fork::{exclude, generation};

/// A value that each process makes for itself: a child of `fork` never uses the parent's.
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

    /// This process's value, made from its nearest ancestor's when there is none yet.
    pub(crate) fn get_or_renew(&self, renew: impl FnOnce(&T) -> Result<T>) -> Result<Option<&T>> {
        if let Some(value) = self.get() {
            return Ok(Some(value));
        }
        exclude(|| match (self.get(), &self.last().value) {
            (None, Some(value)) => {
                let process = generation();
                let mut renewed = Self::new(renew(value)?);
                renewed.generation = process;
                // A fork inside of `renew`, by a signal handler: what was made is the parent's, and is left alone.
                if process == generation() {
                    drop(self.last().child.set(Box::new(renewed)));
                }
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
