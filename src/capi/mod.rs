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

/// Settings, collected before spanspool_init. One thread at a time may use them.
pub struct spanspool_config(Config);

/// An open spool, with the threads that deliver from it. Any number of threads may use it at once.
pub struct spanspool_client {
    processor: BatchTraceProcessor,
    log: Log,
    last_error: LastError,
}

/// Receives log lines.
///
/// level: one of SPANSPOOL_LOG_ERROR to SPANSPOOL_LOG_DEBUG.
/// message: UTF-8, ended by NUL, valid only during the call.
/// user_data: as given to spanspool_config_set_log.
///
/// Threads: any thread calls it, several at once. It must not call spanspool functions, fork, throw or longjmp. A call
/// that does not return makes spanspool_free wait.
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

/// The version of the library that is running, 0x00MMmmpp. Compare it with SPANSPOOL_VERSION_NUMBER of this header.
///
/// Never fails.
/// Threads: any, at any time.
#[unsafe(no_mangle)]
pub extern "C" fn spanspool_version_number() -> u32 {
    version_part(env!("CARGO_PKG_VERSION_MAJOR")) << 16
        | version_part(env!("CARGO_PKG_VERSION_MINOR")) << 8
        | version_part(env!("CARGO_PKG_VERSION_PATCH"))
}

/// The version of the library that is running, such as "0.2.0".
///
/// Never fails, never NULL.
/// Threads: any, at any time.
/// Lifetime: the text lives as long as the program; do not free it.
#[unsafe(no_mangle)]
pub extern "C" fn spanspool_version() -> Text {
    Text::constant(VERSION)
}

/// A phrase in English for a status.
///
/// status: any number. One that is not a status has a phrase of its own.
///
/// Never fails, never NULL.
/// Threads: any, at any time.
/// Lifetime: the text lives as long as the program; do not free it.
#[unsafe(no_mangle)]
pub extern "C" fn spanspool_status_str(status: i32) -> Text {
    Text::constant(status::text_of(status))
}

/// Makes settings with all defaults. spool_dir must still be set.
///
/// Returns them, or NULL after a defect of spanspool.
/// Threads: any, at any time.
/// Lifetime: yours, until spanspool_config_free.
#[unsafe(no_mangle)]
pub extern "C" fn spanspool_config_new() -> OwnedConfig {
    let mut config = OwnedConfig::null();
    guard(|| {
        config = OwnedConfig::give(spanspool_config(Config::new()));
        Ok(())
    });
    config
}

/// Frees settings. Handles that were opened with them live on.
///
/// config: from spanspool_config_new, not freed yet. NULL is allowed and does nothing.
///
/// Never fails.
/// Threads: no other thread may be using config.
/// Lifetime: config is invalid after the call.
#[unsafe(no_mangle)]
pub extern "C" fn spanspool_config_free(config: OwnedConfig) {
    guard(|| {
        drop(config.take());
        Ok(())
    });
}

/// Changes one setting. The end of this file lists them.
///
/// config: yours; changed only on OK.
/// key, value: UTF-8, ended by NUL, copied. The value of spool_dir, ca_file, client_cert_file
/// and client_key_file may be any path.
/// errbuf, errbuf_len: as under "Errors" above. The text names key, value and what is allowed.
///
/// Returns OK; ERR_UNKNOWN_SETTING: no setting has this name; ERR_INVALID_ARGUMENT: the value is not allowed, or a
/// text is NULL or not UTF-8; ERR_INTERNAL.
/// Threads: one at a time per config.
/// Lifetime: an open handle keeps the settings that it was opened with.
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
        config.0.set_os(key.text("key")?, value.os_text("value")?)?;
        Ok(())
    })
}

