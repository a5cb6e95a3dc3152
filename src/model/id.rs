//! Ids in the formats of the OpenAI Agents SDK. No format is demanded: any string may be an id.

use std::collections::hash_map::RandomState;
use std::fs::File;
use std::hash::BuildHasher;
use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

/// A new trace id: `trace_` and 32 hex digits.
pub fn gen_trace_id() -> String {
    format!("trace_{}", uuid4_hex())
}

/// A new span id: `span_` and 24 hex digits.
pub fn gen_span_id() -> String {
    format!("span_{:.24}", uuid4_hex())
}

/// A new group id: `group_` and 24 hex digits. It joins traces, such as those of one conversation.
pub fn gen_group_id() -> String {
    format!("group_{:.24}", uuid4_hex())
}

/// A random UUID (RFC 9562, version 4) as 32 hex digits.
fn uuid4_hex() -> String {
    const VERSION: u128 = 0xf << 76;
    const VARIANT: u128 = 0b11 << 62;
    let bits = kernel_random().unwrap_or_else(hashed_random) & !VERSION & !VARIANT;
    format!("{:032x}", bits | 4 << 76 | 0b10 << 62)
}

/// 128 bits from the kernel, or `None` where it cannot be asked (no file descriptor left, no `/dev`).
///
/// Opened again each time: a generator in this process would give its ids again after a fork, and a descriptor that
/// is kept may become another file's.
fn kernel_random() -> Option<u128> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes)).ok()?;
    Some(u128::from_ne_bytes(bytes))
}

/// 128 bits hashed with the random keys of this process from what differs between calls, threads and forks.
fn hashed_random() -> u128 {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let here = (
        std::process::id(),
        std::thread::current().id(),
        SystemTime::now(),
        CALLS.fetch_add(1, Ordering::Relaxed),
    );
    let [high, low] = [(); 2].map(|()| RandomState::new().hash_one(here));
    u128::from(high) << 64 | u128::from(low)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn without_the_kernel_no_value_comes_twice_in_any_thread() {
        let threads: Vec<_> = (0..4)
            .map(|_| std::thread::spawn(|| (0..1000).map(|_| hashed_random()).collect::<Vec<_>>()))
            .collect();
        let values: HashSet<_> = threads.into_iter().flat_map(|t| t.join().unwrap_or_default()).collect();
        assert_eq!(values.len(), 4000);
    }
}
