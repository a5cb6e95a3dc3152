//! Check: whether bytes are one export request, down to its leaves.
//!
//! Requests are joined into one body by putting their bytes in a row. One that breaks off, or a string in it that is not
//! UTF-8, spoils the body for all of them.

use std::fmt;

use super::messages::{Kind, Message};
use super::wire::{Reader, WireType};
use crate::config::Signal;

/// Messages within one another, the request not counted: what decoders of protobuf take by default.
const MOST_NESTED: usize = 100;

/// Why bytes are not an export request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flaw {
    /// Where, in bytes from the beginning.
    at: usize,
    /// The names of the fields that lead there, joined by dots.
    field: String,
    what: &'static str,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field.as_str() {
            "" => write!(f, "at byte {}: {}", self.at, self.what),
            field => write!(f, "at byte {}, in {field}: {}", self.at, self.what),
        }
    }
}

/// The messages that are being read, one within the other. All zeros at first, which is soon done.
struct Path {
    depth: usize,
    messages: [Message; MOST_NESTED + 1],
    /// Where each ends: no item has more bytes than a `u32` can tell.
    ends: [u32; MOST_NESTED + 1],
    /// The field of each that was begun last. Those of messages have low numbers.
    numbers: [u8; MOST_NESTED + 1],
}

impl Path {
    fn message(&self) -> Message {
        self.messages[self.depth]
    }

    /// Goes into a message, the field `number` of this one, which ends at `end`; `None`: too deep.
    #[inline(always)]
    fn enter(&mut self, number: u32, message: Message, end: usize) -> Option<()> {
        self.numbers[self.depth] = number as u8;
        let depth = self.depth + 1;
        *self.messages.get_mut(depth)? = message;
        self.ends[depth] = end as u32;
        self.depth = depth;
        Some(())
    }

    /// Goes back to where the message ends that the innermost one is in; `None`: it is the request.
    #[inline(always)]
    fn leave(&mut self) -> Option<usize> {
        self.depth = self.depth.checked_sub(1)?;
        Some(self.ends[self.depth] as usize)
    }

    /// The flaw of the field `number`, or of a tag where that is 0.
    fn flaw(&self, number: u32, at: usize, what: &'static str) -> Flaw {
        let around = self.messages.iter().zip(&self.numbers).take(self.depth);
        let mut names: Vec<_> = around.map(|(of, number)| of.name_of((*number).into())).collect();
        names.extend((number > 0).then(|| self.message().name_of(number)));
        Flaw { at, field: names.join("."), what }
    }
}

/// Whether `bytes` are one export request of `signal` with at least one record in it. Depth costs neither stack nor heap.
pub(crate) fn check(bytes: &[u8], signal: Signal) -> Result<(), Flaw> {
    let (request, record) = match signal {
        Signal::Traces => (Message::TracesRequest, Message::Span),
        Signal::Logs => (Message::LogsRequest, Message::LogRecord),
        Signal::Metrics => (Message::MetricsRequest, Message::Metric),
    };
    let mut path = Path {
        depth: 0,
        messages: [Message::TracesRequest; MOST_NESTED + 1],
        ends: [0; MOST_NESTED + 1],
        numbers: [0; MOST_NESTED + 1],
    };
    (path.messages[0], path.ends[0]) = (request, bytes.len() as u32);
    let mut reader = Reader::new(bytes);
    let mut has_record = false;
    loop {
        let begin = reader.at();
        if reader.is_at_end() {
            let Some(end) = path.leave() else { break };
            reader.end_at(bytes, end);
            continue;
        }
        let mut number = 0;
        match read_field(path.message(), &mut number, &mut reader, MOST_NESTED - path.depth) {
            Ok(Field::Leaf) => {}
            Ok(Field::Unknown) if path.depth == 0 => return Err(at_top(bytes, begin)),
            Ok(Field::Unknown) => {}
            Ok(Field::Message(message, len)) => {
                has_record |= message == record;
                let end = reader.at() + len;
                let is_plain = message == Message::KeyValue && is_plain_attribute(&bytes[reader.at()..end]);
                if is_plain && path.depth + ATTRIBUTE_DEPTH <= MOST_NESTED {
                    reader.go_to(end);
                    continue;
                }
                if path.enter(number, message, end).is_none() {
                    return Err(path.flaw(number, begin, "more than 100 messages are nested in one another"));
                }
                reader.end_at(bytes, end);
            }
            Err(_) if path.depth == 0 && begin == 0 && bytes[0] == b'{' => return Err(at_top(bytes, begin)),
            Err((offset, what)) => return Err(path.flaw(number, begin + offset, what)),
        }
    }
    let what = match signal {
        Signal::Traces => "it has no span",
        Signal::Logs => "it has no log record",
        Signal::Metrics => "it has no metric",
    };
    if has_record { Ok(()) } else { Err(Flaw { at: bytes.len(), field: String::new(), what }) }
}