/// Sends log lines to a function. Without one the library logs nothing.
///
/// config: yours.
/// log: see spanspool_log_fn. NULL takes back an earlier one.
/// user_data: passed to log unchanged; may be NULL.
///
/// Returns OK; ERR_INVALID_ARGUMENT: config is NULL; ERR_INTERNAL.
/// Threads: one at a time per config.
/// Lifetime: log and user_data must live until every handle opened with config is freed. When spanspool_free or a
/// failed spanspool_init has returned, log is not called again for that handle, whatever thread was left.
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

/// Opens the spool, starts delivering, and adopts the lanes of dead processes. It reads OPENAI_API_KEY, OPENAI_ORG_ID
/// and OPENAI_PROJECT_ID from the environment, or with exporter=otlp OTEL_EXPORTER_OTLP_ENDPOINT and its kin; no later
/// call does.
///
/// config: yours; may be freed or changed as soon as the call returns.
/// out: receives the handle on OK; otherwise it is not written.
/// errbuf, errbuf_len: as under "Errors" above.
///
/// Returns OK; ERR_INVALID_ARGUMENT: an argument is NULL, spool_dir is not set, settings contradict each other, or a
/// variable of OpenTelemetry can't be used; ERR_IO: spool_dir cannot be created or written, has no room for
/// journal_bytes, or a thread cannot be started; ERR_CORRUPT; ERR_LOCKED; ERR_INTERNAL.
/// Threads: any, while no thread changes config. Several handles may be open on one spool_dir, in one process or in
/// many.
/// Lifetime: the handle is yours, until spanspool_free.
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

/// The text of the calling thread's last failed call on a handle: which limit and how much of it is used, which file
/// and which error of the operating system, which column.
///
/// handle: yours. NULL is allowed and has no text.
/// buf, len: receives the text, at most len bytes, cut between two characters and always ended by NUL. buf may be
/// NULL.
///
/// Returns the length of the whole text without its NUL, even if it was cut, so a buffer of one byte more holds all of
/// it.
/// Returns 0, with an empty text, if the thread's last call on the handle returned OK or there was none. Never fails.
/// Threads: any, several at once. Each thread has its own text for each handle.
/// Lifetime: the text is a copy. It can be had until the thread's next call on the handle, or spanspool_free.
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

/// Takes one item. On OK it is durable as the setting durability says, and this process or a later one delivers it.
/// The call waits for no network, and for the disk at most enqueue_timeout_ms.
///
/// handle: yours.
/// item, item_len: one JSON object in UTF-8, or with exporter=otlp one export request as protobuf bytes. It is copied, and
/// not ended by NUL. The bytes are sent as they are, but for the field limits of the OpenAI ingest where the setting
/// sanitize applies them. Where it does, an item of up to 64 MiB that is longer than max_item_bytes is stored as they
/// leave it, if that is short enough.
///
/// Returns OK; ERR_INVALID_ARGUMENT: a pointer is NULL, or item_len is over PTRDIFF_MAX; ERR_INVALID_ITEM: also for an
/// empty item; ERR_ITEM_TOO_LARGE; ERR_FULL; ERR_IO; ERR_SHUT_DOWN; ERR_INTERNAL. Nothing was stored unless it returns
/// OK, with one exception: an item that could not be synced (ERR_IO) may still be delivered, if durability is power or
/// the item is longer than half of journal_bytes.
/// Threads: any, several at once.
#[unsafe(no_mangle)]
pub extern "C" fn spanspool_enqueue(handle: Handle, item: Text, item_len: usize) -> spanspool_status {
    call(handle.get("handle"), "spanspool_enqueue", |p| p.enqueue(item.bytes("item", item_len)?))
}

