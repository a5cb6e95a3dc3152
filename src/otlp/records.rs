//! Records: the parts that a request may be cut into: its top-level records, each with a resource of its own.

use std::ops::Range;

use super::wire::{Reader, WireType};

/// Where each top-level record of `request` ends; nothing of bytes that are no request.
fn ends(request: &[u8]) -> Vec<usize> {
    let mut reader = Reader::new(request);
    let mut ends = Vec::new();
    while !reader.is_at_end() {
        match reader.tag() {
            Ok((1, WireType::Delimited)) if reader.delimited().is_ok() => ends.push(reader.at()),
            _ => return Vec::new(),
        }
    }
    ends
}

/// Where to cut `request` into two requests with about as many records each; `None`: it has one record.
pub(crate) fn middle(request: &[u8]) -> Option<usize> {
    let ends = ends(request);
    (ends.len() > 1).then(|| ends[ends.len() / 2 - 1])
}

/// The parts of `request` that have at most `most` bytes each, or one record. Nothing where it need not or can't be cut.
pub(crate) fn pieces(request: &[u8], most: usize) -> Vec<Range<usize>> {
    if request.len() <= most {
        return Vec::new();
    }
    let mut pieces: Vec<Range<usize>> = Vec::new();
    for end in ends(request) {
        match pieces.last_mut() {
            Some(piece) if end - piece.start <= most => piece.end = end,
            last => {
                let start = last.map_or(0, |piece| piece.end);
                pieces.push(start..end);
            }
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    #![allow(clippy::single_range_in_vec_init)]
    use super::*;

    /// A request of records that take so many bytes each.
    fn request(records: &[usize]) -> Vec<u8> {
        records.iter().flat_map(|bytes| [vec![0x0a, *bytes as u8 - 2], vec![7; bytes - 2]].concat()).collect()
    }

    #[test]
    fn a_request_is_cut_between_its_records() {
        assert_eq!(middle(&request(&[10, 20])), Some(10));
        assert_eq!(middle(&request(&[10, 20, 30])), Some(10));
        assert_eq!(middle(&request(&[10, 20, 30, 40])), Some(30));
        for whole in [request(&[10]), b"\x0a\x01".to_vec(), b"{\"a\":1}".to_vec(), Vec::new()] {
            assert_eq!(middle(&whole), None);
        }
    }

    #[test]
    fn pieces_are_as_long_as_may_be() {
        let of = |records: &[usize], most| pieces(&request(records), most);
        assert!(of(&[10, 20, 30], 60).is_empty());
        assert_eq!(of(&[10, 20, 30], 59), [0..30, 30..60]);
        assert_eq!(of(&[10, 20, 30], 30), [0..30, 30..60]);
        assert_eq!(of(&[10, 20, 30], 29), [0..10, 10..30, 30..60]);
        assert_eq!(of(&[50, 10, 10], 20), [0..50, 50..70]);
        assert_eq!(of(&[60], 20), [0..60]);
        assert!(pieces(b"no request", 5).is_empty());
    }
}
