//! Shorten: JSON with its long strings cut, numbers and all else as they were written.

use serde::Serialize;

/// The most bytes of a string that a page is given at once.
pub const MOST_BYTES: usize = 64 << 10;

/// A string that was cut.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub struct Clipped {
    /// Where it is: names joined by dots, and positions in brackets.
    pub path: String,
    /// Its length in JSON.
    pub bytes: usize,
}

/// `json`, which is valid, with every string cut that is longer than [`MOST_BYTES`].
pub fn shorten(json: &str) -> (String, Vec<Clipped>) {
    let mut writer =
        Shortener { json, out: String::new(), clipped: Vec::new(), within: Vec::new(), copied: 0 };
    writer.run();
    (writer.out, writer.clipped)
}

/// What the place in the JSON is within.
enum Level<'a> {
    /// The name that comes next or came last; `None` before it.
    Object(Option<&'a str>),
    Array(usize),
}

struct Shortener<'a> {
    json: &'a str,
    out: String,
    clipped: Vec<Clipped>,
    within: Vec<Level<'a>>,
    /// What is before this was written.
    copied: usize,
}

impl<'a> Shortener<'a> {
    fn run(&mut self) {
        let bytes = self.json.as_bytes();
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            at = match byte {
                b'"' => self.string(at),
                _ => at + 1,
            };
            match byte {
                b'{' => self.within.push(Level::Object(None)),
                b'[' => self.within.push(Level::Array(0)),
                b'}' | b']' => drop(self.within.pop()),
                b',' => match self.within.last_mut() {
                    Some(Level::Object(name)) => *name = None,
                    Some(Level::Array(position)) => *position += 1,
                    None => {}
                },
                _ => {}
            }
        }
        self.out.push_str(&self.json[self.copied..]);
    }

    /// Goes past the string that begins at `begin`. Returns where it ends.
    fn string(&mut self, begin: usize) -> usize {
        let bytes = self.json.as_bytes();
        let (first, mut at, mut cut) = (begin + 1, begin + 1, begin + 1);
        while let Some(byte) = bytes.get(at).filter(|byte| **byte != b'"') {
            if at - first <= MOST_BYTES && self.json.is_char_boundary(at) {
                cut = at;
            }
            at += match (byte, bytes.get(at + 1)) {
                (b'\\', Some(b'u')) => 6,
                (b'\\', _) => 2,
                _ => 1,
            };
        }
        let end = self.json.floor_char_boundary(at);
        let cut = if end - first > MOST_BYTES { cut } else { end };
        let is_name = matches!(self.within.last(), Some(Level::Object(None)));
        if cut < end {
            self.out.push_str(&self.json[self.copied..cut]);
            self.copied = end;
            self.clipped.push(Clipped { path: self.path(), bytes: end - first });
        }
        if let Some(Level::Object(name)) = self.within.last_mut()
            && is_name
        {
            *name = Some(&self.json[first..cut]);
        }
        end + 1
    }

    fn path(&self) -> String {
        let mut path = String::new();
        for level in &self.within {
            match level {
                Level::Array(position) => path += &format!("[{position}]"),
                Level::Object(name) => {
                    let name = name.unwrap_or_default();
                    let separator = if path.is_empty() { "" } else { "." };
                    path.extend([separator, &name[..name.floor_char_boundary(64)]]);
                }
            }
        }
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_strings_are_cut_and_nothing_else_changes() {
        let long = "é\\u00e9\\n".repeat(20_000);
        let json = format!(
            r#"{{"n":1e400,"big":9223372036854775809,"a":[{{}},[],"x\"]",{{"text":"{long}","after":[1,"{long}"]}}],"end":true}}"#
        );
        let (short, clipped) = shorten(&json);
        let paths: Vec<&str> = clipped.iter().map(|it| it.path.as_str()).collect();
        assert_eq!(paths, ["a[3].text", "a[3].after[1]"]);
        assert!(clipped.iter().all(|it| it.bytes == long.len()));
        assert!(short.len() < 2 * MOST_BYTES + 200 && short.len() > 2 * MOST_BYTES - 20, "{}", short.len());
        assert!(short.starts_with(r#"{"n":1e400,"big":9223372036854775809,"a":[{},[],"x\"]",{"text":"é"#));
        assert!(short.ends_with(r#"]}],"end":true}"#));
        assert!(serde_json::from_str::<Box<serde_json::value::RawValue>>(&short).is_ok());
    }

    #[test]
    fn short_json_and_whatever_else_stays_as_it_is() {
        for json in ["{}", "[]", "\"\"", "7", "", "{\"", "\"\\", "}]", r#"{"a":"\\","b":["\"",{"c":"]"}]}"#] {
            assert_eq!(shorten(json), (json.to_owned(), Vec::new()));
        }
        let name = "k".repeat(MOST_BYTES + 1);
        let (short, clipped) = shorten(&format!(r#"{{"{name}":1}}"#));
        assert_eq!((short.len(), clipped.len()), (MOST_BYTES + 6, 1));
    }
}
