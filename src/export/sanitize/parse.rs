//! Parse: JSON text (RFC 8259) into a tree, without recursion.

use super::json::{Id, Kind, Text, Tree};

/// Reads `source` as exactly one JSON value; `None` when it is none.
pub(super) fn parse(source: &str) -> Option<Tree<'_>> {
    if source.len() > Tree::MAX_SOURCE_BYTES {
        return None;
    }
    let parser = Parser { source, pos: 0, tree: Tree::new(source), open: Vec::new() };
    parser.run()
}

struct Parser<'a> {
    source: &'a str,
    pos: usize,
    tree: Tree<'a>,
    /// The containers around `pos`, each with its last child so far.
    open: Vec<(Id, Option<Id>)>,
}

impl<'a> Parser<'a> {
    fn run(mut self) -> Option<Tree<'a>> {
        let mut key = self.tree.make("");
        loop {
            self.value(key)?;
            while let Some(&(id, last)) = self.open.last() {
                let in_object = self.tree.kind(id) == Kind::Object;
                self.skip_space();
                let close = if in_object { b'}' } else { b']' };
                if self.eat(close) {
                    self.tree.finish(id);
                    self.open.pop();
                    continue;
                }
                if last.is_some() && !self.eat(b',') {
                    return None;
                }
                if in_object {
                    key = self.key()?;
                }
                break;
            }
            if self.open.is_empty() {
                self.skip_space();
                return (self.pos == self.source.len()).then_some(self.tree);
            }
        }
    }

    /// Reads a scalar whole, and of a container the opening bracket.
    fn value(&mut self, key: Text) -> Option<()> {
        self.skip_space();
        let start = self.pos;
        let kind = match self.peek()? {
            b'{' => Kind::Object,
            b'[' => Kind::Array,
            b'"' => {
                let text = self.string()?;
                self.place(Kind::String, key, text);
                return Some(());
            }
            b'n' => self.word("null", Kind::Null)?,
            b't' => self.word("true", Kind::Bool)?,
            b'f' => self.word("false", Kind::Bool)?,
            _ => self.number()?,
        };
        if matches!(kind, Kind::Object | Kind::Array) {
            let none = self.tree.source_text(start, start);
            let id = self.place(kind, key, none);
            self.pos += 1;
            self.open.push((id, None));
        } else {
            let text = self.tree.source_text(start, self.pos);
            self.place(kind, key, text);
        }
        Some(())
    }

    fn place(&mut self, kind: Kind, key: Text, text: Text) -> Id {
        let id = self.tree.push(kind, key, text);
        if let Some((parent, last)) = self.open.last_mut() {
            self.tree.attach(*parent, last.replace(id), id);
        }
        id
    }

    fn key(&mut self) -> Option<Text> {
        self.skip_space();
        let key = self.string()?;
        self.skip_space();
        self.eat(b':').then_some(key)
    }

    /// A string's text without its quotes, in the form it will be written in.
    fn string(&mut self) -> Option<Text> {
        if !self.eat(b'"') {
            return None;
        }
        let start = self.pos;
        let mut escaped = false;
        loop {
            match self.peek()? {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    self.pos += 2;
                }
                0..0x20 => return None,
                _ => self.pos += 1,
            }
        }
        let end = self.pos;
        self.pos += 1;
        if !escaped {
            return Some(self.tree.source_text(start, end));
        }
        let text = escape_as_python(self.source.get(start..end)?)?;
        Some(self.tree.make(&text))
    }

    fn word(&mut self, word: &str, kind: Kind) -> Option<Kind> {
        let fits = self.source.as_bytes()[self.pos..].starts_with(word.as_bytes());
        self.pos += word.len();
        fits.then_some(kind)
    }

    fn number(&mut self) -> Option<Kind> {
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            let _sign = self.eat(b'+') || self.eat(b'-');
            self.digits()?;
        }
        Some(Kind::Number)
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.pos;
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.pos += 1;
        }
        (self.pos > start).then_some(())
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.pos += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        let fits = self.peek() == Some(byte);
        self.pos += usize::from(fits);
        fits
    }

    fn peek(&self) -> Option<u8> {
        self.source.as_bytes().get(self.pos).copied()
    }
}

/// Escapes a string's raw text again, as little as Python's `json.dumps(ensure_ascii=False)` does.
fn escape_as_python(raw: &str) -> Option<String> {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let escape = rest.get(at + 1..)?;
        let letter = escape.chars().next()?;
        rest = &escape[letter.len_utf8()..];
        match letter {
            '"' | '\\' | 'b' | 'f' | 'n' | 'r' | 't' => out.extend(['\\', letter]),
            '/' => out.push('/'),
            'u' => {
                let (c, after) = unicode(rest)?;
                push_escaped(c, &mut out);
                rest = after;
            }
            _ => return None,
        }
    }
    out.push_str(rest);
    Some(out)
}

/// The character of `XXXX`, or of `XXXX\uXXXX` when they are a surrogate pair, and what follows it.
fn unicode(rest: &str) -> Option<(char, &str)> {
    let (unit, after) = hex4(rest)?;
    if (0xd800..0xdc00).contains(&unit)
        && let Some((low, after)) = after.strip_prefix("\\u").and_then(hex4)
        && (0xdc00..0xe000).contains(&low)
    {
        let c = char::from_u32(0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00))?;
        return Some((c, after));
    }
    Some((char::from_u32(unit).unwrap_or('?'), after))
}

fn hex4(text: &str) -> Option<(u32, &str)> {
    let digits = text.get(..4).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))?;
    Some((u32::from_str_radix(digits, 16).ok()?, &text[4..]))
}

fn push_escaped(c: char, out: &mut String) {
    match c {
        '"' | '\\' => out.extend(['\\', c]),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\0'..' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
        _ => out.push(c),
    }
}
