//! Writer: the wire format of protobuf, appended to a buffer.

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const LENGTH: u32 = 2;
const FIXED32: u32 = 5;

/// The longest varint of 64 bits.
const MAX_VARINT: usize = 10;

/// Appends fields to a buffer. A default value is written as well, unless a method says otherwise.
pub(crate) struct Writer<'a>(&'a mut Vec<u8>);

impl<'a> Writer<'a> {
    pub(crate) fn new(buffer: &'a mut Vec<u8>) -> Self {
        Self(buffer)
    }

    /// Appends whole fields.
    pub(super) fn fields(&mut self, encoded: &[u8]) {
        self.0.extend_from_slice(encoded);
    }

    pub(super) fn varint(&mut self, field: u32, value: u64) {
        self.tag(field, VARINT);
        self.bare_varint(value);
    }

    pub(super) fn fixed64(&mut self, field: u32, value: u64) {
        self.tag(field, FIXED64);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn fixed32(&mut self, field: u32, value: u32) {
        self.tag(field, FIXED32);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    #[inline]
    pub(super) fn bytes(&mut self, field: u32, value: &[u8]) {
        self.tag(field, LENGTH);
        self.bare_varint(value.len() as u64);
        self.0.extend_from_slice(value);
    }

    /// Writes a text unless it is empty.
    #[inline]
    pub(super) fn text(&mut self, field: u32, value: &str) {
        if !value.is_empty() {
            self.bytes(field, value.as_bytes());
        }
    }

    /// Writes a count unless it is 0.
    pub(super) fn count(&mut self, field: u32, value: u32) {
        if value != 0 {
            self.varint(field, value.into());
        }
    }

    /// Writes, for each field, what comes before its value: the tag and the length, in one byte each. So fields are
    /// below 16, and lengths below 128.
    #[inline]
    pub(super) fn short_heads(&mut self, [(outer, outer_length), (inner, inner_length)]: [(u32, usize); 2]) {
        let tag = |field| (field << 3 | LENGTH) as u8;
        self.fields(&[tag(outer), outer_length as u8, tag(inner), inner_length as u8]);
    }

    /// Writes a message, which is probably shorter than 128 bytes.
    #[inline]
    pub(super) fn message(&mut self, field: u32, write: impl FnOnce(&mut Writer<'_>)) {
        self.nested::<1>(field, write);
    }

    /// Writes a message, which probably takes 128 bytes to 16 KiB.
    #[inline]
    pub(super) fn long_message(&mut self, field: u32, write: impl FnOnce(&mut Writer<'_>)) {
        self.nested::<2>(field, write);
    }

    /// Writes a message, and its length before it once that is known. If it does not take `GUESS` bytes, the message is
    /// moved.
    #[inline]
    fn nested<const GUESS: usize>(&mut self, field: u32, write: impl FnOnce(&mut Writer<'_>)) {
        self.tag(field, LENGTH);
        let begin = self.0.len();
        self.0.extend_from_slice(&[0; GUESS]);
        write(self);
        let length = self.0.len() - begin - GUESS;
        let is_guessed = length >> (7 * GUESS) == 0 && (GUESS == 1 || length >> (7 * (GUESS - 1)) != 0);
        if is_guessed {
            for (n, byte) in self.0[begin..begin + GUESS].iter_mut().enumerate() {
                let more = if n + 1 < GUESS { 0x80 } else { 0 };
                *byte = (length >> (7 * n)) as u8 & 0x7f | more;
            }
        } else {
            let (length, size) = encoded_varint(length as u64);
            self.0.splice(begin..begin + GUESS, length[..size].iter().copied());
        }
    }

    #[inline]
    fn tag(&mut self, field: u32, wire_type: u32) {
        self.bare_varint(u64::from(field << 3 | wire_type));
    }

    #[inline]
    fn bare_varint(&mut self, value: u64) {
        if value < 0x80 {
            self.0.push(value as u8);
        } else {
            let (bytes, size) = encoded_varint(value);
            self.0.extend_from_slice(&bytes[..size]);
        }
    }
}

/// A varint, and how many of the bytes it takes.
#[inline]
fn encoded_varint(mut value: u64) -> ([u8; MAX_VARINT], usize) {
    let (mut bytes, mut size) = ([0; MAX_VARINT], 1);
    for byte in &mut bytes {
        *byte = value as u8 | 0x80;
        value >>= 7;
        if value == 0 {
            *byte &= 0x7f;
            break;
        }
        size += 1;
    }
    (bytes, size)
}
