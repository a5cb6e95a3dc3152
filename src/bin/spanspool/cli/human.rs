//! Human: counts, sizes, durations and foreign bytes in a form that people read.

/// `1234567` as `1,234,567`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `n` and its noun, with an `s` unless there is exactly one.
pub fn counted(n: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(n), if n == 1 { "" } else { "s" })
}

/// A size in the largest unit that leaves at least 1.
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut size = n as f64;
    let mut unit = "B";
    for larger in UNITS {
        // 1023.95 would be shown as 1024.0.
        if size < 1023.95 {
            break;
        }
        size /= 1024.0;
        unit = larger;
    }
    if unit == "B" { format!("{n} B") } else { format!("{size:.1} {unit}") }
}

/// A duration in its two largest units.
pub fn duration(ms: u64) -> String {
    let s = ms / 1000;
    match s {
        0..10 => format!("{}.{} s", s, ms % 1000 / 100),
        10..60 => format!("{s} s"),
        60..3600 => format!("{} min {} s", s / 60, s % 60),
        3600..86_400 => format!("{} h {} min", s / 3600, s % 3600 / 60),
        _ => format!("{} d {} h", s / 86_400, s % 86_400 / 3600),
    }
}

/// Foreign bytes on one line of at most `max_chars`. No control character is left: it could drive the terminal.
pub fn one_line(bytes: &[u8], max_chars: usize) -> String {
    // A character has at most 4 bytes, so no later byte is shown.
    let start = bytes.get(..max_chars.saturating_mul(4)).unwrap_or(bytes);
    let text = String::from_utf8_lossy(start);
    let mut chars = text.chars().map(|c| if is_harmless(c) { c } else { ' ' });
    let mut line: String = chars.by_ref().take(max_chars).collect();
    if chars.next().is_some() || start.len() < bytes.len() {
        line.push('…');
    }
    line
}

fn is_harmless(c: char) -> bool {
    // Unicode's direction marks reorder the text around them.
    !c.is_control()
        && !matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped_by_thousands() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn sizes_take_the_unit_that_fits() {
        assert_eq!([0, 1023, 1024, 1 << 20].map(bytes), ["0 B", "1023 B", "1.0 KiB", "1.0 MiB"]);
        assert_eq!(bytes((1 << 20) - 1), "1.0 MiB");
        assert_eq!(bytes(u64::MAX), "16777216.0 TiB");
    }

    #[test]
    fn durations_have_two_units_at_most() {
        let durations = [0, 9_950, 59_000, 192_000, 7_500_000, 90_000_000].map(duration);
        assert_eq!(durations, ["0.0 s", "9.9 s", "59 s", "3 min 12 s", "2 h 5 min", "1 d 1 h"]);
    }

    #[test]
    fn foreign_bytes_stay_on_one_line_without_control_characters() {
        assert_eq!(one_line(b"a\nb\x1b[31m\xff", 20), "a b [31m\u{fffd}");
        assert_eq!(one_line("żółw".as_bytes(), 3), "żół…");
        assert_eq!(one_line(b"abc", 3), "abc");
        assert_eq!(one_line("a\u{202e}b".as_bytes(), 9), "a b");
    }
}
