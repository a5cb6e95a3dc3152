//! Harm: one random damage to one random file.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use crate::template::Place;
use testkit::client::Noise;

/// What was done, and which bytes are not what they were.
#[derive(Debug)]
pub struct Harm {
    pub what: String,
    touched: Vec<(PathBuf, Range<usize>)>,
}

type Files = BTreeMap<PathBuf, Vec<u8>>;

impl Harm {
    /// Damages one of `files`.
    pub fn inflict(files: &mut Files, noise: &mut Noise) -> Self {
        let path = choose_file(files, noise);
        let before = files[&path].clone();
        let len = before.len();
        let kind = noise.below(8);
        let bytes = files.get_mut(&path).unwrap();
        let mut what = match kind {
            0 => {
                let flips = 1 + noise.below(8);
                for _ in 0..flips.min(8 * len as u64) {
                    let bit = place(len, noise) * 8 + noise.below(8) as usize;
                    bytes[bit / 8] ^= 1 << (bit % 8);
                }
                format!("{flips} bits flipped")
            }
            1 => {
                let range = range(len, noise);
                bytes[range.clone()].fill(0);
                format!("{range:?} zeroed")
            }
            2 => {
                let end = place(len, noise);
                bytes.truncate(end);
                format!("cut to {end}")
            }
            3 => {
                let more = 1 + noise.below(100_000) as usize;
                bytes.extend((0..more).map(|_| noise.below(256) as u8));
                format!("{more} bytes more")
            }
            4 => {
                let (a, b) = (range(len, noise), place(len, noise));
                let n = a.len().min(len - b);
                let (first, second) = (bytes[a.start..a.start + n].to_vec(), bytes[b..b + n].to_vec());
                bytes[a.start..a.start + n].copy_from_slice(&second);
                bytes[b..b + n].copy_from_slice(&first);
                format!("{n} bytes at {} and {b} swapped", a.start)
            }
            5 => {
                let (a, b) = (range(len, noise), place(len, noise));
                let n = a.len().min(len - b);
                let copy = bytes[a.start..a.start + n].to_vec();
                bytes[b..b + n].copy_from_slice(&copy);
                format!("{n} bytes of {} written again at {b}", a.start)
            }
            6 => {
                files.remove(&path);
                "removed".into()
            }
            _ => return Self::swap_files(files, path, noise),
        };
        what = format!("{}: {what}", path.display());
        let touched = differences(&before, files.get(&path)).map(|range| (path.clone(), range)).collect();
        Self { what, touched }
    }

    fn swap_files(files: &mut Files, path: PathBuf, noise: &mut Noise) -> Self {
        let other = choose_file(files, noise);
        let (a, b) = (files[&path].clone(), files[&other].clone());
        let touched = [(&path, &a, &b), (&other, &b, &a)];
        let touched = touched.iter().flat_map(|(path, old, new)| {
            differences(old, Some(new)).map(|range| ((*path).clone(), range)).collect::<Vec<_>>()
        });
        let touched = touched.collect();
        files.insert(path.clone(), b);
        files.insert(other.clone(), a);
        Self { what: format!("{} and {} swapped", path.display(), other.display()), touched }
    }

    /// Whether a file was removed.
    pub fn removed(&self) -> bool {
        self.what.ends_with("removed")
    }

    pub fn touches(&self, place: &Place) -> bool {
        place.bytes.iter().any(|range| self.touches_range(&place.file, range))
    }

    pub fn touches_range(&self, file: &PathBuf, range: &Range<usize>) -> bool {
        let overlaps = |touched: &Range<usize>| touched.start < range.end && range.start < touched.end;
        self.touched.iter().any(|(path, touched)| path == file && overlaps(touched))
    }

    /// The files that are not what they were, each once.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let mut last = None;
        self.touched.iter().map(|(path, _)| path).filter(move |path| last.replace(*path) != Some(path))
    }
}

/// Journals, databases and rejected groups as often as all the rest.
fn choose_file(files: &Files, noise: &mut Noise) -> PathBuf {
    let weighty: Vec<&PathBuf> =
        files.iter().filter(|(_, bytes)| bytes.len() > 1000).map(|(path, _)| path).collect();
    let all: Vec<&PathBuf> = files.keys().collect();
    let from = if noise.below(5) > 0 { weighty } else { all };
    from[noise.below(from.len() as u64) as usize].clone()
}

/// A place in a file: the first kilobytes, which steer the rest, are hit as often as all after them.
fn place(len: usize, noise: &mut Noise) -> usize {
    let within = if noise.below(4) == 0 { len.min(1500) } else { len };
    noise.below(within.max(1) as u64) as usize
}

/// A stretch of a file, short ones as often as long ones.
fn range(len: usize, noise: &mut Noise) -> Range<usize> {
    let start = place(len, noise);
    let most = 1_u64 << noise.below(18);
    let end = start + 1 + noise.below(most) as usize;
    start.min(len)..end.min(len)
}

/// Where `before` is not `after` any more: stretches of 64 bytes.
fn differences<'a>(before: &'a [u8], after: Option<&'a Vec<u8>>) -> impl Iterator<Item = Range<usize>> + 'a {
    const STEP: usize = 8;
    let after = after.map_or(&[][..], |after| after.as_slice());
    // All of a short file, or one that grew, is in question at its end.
    let grown = (after.len() > before.len()).then_some(before.len()..after.len());
    (0..before.len())
        .step_by(STEP)
        .map(move |at| at..(at + STEP).min(before.len()))
        .filter(move |range| after.get(range.clone()) != Some(&before[range.clone()]))
        .chain(grown)
}
