//! Blocks: where the quotes of a text are, found in 64 bytes at a time, and whether what stands between them may.

use wide::u8x16;

/// Bytes in a block: a bit of a word for each.
const BLOCK_BYTES: usize = 64;
/// The vectors that they are looked at in.
const LANES: usize = BLOCK_BYTES / 16;
/// The last control character: they are all of the bytes up to it.
const LAST_CONTROL: u8 = 0x1f;

/// The blocks of a text, each looked through once, in order.
pub(crate) struct Blocks<'a> {
    text: &'a [u8],
    /// Where the next one begins.
    next: usize,
    /// A backslash at the end of the last one escapes the next one's first byte.
    escaping: bool,
    /// All bytes so far, or'ed.
    seen: u8x16,
}

impl<'a> Blocks<'a> {
    pub(crate) fn new(text: &'a [u8]) -> Self {
        Self { text, next: 0, escaping: false, seen: u8x16::ZERO }
    }

    /// Whether all bytes that were looked at are ASCII. Bytes after the last string were not looked at: there, only
    /// ASCII is JSON.
    pub(crate) fn were_ascii(&self) -> bool {
        self.seen.to_bitmask() == 0
    }

    /// The quotes from the end of a string on, in the block with that end, and where that block begins. No further
    /// quote is in the blocks so far; `first`: neither is the string's first one.
    #[inline(never)]
    pub(crate) fn find_end(&mut self, first: bool) -> Option<(u64, u32)> {
        let mut quotes = 0;
        if first {
            while quotes == 0 {
                quotes = self.look(false)?;
            }
            quotes &= quotes - 1;
        }
        while quotes == 0 {
            quotes = self.look(true)?;
        }
        Some((quotes, (self.next - BLOCK_BYTES) as u32))
    }

    /// The quotes of the next block that begin or end a string; `inside`: the block begins inside one.
    ///
    /// `None`: there is no further block, or what stands in a string may not.
    #[inline(always)]
    fn look(&mut self, inside: bool) -> Option<u64> {
        let rest = self.text.get(self.next..).filter(|rest| !rest.is_empty())?;
        let mut last = [b' '; BLOCK_BYTES];
        let block = match rest.first_chunk() {
            Some(block) => block,
            None => {
                last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
                &last
            }
        };
        let lanes = lanes(block);
        let mut odd = u8x16::ZERO;
        for lane in lanes {
            self.seen |= lane;
            odd |= lane.simd_eq(u8x16::splat(b'\\')) | lane.simd_le(u8x16::splat(LAST_CONTROL));
        }
        self.next += BLOCK_BYTES;
        let quotes = places(lanes.map(|lane| lane.simd_eq(u8x16::splat(b'"'))));
        if odd.to_bitmask() == 0 && !self.escaping {
            return Some(quotes);
        }
        self.check(block, quotes, inside)
    }

    /// `quotes` without those that are escaped, if every escape of the block is one and no control character stands in
    /// a string.
    #[inline(never)]
    fn check(&mut self, block: &[u8; BLOCK_BYTES], quotes: u64, inside: bool) -> Option<u64> {
        let lanes = lanes(block);
        let backslashes = places(lanes.map(|lane| lane.simd_eq(u8x16::splat(b'\\'))));
        let controls = places(lanes.map(|lane| lane.simd_le(u8x16::splat(LAST_CONTROL))));
        let quotes = quotes & !self.escaped(backslashes)?;
        let ends_inside = if inside { u64::MAX } else { 0 };
        (controls & (parities(quotes) ^ ends_inside) == 0).then_some(quotes)
    }

    /// The bytes of the last block that a backslash escapes.
    fn escaped(&mut self, mut backslashes: u64) -> Option<u64> {
        let mut escaped = u64::from(self.escaping);
        backslashes &= !escaped;
        self.escaping = false;
        while backslashes != 0 {
            let place = backslashes.trailing_zeros();
            let after = self.next - BLOCK_BYTES + place as usize + 1;
            match self.text.get(after)? {
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                b'u' if self.text.get(after + 1..after + 5)?.iter().all(u8::is_ascii_hexdigit) => {}
                _ => return None,
            }
            self.escaping = place as usize == BLOCK_BYTES - 1;
            escaped |= (1 << place) << 1;
            backslashes &= !(1 << place | (1 << place) << 1);
        }
        Some(escaped)
    }
}

fn lanes(block: &[u8; BLOCK_BYTES]) -> [u8x16; LANES] {
    let mut lanes = [u8x16::ZERO; LANES];
    lanes.iter_mut().zip(block.as_chunks().0).for_each(|(lane, bytes)| *lane = u8x16::new(*bytes));
    lanes
}

/// A bit for each byte of the block that is set.
fn places(lanes: [u8x16; LANES]) -> u64 {
    (0..).zip(lanes).fold(0, |places, (i, lane)| places | u64::from(lane.to_bitmask()) << (16 * i))
}

/// For each bit whether the number of bits set up to it is odd.
fn parities(bits: u64) -> u64 {
    [1, 2, 4, 8, 16, 32].iter().fold(bits, |parities, shift| parities ^ parities << shift)
}
