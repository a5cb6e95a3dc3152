//! The C ABI: a thin skin over [`BatchTraceProcessor`], in the order in which a program calls it.
//!
//! The comments here are the text of `include/spanspool.h`, so they speak to a C programmer.

// Exported names count as unsafe code because two libraries may claim the same one; `boundary` has all the rest.
#![allow(unsafe_code)]
// Types and constants bear their names of the header, so that one search finds both.
#![allow(non_camel_case_types)]

/// cbindgen:ignore
mod boundary;
/// cbindgen:ignore
mod last_error;
mod status;

use std::ffi::CStr;
use std::time::Duration;

use boundary::{
    ConfigIn, Errbuf, Handle, HandleOut, OwnedConfig, OwnedHandle, StatsOut, Text, UserData, caught, guard,
    guard_with_text,
};
use last_error::LastError;
use status::spanspool_status;

use crate::client::BatchTraceProcessor;
use crate::config::{Config, Level, Log};
use crate::error::Result;

/// Settings, gathered before spanspool_init. Not for two threads at once.
pub struct spanspool_config(Config);

/// An open spool with the threads that deliver from it. For any number of threads at once.
pub struct spanspool_client {
    processor: BatchTraceProcessor,
    log: Log,
    last_error: LastError,
}

/// Receives log lines. level: 1 error, 2 warning, 3 change of state, 4 debug. message: UTF-8, ended by NUL, valid only
/// during the call. user_data: as given to spanspool_config_set_log.
///
/// It is called from any thread, several at once. It must not call spanspool functions, throw or longjmp.
pub type spanspool_log_fn = Option<unsafe extern "C" fn(level: i32, message: Text, user_data: UserData)>;

const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(version) => version,
    Err(_) => c"",
};

const fn version_part(digits: &str) -> u32 {
    match u32::from_str_radix(digits, 10) {
        Ok(part) => part,
        Err(_) => 0,
    }
}

/// The version of the library that is running, 0x00MMmmpp; compare with SPANSPOOL_VERSION_NUMBER of the header.
///
/// Never fails. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn spanspool_version_number() -> u32 {
    version_part(env!("CARGO_PKG_VERSION_MAJOR")) << 16
        | version_part(env!("CARGO_PKG_VERSION_MINOR")) << 8
        | version_part(env!("CARGO_PKG_VERSION_PATCH"))
}

/// The version of the library that is running, such as "0.2.0".
///
/// Never fails. Thread-safe. The text lives as long as the program; do not free it.
#[unsafe(no_mangle)]
pub extern "C" fn spanspool_version() -> Text {
    Text::constant(VERSION)
}

/// A phrase in English for a status.
///
/// status: any number; one that is no status has a phrase of its own.
///
/// Never NULL. Thread-safe. The text lives as long as the program; do not free it.
#[unsafe(no_mangle)]
pub extern "C" fn spanspool_status_str(status: i32) -> Text {
    Text::constant(status::text_of(status))
}

/// New settings with all defaults; spool_dir is still to be set.
///
/// Returns them, or NULL after a defect of spanspool. Thread-safe. They are yours: spanspool_config_free.
#[unsafe(no_mangle)]
pub extern "C" fn spanspool_config_new() -> OwnedConfig {
    let mut config = OwnedConfig::null();
    guard(|| {
        config = OwnedConfig::give(spanspool_config(Config::new()));
        Ok(())
    });
    config
}

/// Frees settings, at any time: handles made from them live on.
///
/// config: from spanspool_config_new, not freed yet; NULL is allowed and does nothing.
///
/// Never fails. No other thread may be using config.
#[unsafe(no_mangle)]
pub extern "C" fn spanspool_config_free(config: OwnedConfig) {
    guard(|| {
        drop(config.take());
        Ok(())
    });
}

