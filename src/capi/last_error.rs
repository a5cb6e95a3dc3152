//! Last error: the text of each thread's last failed call on each handle.

use std::cell::RefCell;
use std::sync::{Arc, Weak};

use crate::error::Result;

thread_local! {
    /// The texts of this thread. A weak reference keeps the mark's memory from being used again, so that the mark of
    /// a handle that was freed is never taken for a newer one's.
    static TEXTS: RefCell<Vec<(Weak<()>, String)>> = const { RefCell::new(Vec::new()) };
}

/// The mark that tells one handle from all others. Its texts go with the handle, or with the thread if that ends first.
#[derive(Default)]
pub struct LastError(Arc<()>);

impl LastError {
    /// Keeps the text of a call's outcome; none after a success.
    pub fn note(&self, outcome: &Result<()>) {
        // A thread that is ending keeps no texts any more.
        let _ = TEXTS.try_with(|texts| {
            let Ok(mut texts) = texts.try_borrow_mut() else { return };
            if texts.is_empty() && outcome.is_ok() {
                return;
            }
            texts.retain(|(mark, _)| mark.strong_count() > 0 && !self.is(mark));
            if let Err(error) = outcome {
                texts.push((Arc::downgrade(&self.0), error.to_string()));
            }
        });
    }

    /// This thread's text; empty when its last call succeeded or there was none.
    pub fn text(&self) -> String {
        let find = |texts: &RefCell<Vec<(Weak<()>, String)>>| {
            let texts = texts.try_borrow().ok()?;
            texts.iter().find(|(mark, _)| self.is(mark)).map(|(_, text)| text.clone())
        };
        TEXTS.try_with(find).ok().flatten().unwrap_or_default()
    }

    fn is(&self, mark: &Weak<()>) -> bool {
        std::ptr::eq(mark.as_ptr(), Arc::as_ptr(&self.0))
    }
}
