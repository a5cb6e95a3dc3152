//! Classify: what an answer of the ingest means for the batch.

use std::time::SystemTime;

use super::answer::quote;
use super::{Answer, Outcome};
use crate::export::retry_after::{answered_at, retry_after};

/// The outcome of an answer with this status, these headers (looked up by lower-case name) and the first bytes of
/// this body.
pub(super) fn classify<'a>(status: u16, header: impl Fn(&str) -> Option<&'a str>, body: Vec<u8>) -> Outcome {
    let reason = |body: &[u8]| format!("HTTP {status}{}", quote(body));
    let forbidden = header("x-should-retry").is_some_and(|v| v.trim().eq_ignore_ascii_case("false"));
    match status {
        200..=299 => Outcome::Accepted { status },
        413 => Outcome::TooLarge(Answer { status, body }),
        400 | 422 => Outcome::Refused(Answer { status, body }),
        408 | 409 | 425 | 429 | 500..=599 if !forbidden => Outcome::Retry {
            status,
            after: retry_after(
                header("retry-after-ms"),
                header("retry-after"),
                answered_at(header("date"), SystemTime::now()),
            ),
            reason: reason(&body),
        },
        300..=599 => Outcome::Hold { status, reason: reason(&body) },
        // No final status of HTTP: a broken answer.
        _ => Outcome::Retry { status: 0, after: None, reason: reason(&body) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn class(status: u16, headers: &[(&str, &'static str)]) -> &'static str {
        let header = |name: &str| headers.iter().find(|(n, _)| *n == name).map(|(_, v)| *v);
        match classify(status, header, b"why\n\x1b[2J".to_vec()) {
            Outcome::Accepted { status: s } if s == status => "accepted",
            Outcome::Retry { status: s, after: None, reason } if s == status => {
                assert_eq!(reason, format!("HTTP {status}: why  [2J"));
                "retry"
            }
            Outcome::Retry { status: 0, .. } => "broken",
            Outcome::Retry { after: Some(after), .. } if after == Duration::from_secs(7) => "retry in 7 s",
            Outcome::Hold { status: s, reason } if s == status && reason.starts_with("HTTP ") => "hold",
            Outcome::TooLarge(a) if a.status == status && a.body == b"why\n\x1b[2J" => "too large",
            Outcome::Refused(a) if a.status == status && a.body == b"why\n\x1b[2J" => "refused",
            _ => "something else",
        }
    }

    #[test]
    fn every_status_has_its_outcome() {
        for status in 100..=999 {
            let expected = match status {
                200..=299 => "accepted",
                408 | 409 | 425 | 429 | 500..=599 => "retry",
                413 => "too large",
                400 | 422 => "refused",
                300..=499 => "hold",
                _ => "broken",
            };
            assert_eq!(class(status, &[]), expected, "{status}");
        }
    }

    #[test]
    fn the_ingest_may_forbid_a_retry_and_ask_for_a_wait() {
        for status in [408, 409, 425, 429, 500, 503] {
            assert_eq!(class(status, &[("x-should-retry", " False ")]), "hold", "{status}");
            assert_eq!(class(status, &[("x-should-retry", "true")]), "retry", "{status}");
            assert_eq!(class(status, &[("retry-after", "7")]), "retry in 7 s", "{status}");
            assert_eq!(class(status, &[("retry-after", "9"), ("retry-after-ms", "7000")]), "retry in 7 s");
        }
        // By the ingest's own clock, whatever ours says.
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(class(503, &[date, ("retry-after", "Sun, 06 Nov 1994 08:49:44 GMT")]), "retry in 7 s");
        assert_eq!(class(401, &[("x-should-retry", "true")]), "hold");
        assert_eq!(class(422, &[("x-should-retry", "false")]), "refused");
    }
}
