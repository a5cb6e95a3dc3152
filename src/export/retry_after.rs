//! Retry-after: how long the ingest asks to wait, from its answer's headers.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The longest wait that is believed; a longer one is more likely a mistake.
const MAX: Duration = Duration::from_secs(86_400);

/// The wait asked for in `retry-after-ms`, or else in `retry-after`: seconds or an HTTP date (RFC 9110, 10.2.3).
/// A value that is neither, or is negative or not finite, counts as absent.
pub(super) fn retry_after(ms: Option<&str>, seconds: Option<&str>, now: SystemTime) -> Option<Duration> {
    let ms = ms.and_then(|text| number(text, 1000.0));
    ms.or_else(|| seconds.and_then(|text| number(text, 1.0).or_else(|| until(text, now))))
}

fn number(text: &str, per_second: f64) -> Option<Duration> {
    let n: f64 = text.trim().parse().ok()?;
    (n.is_finite() && n >= 0.0).then(|| Duration::from_secs_f64((n / per_second).min(MAX.as_secs_f64())))
}

fn until(text: &str, now: SystemTime) -> Option<Duration> {
    let date = UNIX_EPOCH + Duration::from_secs(unix_seconds(text.trim())?);
    Some(date.duration_since(now).unwrap_or_default().min(MAX))
}

/// Seconds since 1970 of the three forms of an HTTP date (RFC 9110, 5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`,
/// `Sunday, 06-Nov-94 08:49:37 GMT` and `Sun Nov  6 08:49:37 1994`.
fn unix_seconds(text: &str) -> Option<u64> {
    let words: Vec<&str> = text.split([' ', '-']).filter(|w| !w.is_empty()).collect();
    let (day, month, year, time) = match words[..] {
        [_, day, month, year, time, "GMT"] => (day, month, year, time),
        [_, month, day, time, year] => (day, month, year, time),
        _ => return None,
    };
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = MONTHS.iter().position(|m| *m == month)? as u64 + 1;
    let day = digits(day).filter(|d| (1..=31).contains(d))?;
    let year = match digits(year)? {
        // A date so far back could only be a mistake, so two digits are of this century.
        short @ 0..100 => 2000 + short,
        year @ 1970..=9999 => year,
        _ => return None,
    };
    let mut clock = time.split(':').map(digits);
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    if clock.next().is_some() || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    Some(days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}

fn digits(text: &str) -> Option<u64> {
    (text.len() <= 4 && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

/// Howard Hinnant's `days_from_civil` for years from 1970 on: years begin in March, so that the leap day is the last.
fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    365 * year + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
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
            ["Sun, 06 Nov 1994 08:50:37 GMT", "Sun Nov  6 08:50:37 1994", "Sun, 06-Nov-1994 08:50:37 GMT"]
        {
            assert_eq!(after(None, Some(date)), Some(60.0), "{date}");
        }
        assert_eq!(after(None, Some("Sat, 05 Nov 1994 08:49:37 GMT")), Some(0.0));
        assert_eq!(after(None, Some("Fri, 31 Dec 9999 23:59:59 GMT")), Some(86_400.0));
    }

    #[test]
    fn dates_are_counted_right_across_leap_years() {
        for (date, seconds) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Tue, 29 Feb 2000 12:00:00 GMT", 951_825_600),
            ("Thursday, 29-Feb-24 23:59:59 GMT", 1_709_251_199),
            ("Mon, 01 Mar 2100 00:00:00 GMT", 4_107_542_400),
        ] {
            assert_eq!(unix_seconds(date), Some(seconds), "{date}");
        }
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
            assert_eq!(unix_seconds(bad), None, "{bad}");
        }
    }
}
