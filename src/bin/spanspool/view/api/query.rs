//! Query: what an address asks for.

use std::str::FromStr;

use super::{Refusal, refuse};

/// Names and values, decoded.
pub struct Query(Vec<(String, String)>);

impl Query {
    pub fn parse(query: &str) -> Self {
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs
                .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
                .map(|(n, v)| (decoded(n), decoded(v)))
                .collect(),
        )
    }

    /// The value of `name`; an empty one is none.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(it, _)| it == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    pub fn number<T: FromStr>(&self, name: &str) -> Result<Option<T>, Refusal> {
        let parse =
            |text: &str| text.parse().map_err(|_| refuse(400, format!("'{name}={text}': this is no number")));
        self.text(name).map(parse).transpose()
    }

    pub fn is_set(&self, name: &str) -> bool {
        self.text(name).is_some_and(|value| value != "0")
    }

    /// `offset` and `limit`, which is `most` at most, and without one as well.
    pub fn page(&self, most: usize) -> Result<(usize, usize), Refusal> {
        let limit = self.number("limit")?.unwrap_or(most).min(most);
        Ok((self.number("offset")?.unwrap_or(0), limit))
    }
}

/// `text` without its percent-encoding; bytes that are no UTF-8 are replaced.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let hex = after.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        rest = if byte.is_some() { &after[2..] } else { after };
        bytes.push(byte.unwrap_or(if *first == b'+' { b' ' } else { *first }));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_decoded() {
        let query = Query::parse("q=a+b%26%C3%a9%&errors=1&rejected=0&limit=9&offset=x&e=&f");
        assert_eq!(query.text("q"), Some("a b&é%"));
        assert!(query.is_set("errors") && !query.is_set("rejected") && !query.is_set("f"));
        assert_eq!((query.text("e"), query.text("none")), (None, None));
        assert!(matches!(query.number::<usize>("limit"), Ok(Some(9))));
        assert!(query.page(5).is_err());
        assert!(matches!(Query::parse("limit=9").page(5), Ok((0, 5))));
    }
}
