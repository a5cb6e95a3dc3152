// The table of settings: name, default, what is allowed, what it does, and how it is applied.
//
// `setting.rs` makes `SETTINGS` of it, and `build.rs` the last part of the C header.

settings! {
    "spool_dir", "", "a directory; it is created if it does not exist",
        "the directory that holds the items; required",
        |c, v| not_empty(v).and_then(absolute).map(|path| c.spool_dir = path);
    "exporter", "backend", "backend, otlp, console, none",
        "where items go: to the HTTP ingest, to an OTLP receiver, to standard output, or nowhere: they stay in the spool",
        |c, v| one_of(v, &[("backend", ExporterKind::Backend), ("otlp", ExporterKind::Otlp), ("console", ExporterKind::Console), ("none", ExporterKind::None)])
            .map(|e| c.exporter = e);
    "signal", "traces", "traces, logs, metrics",
        "with exporter=otlp: what the items are",
        |c, v| one_of(v, &[("traces", Signal::Traces), ("logs", Signal::Logs), ("metrics", Signal::Metrics)])
            .map(|s| c.signal = s);
    "endpoint", "https://api.openai.com/v1/traces/ingest", "an http:// or https:// URL",
        "the ingest that batches are posted to; otlp: /v1/SIGNAL is added, and the default is http://localhost:4318",
        |c, v| Endpoint::parse(v).map(|e| c.endpoint = e);
    "api_key", "env OPENAI_API_KEY", "visible ASCII",
        "sent as `Authorization: Bearer`; never written to disk or to a log",
        |c, v| header_text(v).map(|v| c.api_key = Some(Secret::new(v)));
    "organization", "env OPENAI_ORG_ID", "visible ASCII",
        "sent as `OpenAI-Organization`",
        |c, v| header_text(v).map(|v| c.organization = Some(v.into()));
    "project", "env OPENAI_PROJECT_ID", "visible ASCII",
        "sent as `OpenAI-Project`",
        |c, v| header_text(v).map(|v| c.project = Some(v.into()));
    "max_batch_size", "128", "1 to 65536",
        "most items in a batch",
        |c, v| number(v, 1, 1 << 16).map(|n| c.max_batch_size = n as usize);
    "max_batch_bytes", "1 MiB", "1 KiB to 64 MiB",
        "longest request body; a single item that is longer is sent alone, or with exporter=otlp in parts",
        |c, v| bytes(v, 1 << 10, 64 << 20).map(|n| c.max_batch_bytes = n as usize);
    "max_queue_size", "0", "0 or more",
        "most pending items; 0: limited by bytes only",
        |c, v| number(v, 0, u64::MAX).map(|n| c.max_queue_size = n);
    "max_spool_bytes", "1 GiB", "256 KiB or more",
        "most bytes on disk for this process's lane, with its journal and its rejected store",
        |c, v| bytes(v, 256 << 10, u64::MAX).map(|n| c.max_spool_bytes = n);
    "overflow", "reject", "reject, drop_oldest",
        "at a limit: refuse the new item, or drop the oldest items and count them",
        |c, v| one_of(v, &[("reject", Overflow::Reject), ("drop_oldest", Overflow::DropOldest)]).map(|o| c.overflow = o);
    "max_age_s", "0", "0 to 3153600000",
        "pending items older than this are dropped and counted as expired; 0: never",
        |c, v| number(v, 0, MAX_SECONDS).map(|n| c.max_age = (n > 0).then(|| Duration::from_secs(n)));
    "schedule_delay_ms", "5000", "0 to 86400000",
        "longest wait before a batch that is not full is sent",
        |c, v| millis(v, 0).map(|d| c.schedule_delay = d);
    "export_trigger_ratio", "0.7", "more than 0, at most 1",
        "with max_queue_size: send at once when this share of the queue is used",
        |c, v| ratio(v, false).map(|r| c.export_trigger_ratio = r);
    "max_retries", "0", "0 to 4294967295",
        "attempts at a batch before it goes to the rejected store; 0: no limit",
        |c, v| number(v, 0, u32::MAX.into()).map(|n| c.max_retries = n as u32);
    "base_delay_ms", "1000", "1 to 86400000",
        "first backoff after a failed attempt; it doubles with each failure, up to max_delay_ms",
        |c, v| millis(v, 1).map(|d| c.base_delay = d);
    "max_delay_ms", "30000", "1 to 86400000",
        "longest backoff, and the time between probes while on hold",
        |c, v| millis(v, 1).map(|d| c.max_delay = d);
    "jitter", "0.1", "0 to 1",
        "share of a backoff that is added at random; unless 0, the first of max_delay_ms is any time from base_delay_ms on",
        |c, v| ratio(v, true).map(|r| c.jitter = r);
    "connect_timeout_ms", "5000", "1 to 86400000",
        "longest wait for a connection, the lookup of the host's name included",
        |c, v| millis(v, 1).map(|d| c.connect_timeout = d);
    "request_timeout_ms", "60000", "1 to 86400000",
        "longest wait for a whole request; with exporter=otlp the default is 10000",
        |c, v| millis(v, 1).map(|d| c.request_timeout = d);
    "max_in_flight", "1", "1 to 64",
        "most requests at the same time; 1 keeps the order of the items",
        |c, v| number(v, 1, 64).map(|n| c.max_in_flight = n as usize);
    "max_bytes_per_s", "0", "0 or more",
        "most bytes a second that requests upload, on average; new items go before a backlog; 0: not limited",
        |c, v| bytes(v, 0, 1 << 50).map(|n| c.max_bytes_per_s = n);
    "order", "oldest_first", "oldest_first, newest_first",
        "newest_first: after an outage or a restart new items are sent at once, and what waited in its order beside them",
        |c, v| one_of(v, &[("oldest_first", Order::OldestFirst), ("newest_first", Order::NewestFirst)]).map(|o| c.order = o);
    "backlog_share", "0.5", "0 to 1",
        "with order=newest_first: the share of requests that a backlog gets while there are new items",
        |c, v| ratio(v, true).map(|r| c.backlog_share = r);
    "request_compression", "none", "none, gzip",
        "how request bodies are compressed; with exporter=otlp the default is gzip, but not to this machine",
        |c, v| one_of(v, &[("none", RequestCompression::None), ("gzip", RequestCompression::Gzip)])
            .map(|r| c.request_compression = r);
    "durability", "process", "process, power",
        "what an OK survives: the death of the process, or also a power cut",
        |c, v| one_of(v, &[("process", Durability::Process), ("power", Durability::Power)]).map(|d| c.durability = d);
    "sync_interval_ms", "1000", "1 to 86400000",
        "with durability=process: longest time until accepted items are on stable storage",
        |c, v| millis(v, 1).map(|d| c.sync_interval = d);
    "enqueue_timeout_ms", "100", "0 to 86400000",
        "longest time that an enqueue waits for room in the journal",
        |c, v| millis(v, 0).map(|d| c.enqueue_timeout = d);
    "journal_bytes", "16 MiB", "64 KiB to 1 GiB",
        "size of the journal; at most half of max_spool_bytes is used, and three quarters of one under 4 MiB in any case",
        |c, v| bytes(v, 64 << 10, 1 << 30).map(|n| c.journal_bytes = n);
    "max_item_bytes", "16 MiB", "1 KiB to 1 GiB",
        "longest item, as it is sent: after the field limits of sanitize",
        |c, v| bytes(v, 1 << 10, 1 << 30).map(|n| c.max_item_bytes = n as usize);
    "validation", "full", "full, none",
        "full: an item must be one JSON object in UTF-8, or one export request of OTLP; none: the caller guarantees it",
        |c, v| one_of(v, &[("full", Validation::Full), ("none", Validation::None)]).map(|x| c.validation = x);
    "sanitize", "auto", "auto, always, never",
        "when to apply the OpenAI ingest's field limits; auto: for the OpenAI endpoint only",
        |c, v| one_of(v, &[("auto", Sanitize::Auto), ("always", Sanitize::Always), ("never", Sanitize::Never)])
            .map(|s| c.sanitize = s);
    "adopt", "same", "same, any",
        "lanes of dead processes to deliver: same: of this exporter and endpoint, and of exporter=none; any: all",
        |c, v| one_of(v, &[("same", Adopt::Same), ("any", Adopt::Any)]).map(|a| c.adopt = a);
    "adopt_interval_ms", "30000", "1 to 86400000",
        "time between searches for lanes of dead processes",
        |c, v| millis(v, 1).map(|d| c.adopt_interval = d);
    "max_rejected_bytes", "64 MiB", "0 or more",
        "size of the rejected store; beyond it the oldest rejected items are dropped and counted",
        |c, v| bytes(v, 0, u64::MAX).map(|n| c.max_rejected_bytes = n);
    "tls_roots", "builtin", "builtin, system",
        "the roots that the ingest's certificate is checked against: Mozilla's, or the operating system's",
        |c, v| one_of(v, &[("builtin", TlsRoots::BuiltIn), ("system", TlsRoots::System)]).map(|r| c.tls_roots = r);
    "ca_file", "", "a file of PEM certificates",
        "roots to trust in addition to those of tls_roots, or the ingest's self-signed certificate",
        |c, v| not_empty(v).and_then(absolute).map(|path| c.ca_file = Some(path));
    "client_cert_file", "", "a file of PEM certificates",
        "the certificate to show to the ingest (mutual TLS), then those that lead to its root; with client_key_file only",
        |c, v| not_empty(v).and_then(absolute).map(|path| c.client_cert_file = Some(path));
    "client_key_file", "", "a PEM file",
        "the private key of client_cert_file's first certificate, not encrypted: PKCS #8, PKCS #1 or SEC 1",
        |c, v| not_empty(v).and_then(absolute).map(|path| c.client_key_file = Some(path));
    "allow_insecure", "false", "true, false",
        "allow keys to be sent to other machines over plain http",
        |c, v| one_of(v, &[("true", true), ("false", false)]).map(|a| c.allow_insecure = a);
}