/// Messages that a plain attribute is made of.
const ATTRIBUTE_DEPTH: usize = 2;

/// Whether a `KeyValue` is what most of a request is: a short key and a short string, both ASCII. Others are read field by
/// field.
#[inline(always)]
fn is_plain_attribute(bytes: &[u8]) -> bool {
    const KEY: u8 = 1 << 3 | 2;
    const VALUE: u8 = 2 << 3 | 2;
    const STRING_VALUE: u8 = 1 << 3 | 2;
    let [KEY, key_len, rest @ ..] = bytes else { return false };
    let Some(after_key) = rest.get(usize::from(*key_len)..) else { return false };
    let [VALUE, value_len, STRING_VALUE, text_len, text @ ..] = after_key else { return false };
    // Lengths in a byte each are ASCII, too.
    usize::from(*text_len) == text.len() && usize::from(*value_len) == text.len() + 2 && bytes.is_ascii()
}

/// What was read.
enum Field {
    Leaf,
    /// A field that is not in the table.
    Unknown,
    /// The length of a message, which comes next.
    Message(Message, usize),
}

/// Reads one field of `message`, and sets `number` to its number. `room`: how many messages may still be within it. An
/// error: where, from the field's beginning, and what.
#[inline(always)]
fn read_field(
    message: Message,
    number: &mut u32,
    reader: &mut Reader<'_>,
    room: usize,
) -> Result<Field, (usize, &'static str)> {
    let begin = reader.at();
    let here = |what| (0, what);
    let (of, wire_type) = reader.tag().map_err(here)?;
    *number = of;
    match (message.kind_of(of), wire_type) {
        (Kind::One(inner) | Kind::Many(inner), WireType::Delimited) => {
            return Ok(Field::Message(inner, reader.len().map_err(here)?));
        }
        (Kind::Text | Kind::Texts, WireType::Delimited) => {
            let text = reader.delimited().map_err(here)?;
            // Most texts are short and ASCII: that is seen sooner.
            if !text.is_ascii()
                && let Err(e) = std::str::from_utf8(text)
            {
                let at = reader.at() - text.len() + e.valid_up_to();
                return Err((at - begin, "it is not UTF-8"));
            }
        }
        (Kind::Bytes | Kind::Id, WireType::Delimited) => drop(reader.delimited().map_err(here)?),
        (
            Kind::Bool | Kind::Int32 | Kind::Uint32 | Kind::Sint32 | Kind::Int64 | Kind::Uint64s,
            WireType::Varint,
        ) => drop(reader.varint().map_err(here)?),
        (
            Kind::Fixed64 | Kind::Sfixed64 | Kind::Double | Kind::Fixed64s | Kind::Doubles,
            WireType::Fixed64,
        ) => drop(reader.take(8).map_err(here)?),
        (Kind::Fixed32, WireType::Fixed32) => drop(reader.take(4).map_err(here)?),
        (Kind::Uint64s, WireType::Delimited) => {
            let mut numbers = Reader::new(reader.delimited().map_err(here)?);
            while !numbers.is_at_end() {
                numbers.varint().map_err(here)?;
            }
        }
        (Kind::Fixed64s | Kind::Doubles, WireType::Delimited) => {
            if reader.delimited().map_err(here)?.len() % 8 != 0 {
                return Err((0, "its length is not that of 8-byte values"));
            }
        }
        (Kind::Unknown, _) => {
            reader.skip(of, wire_type, room).map_err(here)?;
            return Ok(Field::Unknown);
        }
        _ => return Err((0, "it has the wire type of another field")),
    }
    Ok(Field::Leaf)
}

/// The flaw of a field that no request has.
fn at_top(bytes: &[u8], at: usize) -> Flaw {
    let what = match bytes.first() {
        Some(b'{') if at == 0 => "it begins like JSON; an item is an export request as protobuf bytes",
        _ => "an export request has field 1 only",
    };
    Flaw { at, field: String::new(), what }
}
