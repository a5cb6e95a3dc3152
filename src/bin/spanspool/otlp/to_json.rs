//! To JSON: a request's protobuf bytes as one line.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Write;

use spanspool::Signal;

use super::messages::{Kind, Message};
use super::value::{Value, array, next};
use super::wire::Reader;
use super::{Converted, Flaw, MOST_NESTED, TOO_DEEP, base64, camel_case, request_of};

/// `request`, an export request of `signal`, as JSON on one line.
pub fn to_json(request: &[u8], signal: Signal) -> Result<Converted<String>, Flaw> {
    let mut writer = Writer { json: String::with_capacity(request.len() * 2), left_out: BTreeSet::new() };
    writer.message(request_of(signal), request, MOST_NESTED)?;
    Ok(Converted { request: writer.json, left_out: writer.left_out })
}

struct Writer {
    json: String,
    left_out: BTreeSet<String>,
}

/// A field with all its values, in order.
type Field<'a> = (u32, Vec<Value<'a>>);

impl Writer {
    /// `room`: how many messages may still be within it.
    fn message(&mut self, of: Message, bytes: &[u8], room: usize) -> Result<(), Flaw> {
        self.json.push('{');
        let mut is_first = true;
        for (number, values) in fields(bytes, room)? {
            let (kind, name) = (of.kind_of(number), of.name_of(number));
            if kind == Kind::Unknown {
                self.left_out.insert(format!("{name} of {of:?}"));
                continue;
            }
            if !is_first {
                self.json.push(',');
            }
            is_first = false;
            let name: String = camel_case(&name).collect();
            self.json.push('"');
            self.json += &name;
            self.json += "\":";
            self.field(kind, &values, room).map_err(|flaw| flaw.within(&name))?;
        }
        self.json.push('}');
        Ok(())
    }