/// Changes one setting; all of them stand under "Settings" at the top of this file.
///
/// config: yours; changed only on OK.
/// key, value: UTF-8, ended by NUL, copied.
/// errbuf, errbuf_len: as under "Errors" at the top of this file; the text names key, value and what is allowed.
///
/// OK; ERR_UNKNOWN_KEY: no setting has that name; ERR_INVALID_ARGUMENT: bad value, NULL or not UTF-8; ERR_INTERNAL.
/// One thread at a time for one config. A handle that is already open keeps what it was opened with.
#[unsafe(no_mangle)]
pub extern "C" fn spanspool_config_set(
    mut config: OwnedConfig,
    key: Text,
    value: Text,
    errbuf: Errbuf,
    errbuf_len: usize,
) -> spanspool_status {
    guard_with_text(errbuf, errbuf_len, || {
        let config = config.get_mut("config")?;
        config.0.set(key.text("key")?, value.text("value")?)?;
        Ok(())
    })
}

/// Sends log lines to a function of yours; without one nothing is said anywhere.
///
/// config: yours.
/// log: see spanspool_log_fn; NULL takes back an earlier one.
/// user_data: handed to log unchanged; may be NULL. It stays yours.
///
/// OK; ERR_INVALID_ARGUMENT: config is NULL; ERR_INTERNAL.
/// One thread at a time for one config. log and user_data must live until every handle made from config is freed.
#[unsafe(no_mangle)]
pub extern "C" fn spanspool_config_set_log(
    mut config: OwnedConfig,
    log: spanspool_log_fn,
    user_data: UserData,
) -> spanspool_status {
    guard(|| {
        config.get_mut("config")?.0.set_log(boundary::receiver(log, user_data));
        Ok(())
    })
}

/// Opens the spool, takes over what dead processes left in it, and starts delivering. Reads the environment for
/// OPENAI_API_KEY, OPENAI_ORG_ID and OPENAI_PROJECT_ID; no later call reads it.
///
/// config: stays yours; may be freed or used again at once.
/// out: receives the handle on OK, else is left as it is. The handle is yours: spanspool_free.
/// errbuf, errbuf_len: as under "Errors" at the top of this file.
///
/// OK; ERR_INVALID_ARGUMENT: NULL, spool_dir not set, settings that contradict each other; ERR_IO: spool_dir cannot be
/// made, written or filled up to journal_bytes; ERR_CORRUPT; ERR_LOCKED; ERR_INTERNAL.
/// Thread-safe while nobody changes config. Several handles may be open on one spool_dir, in one process or in many.
#[unsafe(no_mangle)]
pub extern "C" fn spanspool_init(
    config: ConfigIn,
    out: HandleOut,
    errbuf: Errbuf,
    errbuf_len: usize,
) -> spanspool_status {
    boundary::silence_panics();
    guard_with_text(errbuf, errbuf_len, || {
        let config = config.get("config")?.0.clone();
        out.check("out")?;
        // Only calls on the handle use this one, and spanspool_free comes after the last of them.
        let log = config.log.separate();
        let processor = BatchTraceProcessor::open(config)?;
        out.give(spanspool_client { processor, log, last_error: LastError::default() });
        Ok(())
    })
}

/// The text of the calling thread's last failed call on the handle.
///
/// handle: stays yours; NULL is allowed and has no text.
/// buf, len: receives as much of the text as fits, cut between two characters, always ended by NUL. buf may be NULL.
///
/// Returns the length of the whole text without the NUL, also when it was cut; 0, with an empty text, when the thread's last
/// call on the handle answered OK or there was none.
/// Never fails. Thread-safe: each thread has its own text for each handle.
#[unsafe(no_mangle)]
pub extern "C" fn spanspool_last_error(handle: Handle, buf: Errbuf, len: usize) -> usize {
    let mut text = String::new();
    guard(|| {
        text = handle.get("handle")?.last_error.text();
        Ok(())
    });
    buf.put(len, &text);
    text.len()
}

