//! Fields: the members of one JSON object, in order.

use std::fmt;

use serde::de::value::{Error as ValueError, UnitDeserializer};
use serde::de::{DeserializeOwned, IntoDeserializer, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::json::Json;
use crate::error::{Error, ErrorKind, Result};

/// The members of a JSON object in their order: what a type of this model has no field for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields(Vec<(String, Json)>);

impl Fields {
    /// No members.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a member at the end. In an `extra`, `key` must not be one that its type has a field for.
    pub fn push(&mut self, key: impl Into<String>, value: impl Into<Json>) {
        self.0.push((key.into(), value.into()));
    }

    /// The value of the first member named `key`.
    pub fn get(&self, key: &str) -> Option<&Json> {
        self.iter().find(|(k, _)| *k == key).map(|(_, value)| value)
    }

    /// The members in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Json)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes the member `key` out as a `T`; an absent one is `None` where `T` is an `Option`, else an error.
    pub(super) fn take<T: DeserializeOwned>(&mut self, key: &str) -> Result<T> {
        match self.take_optional(key)? {
            Some(json) => json.parse().map_err(|e| invalid(format!("{key}: {e}"))),
            None => {
                let absent: UnitDeserializer<ValueError> = ().into_deserializer();
                T::deserialize(absent).map_err(|_| invalid(format!("{key}: is missing")))
            }
        }
    }

    /// Takes the member `key` out as it is, so that a `null` is told from an absent one.
    pub(super) fn take_optional(&mut self, key: &str) -> Result<Option<Json>> {
        let Some(at) = self.0.iter().position(|(k, _)| k == key) else { return Ok(None) };
        let (_, value) = self.0.remove(at);
        match self.get(key) {
            Some(_) => Err(invalid(format!("{key}: is there more than once"))),
            None => Ok(Some(value)),
        }
    }

    /// Takes the member `key` out; it must be the string `allowed`.
    pub(super) fn take_tag(&mut self, key: &str, allowed: &str) -> Result<()> {
        match self.take::<String>(key)? {
            tag if tag == allowed => Ok(()),
            tag => Err(invalid(format!("{key}: is {tag:?}; {allowed:?} is allowed"))),
        }
    }
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidItem, message)
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Fields, A::Error> {
        let mut fields = Fields::new();
        while let Some((key, value)) = map.next_entry::<String, Json>()? {
            fields.push(key, value);
        }
        Ok(fields)
    }
}

/// Reads a struct from the members of its object: `from_fields!(Type, "tag" = "value"; always, present; optional)`.
///
/// serde's own way to keep unknown members, `flatten`, buffers them as parsed values, which would change number
/// text. An optional field is left out when it is `None`; the rest goes to the field `extra`.
macro_rules! from_fields {
    ($type:ident $(, $tag:literal = $value:literal)?; $($field:ident),+ $(; $optional:ident)?) => {
        impl TryFrom<$crate::model::Fields> for $type {
            type Error = $crate::error::Error;

            fn try_from(mut fields: $crate::model::Fields) -> $crate::error::Result<Self> {
                $(fields.take_tag($tag, $value)?;)?
                Ok(Self {
                    $($field: fields.take(stringify!($field))?,)+
                    $($optional: fields.take_optional(stringify!($optional))?,)?
                    extra: fields,
                })
            }
        }
    };
}
pub(super) use from_fields;
