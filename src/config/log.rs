//! Log: where the library's log lines go, and how they stop.

use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Arc, RwLock};

use crate::config::on_one_line;
use crate::os::fork;
use crate::os::lock::Unpoison;

/// How serious a log line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i32)]
pub enum Level {
    /// Something was lost, or work cannot go on.
    Error = 1,
    /// Something failed and is being handled.
    Warn = 2,
    /// A change of state.
    Info = 3,
    /// One line per batch, and the text of every failed call.
    Debug = 4,
}

/// Receives log lines. Any thread may call it, several at once.
pub type LogFn = dyn Fn(Level, &str) + Send + Sync;

thread_local! {
    /// Whether this thread is inside a receiver.
    static IN_RECEIVER: Cell<bool> = const { Cell::new(false) };
}

/// The way out for log lines; without a receiver they are dropped. Clones are one log: revoking one revokes all.
#[derive(Clone, Default)]
pub(crate) struct Log(Option<Arc<Shared>>);

struct Shared {
    receiver: Arc<LogFn>,
    revoked: AtomicBool,
    /// Held for reading during every call of `receiver`.
    calls: RwLock<()>,
}

impl Log {
    pub(super) fn new(receiver: Arc<LogFn>) -> Self {
        Self(Some(Arc::new(Shared { receiver, revoked: AtomicBool::new(false), calls: RwLock::new(()) })))
    }

    /// Another log with the same receiver, to be revoked apart from this one. It shares no lock with this one either,
    /// so a child of `fork` can use it whatever the parent's threads were doing.
    pub(crate) fn separate(&self) -> Self {
        self.0.as_ref().map_or_else(Self::default, |shared| Self::new(shared.receiver.clone()))
    }

    /// Hands a line to the receiver. A line that comes up inside a receiver, on its thread, is dropped.
    ///
    /// The receiver may panic, and it runs while this thread keeps no fork out.
    pub(crate) fn line(&self, level: Level, message: fmt::Arguments<'_>) {
        if self.0.is_none() || IN_RECEIVER.get() {
            return;
        }
        // Whatever was quoted, it is one line.
        let text = on_one_line(&message.to_string());
        if fork::is_excluding() {
            let log = self.clone();
            fork::outside_exclusion(move || log.hand_over(level, &text));
        } else {
            self.hand_over(level, &text);
        }
    }

    fn hand_over(&self, level: Level, text: &str) {
        let Some(shared) = &self.0 else { return };
        let Some(_inside) = InReceiver::enter() else { return };
        let _call = shared.calls.read().unpoisoned();
        if !shared.revoked.load(Acquire)
            && let Err(payload) = catch_unwind(AssertUnwindSafe(|| (shared.receiver)(level, text)))
        {
            // Dropping it may panic again.
            std::mem::forget(payload);
        }
    }

    /// Drops all further lines, and waits for the calls of the receiver that are under way on other threads.
    ///
    /// From inside a receiver it does not wait, because it would wait for itself.
    pub(crate) fn revoke(&self) {
        let Some(shared) = &self.0 else { return };
        shared.revoked.store(true, Release);
        if !IN_RECEIVER.get() {
            drop(shared.calls.write().unpoisoned());
        }
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Log(set)" } else { "Log(unset)" })
    }
}

/// Marks this thread as inside a receiver, for as long as it is kept.
struct InReceiver;

impl InReceiver {
    /// `None` when it is inside one already.
    fn enter() -> Option<Self> {
        // Not `then_some`, whose unused value would be dropped and take the mark away.
        if IN_RECEIVER.replace(true) { None } else { Some(Self) }
    }
}

impl Drop for InReceiver {
    fn drop(&mut self) {
        IN_RECEIVER.set(false);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::sync::Mutex;
    use std::sync::mpsc::channel;
    use std::thread;

    #[test]
    fn a_revoked_log_is_silent_and_a_separate_one_is_not() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = lines.clone();
        let log = Log::new(Arc::new(move |_, line: &str| kept.lock().unwrap().push(line.to_owned())));
        let (clone, separate) = (log.clone(), log.separate());
        log.line(Level::Info, format_args!("one"));
        log.revoke();
        clone.line(Level::Info, format_args!("two"));
        separate.line(Level::Info, format_args!("three"));
        assert_eq!(*lines.lock().unwrap(), ["one", "three"]);
    }

    #[test]
    fn a_receiver_that_panics_is_called_again() {
        let calls = Arc::new(Mutex::new(0));
        let counted = calls.clone();
        let log = Log::new(Arc::new(move |_, _: &str| {
            *counted.lock().unpoisoned() += 1;
            std::panic::resume_unwind(Box::new("the receiver's own"));
        }));
        log.line(Level::Info, format_args!("one"));
        fork::exclude(|| log.line(Level::Info, format_args!("two")));
        log.revoke();
        assert_eq!(*calls.lock().unpoisoned(), 2);
    }

    #[test]
    fn revoking_waits_for_a_call_on_another_thread() {
        let ended = Arc::new(AtomicBool::new(false));
        let (entered, has_entered) = channel();
        let (leave, may_leave) = channel();
        let (entered, may_leave) = (Mutex::new(entered), Mutex::new(may_leave));
        let end = ended.clone();
        let log = Log::new(Arc::new(move |_, _: &str| {
            entered.lock().unwrap().send(()).unwrap();
            may_leave.lock().unwrap().recv().unwrap();
            end.store(true, Release);
        }));
        thread::scope(|scope| {
            scope.spawn(|| log.line(Level::Info, format_args!("slow")));
            has_entered.recv().unwrap();
            let revoker = scope.spawn(|| {
                log.revoke();
                assert!(ended.load(Acquire), "revoke came back during a call");
            });
            leave.send(()).unwrap();
            revoker.join().unwrap();
        });
    }

    #[test]
    fn a_receiver_may_log_and_revoke_without_hanging() {
        let slot: Arc<Mutex<Option<Log>>> = Arc::default();
        let calls = Arc::new(Mutex::new(0));
        let (own, counted) = (slot.clone(), calls.clone());
        let log = Log::new(Arc::new(move |_, _: &str| {
            *counted.lock().unwrap() += 1;
            let log = own.lock().unwrap().clone().unwrap();
            log.line(Level::Info, format_args!("again"));
            log.revoke();
        }));
        *slot.lock().unwrap() = Some(log.clone());
        log.line(Level::Info, format_args!("first"));
        log.line(Level::Info, format_args!("late"));
        assert_eq!(*calls.lock().unwrap(), 1);
        slot.lock().unwrap().take();
    }
}
