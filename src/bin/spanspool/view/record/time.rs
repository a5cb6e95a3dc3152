//! Time: reading a time stamp of RFC 3339.

/// Microseconds since 1970; `None` when it is no such time stamp. What is smaller than a microsecond is cut off.
pub fn micros_of(text: &str) -> Option<i64> {
    let (date, rest) = text.split_at_checked(10)?;
    let (time, rest) = rest.strip_prefix(['T', 't', ' '])?.split_at_checked(8)?;
    let [year, month, day] = numbers(date, '-')?;
    let [hour, minute, second] = numbers(time, ':')?;
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (fraction, zone) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())),
        None => ("", rest),
    };
    let fraction: String = fraction.chars().chain("000000".chars()).take(6).collect();
    let seconds = days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Some((seconds - offset(zone)?) * 1_000_000 + fraction.parse::<i64>().ok()?)
}

/// Three numbers of digits only, with `between` between them.
fn numbers(text: &str, between: char) -> Option<[i64; 3]> {
    let mut parts = text.split(between).map(|part| {
        let is_number = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        is_number.then(|| part.parse().ok()).flatten()
    });
    let numbers = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(numbers)
}

/// The seconds that `zone` is ahead of UTC. A time stamp without one is taken for UTC.
fn offset(zone: &str) -> Option<i64> {
    if matches!(zone, "" | "Z" | "z") {
        return Some(0);
    }
    let sign = match zone.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let [hours, minutes, _] = numbers(&format!("{}:0", &zone[1..]), ':')?;
    Some(sign * (hours * 3600 + minutes * 60))
}

/// Days from 1970-01-01 to this one in the Gregorian calendar: `days_from_civil` of Howard Hinnant's
/// "chrono-Compatible Low-Level Date Algorithms".
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_stamps_are_read_and_others_are_none() {
        for (text, micros) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01T00:00:00.000001+00:00", 1),
            ("2026-11-22T10:48:31.475678+00:00", 1_795_344_511_475_678),
            ("2026-11-22T12:18:31.475678999+01:30", 1_795_344_511_475_678),
            ("2000-02-29 23:59:59.5-01:00", 951_872_399_500_000),
            ("1969-12-31T23:59:59", -1_000_000),
            ("0001-01-01T00:00:00Z", -62_135_596_800_000_000),
        ] {
            assert_eq!(micros_of(text), Some(micros), "{text}");
        }
        for text in [
            "",
            "now",
            "2026-13-01T00:00:00Z",
            "2026-1-01T00:00:00Z",
            "2026-11-22T10:48:31+01",
            "2026-11-22",
            "2026-11-22T1é:00:00Z",
            "+026-11-22T00:00:00Z",
            "2026-11-22T10:48:31.1x",
        ] {
            assert_eq!(micros_of(text), None, "{text}");
        }
    }
}
