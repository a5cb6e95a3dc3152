// Package otelspool makes OpenTelemetry's spans, log records and metrics durable, and delivers them by OTLP over HTTP:
// now, after an outage, or from the next process after this one was killed.
//
// [SpanProcessor] and [LogProcessor] store a span when its End returns and a record when its Emit returns. They need no
// batching processor. [SpanExporter], [LogExporter], [MetricExporter] and [TraceClient] are for programs that keep the
// SDK's batching processors or periodic reader: there a record is durable only once its batch was exported.
//
// Each has a [spanspool.Client] of its own, which Shutdown shuts down. Where the records go is in its
// [spanspool.Config], or in OpenTelemetry's variables OTEL_EXPORTER_OTLP_ENDPOINT and so on, which are read for
// settings that are unset. Any number of them, in any number of processes, may share a SpoolDir.
//
// All may be used by any number of goroutines. None waits for the network, except in ForceFlush and Shutdown: until all
// was delivered or rejected, or until their context is done. A context without a deadline gets 10 seconds. What was not
// delivered by then stays in the spool for the next process, and the error is [spanspool.ErrTimeout].
//
// # What a record becomes
//
// What arrives equals what the SDK's own OTLP exporter sends, with two exceptions, for records that would be lost:
//   - Bytes that are not UTF-8 in a string become U+FFFD. The SDK's own exporter loses the batch.
//   - Maps and lists that are nested so deep that decoders of protobuf refuse the message (100 messages in one another:
//     30 maps or 45 lists) become strings of JSON.
package otelspool
