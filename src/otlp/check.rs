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

/// A message that is being read.
#[derive(Clone, Copy)]
struct Frame {
    end: usize,
    message: Message,
    /// The field of it that was begun last.
    number: u32,
}

/// Whether `bytes` are one export request of `signal` with at least one record in it. Depth costs neither stack nor heap.
pub(crate) fn check(bytes: &[u8], signal: Signal) -> Result<(), Flaw> {
    let (request, record) = match signal {
        Signal::Traces => (Message::TracesRequest, Message::Span),
        Signal::Logs => (Message::LogsRequest, Message::LogRecord),
        Signal::Metrics => (Message::MetricsRequest, Message::Metric),
    };
    let mut frames = [Frame { end: bytes.len(), message: request, number: 0 }; MOST_NESTED + 1];
    let mut reader = Reader::new(bytes);
    let (mut depth, mut has_record) = (0, false);
    loop {
        let begin = reader.at();
        if reader.is_at_end() {
            if depth == 0 {
                break;
            }
            depth -= 1;
            reader.end_at(bytes, frames[depth].end);
            continue;
        }
        let Frame { message, number, .. } = &mut frames[depth];
        match read_field(*message, number, &mut reader) {
            Ok(Field::Leaf) => {}
            Ok(Field::Unknown) if depth == 0 => return Err(at_top(bytes, begin)),
            Ok(Field::Unknown) => {}
            Ok(Field::Message(message, len)) => {
                if depth == MOST_NESTED {
                    let what = "more than 100 messages are nested in one another";
                    return Err(flaw(&frames[..=depth], (begin, what)));
                }
                has_record |= message == record;
                depth += 1;
                let end = reader.at() + len;
                reader.end_at(bytes, end);
                frames[depth] = Frame { end, message, number: 0 };
            }
            Err(_) if depth == 0 && begin == 0 && bytes[0] == b'{' => return Err(at_top(bytes, begin)),
            Err((offset, what)) => return Err(flaw(&frames[..=depth], (begin + offset, what))),
        }
    }
    let what = match signal {
        Signal::Traces => "it has no span",
        Signal::Logs => "it has no log record",
        Signal::Metrics => "it has no metric",
    };
    if has_record { Ok(()) } else { Err(Flaw { at: bytes.len(), field: String::new(), what }) }
}

/// What was read.
enum Field {
    Leaf,
    /// A field that is not in the table.
    Unknown,
    /// The length of a message, which comes next.
    Message(Message, usize),
}

/// Reads one field of `message`, and sets `number` to its number. An error: where, from the field's beginning, and what.
#[inline]
fn read_field(
    message: Message,
    number: &mut u32,
    reader: &mut Reader<'_>,
) -> Result<Field, (usize, &'static str)> {
    let begin = reader.at();
    // What the tag is of is not known before it is read.
    *number = 0;
    let here = |what| (0, what);
    let (of, wire_type) = reader.tag().map_err(here)?;
    *number = of;
    match (message.kind_of(of), wire_type) {
        (Kind::Of(inner), WireType::Delimited) => {
            return Ok(Field::Message(inner, reader.len().map_err(here)?));
        }
        (Kind::Text, WireType::Delimited) => {
            let text = reader.delimited().map_err(here)?;
            if let Err(e) = std::str::from_utf8(text) {
                let at = reader.at() - text.len() + e.valid_up_to();
                return Err((at - begin, "it is not UTF-8"));
            }
        }
        (Kind::Bytes, WireType::Delimited) => drop(reader.delimited().map_err(here)?),
        (Kind::Number | Kind::Numbers, WireType::Varint) => drop(reader.varint().map_err(here)?),
        (Kind::Fixed64 | Kind::Fixed64s, WireType::Fixed64) => drop(reader.take(8).map_err(here)?),
        (Kind::Fixed32, WireType::Fixed32) => drop(reader.take(4).map_err(here)?),
        (Kind::Numbers, WireType::Delimited) => {
            let mut numbers = Reader::new(reader.delimited().map_err(here)?);
            while !numbers.is_at_end() {
                numbers.varint().map_err(here)?;
            }
        }
        (Kind::Fixed64s, WireType::Delimited) => {
            if reader.delimited().map_err(here)?.len() % 8 != 0 {
                return Err((0, "its length is not that of 8-byte values"));
            }
        }
        (Kind::Unknown, _) => {
            reader.skip(of, wire_type).map_err(here)?;
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

fn flaw(frames: &[Frame], (at, what): (usize, &'static str)) -> Flaw {
    let named = frames.iter().filter(|frame| frame.number > 0);
    let names: Vec<_> = named.map(|frame| frame.message.name_of(frame.number)).collect();
    Flaw { at, field: names.join("."), what }
}
