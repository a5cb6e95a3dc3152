//! Clock: the machine's clocks, as far as the journal needs them.

#![allow(unsafe_code)]

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Unix time in milliseconds, from the clock that is cheapest to read: good to a few milliseconds.
pub(crate) fn now_unix_ms() -> u64 {
    #[cfg(target_os = "linux")]
    {
        let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `now` is a timespec of ours.
        if unsafe { libc::clock_gettime(libc::CLOCK_REALTIME_COARSE, &mut now) } == 0 {
            return now.tv_sec as u64 * 1000 + now.tv_nsec as u64 / 1_000_000;
        }
    }
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64)
}

/// Milliseconds since the machine was started, sleep included. No step of the wall clock changes them. Where the system
/// does not tell them they begin with this process, and `boot` is not known.
pub(super) fn boot_ms() -> u64 {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    since_boot_ms().unwrap_or_else(|| FIRST.get_or_init(Instant::now).elapsed().as_millis() as u64)
}

fn since_boot_ms() -> Option<u64> {
    #[cfg(target_os = "linux")]
    const CLOCK: libc::clockid_t = libc::CLOCK_BOOTTIME;
    #[cfg(not(target_os = "linux"))]
    const CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC;
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a timespec of ours.
    let answer = unsafe { libc::clock_gettime(CLOCK, &mut now) };
    (answer == 0).then(|| now.tv_sec as u64 * 1000 + now.tv_nsec as u64 / 1_000_000)
}

/// Which start of the machine this is; 0 where that is not known.
pub(super) fn boot() -> u64 {
    static BOOT: OnceLock<u64> = OnceLock::new();
    *BOOT.get_or_init(|| {
        let id = std::fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let is_known = !id.is_empty() && since_boot_ms().is_some();
        if is_known { u64::from(crc32fast::hash(&id)) | 1 << 32 } else { 0 }
    })
}

/// 64 random bits, from the operating system by way of the standard library's hasher keys.
pub(crate) fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    let mut hasher = std::hash::RandomState::new().build_hasher();
    hasher.write_u128(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos()));
    hasher.write_u32(std::process::id());
    hasher.finish()
}
