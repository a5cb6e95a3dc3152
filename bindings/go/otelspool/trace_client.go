package otelspool

import (
	"context"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protopath"
	"google.golang.org/protobuf/reflect/protorange"
	"google.golang.org/protobuf/reflect/protoreflect"

	"spanspool.example/spanspool"
)

// A TraceClient is an otlptrace.Client, for programs that have the exporter of
// go.opentelemetry.io/otel/exporters/otlp/otlptrace and only change where it uploads to. Others have less to do with
// [SpanExporter].
type TraceClient struct {
	plug *plug
}

// NewTraceClient opens the spool in config.SpoolDir. It sets the exporter and the signal.
func NewTraceClient(config spanspool.Config) (*TraceClient, error) {
	plug, err := open(traces, config)
	if err != nil {
		return nil, err
	}
	return &TraceClient{plug}, nil
}

// Client is what the spans are stored with: for its counters, its keys, or to wake it. Stop shuts it down.
func (c *TraceClient) Client() *spanspool.Client { return c.plug.client }

// Start does nothing: the spool is open.
func (c *TraceClient) Start(context.Context) error { return nil }

// Stop is [SpanExporter.Shutdown].
func (c *TraceClient) Stop(ctx context.Context) error { return c.plug.Shutdown(ctx) }

// UploadTraces stores each span as an item of its own. The error says how many could not be stored, and why the first
// could not; the others are.
func (c *TraceClient) UploadTraces(_ context.Context, uploaded []*tracepb.ResourceSpans) error {
	var refused refused
	for _, from := range uploaded {
		for _, scope := range from.GetScopeSpans() {
			around, err := envelopeOf(from, scope)
			if err != nil {
				return err
			}
			for _, span := range scope.GetSpans() {
				made := newItem(around)
				if made.bytes, err = message(made.bytes, fieldRecords, span); err == nil {
					err = made.enqueue(c.plug.client)
				}
				refused.add(err)
			}
		}
	}
	return refused.err()
}

func envelopeOf(from *tracepb.ResourceSpans, scope *tracepb.ScopeSpans) (made *envelope, err error) {
	made = &envelope{
		resourceURL: someText(nil, fieldSchemaURL, from.GetSchemaUrl()),
		scopeURL:    someText(nil, fieldSchemaURL, scope.GetSchemaUrl()),
	}
	if from.Resource != nil {
		if made.resource, err = message(nil, fieldInside, from.Resource); err != nil {
			return nil, err
		}
	}
	if scope.Scope != nil {
		if made.scope, err = message(nil, fieldInside, scope.Scope); err != nil {
			return nil, err
		}
	}
	return made, nil
}

// message appends m as a field, with U+FFFD in place of what is not UTF-8.
func message(b []byte, field number, m proto.Message) ([]byte, error) {
	encoded, err := proto.Marshal(m)
	if err != nil {
		// Nothing else is checked.
		m = proto.Clone(m)
		if err := repair(m.ProtoReflect()); err != nil {
			return b, err
		}
		if encoded, err = proto.Marshal(m); err != nil {
			return b, err
		}
	}
	b = protowire.AppendTag(b, field, protowire.BytesType)
	return protowire.AppendBytes(b, encoded), nil
}

// repair replaces what is not UTF-8 in the strings of m.
func repair(m protoreflect.Message) error {
	return protorange.Range(m, func(path protopath.Values) error {
		last := path.Index(-1)
		text, ok := last.Value.Interface().(string)
		if !ok {
			return nil
		}
		holder := path.Index(-2).Value
		switch last.Step.Kind() {
		case protopath.FieldAccessStep:
			holder.Message().Set(last.Step.FieldDescriptor(), protoreflect.ValueOfString(valid(text)))
		case protopath.ListIndexStep:
			holder.List().Set(last.Step.ListIndex(), protoreflect.ValueOfString(valid(text)))
		}
		return nil
	})
}
