package otelspool

import (
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/log"
	sdklog "go.opentelemetry.io/otel/sdk/log"
)

// logItem makes an item of one record.
func logItem(known *envelopes, record *sdklog.Record) *item {
	made := newItem(known.of(record.Resource(), record.InstrumentationScope()))
	b, start := begin(made.bytes, fieldRecords)
	made.bytes = end(appendRecord(b, record), start)
	return made
}

func appendRecord(b []byte, record *sdklog.Record) []byte {
	b = someTime(b, 1, record.Timestamp())
	b = someVarint(b, 2, severityOf(record.Severity()))
	b = someText(b, 3, record.SeverityText())
	b = anyValue(b, 5, record.Body(), mostNested)
	record.WalkAttributes(func(each attribute.KeyValue) bool {
		b = keyValue(b, 6, &each, mostNested)
		return true
	})
	b = someCount(b, 7, record.DroppedAttributes())
	b = someFixed32(b, 8, uint32(record.TraceFlags()))
	if id := record.TraceID(); id.IsValid() {
		b = appendBytes(b, 9, id[:])
	}
	if id := record.SpanID(); id.IsValid() {
		b = appendBytes(b, 10, id[:])
	}
	b = someTime(b, 11, record.ObservedTimestamp())
	return someText(b, 12, record.EventName())
}

// severityOf is a severity as OTLP numbers it, which is as the API does.
func severityOf(severity log.Severity) uint64 {
	if severity < log.SeverityTrace || severity > log.SeverityFatal4 {
		return 0
	}
	return uint64(severity)
}
