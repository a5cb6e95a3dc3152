//! Grammar: whether bytes are one JSON object in UTF-8 (RFC 8259), at the price of reading them once.
//!
//! Most bytes of an item stand in strings, where only quotes, backslashes and control characters matter: those are
//! looked for in 64 bytes at a time (`blocks`). What stands between strings is read byte by byte, here.
//!
//! It agrees with serde_json, which is asked for the reason when bytes are refused: nesting may be as deep as memory
//! allows, a `\u` escape need not name a character, and a number may be larger than any type.

mod blocks;
mod nesting;
#[cfg(any(fuzzing, test))]
pub(crate) mod reference;

use blocks::Blocks;
use nesting::{Inside, Nesting};

/// Whether `text` is one JSON object, perhaps with whitespace around it, and nothing else.
pub(crate) fn is_object(text: &[u8]) -> bool {
    // Places in the text are counted in 32 bits, so that no sum of them can overflow.
    if text.len() > (u32::MAX / 2) as usize {
        return false;
    }
    let mut blocks = Blocks::new(text);
    let cursor = Cursor { text, at: 0, quotes: 0, block: 0 };
    cursor.object(&mut blocks).is_some() && (blocks.were_ascii() || std::str::from_utf8(text).is_ok())
}

/// Reads the text from token to token. `None` of a function: it is no JSON.
struct Cursor<'a> {
    text: &'a [u8],
    at: u32,
    /// The quotes of a block that are still to come, by their places in it.
    quotes: u64,
    /// Where that block begins.
    block: u32,
}

impl Cursor<'_> {
    #[inline(always)]
    fn object(mut self, blocks: &mut Blocks<'_>) -> Option<()> {
        let mut nesting = Nesting::default();
        self.space();
        if self.peek()? != b'{' {
            return None;
        }
        'value: loop {
            match self.next()? {
                b'"' => self.string(blocks)?,
                b'{' => {
                    self.space();
                    if !self.skips(*b"}") {
                        nesting.push(Inside::Object);
                        self.key(blocks)?;
                        continue;
                    }
                }
                b'[' => {
                    self.space();
                    if !self.skips(*b"]") {
                        nesting.push(Inside::Array);
                        continue;
                    }
                }
                b'n' => self.must(*b"ull")?,
                b't' => self.must(*b"rue")?,
                b'f' => self.must(*b"alse")?,
                b'-' => {
                    let first = self.next()?;
                    self.number(first)?;
                }
                first => self.number(first)?,
            }
            while let Some(inside) = nesting.inside() {
                if inside == Inside::Object && !self.members(blocks)? {
                    continue 'value;
                }
                self.space();
                match (self.next()?, inside) {
                    (b',', _) => {
                        self.space();
                        if inside == Inside::Object {
                            self.key(blocks)?;
                        }
                        continue 'value;
                    }
                    (b'}', Inside::Object) | (b']', Inside::Array) => nesting.pop(),
                    _ => return None,
                }
            }
            self.space();
            return (self.at as usize == self.text.len()).then_some(());
        }
    }

    /// Skips, after a value of an object, the members that follow without a space and have a string each, as most do.
    /// `false`: a key was read, and what stands next is its value.
    #[inline(always)]
    fn members(&mut self, blocks: &mut Blocks<'_>) -> Option<bool> {
        while self.skips(*b",\"") {
            self.string(blocks)?;
            if !self.skips(*b":\"") {
                self.colon()?;
                return Some(false);
            }
            self.string(blocks)?;
        }
        Some(true)
    }

    /// A key and the colon after it.
    #[inline(always)]
    fn key(&mut self, blocks: &mut Blocks<'_>) -> Option<()> {
        self.must(*b"\"")?;
        self.string(blocks)?;
        self.colon()
    }

    #[inline(always)]
    fn colon(&mut self) -> Option<()> {
        self.space();
        self.must(*b":")?;
        self.space();
        Some(())
    }

    /// The rest of a string, after its first quote.
    ///
    /// That quote is the next one of those to come: the ones before it belong to strings that were read, and a
    /// backslash that takes a quote out of them begins no token.
    #[inline(always)]
    fn string(&mut self, blocks: &mut Blocks<'_>) -> Option<()> {
        let mut quotes = self.quotes & self.quotes.wrapping_sub(1);
        if quotes == 0 {
            (quotes, self.block) = blocks.find_end(self.quotes == 0)?;
        }
        self.at = self.block + quotes.trailing_zeros() + 1;
        self.quotes = quotes & (quotes - 1);
        Some(())
    }

    /// The rest of a number without its sign, after its first byte.
    #[inline(always)]
    fn number(&mut self, first: u8) -> Option<()> {
        match first {
            b'0' if self.peek().is_some_and(|byte| byte.is_ascii_digit()) => return None,
            b'0'..=b'9' => self.skip_digits(),
            _ => return None,
        }
        if self.skips(*b".") {
            self.digits()?;
        }
        if self.skips(*b"e") || self.skips(*b"E") {
            let _ = self.skips(*b"+") || self.skips(*b"-");
            self.digits()?;
        }
        Some(())
    }

    #[inline(always)]
    fn digits(&mut self) -> Option<()> {
        self.next()?.is_ascii_digit().then(|| self.skip_digits())
    }

    #[inline(always)]
    fn skip_digits(&mut self) {
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
    }

    #[inline(always)]
    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Skips `bytes` if they stand next.
    #[inline(always)]
    fn skips<const N: usize>(&mut self, bytes: [u8; N]) -> bool {
        let end = self.at as usize + N;
        let found = self.text.get(self.at as usize..end).is_some_and(|next| next == bytes);
        if found {
            self.at = end as u32;
        }
        found
    }

    #[inline(always)]
    fn must<const N: usize>(&mut self, bytes: [u8; N]) -> Option<()> {
        self.skips(bytes).then_some(())
    }

    #[inline(always)]
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at as usize).copied()
    }

    #[inline(always)]
    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }
}

