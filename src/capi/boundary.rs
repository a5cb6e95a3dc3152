//! Boundary: pointers that C passed, checked before use, and the wall that no panic crosses.
//!
//! Each pointer of the header is one of the types here. They have no constructor that takes an address, so a value
//! can only have come from C, which vouches for it as the header asks: it is NULL or valid for the call.

use std::ffi::{CStr, OsStr, c_char, c_void};
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::Once;

use super::status::spanspool_status;
use super::{spanspool_client, spanspool_config, spanspool_log_fn};
use crate::config::Level;
use crate::error::{Error, ErrorKind, Result};
use crate::spool::Stats;

/// `const T*`: may be read, by several threads at once.
#[repr(transparent)]
pub struct In<T>(*const T);

/// `T*`: belongs to this call alone, and for good when the call frees it.
#[repr(transparent)]
pub struct Owned<T>(*mut T);

/// `T*`: may be written, and need not be initialised.
#[repr(transparent)]
pub struct Out<T>(*mut T);

// The names that cbindgen.toml turns back into C's own pointers.
pub type Handle = In<spanspool_client>;
pub type OwnedHandle = Owned<spanspool_client>;
pub type HandleOut = Out<*mut spanspool_client>;
pub type ConfigIn = In<spanspool_config>;
pub type OwnedConfig = Owned<spanspool_config>;
pub type StatsOut = Out<Stats>;
pub type Text = In<c_char>;
pub type Errbuf = Out<c_char>;
pub type UserData = Out<c_void>;

fn argument(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidArgument, message)
}

fn is_null(name: &str) -> Error {
    argument(format!("{name} is NULL"))
}

impl<T> In<T> {
    /// What it points to; `name` is the parameter's name in the header.
    pub fn get(&self, name: &str) -> Result<&T> {
        // SAFETY: C vouches that it is NULL or valid for reads during the call.
        unsafe { self.0.as_ref() }.ok_or_else(|| is_null(name))
    }
}

impl Text {
    /// A text that lives as long as the program, for C to read.
    pub fn constant(text: &'static CStr) -> Self {
        Self(text.as_ptr())
    }

    /// The NUL-terminated text, which must be UTF-8.
    pub fn text(&self, name: &str) -> Result<&str> {
        self.get(name)?;
        // SAFETY: not NULL, and C vouches that a NUL ends it.
        let text = unsafe { CStr::from_ptr(self.0) };
        text.to_str().map_err(|e| argument(format!("{name} is not UTF-8: {e}")))
    }

    /// The NUL-terminated text, in whatever bytes a path may have.
    pub fn os_text(&self, name: &str) -> Result<&OsStr> {
        self.get(name)?;
        // SAFETY: not NULL, and C vouches that a NUL ends it.
        Ok(OsStr::from_bytes(unsafe { CStr::from_ptr(self.0) }.to_bytes()))
    }

    /// The `len` bytes; none when it is NULL and `len` is 0.
    pub fn bytes(&self, name: &str, len: usize) -> Result<&[u8]> {
        if len == 0 {
            return Ok(&[]);
        }
        self.get(name)?;
        if len > isize::MAX as usize {
            return Err(argument(format!("{name}_len is {len}: no object in memory is that long")));
        }
        // SAFETY: not NULL, within isize, and C vouches that `len` bytes may be read.
        Ok(unsafe { std::slice::from_raw_parts(self.0.cast(), len) })
    }
}

impl<T> Owned<T> {
    /// Gives `value` to C, which gives it back to be freed.
    pub fn give(value: T) -> Self {
        Self(Box::into_raw(Box::new(value)))
    }

    pub fn null() -> Self {
        Self(ptr::null_mut())
    }

    /// What it points to, though other threads may be reading it.
    pub fn get(&self, name: &str) -> Result<&T> {
        // SAFETY: C vouches that it is NULL or valid for reads during the call.
        unsafe { self.0.as_ref() }.ok_or_else(|| is_null(name))
    }

    pub fn get_mut(&mut self, name: &str) -> Result<&mut T> {
        // SAFETY: C vouches that it is NULL or valid, and used by no other thread during the call.
        unsafe { self.0.as_mut() }.ok_or_else(|| is_null(name))
    }

    /// Takes back what `give` or `HandleOut::give` gave; nothing for NULL.
    pub fn take(self) -> Option<Box<T>> {
        // SAFETY: C vouches that it is NULL or was given out by this library and not taken back yet.
        (!self.0.is_null()).then(|| unsafe { Box::from_raw(self.0) })
    }
}

