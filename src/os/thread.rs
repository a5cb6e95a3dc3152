//! Thread: the library's background threads, which take no signal of the host's and can be waited for with a limit.

#![allow(unsafe_code)]

use std::io;
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use crate::config::{Level, Log};
use crate::error::{Error, Result};
use crate::os::lock::Unpoison;

/// How long threads that were told to end are waited for. All that they wait for can be interrupted, but a disk, the
/// host's own functions, and on macOS a connection that is being made: such a thread ends by itself, a little later.
const STOP_GRACE: Duration = Duration::from_millis(500);

/// The pause after a panic, for one that comes at every turn. Shorter than the wait for a thread's end.
const RESTART_DELAY: Duration = Duration::from_millis(200);

/// Threads that were started together. Their owner tells them to end and waits for them when it is dropped.
#[derive(Default)]
pub(crate) struct Threads(Arc<Count>);

#[derive(Default)]
struct Count {
    running: Mutex<usize>,
    ended: Condvar,
}

impl Threads {
    /// Starts a thread named `spanspool-<role>`. It ends when `work` returns; what `work` holds is dropped before the
    /// thread counts as ended.
    ///
    /// A panic does not end it: `log` is told, and `work` runs again. It must repair what the panic left behind.
    pub(crate) fn spawn(
        &self,
        role: &'static str,
        log: &Log,
        work: impl FnMut() + Send + 'static,
    ) -> Result<()> {
        let running = Running::new(&self.0);
        let log = log.clone();
        let started = spawn(role, move || {
            let _running = running;
            let mut work = work;
            while let Err(payload) = catch_unwind(AssertUnwindSafe(&mut work)) {
                let error = Error::defect(payload);
                log.line(Level::Error, format_args!("thread spanspool-{role} begins again: {error}"));
                std::thread::sleep(RESTART_DELAY);
            }
        });
        started.map(drop).map_err(|e| Error::io(format_args!("start the thread spanspool-{role}"), e))
    }

    /// Waits until at most `left` threads run; `false` when that takes longer than threads that end now are waited for.
    pub(crate) fn wait_for(&self, left: usize) -> bool {
        self.wait_until(grace(), left)
    }

    /// The same for threads that were told to end together with others, which are all waited for until `until`.
    pub(crate) fn wait_until(&self, until: Instant, left: usize) -> bool {
        let running = self.0.running.lock().unpoisoned();
        let time = until.saturating_duration_since(Instant::now());
        let outcome = self.0.ended.wait_timeout_while(running, time, |running| *running > left);
        *outcome.unpoisoned().0 <= left
    }
}

/// A thread that is counted for as long as this is kept.
struct Running(Arc<Count>);

impl Running {
    fn new(count: &Arc<Count>) -> Self {
        count.change(|running| *running += 1);
        Self(count.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.change(|running| *running -= 1);
    }
}

impl Count {
    fn change(&self, change: impl FnOnce(&mut usize)) {
        change(&mut self.running.lock().unpoisoned());
        self.ended.notify_all();
    }
}

/// Until when threads that are told to end now are waited for.
pub(crate) fn grace() -> Instant {
    Instant::now() + STOP_GRACE
}

/// Starts a thread named `spanspool-<role>` with every signal blocked. When it wakes, it does not preempt the host's
/// threads. Threads that it starts inherit both.
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
        schedule_as_batch();
        work();
    });
    // SAFETY: as above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, old.as_ptr(), std::ptr::null_mut()) };
    spawned
}

/// Makes this thread wait for its turn when it wakes (SCHED_BATCH), unless the host gave it another policy.
fn schedule_as_batch() {
    #[cfg(target_os = "linux")]
    // SAFETY: the calls read `normal` only; 0 is the calling thread.
    unsafe {
        let normal = libc::sched_param { sched_priority: 0 };
        if libc::sched_getscheduler(0) == libc::SCHED_OTHER {
            libc::sched_setscheduler(0, libc::SCHED_BATCH, &raw const normal);
        }
    }
}

/// Runs `work`. The kernel may delay the timeouts of threads started by it, so that they wake together with others.
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
