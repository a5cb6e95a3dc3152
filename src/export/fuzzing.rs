//! Fuzzing: what must hold of any answer of the ingest. See `crate::fuzzing`.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::{Duration, UNIX_EPOCH};

use super::classify::classify;
pub use super::sanitize::fuzzing::{is_json, sanitize};
use super::{Outcome, retry_after};

pub(crate) use super::http::host_of as host;
pub(crate) use super::tls::certificates;

/// The longest reason of an outcome: the quote of the answer may grow threefold when it is not UTF-8.
const MAX_REASON_BYTES: usize = 700;

/// A status in two bytes, then lines: retry-after-ms, retry-after, x-should-retry; the rest is the body.
pub fn answer(data: &[u8]) {
    let Some((status, rest)) = data.split_at_checked(2) else { return };
    let status = u16::from_le_bytes([status[0], status[1]]) % 1200;
    let mut parts = rest.splitn(4, |b| *b == b'\n');
    let mut header = || parts.next().and_then(|part| std::str::from_utf8(part).ok());
    let headers = [header(), header(), header()];
    let body = parts.next().unwrap_or_default();

    for now_s in [0, 1_795_000_000, u64::from(u32::MAX)] {
        let now = UNIX_EPOCH + Duration::from_secs(now_s);
        let wait = retry_after::retry_after(headers[0], headers[1], now);
        assert!(wait.is_none_or(|wait| wait <= Duration::from_secs(86_400)));
    }
    let found = |name: &str| match name {
        "retry-after-ms" => headers[0],
        "retry-after" => headers[1],
        "x-should-retry" => headers[2],
        _ => None,
    };
    let reason = match classify(status, found, body.to_vec()) {
        Outcome::Accepted { status: s } => {
            assert!(s == status && (200..300).contains(&status));
            String::new()
        }
        Outcome::TooLarge(answer) | Outcome::Refused(answer) => {
            assert!((answer.status, &answer.body[..]) == (status, body) && [400, 413, 422].contains(&status));
            String::new()
        }
        Outcome::Retry { status: s, reason, .. } => {
            assert!(s == status || s == 0 && !(200..600).contains(&status));
            reason
        }
        Outcome::Hold { status: s, reason } => {
            assert!(s == status && (300..600).contains(&status));
            reason
        }
        other => panic!("{other:?}"),
    };
    assert!(reason.len() <= MAX_REASON_BYTES && !reason.contains(|c: char| c.is_control()), "{reason}");
}
