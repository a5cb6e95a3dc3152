//! Printable: text from elsewhere, made fit for a log and a terminal.

/// `text` on one line. What could drive a terminal, forge a line or reorder the text around it is a space.
pub(crate) fn on_one_line(text: &str) -> String {
    text.chars().map(|c| if is_printable(c) { c } else { ' ' }).collect()
}

fn is_printable(c: char) -> bool {
    // Unicode's line separators, and its direction marks, which reorder the text around them.
    !c.is_control()
        && !matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_drives_a_terminal_or_forges_a_line() {
        assert_eq!(on_one_line("a\n\u{1b}[31mb\r\u{9b}2J\u{202e}c\u{2028}d żółw"), "a  [31mb  2J c d żółw");
    }
}
