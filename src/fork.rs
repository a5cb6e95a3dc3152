//! Fork: what a guest library owes the process it lives in. Its threads take no signal of the host's.

#![allow(unsafe_code)]

use std::io;
use std::mem::MaybeUninit;
use std::thread::{Builder, JoinHandle};

/// Starts a thread named `spanspool-<role>` that has every signal blocked, as do the threads it starts.
pub(crate) fn spawn(role: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    let mut old = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: both sets are ours; `old` is only read after pthread_sigmask wrote it. The new thread inherits
    // the mask that is in force while it is made, so there is no moment in which it could take a signal.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), old.as_mut_ptr());
    }
    let spawned = Builder::new().name(format!("spanspool-{role}")).spawn(work);
    // SAFETY: as above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, old.as_ptr(), std::ptr::null_mut()) };
    spawned
}
