//! Messages: the table of OTLP's messages and their fields, of opentelemetry-proto 1.10.
//!
//! What is not here passes: a field that a later version adds.

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Not in the table.
    Unknown,
    /// A number of any type that is encoded as a varint.
    Number,
    Fixed32,
    Fixed64,
    Bytes,
    /// A string: UTF-8.
    Text,
    /// Repeated numbers, packed or one by one.
    Numbers,
    /// Repeated 8-byte values, packed or one by one.
    Fixed64s,
    Of(Message),
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
    TracesRequest { 1 resource_spans Of(ResourceSpans), }
    LogsRequest { 1 resource_logs Of(ResourceLogs), }
    MetricsRequest { 1 resource_metrics Of(ResourceMetrics), }

    Resource { 1 attributes Of(KeyValue), 2 dropped_attributes_count Number, 3 entity_refs Of(EntityRef), }
    EntityRef { 1 schema_url Text, 2 type Text, 3 id_keys Text, 4 description_keys Text, }
    Scope { 1 name Text, 2 version Text, 3 attributes Of(KeyValue), 4 dropped_attributes_count Number, }
    KeyValue { 1 key Text, 2 value Of(AnyValue), 3 key_strindex Number, }
    AnyValue {
        1 string_value Text, 2 bool_value Number, 3 int_value Number, 4 double_value Fixed64,
        5 array_value Of(ArrayValue), 6 kvlist_value Of(KeyValueList), 7 bytes_value Bytes,
        8 string_value_strindex Number,
    }
    ArrayValue { 1 values Of(AnyValue), }
    KeyValueList { 1 values Of(KeyValue), }

    ResourceSpans { 1 resource Of(Resource), 2 scope_spans Of(ScopeSpans), 3 schema_url Text, }
    ScopeSpans { 1 scope Of(Scope), 2 spans Of(Span), 3 schema_url Text, }
    Span {
        1 trace_id Bytes, 2 span_id Bytes, 3 trace_state Text, 4 parent_span_id Bytes, 5 name Text, 6 kind Number,
        7 start_time_unix_nano Fixed64, 8 end_time_unix_nano Fixed64, 9 attributes Of(KeyValue),
        10 dropped_attributes_count Number, 11 events Of(Event), 12 dropped_events_count Number, 13 links Of(Link),
        14 dropped_links_count Number, 15 status Of(Status), 16 flags Fixed32,
    }
    Event { 1 time_unix_nano Fixed64, 2 name Text, 3 attributes Of(KeyValue), 4 dropped_attributes_count Number, }
    Link {
        1 trace_id Bytes, 2 span_id Bytes, 3 trace_state Text, 4 attributes Of(KeyValue),
        5 dropped_attributes_count Number, 6 flags Fixed32,
    }
    Status { 2 message Text, 3 code Number, }

    ResourceLogs { 1 resource Of(Resource), 2 scope_logs Of(ScopeLogs), 3 schema_url Text, }
    ScopeLogs { 1 scope Of(Scope), 2 log_records Of(LogRecord), 3 schema_url Text, }
    LogRecord {
        1 time_unix_nano Fixed64, 2 severity_number Number, 3 severity_text Text, 5 body Of(AnyValue),
        6 attributes Of(KeyValue), 7 dropped_attributes_count Number, 8 flags Fixed32, 9 trace_id Bytes,
        10 span_id Bytes, 11 observed_time_unix_nano Fixed64, 12 event_name Text,
    }

    ResourceMetrics { 1 resource Of(Resource), 2 scope_metrics Of(ScopeMetrics), 3 schema_url Text, }
    ScopeMetrics { 1 scope Of(Scope), 2 metrics Of(Metric), 3 schema_url Text, }
    Metric {
        1 name Text, 2 description Text, 3 unit Text, 5 gauge Of(Gauge), 7 sum Of(Sum), 9 histogram Of(Histogram),
        10 exponential_histogram Of(ExponentialHistogram), 11 summary Of(Summary), 12 metadata Of(KeyValue),
    }
    Gauge { 1 data_points Of(NumberDataPoint), }
    Sum { 1 data_points Of(NumberDataPoint), 2 aggregation_temporality Number, 3 is_monotonic Number, }
    Histogram { 1 data_points Of(HistogramDataPoint), 2 aggregation_temporality Number, }
    ExponentialHistogram {
        1 data_points Of(ExponentialHistogramDataPoint), 2 aggregation_temporality Number,
    }
    Summary { 1 data_points Of(SummaryDataPoint), }
    NumberDataPoint {
        2 start_time_unix_nano Fixed64, 3 time_unix_nano Fixed64, 4 as_double Fixed64, 5 exemplars Of(Exemplar),
        6 as_int Fixed64, 7 attributes Of(KeyValue), 8 flags Number,
    }
    HistogramDataPoint {
        2 start_time_unix_nano Fixed64, 3 time_unix_nano Fixed64, 4 count Fixed64, 5 sum Fixed64,
        6 bucket_counts Fixed64s, 7 explicit_bounds Fixed64s, 8 exemplars Of(Exemplar), 9 attributes Of(KeyValue),
        10 flags Number, 11 min Fixed64, 12 max Fixed64,
    }
    ExponentialHistogramDataPoint {
        1 attributes Of(KeyValue), 2 start_time_unix_nano Fixed64, 3 time_unix_nano Fixed64, 4 count Fixed64,
        5 sum Fixed64, 6 scale Number, 7 zero_count Fixed64, 8 positive Of(Buckets), 9 negative Of(Buckets),
        10 flags Number, 11 exemplars Of(Exemplar), 12 min Fixed64, 13 max Fixed64, 14 zero_threshold Fixed64,
    }
    Buckets { 1 offset Number, 2 bucket_counts Numbers, }
    SummaryDataPoint {
        2 start_time_unix_nano Fixed64, 3 time_unix_nano Fixed64, 4 count Fixed64, 5 sum Fixed64,
        6 quantile_values Of(ValueAtQuantile), 7 attributes Of(KeyValue), 8 flags Number,
    }
    ValueAtQuantile { 1 quantile Fixed64, 2 value Fixed64, }
    Exemplar {
        2 time_unix_nano Fixed64, 3 as_double Fixed64, 4 span_id Bytes, 5 trace_id Bytes, 6 as_int Fixed64,
        7 filtered_attributes Of(KeyValue),
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
}
