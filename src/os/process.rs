//! Process: what the operating system says about this process.

#![allow(unsafe_code)]

/// The effective user id.
pub(crate) fn user_id() -> u32 {
    // SAFETY: no memory is involved.
    unsafe { libc::geteuid() }
}
