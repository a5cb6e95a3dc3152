package otelspool

import (
	"context"

	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"spanspool.example/spanspool"
)

// A SpanProcessor stores each span when its End returns.
//
// A span that can't be stored goes to OpenTelemetry's error handler, never to the caller of End. Of many that fail for
// one reason the first is told, and the number of the others once a span is stored again.
type SpanProcessor struct {
	*plug
}

// NewSpanProcessor opens the spool in config.SpoolDir. It sets the exporter and the signal.
func NewSpanProcessor(config spanspool.Config) (*SpanProcessor, error) {
	plug, err := open(traces, config)
	if err != nil {
		return nil, err
	}
	return &SpanProcessor{plug}, nil
}

// OnStart does nothing.
func (p *SpanProcessor) OnStart(context.Context, sdktrace.ReadWriteSpan) {}

// OnEnd stores span, if it is sampled.
func (p *SpanProcessor) OnEnd(span sdktrace.ReadOnlySpan) {
	if !span.SpanContext().IsSampled() {
		return
	}
	if err := p.store(spanItem(&p.known, span)); err != nil {
		otel.Handle(err)
	}
}

// A SpanExporter stores the spans of a batch when its export returns, each as an item of its own. It is for programs
// that keep the SDK's batching processor: what that holds is lost with the process.
type SpanExporter struct {
	*plug
}

// NewSpanExporter opens the spool in config.SpoolDir. It sets the exporter and the signal.
func NewSpanExporter(config spanspool.Config) (*SpanExporter, error) {
	plug, err := open(traces, config)
	if err != nil {
		return nil, err
	}
	return &SpanExporter{plug}, nil
}

// ExportSpans stores spans. The error says how many could not be stored, and why the first could not; the others are.
func (e *SpanExporter) ExportSpans(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
	var refused refused
	for _, span := range spans {
		refused.add(spanItem(&e.known, span).enqueue(e.client))
	}
	return refused.err()
}