/// Runs `body` on the processor of the handle. An error's text goes to the log and to `spanspool_last_error`.
fn call(
    handle: Result<&spanspool_client>,
    name: &str,
    body: impl FnOnce(&BatchTraceProcessor) -> Result<()>,
) -> spanspool_status {
    guard(|| {
        let client = handle?;
        let outcome = caught(|| body(&client.processor));
        if let Err(error) = &outcome {
            client.log.line(Level::Debug, format_args!("{name}: {error}"));
        }
        client.last_error.note(&outcome);
        outcome
    })
}

/// Takes one item. On OK it is durable as the setting durability says and will be delivered, by this process or by the
/// next one on the same spool_dir. No network is waited for; the disk for at most enqueue_timeout_ms.
///
/// handle: stays yours.
/// json, json_len: one JSON object in UTF-8, copied; not NUL-terminated. The bytes travel as they are.
///
/// OK; ERR_INVALID_ARGUMENT: NULL, or json_len over PTRDIFF_MAX; ERR_INVALID_ITEM: also for an empty item;
/// ERR_ITEM_TOO_LARGE; ERR_FULL; ERR_IO; ERR_SHUT_DOWN; ERR_INTERNAL. On all but OK nothing was stored; but with
/// durability=power an item that could not be synced (ERR_IO) may still be delivered.
/// Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn spanspool_enqueue(handle: Handle, json: Text, json_len: usize) -> spanspool_status {
    call(handle.get("handle"), "spanspool_enqueue", |p| p.enqueue(json.bytes("json", json_len)?))
}

/// As spanspool_enqueue, for an item to be sent with the key that spanspool_set_named_key gives under name, before or
/// after this call. The spool keeps the name, never the key. Items whose name has no key when their turn comes are set
/// aside in the rejected store and go on their way as soon as it has one.
///
/// handle: stays yours.
/// name: UTF-8, 1 to 255 bytes, ended by NUL, copied.
/// json, json_len: as for spanspool_enqueue.
///
/// As spanspool_enqueue; also ERR_INVALID_ARGUMENT: name is empty, too long or not UTF-8.
/// Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn spanspool_enqueue_as(
    handle: Handle,
    name: Text,
    json: Text,
    json_len: usize,
) -> spanspool_status {
    call(handle.get("handle"), "spanspool_enqueue_as", |p| {
        p.enqueue_as(name.text("name")?, json.bytes("json", json_len)?)
    })
}

/// Replaces the API key, and tries at once what was waiting for one. It is kept in memory only.
///
/// handle: stays yours.
/// key: visible ASCII, ended by NUL, copied.
///
/// OK; ERR_INVALID_ARGUMENT: NULL, empty or not visible ASCII; ERR_SHUT_DOWN; ERR_INTERNAL.
/// Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn spanspool_set_api_key(handle: Handle, key: Text) -> spanspool_status {
    call(handle.get("handle"), "spanspool_set_api_key", |p| p.set_api_key(key.text("key")?))
}

/// Sets the key for the items that were enqueued under name, those set aside for want of it included. It is kept in
/// memory only: a new process has to set it again.
///
/// handle: stays yours.
/// name: UTF-8, 1 to 255 bytes, ended by NUL, copied.
/// key: visible ASCII, ended by NUL, copied.
///
/// OK; ERR_INVALID_ARGUMENT: NULL, name empty, too long or not UTF-8, key empty or not visible ASCII; ERR_SHUT_DOWN;
/// ERR_FULL, ERR_IO: what was set aside could not all go on its way; ERR_INTERNAL.
/// Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn spanspool_set_named_key(handle: Handle, name: Text, key: Text) -> spanspool_status {
    call(handle.get("handle"), "spanspool_set_named_key", |p| {
        p.set_named_key(name.text("name")?, key.text("key")?)
    })
}

