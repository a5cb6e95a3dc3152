//! Signal: what the kernel sends a thread for its own calls is not the host's concern.

#![allow(unsafe_code)]

use std::mem::MaybeUninit;

/// Runs `work` so that a file that would become longer than the process may make one (RLIMIT_FSIZE) is an error, and no
/// SIGXFSZ, whose default is death.
///
/// Threads of the library take no signal at all: this is for the host's.
pub(crate) fn without_file_size_signal<T>(work: impl FnOnce() -> T) -> T {
    struct Blocked {
        old: libc::sigset_t,
        was_pending: bool,
    }
    impl Drop for Blocked {
        fn drop(&mut self) {
            if !self.was_pending && is_pending() {
                let (only, mut taken) = (file_size_signal(), 0);
                // SAFETY: both are ours. The signal waits for this thread, so the call returns at once.
                unsafe { libc::sigwait(&raw const only, &raw mut taken) };
            }
            // SAFETY: the set was written when this was made.
            unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.old, std::ptr::null_mut()) };
        }
    }
    let was_pending = is_pending();
    let (only, mut old) = (file_size_signal(), MaybeUninit::uninit());
    // SAFETY: both sets are ours, and `old` is read only if the call wrote it.
    let blocked = unsafe {
        match libc::pthread_sigmask(libc::SIG_BLOCK, &raw const only, old.as_mut_ptr()) {
            0 => Some(Blocked { old: old.assume_init(), was_pending }),
            _ => None,
        }
    };
    let value = work();
    drop(blocked);
    value
}

fn file_size_signal() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: the first call writes the whole set.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGXFSZ);
        set.assume_init()
    }
}

fn is_pending() -> bool {
    let mut set = MaybeUninit::uninit();
    // SAFETY: the set is read only if the call wrote it.
    unsafe { libc::sigpending(set.as_mut_ptr()) == 0 && libc::sigismember(set.as_ptr(), libc::SIGXFSZ) == 1 }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_signal_is_taken_and_the_mask_is_as_before() {
        let raised = without_file_size_signal(|| {
            // SAFETY: no memory is involved; the signal is for this thread, which blocks it.
            unsafe { libc::pthread_kill(libc::pthread_self(), libc::SIGXFSZ) };
            is_pending()
        });
        assert!(raised && !is_pending());
        let mut mask = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: the set is ours, and read after the call wrote it.
        let is_blocked = unsafe {
            libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), mask.as_mut_ptr());
            libc::sigismember(mask.as_ptr(), libc::SIGXFSZ) == 1
        };
        assert!(!is_blocked);
    }
}
