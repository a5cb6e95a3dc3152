//! Retry-after: how long the ingest asks to wait, from its answer's headers.

use std::time::{Duration, SystemTime};

/// The longest wait that is believed; a longer one is more likely a mistake.
const MAX: Duration = Duration::from_secs(86_400);

/// The wait asked for in `retry-after-ms`, or else in `retry-after`: seconds or an HTTP date (RFC 9110, 10.2.3).
/// A value that is neither, or is negative or not finite, counts as absent.
pub(super) fn retry_after(ms: Option<&str>, seconds: Option<&str>, now: SystemTime) -> Option<Duration> {
    let ms = ms.and_then(|text| number(text, 1000.0));
    ms.or_else(|| seconds.and_then(|text| number(text, 1.0).or_else(|| until(text, now))))
}

/// When an answer was made: by its header `date`, whose clock a date in `retry-after` is by too, or else `now`.
pub(super) fn answered_at(date: Option<&str>, now: SystemTime) -> SystemTime {
    date.and_then(|text| httpdate::parse_http_date(text.trim()).ok()).unwrap_or(now)
}

fn number(text: &str, per_second: f64) -> Option<Duration> {
    let n: f64 = text.trim().parse().ok()?;
    (n.is_finite() && n >= 0.0).then(|| Duration::from_secs_f64((n / per_second).min(MAX.as_secs_f64())))
}

/// The time from `now` until the HTTP date `text`, in any of its three forms (RFC 9110, 5.6.7).
fn until(text: &str, now: SystemTime) -> Option<Duration> {
    let date = httpdate::parse_http_date(text.trim()).ok()?;
    Some(date.duration_since(now).unwrap_or_default().min(MAX))
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn after(ms: Option<&str>, seconds: Option<&str>) -> Option<f64> {
        // Sun, 06 Nov 1994 08:49:37 GMT
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777);
        retry_after(ms, seconds, now).map(|d| d.as_secs_f64())
    }

    #[test]
    fn milliseconds_come_before_seconds() {
        assert_eq!(after(Some("1500"), Some("7")), Some(1.5));
        assert_eq!(after(None, Some(" 0.25 ")), Some(0.25));
        assert_eq!(after(Some("soon"), Some("7")), Some(7.0));
        assert_eq!(after(None, None), None);
    }

    #[test]
    fn a_wait_that_can_not_be_meant_is_ignored_or_cut_to_a_day() {
        for bad in ["-1", "nan", "inf", "", "soon", "1 day", "-0.1"] {
            assert_eq!(after(Some(bad), Some(bad)), None, "{bad}");
        }
        assert_eq!(after(None, Some("1e300")), Some(86_400.0));
        assert_eq!(after(Some("1e300"), None), Some(86_400.0));
    }

    #[test]
    fn the_three_forms_of_a_date_are_read() {
        for date in
            ["Sun, 06 Nov 1994 08:50:37 GMT", "Sun Nov  6 08:50:37 1994", "Sunday, 06-Nov-94 08:50:37 GMT"]
        {
            assert_eq!(after(None, Some(date)), Some(60.0), "{date}");
        }
        assert_eq!(after(None, Some("Sat, 05 Nov 1994 08:49:37 GMT")), Some(0.0));
        assert_eq!(after(None, Some("Fri, 31 Dec 9999 23:59:59 GMT")), Some(86_400.0));
    }

    #[test]
    fn what_is_no_date_is_ignored() {
        for bad in [
            "Sun, 06 Nov 1994 08:49 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37:00 GMT",
            "Sun, 06 Foo 1994 08:49:37 GMT",
            "Sun, 06 Nov 99999999999999999999 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 06 Nov 1600 08:49:37 GMT",
        ] {
            assert_eq!(after(None, Some(bad)), None, "{bad}");
        }
    }
}
