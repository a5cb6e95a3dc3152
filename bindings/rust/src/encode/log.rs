//! Log: a log record as an `ExportLogsServiceRequest`.

use opentelemetry::InstrumentationScope;
use opentelemetry::logs::AnyValue;
use opentelemetry_sdk::logs::SdkLogRecord;

use super::envelope::Envelope;
use super::time::unix_nanos;
use super::writer::Writer;

mod log_record {
    pub const TIME: u32 = 1;
    pub const SEVERITY_NUMBER: u32 = 2;
    pub const SEVERITY_TEXT: u32 = 3;
    pub const BODY: u32 = 5;
    pub const ATTRIBUTES: u32 = 6;
    pub const FLAGS: u32 = 8;
    pub const TRACE_ID: u32 = 9;
    pub const SPAN_ID: u32 = 10;
    pub const OBSERVED_TIME: u32 = 11;
    pub const EVENT_NAME: u32 = 12;
}

/// Appends a request with `record` to `buffer`. As in the SDK's own encoder, its target is the name of the scope.
pub(crate) fn log_request(
    envelope: &Envelope,
    record: &SdkLogRecord,
    scope: &InstrumentationScope,
    buffer: &mut Vec<u8>,
) {
    let target = record.target().map(|target| &**target);
    envelope.request(buffer, scope, target, |w| w.log_record(record));
}

impl Writer<'_> {
    #[inline]
    fn log_record(&mut self, record: &SdkLogRecord) {
        if let Some(time) = record.timestamp() {
            self.fixed64(log_record::TIME, unix_nanos(time));
        }
        if let Some(severity) = record.severity_number() {
            self.varint(log_record::SEVERITY_NUMBER, severity as u64);
        }
        self.text(log_record::SEVERITY_TEXT, record.severity_text().unwrap_or_default());
        if let Some(body) = record.body() {
            self.message(log_record::BODY, |w| w.any_value(body));
        }
        for (key, value) in record.attributes_iter() {
            match value {
                AnyValue::String(text) => self.key_text(log_record::ATTRIBUTES, key, text.as_str()),
                value => self.key_value(log_record::ATTRIBUTES, key, |w| w.any_value(value)),
            }
        }
        if let Some(context) = record.trace_context() {
            if let Some(flags) = context.trace_flags {
                self.fixed32(log_record::FLAGS, flags.to_u8().into());
            }
            self.bytes(log_record::TRACE_ID, &context.trace_id.to_bytes());
            self.bytes(log_record::SPAN_ID, &context.span_id.to_bytes());
        }
        if let Some(time) = record.observed_timestamp() {
            self.fixed64(log_record::OBSERVED_TIME, unix_nanos(time));
        }
        self.text(log_record::EVENT_NAME, record.event_name().unwrap_or_default());
    }
}