#[cfg(test)]
mod tests {
    use super::{is_object, reference};

    const SAMPLE: &[u8] = include_bytes!("../../../tests/fixtures/agents-sdk-sample.ndjson");

    fn agree(text: &[u8]) {
        assert_eq!(is_object(text), reference::is_object(text), "{}", text.escape_ascii());
    }

    #[test]
    fn every_item_of_real_runs_is_accepted() {
        let mut items = 0;
        for item in SAMPLE.split(|byte| *byte == b'\n').filter(|item| !item.is_empty()) {
            assert!(is_object(item), "{}", item.escape_ascii());
            items += 1;
        }
        assert_eq!(items, 319);
    }

    /// Every byte at every place of an object that has all that JSON has, and each of its beginnings and ends.
    #[test]
    fn it_agrees_with_serde_json() {
        let text = r#"{"a":"b","c\"\u00e9é\\":[ ],"d":{ },"e": [null,true,false,"f",{"g":[[-0.5e+7, 120E2,0]]}] ,"h":{"i":"j"}}"#;
        for place in 0..text.len() {
            agree(&text.as_bytes()[..place]);
            agree(&text.as_bytes()[place..]);
            let mut changed = text.as_bytes().to_vec();
            for byte in 0..=255 {
                changed[place] = byte;
                agree(&changed);
            }
            changed.remove(place);
            agree(&changed);
        }
    }

    /// Quotes, backslashes and control characters at every place of a block, and over its end.
    #[test]
    fn it_does_not_matter_where_in_a_block_something_stands() {
        let bodies = [
            r#"\""#, r"\\", r"\\\\\", r"\u12aF", r"\u12g4", r"\x", "\n", "\u{1f}", "é", "\\", "\"", "",
            " \" ",
        ];
        for before in 0..130 {
            for body in bodies {
                let pad = "x".repeat(before);
                agree(format!(r#"{{"{pad}{body}":"{body}{pad}","a":1}}"#).as_bytes());
                agree(
                    format!("{}{{\"a\":\"{body}\"}}{}", " ".repeat(before), "\n".repeat(before % 7))
                        .as_bytes(),
                );
            }
        }
    }

    #[test]
    fn nesting_may_be_deep() {
        for depth in [1, 63, 64, 65, 127, 128, 129, 100_000] {
            let (open, close) = (r#"{"a":["#.repeat(depth), "]}".repeat(depth));
            agree(format!("{open}{close}").as_bytes());
            agree(format!("{open}{}", close.replacen("]}", "}]", 1)).as_bytes());
            agree(format!("{open}{close}]").as_bytes());
            agree(format!("{open}{}", &close[1..]).as_bytes());
        }
    }
}