impl<T> Out<T> {
    pub fn check(&self, name: &str) -> Result<()> {
        if self.0.is_null() { Err(is_null(name)) } else { Ok(()) }
    }
}

impl HandleOut {
    /// Gives `value` to C; drops it when there is no place to give it to.
    pub fn give(&self, value: spanspool_client) {
        if !self.0.is_null() {
            // SAFETY: not NULL, and C vouches that a pointer may be written there.
            unsafe { self.0.write(Box::into_raw(Box::new(value))) };
        }
    }
}

impl StatsOut {
    /// Checks the place for `size` bytes of a structure that may be older or newer than this library.
    pub fn check_size(&self, size: usize) -> Result<()> {
        self.check("out")?;
        if size == 0 || !size.is_multiple_of(size_of::<u64>()) {
            return Err(argument(format!("out_size is {size}: pass sizeof(spanspool_stats)")));
        }
        Ok(())
    }

    /// Writes the fields that fit into `size` bytes and zeros after the last one.
    pub fn put(&self, size: usize, stats: &Stats) {
        let known = size.min(size_of::<Stats>());
        let out = self.0.cast::<u8>();
        if !out.is_null() {
            // SAFETY: C vouches for `size` writable bytes; Stats is u64 throughout, so it has no padding to read.
            unsafe {
                ptr::copy_nonoverlapping(ptr::from_ref(stats).cast(), out, known);
                ptr::write_bytes(out.add(known), 0, size - known);
            }
        }
    }
}

impl Errbuf {
    /// Writes as much of `text` as fits into `len` bytes, whole characters only, and always a NUL after it.
    pub fn put(&self, len: usize, text: &str) {
        if self.0.is_null() || len == 0 {
            return;
        }
        let end = text.floor_char_boundary(len - 1);
        // SAFETY: C vouches for `len` writable bytes, and `end` is less than `len` and within `text`.
        unsafe {
            ptr::copy_nonoverlapping(text.as_ptr(), self.0.cast(), end);
            self.0.add(end).write(0);
        }
    }
}

/// C's receiver of log lines and the pointer it asked to have back.
struct Receiver {
    function: unsafe extern "C" fn(i32, Text, UserData),
    user_data: *mut c_void,
}

// SAFETY: the header asks for a function that any thread may call and for data that it may use there.
unsafe impl Send for Receiver {}
// SAFETY: as above, several threads at once.
unsafe impl Sync for Receiver {}

impl Receiver {
    fn line(&self, level: Level, message: &str) {
        let mut text = message.replace('\0', "\u{fffd}");
        text.push('\0');
        // SAFETY: C vouches for the function and its data until the last handle is freed; `text` ends with a NUL.
        unsafe { (self.function)(level as i32, In(text.as_ptr().cast()), Out(self.user_data)) };
    }
}

/// The closure that hands log lines to C; one that does nothing for a NULL function.
pub fn receiver(function: spanspool_log_fn, user_data: UserData) -> impl Fn(Level, &str) + Send + Sync {
    let receiver = function.map(|function| Receiver { function, user_data: user_data.0 });
    move |level, message| {
        if let Some(receiver) = &receiver {
            receiver.line(level, message);
        }
    }
}

/// Runs `body`; a panic comes back as an error.
///
/// The locks that it held are taken again all the same: nothing behind them is changed in steps that a panic could
/// part.
pub fn caught(body: impl FnOnce() -> Result<()>) -> Result<()> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|payload| Err(Error::defect(payload)))
}

/// The wall round every call: what `body` made of it, as a status.
pub fn guard(body: impl FnOnce() -> Result<()>) -> spanspool_status {
    match caught(body) {
        Ok(()) => spanspool_status::SPANSPOOL_OK,
        Err(error) => (&error).into(),
    }
}

/// As [`guard`], and writes what went wrong, or an empty text, to `errbuf`.
pub fn guard_with_text(
    errbuf: Errbuf,
    errbuf_len: usize,
    body: impl FnOnce() -> Result<()>,
) -> spanspool_status {
    let result = caught(body);
    errbuf.put(errbuf_len, result.as_ref().err().map_or("", Error::message));
    guard(|| result)
}

/// Keeps Rust's panic hook from printing to the host's standard error: a library never prints.
///
/// A panic is caught at [`guard`] or by the thread it ends and reported there. The C library carries its own copy of
/// Rust's runtime, so the hook of a host that is written in Rust is another one and stays as it is.
pub fn silence_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| std::panic::set_hook(Box::new(|_| {})));
}
