//! Value: what a field of a message was encoded as.

use super::wire::{Reader, WireType};

/// What a field was encoded as, once.
pub(super) enum Value<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    Fixed32([u8; 4]),
    Delimited(&'a [u8]),
    Group,
}

/// The next field's number and value. `room`: how deep groups may be nested in it.
pub(super) fn next<'a>(reader: &mut Reader<'a>, room: usize) -> Result<(u32, Value<'a>), &'static str> {
    let (number, wire_type) = reader.tag()?;
    let value = match wire_type {
        WireType::Varint => Value::Varint(reader.varint()?),
        WireType::Fixed64 => Value::Fixed64(array(reader.take(8)?)?),
        WireType::Fixed32 => Value::Fixed32(array(reader.take(4)?)?),
        WireType::Delimited => Value::Delimited(reader.delimited()?),
        WireType::GroupStart | WireType::GroupEnd => {
            reader.skip(number, wire_type, room)?;
            Value::Group
        }
    };
    Ok((number, value))
}

pub(super) fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N], &'static str> {
    bytes.try_into().map_err(|_| "it breaks off")
}
