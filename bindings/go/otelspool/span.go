package otelspool

import (
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// The flags of OTLP for whether a context came from another process: that it is known, and that it did.
const (
	flagsKnowRemote = 1 << 8
	flagsRemote     = 1 << 9
)

// spanItem makes an item of one span.
func spanItem(known *envelopes, span sdktrace.ReadOnlySpan) *item {
	made := newItem(known.of(span.Resource(), span.InstrumentationScope()))
	b, start := begin(made.bytes, fieldRecords)
	made.bytes = end(appendSpan(b, span), start)
	return made
}

func appendSpan(b []byte, span sdktrace.ReadOnlySpan) []byte {
	self, parent := span.SpanContext(), span.Parent()
	trace, id := self.TraceID(), self.SpanID()
	b = appendBytes(b, 1, trace[:])
	b = appendBytes(b, 2, id[:])
	b = someText(b, 3, self.TraceState().String())
	if id := parent.SpanID(); id.IsValid() {
		b = appendBytes(b, 4, id[:])
	}
	b = someText(b, 5, span.Name())
	b = someVarint(b, 6, kindOf(span.SpanKind()))
	b = someTime(b, 7, span.StartTime())
	b = someTime(b, 8, span.EndTime())
	b = attributes(b, 9, span.Attributes())
	b = someCount(b, 10, span.DroppedAttributes())
	events := span.Events()
	for i := range events {
		b = event(b, 11, &events[i])
	}
	b = someCount(b, 12, span.DroppedEvents())
	links := span.Links()
	for i := range links {
		b = link(b, 13, &links[i])
	}
	b = someCount(b, 14, span.DroppedLinks())
	b = status(b, 15, span.Status())
	return someFixed32(b, 16, flags(self.TraceFlags(), parent))
}

func event(b []byte, field number, event *sdktrace.Event) []byte {
	b, start := begin(b, field)
	b = someTime(b, 1, event.Time)
	b = someText(b, 2, event.Name)
	b = attributes(b, 3, event.Attributes)
	b = someCount(b, 4, event.DroppedAttributeCount)
	return end(b, start)
}

// link leaves the trace state out, as the SDK's own exporter does.
func link(b []byte, field number, link *sdktrace.Link) []byte {
	b, start := begin(b, field)
	trace, span := link.SpanContext.TraceID(), link.SpanContext.SpanID()
	b = appendBytes(b, 1, trace[:])
	b = appendBytes(b, 2, span[:])
	b = attributes(b, 4, link.Attributes)
	b = someCount(b, 5, link.DroppedAttributeCount)
	b = someFixed32(b, 6, flags(link.SpanContext.TraceFlags(), link.SpanContext))
	return end(b, start)
}

// status appends a message also for a status that is unset.
func status(b []byte, field number, status sdktrace.Status) []byte {
	b, start := begin(b, field)
	b = someText(b, 2, status.Description)
	switch status.Code {
	case codes.Ok:
		b = appendVarint(b, 3, 1)
	case codes.Error:
		b = appendVarint(b, 3, 2)
	}
	return end(b, start)
}

func flags(own trace.TraceFlags, other trace.SpanContext) uint32 {
	if other.IsRemote() {
		return uint32(own) | flagsKnowRemote | flagsRemote
	}
	return uint32(own) | flagsKnowRemote
}

// kindOf is a kind as OTLP numbers it.
func kindOf(kind trace.SpanKind) uint64 {
	switch kind {
	case trace.SpanKindInternal:
		return 1
	case trace.SpanKindServer:
		return 2
	case trace.SpanKindClient:
		return 3
	case trace.SpanKindProducer:
		return 4
	case trace.SpanKindConsumer:
		return 5
	default:
		return 0
	}
}
