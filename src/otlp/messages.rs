//! Messages: the table of OTLP's messages and their fields, of opentelemetry-proto 1.10.
//!
//! What is not here passes: a field that a later version adds. The check knows it, and the program, which has it by path.

// Each of the two uses a part of it.
#![allow(dead_code)]

/// What a field holds, named as in .proto files; those that end in `s` are repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Not in the table.
    Unknown,
    Bool,
    /// An enum, too.
    Int32,
    Uint32,
    Sint32,
    Int64,
    Fixed32,
    Fixed64,
    Sfixed64,
    Double,
    /// A string: UTF-8.
    Text,
    Texts,
    Bytes,
    /// Bytes that JSON has as hexadecimal digits: the id of a trace or span.
    Id,
    /// Packed or one by one, as all repeated numbers.
    Uint64s,
    Fixed64s,
    Doubles,
    One(Message),
    Many(Message),
}

/// The highest number of a field in the table.
const MOST: usize = 16;

struct Fields {
    kinds: [Kind; MOST + 1],
    names: [&'static str; MOST + 1],
}

macro_rules! messages {
    ($($(#[$doc:meta])* $message:ident { $($number:literal $name:ident $kind:ident $(($of:ident))?,)* })*) => {
        /// A message.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Message { $($(#[$doc])* $message),* }

        static FIELDS: &[Fields] = &[$({
            let (mut kinds, mut names) = ([Kind::Unknown; MOST + 1], [""; MOST + 1]);
            $(kinds[$number] = Kind::$kind $((Message::$of))?; names[$number] = stringify!($name);)*
            Fields { kinds, names }
        }),*];
    };
}

messages! {
    TracesRequest { 1 resource_spans Many(ResourceSpans), }
    LogsRequest { 1 resource_logs Many(ResourceLogs), }
    MetricsRequest { 1 resource_metrics Many(ResourceMetrics), }

    Resource { 1 attributes Many(KeyValue), 2 dropped_attributes_count Uint32, 3 entity_refs Many(EntityRef), }
    EntityRef { 1 schema_url Text, 2 type Text, 3 id_keys Texts, 4 description_keys Texts, }
    Scope { 1 name Text, 2 version Text, 3 attributes Many(KeyValue), 4 dropped_attributes_count Uint32, }
    KeyValue { 1 key Text, 2 value One(AnyValue), 3 key_strindex Int32, }
    AnyValue {
        1 string_value Text, 2 bool_value Bool, 3 int_value Int64, 4 double_value Double,
        5 array_value One(ArrayValue), 6 kvlist_value One(KeyValueList), 7 bytes_value Bytes,
        8 string_value_strindex Int32,
    }
    ArrayValue { 1 values Many(AnyValue), }
    KeyValueList { 1 values Many(KeyValue), }

    ResourceSpans { 1 resource One(Resource), 2 scope_spans Many(ScopeSpans), 3 schema_url Text, }
    ScopeSpans { 1 scope One(Scope), 2 spans Many(Span), 3 schema_url Text, }
    Span {
        1 trace_id Id, 2 span_id Id, 3 trace_state Text, 4 parent_span_id Id, 5 name Text, 6 kind Int32,
        7 start_time_unix_nano Fixed64, 8 end_time_unix_nano Fixed64, 9 attributes Many(KeyValue),
        10 dropped_attributes_count Uint32, 11 events Many(Event), 12 dropped_events_count Uint32,
        13 links Many(Link), 14 dropped_links_count Uint32, 15 status One(Status), 16 flags Fixed32,
    }
    Event {
        1 time_unix_nano Fixed64, 2 name Text, 3 attributes Many(KeyValue), 4 dropped_attributes_count Uint32,
    }
    Link {
        1 trace_id Id, 2 span_id Id, 3 trace_state Text, 4 attributes Many(KeyValue),
        5 dropped_attributes_count Uint32, 6 flags Fixed32,
    }
    Status { 2 message Text, 3 code Int32, }

    ResourceLogs { 1 resource One(Resource), 2 scope_logs Many(ScopeLogs), 3 schema_url Text, }
    ScopeLogs { 1 scope One(Scope), 2 log_records Many(LogRecord), 3 schema_url Text, }
    LogRecord {
        1 time_unix_nano Fixed64, 2 severity_number Int32, 3 severity_text Text, 5 body One(AnyValue),
        6 attributes Many(KeyValue), 7 dropped_attributes_count Uint32, 8 flags Fixed32, 9 trace_id Id,
        10 span_id Id, 11 observed_time_unix_nano Fixed64, 12 event_name Text,
    }

    ResourceMetrics { 1 resource One(Resource), 2 scope_metrics Many(ScopeMetrics), 3 schema_url Text, }
    ScopeMetrics { 1 scope One(Scope), 2 metrics Many(Metric), 3 schema_url Text, }
    Metric {
        1 name Text, 2 description Text, 3 unit Text, 5 gauge One(Gauge), 7 sum One(Sum),
        9 histogram One(Histogram), 10 exponential_histogram One(ExponentialHistogram),
        11 summary One(Summary), 12 metadata Many(KeyValue),
    }
    Gauge { 1 data_points Many(NumberDataPoint), }
    Sum { 1 data_points Many(NumberDataPoint), 2 aggregation_temporality Int32, 3 is_monotonic Bool, }
    Histogram { 1 data_points Many(HistogramDataPoint), 2 aggregation_temporality Int32, }
    ExponentialHistogram {
        1 data_points Many(ExponentialHistogramDataPoint), 2 aggregation_temporality Int32,
    }
    Summary { 1 data_points Many(SummaryDataPoint), }
    NumberDataPoint {
        2 start_time_unix_nano Fixed64, 3 time_unix_nano Fixed64, 4 as_double Double, 5 exemplars Many(Exemplar),
        6 as_int Sfixed64, 7 attributes Many(KeyValue), 8 flags Uint32,
    }
    HistogramDataPoint {
        2 start_time_unix_nano Fixed64, 3 time_unix_nano Fixed64, 4 count Fixed64, 5 sum Double,
        6 bucket_counts Fixed64s, 7 explicit_bounds Doubles, 8 exemplars Many(Exemplar),
        9 attributes Many(KeyValue), 10 flags Uint32, 11 min Double, 12 max Double,
    }
    ExponentialHistogramDataPoint {
        1 attributes Many(KeyValue), 2 start_time_unix_nano Fixed64, 3 time_unix_nano Fixed64, 4 count Fixed64,
        5 sum Double, 6 scale Sint32, 7 zero_count Fixed64, 8 positive One(Buckets), 9 negative One(Buckets),
        10 flags Uint32, 11 exemplars Many(Exemplar), 12 min Double, 13 max Double, 14 zero_threshold Double,
    }
    Buckets { 1 offset Sint32, 2 bucket_counts Uint64s, }
    SummaryDataPoint {
        2 start_time_unix_nano Fixed64, 3 time_unix_nano Fixed64, 4 count Fixed64, 5 sum Double,
        6 quantile_values Many(ValueAtQuantile), 7 attributes Many(KeyValue), 8 flags Uint32,
    }
    ValueAtQuantile { 1 quantile Double, 2 value Double, }
    Exemplar {
        2 time_unix_nano Fixed64, 3 as_double Double, 4 span_id Id, 5 trace_id Id, 6 as_int Sfixed64,
        7 filtered_attributes Many(KeyValue),
    }
}

impl Message {
    /// What its field `number` holds.
    #[inline(always)]
    pub(super) fn kind_of(self, number: u32) -> Kind {
        FIELDS[self as usize].kinds.get(number as usize).copied().unwrap_or(Kind::Unknown)
    }

    /// The name of its field `number`, as opentelemetry-proto has it.
    pub(super) fn name_of(self, number: u32) -> String {
        match FIELDS[self as usize].names.get(number as usize) {
            Some(name) if !name.is_empty() => (*name).to_owned(),
            _ => format!("field {number}"),
        }
    }

    /// The number of the field whose name `is_it`, and what it holds.
    pub(super) fn field(self, is_it: impl Fn(&str) -> bool) -> Option<(u32, Kind)> {
        let number = FIELDS[self as usize].names.iter().position(|name| is_it(name))? as u32;
        Some((number, self.kind_of(number)))
    }
}
