//! Wire: the encoding of protobuf: numbers, tags, and skipping a field that is not known.

/// How a field is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WireType {
    Varint,
    Fixed64,
    Delimited,
    GroupStart,
    GroupEnd,
    Fixed32,
}

/// Why bytes are not protobuf.
pub(super) type Broken = &'static str;

/// Groups that an unknown field may open within one another.
pub(super) const MOST_GROUPS: usize = 100;

/// Reads protobuf from its beginning on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Where it stands.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// A number of up to ten bytes, each with seven bits of it, the lowest first.
    #[inline(always)]
    pub(super) fn varint(&mut self) -> Result<u64, Broken> {
        // Most tags and lengths are one byte.
        match self.bytes.get(self.at) {
            Some(byte) if *byte < 0x80 => {
                self.at += 1;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, Broken> {
        let mut value = 0;
        for (i, byte) in self.bytes[self.at..].iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * i);
            if *byte < 0x80 {
                if i == 9 && *byte > 1 {
                    break;
                }
                self.at += i + 1;
                return Ok(value);
            }
        }
        match self.bytes.len() - self.at {
            ..10 => Err("it breaks off within a number"),
            _ => Err("a number has more than 64 bits"),
        }
    }

    /// The number of the next field, and how it is encoded.
    #[inline(always)]
    pub(super) fn tag(&mut self) -> Result<(u32, WireType), Broken> {
        let tag = u32::try_from(self.varint()?).map_err(|_| "a field's number is too large")?;
        let wire_type = match tag & 7 {
            0 => WireType::Varint,
            1 => WireType::Fixed64,
            2 => WireType::Delimited,
            3 => WireType::GroupStart,
            4 => WireType::GroupEnd,
            5 => WireType::Fixed32,
            _ => return Err("there is no such wire type"),
        };
        if tag < 8 { Err("a field has the number 0") } else { Ok((tag >> 3, wire_type)) }
    }

    /// The length of what follows, which is there.
    #[inline(always)]
    pub(super) fn len(&mut self) -> Result<usize, Broken> {
        let len = self.varint()?;
        match usize::try_from(len) {
            Ok(len) if len <= self.bytes.len() - self.at => Ok(len),
            _ => Err("its length is beyond the end"),
        }
    }

    /// The next `len` bytes.
    #[inline(always)]
    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], Broken> {
        let taken = self.bytes[self.at..].get(..len).ok_or("it breaks off")?;
        self.at += len;
        Ok(taken)
    }

    /// Bytes with their length before them.
    #[inline(always)]
    pub(super) fn delimited(&mut self) -> Result<&'a [u8], Broken> {
        let len = self.len()?;
        self.take(len)
    }

    /// The same, or all that is left where that is less: of bytes that were cut off.
    pub(super) fn delimited_or_rest(&mut self) -> &'a [u8] {
        let left = |reader: &Self| reader.bytes.len() - reader.at;
        let len = self.varint().map_or(0, |len| usize::try_from(len).unwrap_or(usize::MAX));
        self.take(len.min(left(self))).unwrap_or_default()
    }

    /// Goes to `at`, which is not after its end.
    #[inline(always)]
    pub(super) fn go_to(&mut self, at: usize) {
        self.at = at.min(self.bytes.len());
    }

    /// Makes it end at `end` of `bytes`, which it reads already.
    #[inline(always)]
    pub(super) fn end_at(&mut self, bytes: &'a [u8], end: usize) {
        self.bytes = &bytes[..end];
    }

    /// Goes past a field of which the tag was read, with at most `room` groups within one another, itself included.
    #[cold]
    pub(super) fn skip(&mut self, number: u32, wire_type: WireType, room: usize) -> Result<(), Broken> {
        let mut groups = [0; MOST_GROUPS];
        let mut open = 0;
        let (mut number, mut wire_type) = (number, wire_type);
        loop {
            match wire_type {
                WireType::GroupEnd if open > 0 && groups[open - 1] == number => open -= 1,
                WireType::GroupEnd => return Err("a group ends that did not begin"),
                _ if open >= room.min(MOST_GROUPS) => {
                    return Err("more than 100 messages are nested in one another");
                }
                WireType::Varint => drop(self.varint()?),
                WireType::Fixed64 => drop(self.take(8)?),
                WireType::Fixed32 => drop(self.take(4)?),
                WireType::Delimited => drop(self.delimited()?),
                WireType::GroupStart => {
                    groups[open] = number;
                    open += 1;
                }
            }
            if open == 0 {
                return Ok(());
            }
            (number, wire_type) = self.tag()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_at_most_64_bits() {
        let read = |bytes: &[u8]| Reader::new(bytes).varint();
        assert_eq!(read(&[0x96, 1]), Ok(150));
        assert_eq!(read(&[0x80, 0]), Ok(0), "longer than need be");
        assert_eq!(read(&[255, 255, 255, 255, 255, 255, 255, 255, 255, 1]), Ok(u64::MAX));
        assert!(read(&[255, 255, 255, 255, 255, 255, 255, 255, 255, 2]).is_err());
        assert!(read(&[128; 11]).is_err());
        assert!(read(&[]).is_err() && read(&[128; 9]).is_err());
    }

    #[test]
    fn groups_end_as_they_began() {
        let skip = |bytes: &[u8]| {
            let mut reader = Reader::new(bytes);
            let (number, wire_type) = reader.tag()?;
            reader.skip(number, wire_type, MOST_GROUPS)?;
            Ok::<_, Broken>(reader.at())
        };
        // Of the fields 15 and 14: 15 begins, 14 begins and ends, 15 ends.
        assert_eq!(skip(&[0x7b, 0x73, 0x74, 0x7c]), Ok(4));
        assert!(skip(&[0x7b, 0x73, 0x7c, 0x74]).is_err());
        assert!(skip(&[0x7b]).is_err() && skip(&[0x7c]).is_err());
        let nested = |groups| [vec![0x7b; groups], vec![0x7c; groups]].concat();
        assert_eq!(skip(&nested(100)), Ok(200));
        assert!(skip(&nested(101)).is_err());
    }
}