/// Takes one item to be sent with a named key, as set by spanspool_set_named_key before or after this call. The spool
/// keeps the name, never the key. An item whose turn comes is set aside in the rejected store, with the reason
/// no_key:NAME, if no key has that name, or key_refused:NAME, if the ingest answers the key with 401 or 403. It is sent
/// as soon as any client of the same destination in this spool sets the key.
///
/// handle: yours.
/// name: UTF-8, 1 to 255 bytes, ended by NUL, copied.
/// item, item_len: as for spanspool_enqueue.
///
/// Returns what spanspool_enqueue does; also ERR_INVALID_ARGUMENT: name is empty, too long or not UTF-8.
/// Threads: any, several at once.
#[unsafe(no_mangle)]
pub extern "C" fn spanspool_enqueue_as(
    handle: Handle,
    name: Text,
    item: Text,
    item_len: usize,
) -> spanspool_status {
    call(handle.get("handle"), "spanspool_enqueue_as", |p| {
        p.enqueue_as(name.text("name")?, item.bytes("item", item_len)?)
    })
}

/// Replaces the API key, and tries at once to send what was waiting for it.
///
/// handle: yours.
/// key: visible ASCII, ended by NUL, copied.
///
/// Returns OK; ERR_INVALID_ARGUMENT: key is NULL, empty or not visible ASCII; ERR_SHUT_DOWN; ERR_INTERNAL.
/// Threads: any, several at once.
/// Lifetime: the key is kept in memory only, until the handle is freed.
#[unsafe(no_mangle)]
pub extern "C" fn spanspool_set_api_key(handle: Handle, key: Text) -> spanspool_status {
    call(handle.get("handle"), "spanspool_set_api_key", |p| p.set_api_key(key.text("key")?))
}

/// Sets the key for items enqueued under name. Those that were set aside as no_key:NAME or key_refused:NAME, in any
/// process's lane of the spool with the same destination, go back on their way in the background, as items of this
/// client's lane. spanspool_flush waits for that. What another process sets aside later is found within
/// adopt_interval_ms.
///
/// handle: yours.
/// name: UTF-8, 1 to 255 bytes, ended by NUL, copied.
/// key: visible ASCII, ended by NUL, copied.
///
/// Returns OK; ERR_INVALID_ARGUMENT: a text is NULL, name is empty, too long or not UTF-8, or key is empty or not
/// visible ASCII; ERR_SHUT_DOWN; ERR_INTERNAL.
/// Threads: any, several at once.
/// Lifetime: the key is kept in memory only, until the handle is freed. A new process must set it again.
#[unsafe(no_mangle)]
pub extern "C" fn spanspool_set_named_key(handle: Handle, name: Text, key: Text) -> spanspool_status {
    call(handle.get("handle"), "spanspool_set_named_key", |p| {
        p.set_named_key(name.text("name")?, key.text("key")?)
    })
}

/// Sends nothing until spanspool_wake, on a metered network or a low battery: items are taken and durable as before, but
/// no request begins. One that is under way goes on. Meanwhile spanspool_flush waits as in an outage, for spanspool_wake
/// or its timeout. spanspool_shutdown does not wait: no call can end the pause after it. A child of fork begins paused if
/// its parent was. The pause is kept in memory only: the next process sends again.
///
/// handle: yours.
///
/// Returns OK, also when it is paused already; ERR_INVALID_ARGUMENT: handle is NULL; ERR_SHUT_DOWN; ERR_INTERNAL.
/// Threads: any, several at once.
#[unsafe(no_mangle)]
pub extern "C" fn spanspool_pause(handle: Handle) -> spanspool_status {
    call(handle.get("handle"), "spanspool_pause", |p| p.pause())
}

/// Says that the network is back: ends a pause, a backoff or a hold and tries now. Does not wait.
///
/// handle: yours.
///
/// Returns OK; ERR_INVALID_ARGUMENT: handle is NULL; ERR_SHUT_DOWN; ERR_INTERNAL.
/// Threads: any, several at once.
#[unsafe(no_mangle)]
pub extern "C" fn spanspool_wake(handle: Handle) -> spanspool_status {
    call(handle.get("handle"), "spanspool_wake", |p| p.wake())
}

/// Waits until every item enqueued before is on stable storage, where a power cut cannot take it.
///
/// handle: yours.
///
/// Returns OK; ERR_INVALID_ARGUMENT: handle is NULL; ERR_IO; ERR_SHUT_DOWN; ERR_INTERNAL.
/// Threads: any, several at once.
#[unsafe(no_mangle)]
pub extern "C" fn spanspool_sync(handle: Handle) -> spanspool_status {
    call(handle.get("handle"), "spanspool_sync", |p| p.sync())
}

