//! Value: attributes and their values. A method that writes an `AnyValue` writes its one field.

use opentelemetry::logs::AnyValue;
use opentelemetry::{Array, Key, KeyValue, Value};

use super::writer::Writer;

mod key_value {
    pub const KEY: u32 = 1;
    pub const VALUE: u32 = 2;
}

mod any_value {
    pub const STRING: u32 = 1;
    pub const BOOL: u32 = 2;
    pub const INT: u32 = 3;
    pub const DOUBLE: u32 = 4;
    pub const ARRAY: u32 = 5;
    pub const KEY_VALUES: u32 = 6;
    pub const BYTES: u32 = 7;
}

/// The bytes before a value of less than 128 bytes in a field below 16: its tag, and its length.
const HEAD: usize = 2;

/// The field of `ArrayValue` and of `KeyValueList`.
const VALUES: u32 = 1;

/// The messages that a value may have in one another. Receivers take 100, and a value is at most the 6th.
const MOST_NESTED: usize = 94;

impl Writer<'_> {
    /// Writes attributes, each as a `KeyValue` in `field`.
    pub(super) fn attributes<'a>(&mut self, field: u32, attributes: impl IntoIterator<Item = &'a KeyValue>) {
        for KeyValue { key, value, .. } in attributes {
            match value {
                Value::String(text) => self.key_text(field, key, text.as_str()),
                value => self.key_value(field, key, |w| w.value(value)),
            }
        }
    }

    /// Writes one `KeyValue` of a text, as most are: a short one without a length that has to be filled in.
    #[inline]
    pub(super) fn key_text(&mut self, field: u32, key: &Key, text: &str) {
        let key_text = key.as_str();
        let value_length = HEAD + text.len();
        let length = HEAD + key_text.len() + HEAD + value_length;
        if length < 0x80 && field < 0x10 {
            self.short_heads([(field, length), (key_value::KEY, key_text.len())]);
            self.fields(key_text.as_bytes());
            self.short_heads([(key_value::VALUE, value_length), (any_value::STRING, text.len())]);
            self.fields(text.as_bytes());
        } else {
            self.key_value(field, key, |w| w.string(text));
        }
    }

    /// Writes one `KeyValue`, whose `AnyValue` is what `value` writes.
    #[inline]
    pub(super) fn key_value(&mut self, field: u32, key: &Key, value: impl FnOnce(&mut Writer<'_>)) {
        self.message(field, |w| {
            w.text(key_value::KEY, key.as_str());
            w.message(key_value::VALUE, value);
        });
    }

    #[inline]
    pub(super) fn value(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.string(text.as_str()),
            Value::Bool(value) => self.bool(*value),
            Value::I64(value) => self.int(*value),
            Value::F64(value) => self.double(*value),
            Value::Array(Array::Bool(values)) => self.array(values, |w, value| w.bool(*value)),
            Value::Array(Array::I64(values)) => self.array(values, |w, value| w.int(*value)),
            Value::Array(Array::F64(values)) => self.array(values, |w, value| w.double(*value)),
            Value::Array(Array::String(values)) => self.array(values, |w, text| w.string(text.as_str())),
            // A type that a later SDK adds.
            other => self.string(&other.as_str()),
        }
    }

    pub(super) fn any_value(&mut self, value: &AnyValue) {
        self.any_value_within(value, MOST_NESTED);
    }

    /// Writes a value that may have `room` messages in one another. What needs more becomes a text.
    fn any_value_within(&mut self, value: &AnyValue, room: usize) {
        match value {
            AnyValue::String(text) => self.string(text.as_str()),
            AnyValue::Boolean(value) => self.bool(*value),
            AnyValue::Int(value) => self.int(*value),
            AnyValue::Double(value) => self.double(*value),
            AnyValue::Bytes(bytes) => self.bytes(any_value::BYTES, bytes),
            AnyValue::ListAny(values) if room >= 2 => {
                self.array(values, |w, value| w.any_value_within(value, room - 2));
            }
            AnyValue::Map(values) if room >= 3 => self.message(any_value::KEY_VALUES, |w| {
                for (key, value) in values.iter() {
                    w.key_value(VALUES, key, |w| w.any_value_within(value, room - 3));
                }
            }),
            // Too deep, or a type that a later SDK adds.
            other => self.string(&format!("{other:?}")),
        }
    }

    #[inline]
    fn string(&mut self, text: &str) {
        self.bytes(any_value::STRING, text.as_bytes());
    }

    fn bool(&mut self, value: bool) {
        self.varint(any_value::BOOL, value.into());
    }

    fn int(&mut self, value: i64) {
        self.varint(any_value::INT, value as u64);
    }

    fn double(&mut self, value: f64) {
        self.fixed64(any_value::DOUBLE, value.to_bits());
    }

    fn array<T>(&mut self, values: &[T], write: impl Fn(&mut Writer<'_>, &T)) {
        self.message(any_value::ARRAY, |w| {
            for value in values {
                w.message(VALUES, |w| write(w, value));
            }
        });
    }
}