/// Says that the network is back: ends a backoff or a hold and tries now. Does not wait.
///
/// handle: stays yours.
///
/// OK; ERR_INVALID_ARGUMENT: NULL; ERR_SHUT_DOWN; ERR_INTERNAL.
/// Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn spanspool_wake(handle: Handle) -> spanspool_status {
    call(handle.get("handle"), "spanspool_wake", |p| p.wake())
}

/// Waits until every item enqueued before is on stable storage, so that a power cut can't take it.
///
/// handle: stays yours.
///
/// OK; ERR_INVALID_ARGUMENT: NULL; ERR_IO; ERR_SHUT_DOWN; ERR_INTERNAL.
/// Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn spanspool_sync(handle: Handle) -> spanspool_status {
    call(handle.get("handle"), "spanspool_sync", |p| p.sync())
}

/// Sends at once, whatever a backoff or a hold says, and waits until every item enqueued before was delivered or
/// rejected.
///
/// handle: stays yours.
/// timeout_ms: longest wait in milliseconds, any value; 0 does not wait.
///
/// OK; ERR_TIMEOUT: the rest stays in the spool and is delivered later; ERR_INVALID_ARGUMENT: NULL; ERR_IO;
/// ERR_SHUT_DOWN; ERR_INTERNAL.
/// Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn spanspool_flush(handle: Handle, timeout_ms: u64) -> spanspool_status {
    call(handle.get("handle"), "spanspool_flush", |p| p.flush(Duration::from_millis(timeout_ms)))
}

/// Reads the counters. At all times accepted = delivered + pending + rejected + dropped_overflow + dropped_expired +
/// dropped_corrupt, across restarts.
///
/// handle: stays yours.
/// out: yours; written only on OK.
/// out_size: sizeof(spanspool_stats). Fields that out has no room for are left out; those that this library does not
/// know yet become 0. So header and library may differ in age.
///
/// OK; ERR_INVALID_ARGUMENT: NULL, or out_size is 0 or not a multiple of 8; ERR_SHUT_DOWN; ERR_INTERNAL.
/// Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn spanspool_get_stats(handle: Handle, out: StatsOut, out_size: usize) -> spanspool_status {
    call(handle.get("handle"), "spanspool_get_stats", |p| {
        out.check_size(out_size)?;
        out.put(out_size, &p.stats()?);
        Ok(())
    })
}

/// Takes no more items, delivers until the deadline, and stops the threads. Items that are left stay in the spool for
/// the next process. From here on every call on the handle answers ERR_SHUT_DOWN, this one included.
///
/// handle: stays yours, to be freed.
/// timeout_ms: longest time for delivering in milliseconds, any value; 0 delivers nothing more.
///
/// OK: all was delivered or rejected; ERR_TIMEOUT: stopped, and the rest stays in the spool; ERR_INVALID_ARGUMENT: NULL;
/// ERR_IO; ERR_SHUT_DOWN; ERR_INTERNAL.
/// Thread-safe: calls that other threads are in end soon.
#[unsafe(no_mangle)]
pub extern "C" fn spanspool_shutdown(handle: OwnedHandle, timeout_ms: u64) -> spanspool_status {
    call(handle.get("handle"), "spanspool_shutdown", |p| p.shutdown(Duration::from_millis(timeout_ms)))
}

/// Frees a handle. Implies spanspool_shutdown with timeout_ms 0 if that was not called: nothing is lost.
///
/// handle: from spanspool_init, not freed yet; NULL is allowed and does nothing. It is no longer valid after the call.
///
/// Never fails. No other thread may be in a call on the handle or begin one. When it returns, the log function of the
/// handle is not called again.
#[unsafe(no_mangle)]
pub extern "C" fn spanspool_free(handle: OwnedHandle) {
    guard(|| match handle.take() {
        // The status is not told: what could not be delivered stays in the spool, whatever the reason.
        Some(handle) => handle.processor.shutdown(Duration::ZERO),
        None => Ok(()),
    });
}
