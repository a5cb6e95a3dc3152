//! Mounts: what a test mounts is seen by itself and by what it starts, and goes with the last of them, whatever ends
//! them.

#![allow(unsafe_code)]

use std::ffi::c_char;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::ptr;

/// From now on the mounts of the calling thread, and of the threads and processes that it starts, are their own.
pub fn keep_own() {
    part().unwrap();
}

/// Lets what `command` starts have copies of the mounts of now, and none of those that come later.
pub fn keep_apart(command: &mut Command) {
    // SAFETY: system calls are all that it makes between fork and exec.
    unsafe { command.pre_exec(part) };
}

fn part() -> io::Result<()> {
    // SAFETY: it concerns the calling thread only, which keeps its memory and its files.
    let mut answer = unsafe { libc::unshare(libc::CLONE_NEWNS) };
    if answer == 0 {
        let none: *const c_char = ptr::null();
        // SAFETY: the path ends with a zero; this change of a mount takes nothing else.
        answer =
            unsafe { libc::mount(none, c"/".as_ptr(), none, libc::MS_REC | libc::MS_PRIVATE, ptr::null()) };
    }
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
