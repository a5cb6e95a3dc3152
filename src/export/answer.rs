//! Answer: what the ingest said to a refused batch, as it may be logged and stored.

use std::io::Read;

use flate2::read::MultiGzDecoder;

use crate::config::on_one_line;

/// How much of an answer's body is read, so that its connection can be used again.
pub(super) const MAX_READ_BYTES: usize = 64 << 10;

/// What the ingest said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The first bytes of the body, at most [`Answer::MAX_BYTES`].
    pub body: Vec<u8>,
}

impl Answer {
    /// The longest part of an answer's body that is kept, in bytes.
    pub const MAX_BYTES: usize = 4096;

    /// The longest part that a reason quotes, in bytes.
    pub(crate) const MAX_QUOTE_BYTES: usize = 200;
}

/// The beginning of an answer's `body` as one printable line, with `: ` before it; nothing of an empty body.
pub(crate) fn quote(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(Answer::MAX_QUOTE_BYTES)]);
    let line = on_one_line(&text);
    let line = line.trim();
    if line.is_empty() { String::new() } else { format!(": {line}") }
}

/// An answer's body without its `Content-Encoding`. Nothing asks for one, but a server may choose it (RFC 9110, 12.5.3).
pub(super) fn plain<'a>(body: impl Read + 'a, encoding: Option<&str>) -> Box<dyn Read + 'a> {
    match encoding.map(|name| name.trim().to_ascii_lowercase()).as_deref() {
        Some("gzip" | "x-gzip") => Box::new(MultiGzDecoder::new(body)),
        _ => Box::new(body),
    }
}

/// Reads an answer's body up to its end or the limit, and keeps its first `most` bytes. The status has already decided: a
/// body that breaks off changes nothing. Where the body quotes one of `secrets`, that is blotted out, because the answer
/// is logged and stored.
pub(super) fn read(mut body: impl Read, most: usize, secrets: &[&str]) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut chunk = [0; 8 << 10];
    let mut read = 0;
    // A secret that begins in the last byte to be kept must be seen whole.
    let max_kept = most + secrets.iter().map(|secret| secret.len()).max().unwrap_or(0);
    while read < MAX_READ_BYTES {
        let Ok(n @ 1..) = body.read(&mut chunk) else { break };
        kept.extend(chunk.iter().take(n.min(max_kept - kept.len())));
        read += n;
    }
    blot_out(&mut kept, secrets);
    kept.truncate(most);
    kept
}

/// `text` with each of `secrets` blotted out.
pub(super) fn without(text: String, secrets: &[&str]) -> String {
    let mut bytes = text.into_bytes();
    blot_out(&mut bytes, secrets);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Each secret wherever it begins: one may be a part of another.
fn blot_out(text: &mut [u8], secrets: &[&str]) {
    let mut is_secret = vec![false; text.len()];
    for secret in secrets.iter().map(|secret| secret.as_bytes()).filter(|secret| !secret.is_empty()) {
        for (at, _) in text.windows(secret.len()).enumerate().filter(|(_, part)| *part == secret) {
            is_secret[at..at + secret.len()].fill(true);
        }
    }
    text.iter_mut().zip(is_secret).filter(|(_, is_secret)| *is_secret).for_each(|(byte, _)| *byte = b'*');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_is_short_and_printable() {
        assert_eq!(quote(&[b'a'; 1000]).len(), Answer::MAX_QUOTE_BYTES + 2);
        assert_eq!(quote(b" \n"), "");
        assert_eq!(quote("no\n\u{1b}[2J\u{202e}".as_bytes()), ": no  [2J");
    }

    #[test]
    fn every_secret_is_blotted_out_wherever_it_stands() {
        let secrets = ["sk-12", "2-token", "sk-12"];
        assert_eq!(without("sk-12, sk-12-token and sk-1".into(), &secrets), "*****, *********** and sk-1");
        for at in Answer::MAX_BYTES - 8..=Answer::MAX_BYTES {
            let mut body = vec![b' '; at];
            body.extend(b"sk-12 and more");
            let kept = read(&body[..], Answer::MAX_BYTES, &["sk-12"]);
            assert!(!kept.windows(2).any(|part| part == b"sk"), "at {at}");
        }
    }
}