    fn field(&mut self, kind: Kind, values: &[Value<'_>], room: usize) -> Result<(), Flaw> {
        let inner_room = || room.checked_sub(1).ok_or_else(|| Flaw::new(TOO_DEEP));
        match kind {
            Kind::Many(inner) => {
                let room = inner_room()?;
                self.list(values, |writer, value| writer.message(inner, value.bytes()?, room))
            }
            Kind::One(inner) => {
                // The message of several parts is the one that their bytes make in a row.
                let parts = values.iter().map(Value::bytes).collect::<Result<Vec<_>, _>>()?;
                let whole = if let [part] = parts[..] { Cow::Borrowed(part) } else { parts.concat().into() };
                self.message(inner, &whole, inner_room()?)
            }
            Kind::Texts => self.list(values, |writer, value| writer.scalar(Kind::Text, value)),
            Kind::Uint64s | Kind::Fixed64s | Kind::Doubles => {
                let of = if kind == Kind::Doubles { Kind::Double } else { Kind::Fixed64 };
                let numbers = numbers(kind, values)?;
                self.list(&numbers, |writer, number| writer.scalar(of, number))
            }
            // Of several values the last one counts.
            _ => values.last().map_or(Ok(()), |value| self.scalar(kind, value)),
        }
    }

    fn list<T>(
        &mut self,
        values: &[T],
        mut write: impl FnMut(&mut Self, &T) -> Result<(), Flaw>,
    ) -> Result<(), Flaw> {
        self.json.push('[');
        for (i, value) in values.iter().enumerate() {
            if i > 0 {
                self.json.push(',');
            }
            write(self, value)?;
        }
        self.json.push(']');
        Ok(())
    }

    fn scalar(&mut self, kind: Kind, value: &Value<'_>) -> Result<(), Flaw> {
        // Writing to a string can't fail.
        let _ = match (kind, value) {
            (Kind::Bool, Value::Varint(n)) => write!(self.json, "{}", *n != 0),
            (Kind::Int32, Value::Varint(n)) => write!(self.json, "{}", *n as i32),
            (Kind::Uint32, Value::Varint(n)) => write!(self.json, "{}", *n as u32),
            (Kind::Sint32, Value::Varint(n)) => write!(self.json, "{}", zigzag(*n as u32)),
            (Kind::Int64, Value::Varint(n)) => write!(self.json, "\"{}\"", *n as i64),
            (Kind::Fixed32, Value::Fixed32(bytes)) => write!(self.json, "{}", u32::from_le_bytes(*bytes)),
            (Kind::Fixed64, Value::Fixed64(bytes)) => write!(self.json, "\"{}\"", u64::from_le_bytes(*bytes)),
            (Kind::Sfixed64, Value::Fixed64(bytes)) => {
                write!(self.json, "\"{}\"", i64::from_le_bytes(*bytes))
            }
            (Kind::Double, Value::Fixed64(bytes)) => self.double(f64::from_le_bytes(*bytes)),
            (Kind::Text, Value::Delimited(bytes)) => {
                let text = std::str::from_utf8(bytes).map_err(|_| Flaw::new("it is not UTF-8"))?;
                self.text(text)
            }
            (Kind::Bytes, Value::Delimited(bytes)) => self.text(&base64::encode(bytes)),
            (Kind::Id, Value::Delimited(bytes)) => {
                self.json.push('"');
                let digits = bytes.iter().try_for_each(|byte| write!(self.json, "{byte:02x}"));
                self.json.push('"');
                digits
            }
            _ => return Err(Flaw::new("it has the wire type of another field")),
        };
        Ok(())
    }

    fn text(&mut self, text: &str) -> std::fmt::Result {
        self.json += &serde_json::Value::from(text).to_string();
        Ok(())
    }

    /// JSON has no number for what is not finite.
    fn double(&mut self, value: f64) -> std::fmt::Result {
        match serde_json::Number::from_f64(value) {
            Some(number) => write!(self.json, "{number}"),
            None if value.is_nan() => self.text("NaN"),
            None => self.text(if value > 0.0 { "Infinity" } else { "-Infinity" }),
        }
    }
}

impl<'a> Value<'a> {
    fn bytes(&self) -> Result<&'a [u8], Flaw> {
        match self {
            Self::Delimited(bytes) => Ok(bytes),
            _ => Err(Flaw::new("it has the wire type of another field")),
        }
    }
}

/// The fields of a message in the order of their last values: where fields exclude one another, the last one counts.
fn fields(bytes: &[u8], room: usize) -> Result<Vec<Field<'_>>, Flaw> {
    let mut reader = Reader::new(bytes);
    let mut fields: Vec<Field<'_>> = Vec::new();
    while !reader.is_at_end() {
        let (number, value) = next(&mut reader, room).map_err(Flaw::new)?;
        let mut values = match fields.iter().position(|(it, _)| *it == number) {
            Some(at) => fields.remove(at).1,
            None => Vec::new(),
        };
        values.push(value);
        fields.push((number, values));
    }
    Ok(fields)
}

/// Repeated numbers, each as 8 bytes.
fn numbers(kind: Kind, values: &[Value<'_>]) -> Result<Vec<Value<'static>>, Flaw> {
    let mut numbers = Vec::new();
    for value in values {
        match value {
            Value::Fixed64(bytes) if kind != Kind::Uint64s => numbers.push(Value::Fixed64(*bytes)),
            Value::Varint(n) if kind == Kind::Uint64s => numbers.push(Value::Fixed64(n.to_le_bytes())),
            value => {
                let mut packed = Reader::new(value.bytes()?);
                while !packed.is_at_end() {
                    let number = match kind {
                        Kind::Uint64s => packed.varint().map(u64::to_le_bytes),
                        _ => packed.take(8).and_then(array),
                    };
                    numbers.push(Value::Fixed64(number.map_err(Flaw::new)?));
                }
            }
        }
    }
    Ok(numbers)
}

/// The number that is encoded as a sint32.
fn zigzag(n: u32) -> i32 {
    (n >> 1) as i32 ^ -((n & 1) as i32)
}
