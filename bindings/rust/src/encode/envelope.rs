//! Envelope: what a request has around its record: the resource, encoded once, and the scope.
//!
//! Spans and logs have the same numbers of fields here.

use opentelemetry::InstrumentationScope;
use opentelemetry_sdk::Resource;

use super::writer::Writer;

mod request {
    pub const RESOURCE_RECORDS: u32 = 1;
}

/// `ResourceSpans` and `ResourceLogs`.
mod resource_records {
    pub const RESOURCE: u32 = 1;
    pub const SCOPE_RECORDS: u32 = 2;
    pub const SCHEMA_URL: u32 = 3;
}

/// `ScopeSpans` and `ScopeLogs`.
mod scope_records {
    pub const SCOPE: u32 = 1;
    pub const RECORDS: u32 = 2;
    pub const SCHEMA_URL: u32 = 3;
}

/// The encoded resource of a provider.
#[derive(Debug)]
pub(crate) struct Envelope {
    /// The field before the scope's records.
    resource: Vec<u8>,
    /// The field after them.
    schema_url: Vec<u8>,
}

impl Envelope {
    pub(crate) fn new(resource: &Resource) -> Self {
        let (mut encoded, mut schema_url) = (Vec::new(), Vec::new());
        Writer::new(&mut encoded).message(resource_records::RESOURCE, |w| {
            for (key, value) in resource {
                w.key_value(1, key, |w| w.value(value));
            }
        });
        Writer::new(&mut schema_url)
            .text(resource_records::SCHEMA_URL, resource.schema_url().unwrap_or_default());
        Self { resource: encoded, schema_url }
    }

    /// Appends a request with one record. `name` takes the place of the scope's own.
    ///
    /// The SDK hands over a copy of the scope with each span, which could only be recognised by comparing it: that takes
    /// as long as writing it.
    #[inline]
    pub(super) fn request(
        &self,
        buffer: &mut Vec<u8>,
        scope: &InstrumentationScope,
        name: Option<&str>,
        record: impl FnOnce(&mut Writer<'_>),
    ) {
        Writer::new(buffer).long_message(request::RESOURCE_RECORDS, |w| {
            w.fields(&self.resource);
            w.long_message(resource_records::SCOPE_RECORDS, |w| {
                w.message(scope_records::SCOPE, |w| {
                    w.text(1, name.unwrap_or(scope.name()));
                    w.text(2, scope.version().unwrap_or_default());
                    w.attributes(3, scope.attributes());
                });
                w.long_message(scope_records::RECORDS, record);
                w.text(scope_records::SCHEMA_URL, scope.schema_url().unwrap_or_default());
            });
            w.fields(&self.schema_url);
        });
    }
}

impl Default for Envelope {
    /// That of a resource without attributes.
    fn default() -> Self {
        Self::new(&Resource::builder_empty().build())
    }
}
