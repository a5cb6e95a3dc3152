//! Value: attributes and their values. A method that writes an `AnyValue` writes its one field.

use opentelemetry::logs::AnyValue;
use opentelemetry::{Array, Key, KeyValue, Value};

use super::writer::Writer;

mod any_value {
    pub const STRING: u32 = 1;
    pub const BOOL: u32 = 2;
    pub const INT: u32 = 3;
    pub const DOUBLE: u32 = 4;
    pub const ARRAY: u32 = 5;
    pub const KEY_VALUES: u32 = 6;
    pub const BYTES: u32 = 7;
}

/// The field of `ArrayValue` and of `KeyValueList`.
const VALUES: u32 = 1;

impl Writer<'_> {
    /// Writes attributes, each as a `KeyValue` in `field`.
    pub(super) fn attributes<'a>(&mut self, field: u32, attributes: impl IntoIterator<Item = &'a KeyValue>) {
        for attribute in attributes {
            self.key_value(field, &attribute.key, |w| w.value(&attribute.value));
        }
    }

    /// Writes one `KeyValue`, whose `AnyValue` is what `value` writes.
    #[inline]
    pub(super) fn key_value(&mut self, field: u32, key: &Key, value: impl FnOnce(&mut Writer<'_>)) {
        self.message(field, |w| {
            w.text(1, key.as_str());
            w.message(2, value);
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
        match value {
            AnyValue::String(text) => self.string(text.as_str()),
            AnyValue::Boolean(value) => self.bool(*value),
            AnyValue::Int(value) => self.int(*value),
            AnyValue::Double(value) => self.double(*value),
            AnyValue::Bytes(bytes) => self.bytes(any_value::BYTES, bytes),
            AnyValue::ListAny(values) => self.array(values, |w, value| w.any_value(value)),
            AnyValue::Map(values) => self.message(any_value::KEY_VALUES, |w| {
                for (key, value) in values.iter() {
                    w.key_value(VALUES, key, |w| w.any_value(value));
                }
            }),
            // A type that a later SDK adds.
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
