//! Refusals: the records that were not stored, told to the SDK's log without a flood.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicU64};

use opentelemetry::{otel_error, otel_warn};
use spanspool::{Error, Signal};

/// One message for each kind of error until a record is stored again; the others are counted.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    /// A bit for each kind that was told.
    told: AtomicU32,
    untold: AtomicU64,
}

impl Refusals {
    /// Notes what became of a record.
    #[inline]
    pub(crate) fn note(&self, signal: Signal, result: spanspool::Result<()>) {
        match result {
            Ok(()) if self.told.load(Relaxed) == 0 => {}
            Ok(()) => self.stored_again(signal),
            Err(error) => self.refused(signal, &error),
        }
    }

    #[cold]
    fn refused(&self, signal: Signal, error: &Error) {
        let kind = 1 << (error.kind() as u32 % u32::BITS);
        // Noted first: a message that itself becomes a record, which fails, is no new message.
        if self.told.fetch_or(kind, Relaxed) & kind != 0 {
            self.untold.fetch_add(1, Relaxed);
            return;
        }
        otel_error!(
            name: "Spanspool.NotStored",
            message = "A record is lost, because it could not be stored. More of this kind are counted.",
            signal = signal.name(),
            reason = error.message()
        );
    }

    #[cold]
    fn stored_again(&self, signal: Signal) {
        self.told.store(0, Relaxed);
        let untold = self.untold.swap(0, Relaxed);
        otel_warn!(
            name: "Spanspool.StoredAgain",
            message = "Records are stored again. So many more were lost than there were messages.",
            signal = signal.name(),
            lost = untold
        );
    }
}
