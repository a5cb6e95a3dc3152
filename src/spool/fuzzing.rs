//! Fuzzing: what must hold of any bytes that are found on disk. See `crate::fuzzing`.

#![allow(clippy::unwrap_used)]

use super::format::fragment::{self, Fragment};
use super::format::stored_batch::StoredBatch;
use super::held_path::HeldPath;
use super::segments::scan as segment_scan;
use super::set_aside::rejection;

pub use super::journal::fuzzing::journal;

/// The first byte says what the rest is: a fragment, a stored batch, a rejected group, or a value to be kept.
pub fn batch(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else { return };
    match kind % 4 {
        0 => fragments(rest),
        1 => stored(rest),
        2 => rejected_group(rest),
        _ => kept(rest),
    }
}

fn fragments(bytes: &[u8]) {
    if let Ok(fragment) = Fragment::decode(bytes) {
        assert!(fragment.payload.len() < bytes.len());
    }
    let pieces: Vec<&[u8]> = fragment::cut(bytes).collect();
    assert_eq!(pieces.concat(), bytes[..pieces.iter().map(|piece| piece.len()).sum()]);
    let id = pieces.first().map_or(0, |piece| Fragment::decode(piece).unwrap().id);
    if let Ok(value) = fragment::join(id, pieces.into_iter()) {
        assert!(value.len() < bytes.len());
    }
}

/// A batch that can be read adds up, and is the same when it is stored again.
fn stored(bytes: &[u8]) {
    let Ok(stored) = StoredBatch::decode("lane", 7, bytes) else { return };
    let batch = &stored.batch;
    let items: Vec<&[u8]> = batch.items().collect();
    assert_eq!(items.len(), batch.len());
    assert_eq!(items.iter().map(|item| item.len() as u64).sum::<u64>(), batch.items_bytes());
    assert_eq!(batch.slice(0..batch.len() / 2).len(), batch.len() / 2);
    let again = StoredBatch::decode("lane", 7, &stored.clone().encode().unwrap()).unwrap();
    assert_eq!(again, stored);
}

fn rejected_group(value: &[u8]) {
    let Some(file) = fragment::split(7, value).map(|pieces| pieces.flatten().collect::<Vec<u8>>()) else {
        return;
    };
    let Some(group) = rejection::decode(&file) else { return };
    let again = rejection::decode(&rejection::encode(7, &group).unwrap());
    assert_eq!(again, Some(group));
}

/// A place, a byte, then a value: its fragments give it back, and one damaged byte is noticed or after the end.
fn kept(data: &[u8]) {
    let Some((place, value)) = data.split_at_checked(4) else { return };
    let mut file: Vec<u8> = fragment::split(7, value).unwrap().flatten().collect();
    let join = |file: &[u8]| fragment::join(7, fragment::cut(file));
    assert_eq!(join(&file).unwrap(), value);
    let at = usize::from_le_bytes([place[0], place[1], place[2], 0, 0, 0, 0, 0]) % file.len();
    file[at] ^= place[3].max(1);
    assert!(join(&file).is_err(), "the damage at {at} went unseen");
}

/// A place, the length of a value, the value, then garbage.
///
/// Whatever a scan finds stands there whole. The fragments of the value, which is put into the garbage, are found,
/// unless one was found that reaches into them.
pub fn scan(data: &[u8]) {
    let Some((places, rest)) = data.split_at_checked(4) else { return };
    let place = |at: usize| usize::from(u16::from_le_bytes([places[at], places[at + 1]]));
    let (value, garbage) = rest.split_at(rest.len().min(place(0)));
    let planted: Vec<u8> = fragment::split(7, value).unwrap().flatten().collect();
    let (before, after) = garbage.split_at(garbage.len().min(place(2)));
    let bytes = [before, &planted, after].concat();

    let place = before.len()..before.len() + planted.len();
    let mut end = 0;
    let mut disturbed = false;
    let mut found = Vec::new();
    for (at, piece) in segment_scan::fragments(&bytes, bytes.len()) {
        assert!(at >= end, "two fragments overlap");
        end = at + piece.bytes();
        assert_eq!(Fragment::decode(&bytes[at..end]), Ok(piece));
        disturbed |= at < place.start && end > place.start;
        if place.contains(&at) {
            found.extend_from_slice(&bytes[at..end]);
        }
    }
    assert!(disturbed || found == planted, "a whole fragment was not found");
    scanned(&bytes);
}

/// The same bytes as a file.
fn scanned(bytes: &[u8]) {
    let dir = std::env::temp_dir().join(format!("spanspool-scan-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("db"), bytes).unwrap();
    let mut found = segment_scan::Scan::of(&[HeldPath::open(&dir).unwrap()]).unwrap();
    for id in found.ids().collect::<Vec<_>>() {
        let value = found.value(id).unwrap();
        assert!(value.is_none_or(|value| value.len() < bytes.len()));
        assert!(found.next_id(id).is_none_or(|next| next > id));
    }
    std::fs::remove_dir_all(&dir).unwrap();
}