/// Sends at once, even during a backoff or a hold, and waits until every item enqueued before was delivered or
/// rejected.
///
/// handle: yours.
/// timeout_ms: longest wait in milliseconds, any value; 0 does not wait.
///
/// Returns OK; ERR_TIMEOUT: the rest stays in the spool and is delivered later; ERR_INVALID_ARGUMENT: handle is NULL;
/// ERR_IO; ERR_SHUT_DOWN; ERR_INTERNAL.
/// Threads: any, several at once.
#[unsafe(no_mangle)]
pub extern "C" fn spanspool_flush(handle: Handle, timeout_ms: u64) -> spanspool_status {
    call(handle.get("handle"), "spanspool_flush", |p| p.flush(Duration::from_millis(timeout_ms)))
}

/// Reads the counters of the handle's lane. At all times, and across restarts, accepted = delivered + pending +
/// rejected + dropped_overflow + dropped_expired + dropped_corrupt. After spanspool_shutdown they are the final
/// counters.
///
/// handle: yours.
/// out: yours; written only on OK.
/// out_size: sizeof(spanspool_stats). Fields that do not fit are left out. Fields that this library does not know
/// become 0, so header and library may be of different versions.
///
/// Returns OK; ERR_INVALID_ARGUMENT: a pointer is NULL, or out_size is 0 or not a multiple of 8; ERR_SHUT_DOWN: only
/// in a child of fork that made no call before the handle was shut down; ERR_INTERNAL.
/// Threads: any, several at once.
#[unsafe(no_mangle)]
pub extern "C" fn spanspool_get_stats(handle: Handle, out: StatsOut, out_size: usize) -> spanspool_status {
    call(handle.get("handle"), "spanspool_get_stats", |p| {
        out.check_size(out_size)?;
        out.put(out_size, &p.stats()?);
        Ok(())
    })
}

/// Takes no more items, delivers until the deadline, and stops the threads. Items that are left stay in the spool for
/// the next process. From here on every call on the handle but spanspool_get_stats, spanspool_last_error and
/// spanspool_free returns ERR_SHUT_DOWN, also another spanspool_shutdown.
///
/// handle: yours.
/// timeout_ms: longest time for delivering in milliseconds, any value; 0 delivers nothing more.
///
/// Returns OK: everything was delivered or rejected; ERR_TIMEOUT: stopped, and the rest stays in the spool;
/// ERR_INVALID_ARGUMENT: handle is NULL; ERR_IO; ERR_SHUT_DOWN; ERR_INTERNAL.
/// Threads: any. Calls that other threads are in end soon.
/// Lifetime: the handle must still be freed.
#[unsafe(no_mangle)]
pub extern "C" fn spanspool_shutdown(handle: OwnedHandle, timeout_ms: u64) -> spanspool_status {
    call(handle.get("handle"), "spanspool_shutdown", |p| p.shutdown(Duration::from_millis(timeout_ms)))
}

/// Frees a handle. If it was not shut down, spanspool_shutdown with timeout_ms 0 comes first: nothing is lost.
///
/// handle: from spanspool_init, not freed yet. NULL is allowed and does nothing.
///
/// Never fails.
/// Threads: no other thread may be in a call on the handle or begin one. The call waits for calls of the log function
/// that are under way on the library's threads; after it, the log function is not called again for this handle.
/// Lifetime: handle is invalid after the call.
#[unsafe(no_mangle)]
pub extern "C" fn spanspool_free(handle: OwnedHandle) {
    guard(|| match handle.take() {
        // The status is not told: what could not be delivered stays in the spool, whatever the reason.
        Some(handle) => handle.processor.shutdown(Duration::ZERO),
        None => Ok(()),
    });
}
