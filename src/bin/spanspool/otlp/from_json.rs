//! From JSON: a line with a request as protobuf bytes.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use spanspool::Signal;

use super::messages::{Kind, Message};
use super::{Converted, Flaw, MOST_NESTED, TOO_DEEP, base64, camel_case, request_of};

/// `line`, an export request of `signal` as JSON, as protobuf bytes.
///
/// A value may be an integer or a string with one; null is as good as nothing. An enum is a number.
pub fn from_json(line: &[u8], signal: Signal) -> Result<Converted<Vec<u8>>, Flaw> {
    let text = std::str::from_utf8(line)
        .map_err(|e| Flaw { column: Some(e.valid_up_to() + 1), ..Flaw::new("it is not UTF-8") })?;
    let whole: &RawValue = serde_json::from_str(text).map_err(|error| not_json(&error, 0))?;
    let mut reader = LineReader { begin: text.as_ptr().addr(), left_out: BTreeSet::new() };
    let mut request = Vec::with_capacity(line.len() / 2);
    reader.request(signal, whole, &mut request)?;
    Ok(Converted { request, left_out: reader.left_out })
}

struct LineReader {
    /// The address of the line: where in it a value is.
    begin: usize,
    left_out: BTreeSet<String>,
}

impl LineReader {
    /// A misspelt name at the top would leave nothing of the line.
    fn request(&mut self, signal: Signal, json: &RawValue, out: &mut Vec<u8>) -> Result<(), Flaw> {
        let of = request_of(signal);
        for (name, value) in self.parse::<Members>(json, "an object")?.0 {
            if field_of(of, &name).is_some() {
                continue;
            }
            let other = Signal::ALL.into_iter().find(|other| field_of(request_of(*other), &name).is_some());
            let allowed: String = camel_case(&of.name_of(1)).collect();
            return Err(self.flaw(
                value,
                match other {
                    Some(other) => format!("it has {name}: that is for --set signal={}", other.name()),
                    None => format!("it has {name}: a request of {} has {allowed} only", signal.name()),
                },
            ));
        }
        self.message(of, json, MOST_NESTED, out)
    }

    /// `room`: how many messages may still be within it.
    fn message(&mut self, of: Message, json: &RawValue, room: usize, out: &mut Vec<u8>) -> Result<(), Flaw> {
        for (name, value) in self.parse::<Members>(json, "an object")?.0 {
            let Some((number, kind)) = field_of(of, &name) else {
                self.left_out.insert(format!("{name} of {of:?}"));
                continue;
            };
            if value.get() != "null" {
                self.field(number, kind, value, room, out).map_err(|flaw| flaw.within(&name))?;
            }
        }
        Ok(())
    }

    fn field(
        &mut self,
        number: u32,
        kind: Kind,
        json: &RawValue,
        room: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), Flaw> {
        match kind {
            Kind::One(inner) => self.inner(number, inner, json, room, out),
            Kind::Many(inner) => self
                .parse::<Vec<&RawValue>>(json, "an array")?
                .into_iter()
                .try_for_each(|value| self.inner(number, inner, value, room, out)),
            Kind::Texts => self
                .parse::<Vec<&RawValue>>(json, "an array")?
                .into_iter()
                .try_for_each(|value| self.scalar(number, Kind::Text, value, out)),
            Kind::Uint64s | Kind::Fixed64s | Kind::Doubles => {
                let mut packed = Vec::new();
                for value in self.parse::<Vec<&RawValue>>(json, "an array")? {
                    match kind {
                        Kind::Uint64s => put_varint(self.integer(value)?, &mut packed),
                        Kind::Fixed64s => packed.extend(self.integer::<u64>(value)?.to_le_bytes()),
                        _ => packed.extend(self.double(value)?.to_le_bytes()),
                    }
                }
                if !packed.is_empty() {
                    put_delimited(number, &packed, out);
                }
                Ok(())
            }
            _ => self.scalar(number, kind, json, out),
        }
    }

    fn inner(
        &mut self,
        number: u32,
        of: Message,
        json: &RawValue,
        room: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), Flaw> {
        let room = room.checked_sub(1).ok_or_else(|| self.flaw(json, TOO_DEEP))?;
        let mut bytes = Vec::new();
        self.message(of, json, room, &mut bytes)?;
        put_delimited(number, &bytes, out);
        Ok(())
    }

    fn scalar(&self, number: u32, kind: Kind, json: &RawValue, out: &mut Vec<u8>) -> Result<(), Flaw> {
        let varint = match kind {
            Kind::Bool => match json.get() {
                "true" => 1,
                "false" => 0,
                other => return Err(self.flaw(json, format!("{} is not true or false", shown(other)))),
            },
            Kind::Int32 => i64::from(self.integer::<i32>(json)?) as u64,
            Kind::Uint32 => self.integer::<u32>(json)?.into(),
            Kind::Sint32 => zigzag(self.integer(json)?).into(),
            Kind::Int64 => self.integer::<i64>(json)? as u64,
            Kind::Fixed32 => {
                put_tag(number, 5, out);
                out.extend(self.integer::<u32>(json)?.to_le_bytes());
                return Ok(());
            }
            Kind::Fixed64 | Kind::Sfixed64 | Kind::Double => {
                let bytes = match kind {
                    Kind::Fixed64 => self.integer::<u64>(json)?.to_le_bytes(),
                    Kind::Sfixed64 => self.integer::<i64>(json)?.to_le_bytes(),
                    _ => self.double(json)?.to_le_bytes(),
                };
                put_tag(number, 1, out);
                out.extend(bytes);
                return Ok(());
            }
            _ => {
                let text: String = self.parse(json, "a string")?;
                let bytes = match kind {
                    Kind::Id => hexadecimal(&text).ok_or_else(|| {
                        self.flaw(json, format!("{} is not hexadecimal", shown(json.get())))
                    })?,
                    Kind::Bytes => base64::decode(&text)
                        .ok_or_else(|| self.flaw(json, format!("{} is not base64", shown(json.get()))))?,
                    _ => text.into_bytes(),
                };
                put_delimited(number, &bytes, out);
                return Ok(());
            }
        };
        put_tag(number, 0, out);
        put_varint(varint, out);
        Ok(())
    }

    /// A number, or a string with one.
    fn integer<T: std::str::FromStr + Limits>(&self, json: &RawValue) -> Result<T, Flaw> {
        let digits = json.get().trim_matches('"');
        digits.parse().map_err(|_| {
            let (min, max) = T::LIMITS;
            self.flaw(json, format!("{} is not a whole number from {min} to {max}", shown(json.get())))
        })
    }

    /// A number, or a string with one, NaN or an infinity in it.
    fn double(&self, json: &RawValue) -> Result<f64, Flaw> {
        let text = json.get();
        let (unquoted, is_text) = (text.trim_matches('"'), text.starts_with('"'));
        let value = match unquoted {
            "NaN" | "Infinity" | "-Infinity" if is_text => unquoted.parse().ok(),
            digits => digits.parse().ok().filter(|value: &f64| value.is_finite()),
        };
        value.ok_or_else(|| {
            let what = "is not a 64-bit number, \"NaN\", \"Infinity\" or \"-Infinity\"";
            self.flaw(json, format!("{} {what}", shown(text)))
        })
    }

    /// `expected`: what JSON it is.
    fn parse<'a, T: Deserialize<'a>>(&self, json: &'a RawValue, expected: &str) -> Result<T, Flaw> {
        let is_it = json.get().starts_with(match expected {
            "an object" => '{',
            "an array" => '[',
            _ => '"',
        });
        if !is_it {
            return Err(self.flaw(json, format!("{} is not {expected}", shown(json.get()))));
        }
        serde_json::from_str(json.get()).map_err(|error| not_json(&error, self.offset(json)))
    }

    fn flaw(&self, json: &RawValue, what: impl Into<String>) -> Flaw {
        Flaw { column: Some(self.offset(json) + 1), ..Flaw::new(what) }
    }

    fn offset(&self, json: &RawValue) -> usize {
        json.get().as_ptr().addr() - self.begin
    }
}

/// The least and the greatest of a type of integers.
trait Limits {
    const LIMITS: (i128, i128);
}

macro_rules! limits {
    ($($integer:ty)*) => {
        $(impl Limits for $integer {
            const LIMITS: (i128, i128) = (<$integer>::MIN as i128, <$integer>::MAX as i128);
        })*
    };
}

limits!(i32 u32 i64 u64);

/// The members of an object, in order.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

/// What `error` says of text that begins `offset` bytes after the line.
fn not_json(error: &serde_json::Error, offset: usize) -> Flaw {
    let what = error.to_string();
    let what = what.rsplit_once(" at line ").map_or(&*what, |(what, _)| what);
    Flaw { column: Some(offset + error.column()), ..Flaw::new(what) }
}

/// A field goes by its name in JSON, or by that in .proto files.
fn field_of(of: Message, name: &str) -> Option<(u32, Kind)> {
    of.field(|it| !it.is_empty() && (it == name || camel_case(it).eq(name.chars())))
}

/// The beginning of a value.
fn shown(json: &str) -> String {
    crate::cli::human::one_line(json.as_bytes(), 40)
}

fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?)).collect()
}

fn put_tag(number: u32, wire_type: u32, out: &mut Vec<u8>) {
    put_varint((number << 3 | wire_type).into(), out);
}

pub(super) fn put_delimited(number: u32, bytes: &[u8], out: &mut Vec<u8>) {
    put_tag(number, 2, out);
    put_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

fn put_varint(mut n: u64, out: &mut Vec<u8>) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// A sint32 as it is encoded.
fn zigzag(n: i32) -> u32 {
    (n << 1 ^ n >> 31) as u32
}
