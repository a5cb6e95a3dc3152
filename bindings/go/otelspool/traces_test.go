package otelspool_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"spanspool.example/spanspool/otelspool"
)

var _ otlptrace.Client = (*otelspool.TraceClient)(nil)

// stockTraces is the SDK's own exporter.
func stockTraces(t testing.TB, to *receiver) *otlptrace.Exporter {
	t.Helper()
	exporter, err := otlptracehttp.New(context.Background(), otlptracehttp.WithEndpointURL(to.url+"/v1/traces"))
	if err != nil {
		t.Fatal(err)
	}
	return exporter
}

// attributesOfAllTypes have every type, and their empty and outermost values.
func attributesOfAllTypes() []attribute.KeyValue {
	return []attribute.KeyValue{
		attribute.Bool("bool", true), attribute.Bool("bool.false", false),
		attribute.Int64("int", 42), attribute.Int64("int.zero", 0),
		attribute.Int64("int.min", math.MinInt64), attribute.Int64("int.max", math.MaxInt64),
		attribute.Float64("double", 1.5), attribute.Float64("double.zero", 0),
		attribute.Float64("double.minus.zero", math.Copysign(0, -1)), attribute.Float64("double.inf", math.Inf(-1)),
		attribute.String("string", "text"), attribute.String("string.empty", ""),
		attribute.String("string.unicode", "héllo 世界 🦀\x00"), attribute.String("ключ", "value"),
		attribute.String("string.127", strings.Repeat("x", 127)), attribute.String("string.128", strings.Repeat("x", 128)),
		attribute.String("string.long", strings.Repeat("x", 40_000)),
		attribute.ByteSlice("bytes", []byte{0, 1, 0xff, 0xfe}), attribute.ByteSlice("bytes.empty", nil),
		attribute.BoolSlice("bools", []bool{true, false}), attribute.BoolSlice("bools.none", nil),
		attribute.Int64Slice("ints", []int64{1, -1, 0, math.MinInt64}), attribute.Int64Slice("ints.none", nil),
		attribute.Float64Slice("doubles", []float64{0, 2.5, math.MaxFloat64}), attribute.Float64Slice("doubles.none", nil),
		attribute.StringSlice("strings", []string{"", "a", strings.Repeat("ü", 200)}),
		attribute.StringSlice("strings.none", nil),
		attribute.Slice("slice", attribute.StringValue("a"), attribute.IntValue(1), attribute.Value{},
			attribute.SliceValue(attribute.BoolValue(true), attribute.SliceValue())),
		attribute.Slice("slice.none"),
		attribute.Map("map", attribute.String("b", "2"), attribute.Int("a", 1),
			attribute.Map("inner", attribute.Slice("list", attribute.MapValue(attribute.ByteSlice("deep", []byte("x")))))),
		attribute.Map("map.none"),
		{Key: "empty"},
	}
}

func richResource() *resource.Resource {
	return resource.NewWithAttributes("https://example.com/schemas/resource", append(attributesOfAllTypes(),
		attribute.String("service.name", "a service"))...)
}

// eachField makes spans with every field.
func eachField(provider trace.TracerProvider) {
	ctx := context.Background()
	tracer := provider.Tracer("a scope", trace.WithInstrumentationVersion("1.2"),
		trace.WithSchemaURL("https://example.com/schemas/scope"),
		trace.WithInstrumentationAttributes(attribute.String("of", "the scope"), attribute.Int("n", 1)))
	for _, kind := range []trace.SpanKind{trace.SpanKindUnspecified, trace.SpanKindInternal, trace.SpanKindServer,
		trace.SpanKindClient, trace.SpanKindProducer, trace.SpanKindConsumer} {
		_, span := tracer.Start(ctx, "kind "+kind.String(), trace.WithSpanKind(kind))
		span.End()
	}
	for _, code := range []codes.Code{codes.Unset, codes.Error, codes.Ok} {
		_, span := tracer.Start(ctx, "")
		span.SetStatus(code, "why")
		span.End()
	}

	state, _ := trace.ParseTraceState("vendor=value,other=1")
	for _, remote := range []bool{false, true} {
		parent := trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: trace.TraceID{1, 2, 3}, SpanID: trace.SpanID{4, 5}, TraceFlags: trace.FlagsSampled | trace.FlagsRandom,
			TraceState: state, Remote: remote,
		})
		local, span := tracer.Start(trace.ContextWithSpanContext(ctx, parent), "a child, héllo 🦀",
			trace.WithTimestamp(time.Unix(1_700_000_000, 123)),
			trace.WithAttributes(attributesOfAllTypes()...),
			trace.WithLinks(
				trace.Link{SpanContext: parent, Attributes: attributesOfAllTypes()},
				trace.Link{SpanContext: trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{9}, SpanID: trace.SpanID{8}})},
			))
		span.AddEvent("an event", trace.WithAttributes(attributesOfAllTypes()...), trace.WithTimestamp(time.Unix(1, 1)))
		span.AddEvent("")
		span.RecordError(errors.New("an error"), trace.WithStackTrace(true))
		_, grandchild := tracer.Start(local, "a grandchild")
		grandchild.End()
		span.End(trace.WithTimestamp(time.Unix(1_700_000_001, 0)))
	}

	_, span := provider.Tracer("").Start(ctx, "of a scope without anything")
	span.End()
	_, span = provider.Tracer("", trace.WithSchemaURL("https://example.com/only")).Start(ctx, "of a scope with a URL")
	span.End()

	_, span = tracer.Start(ctx, "10,000 attributes")
	for n := range 10_000 {
		span.SetAttributes(attribute.Int(fmt.Sprint("attribute.", n), n))
	}
	span.End()
}

func TestEachSpanIsWhatTheStockExporterSends(t *testing.T) {
	small := sdktrace.NewSpanLimits()
	small.AttributeCountLimit, small.EventCountLimit, small.LinkCountLimit = 3, 1, 1
	small.AttributePerEventCountLimit, small.AttributePerLinkCountLimit, small.AttributeValueLengthLimit = 2, 2, 5
	unlimited := sdktrace.SpanLimits{AttributeCountLimit: -1, EventCountLimit: -1, LinkCountLimit: -1,
		AttributePerEventCountLimit: -1, AttributePerLinkCountLimit: -1, AttributeValueLengthLimit: -1,
		AttributeValueDepthLimit: -1}
	for name, options := range map[string][]sdktrace.TracerProviderOption{
		"no limits":   {sdktrace.WithResource(richResource()), sdktrace.WithRawSpanLimits(unlimited)},
		"low limits":  {sdktrace.WithResource(richResource()), sdktrace.WithRawSpanLimits(small)},
		"no resource": {sdktrace.WithResource(resource.Empty())},
	} {
		t.Run(name, func(t *testing.T) {
			ours, stock := newReceiver(t), newReceiver(t)
			processor := made[*otelspool.SpanProcessor](t)(otelspool.NewSpanProcessor(ours.config(t)))
			provider := sdktrace.NewTracerProvider(append(options,
				sdktrace.WithSpanProcessor(processor), sdktrace.WithSyncer(stockTraces(t, stock)))...)
			eachField(provider)
			delivered(t, processor)
			same(t, ours.spans(t), stock.spans(t), 16)
		})
	}
}

// oddSpans have what the SDK never makes, or seldom.
func oddSpans() []sdktrace.ReadOnlySpan {
	self := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: 0xff})
	return tracetest.SpanStubs{
		{},
		{SpanContext: self, StartTime: time.Unix(-1, 0), EndTime: time.Unix(0, 0)},
		{SpanContext: self, SpanKind: 77, Status: sdktrace.Status{Code: 77, Description: "odd"},
			DroppedAttributes: -1, DroppedEvents: math.MaxUint32, DroppedLinks: math.MaxUint32 + 1,
			Resource: resource.NewSchemaless(), InstrumentationScope: instrumentation.Scope{Version: "only"}},
		{SpanContext: self, Events: make([]sdktrace.Event, 3), Links: make([]sdktrace.Link, 3), Attributes: make([]attribute.KeyValue, 2)},
		{SpanContext: self, Name: strings.Repeat("long ", 1<<18), Resource: richResource()},
	}.Snapshots()
}

func TestEachExporterOfSpansSendsWhatTheStockOneSends(t *testing.T) {
	spans := oddSpans()
	recorder := tracetest.NewSpanRecorder()
	eachField(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder), sdktrace.WithResource(richResource())))
	spans = append(spans, recorder.Ended()...)

	stock, ours, through := newReceiver(t), newReceiver(t), newReceiver(t)
	stocks := stockTraces(t, stock)
	for _, span := range spans {
		if err := stocks.ExportSpans(t.Context(), []sdktrace.ReadOnlySpan{span}); err != nil {
			t.Fatal(err)
		}
	}
	exporter, err := otelspool.NewSpanExporter(ours.config(t))
	made[*otelspool.SpanExporter](t)(exporter, err)
	if err := exporter.ExportSpans(t.Context(), spans); err != nil {
		t.Fatal(err)
	}
	delivered(t, exporter)
	same(t, ours.spans(t), stock.spans(t), len(spans))

	client, err := otelspool.NewTraceClient(through.config(t))
	if err != nil {
		t.Fatal(err)
	}
	uploading, err := otlptrace.New(t.Context(), client)
	if err != nil {
		t.Fatal(err)
	}
	for _, span := range spans {
		if err := uploading.ExportSpans(t.Context(), []sdktrace.ReadOnlySpan{span}); err != nil {
			t.Fatal(err)
		}
	}
	if err := uploading.Shutdown(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	same(t, through.spans(t), stock.spans(t), len(spans))
}

func TestOnlySampledSpansAreStored(t *testing.T) {
	ours := newReceiver(t)
	processor := made[*otelspool.SpanProcessor](t)(otelspool.NewSpanProcessor(ours.config(t)))
	recorded := tracetest.SpanStub{SpanContext: trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}})}
	processor.OnEnd(recorded.Snapshot())
	recorded.SpanContext = recorded.SpanContext.WithTraceFlags(trace.FlagsSampled)
	processor.OnEnd(recorded.Snapshot())
	delivered(t, processor)
	if stats, err := processor.Client().Stats(); err != nil || stats.Delivered != 1 {
		t.Errorf("%+v, %v", stats, err)
	}
}

// A text that is not UTF-8, and what is made of it.
const broken, repaired = "a\xff\xfeb", "a\uFFFDb"

func TestASpanWithBytesThatAreNotUTF8Arrives(t *testing.T) {
	self := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: 1})
	of := func(text string) []attribute.KeyValue {
		return []attribute.KeyValue{attribute.String(text, text), attribute.StringSlice("list", []string{"good", text}),
			attribute.Map("map", attribute.String(text, text))}
	}
	span := func(text string) sdktrace.ReadOnlySpan {
		return tracetest.SpanStub{
			SpanContext: self, Name: text, Status: sdktrace.Status{Code: codes.Error, Description: text},
			Attributes: of(text), Events: []sdktrace.Event{{Name: text, Attributes: of(text)}},
			Links:    []sdktrace.Link{{SpanContext: self, Attributes: of(text)}},
			Resource: resource.NewWithAttributes(text, of(text)...),
			InstrumentationScope: instrumentation.Scope{Name: text, Version: text, SchemaURL: text,
				Attributes: attribute.NewSet(of(text)...)},
		}.Snapshot()
	}
	stock, ours, through := newReceiver(t), newReceiver(t), newReceiver(t)
	stocks := stockTraces(t, stock)
	if stocks.ExportSpans(t.Context(), []sdktrace.ReadOnlySpan{span(broken)}) == nil {
		t.Error("the stock exporter has learnt what to do with it: do the same")
	}
	if err := stocks.ExportSpans(t.Context(), []sdktrace.ReadOnlySpan{span(repaired)}); err != nil {
		t.Fatal(err)
	}
	processor := made[*otelspool.SpanProcessor](t)(otelspool.NewSpanProcessor(ours.config(t)))
	processor.OnEnd(span(broken))
	delivered(t, processor)
	same(t, ours.spans(t), stock.spans(t), 1)

	client, err := otelspool.NewTraceClient(through.config(t))
	if err != nil {
		t.Fatal(err)
	}
	uploading := otlptrace.NewUnstarted(client)
	if err := uploading.ExportSpans(t.Context(), []sdktrace.ReadOnlySpan{span(broken)}); err != nil {
		t.Fatal(err)
	}
	if err := client.Stop(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	same(t, through.spans(t), stock.spans(t), 1)
}

// nest puts a value into so many maps, or lists.
func nest(value attribute.Value, levels int, inMaps bool) attribute.Value {
	for range levels {
		if inMaps {
			value = attribute.MapValue(attribute.KeyValue{Key: "in", Value: value})
		} else {
			value = attribute.SliceValue(value)
		}
	}
	return value
}

func TestValuesNestedTooDeepArriveAsJSON(t *testing.T) {
	self := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: 1})
	span := func(value attribute.Value) sdktrace.ReadOnlySpan {
		attributes := []attribute.KeyValue{{Key: "deep", Value: value}}
		return tracetest.SpanStub{SpanContext: self, Attributes: attributes,
			Events: []sdktrace.Event{{Attributes: attributes}}, Resource: resource.NewSchemaless(attributes...)}.Snapshot()
	}
	ours, stock := newReceiver(t), newReceiver(t)
	processor := made[*otelspool.SpanProcessor](t)(otelspool.NewSpanProcessor(ours.config(t)))
	stocks := stockTraces(t, stock)
	for _, each := range []struct {
		levels int
		inMaps bool
		kept   int
	}{{30, true, 30}, {45, false, 45}, {64, true, 30}, {64, false, 45}, {1000, true, 30}} {
		inside := attribute.StringValue("x")
		processor.OnEnd(span(nest(inside, each.levels, each.inMaps)))
		if more := each.levels - each.kept; more > 0 {
			inside = attribute.StringValue(nest(inside, more, each.inMaps).String())
		}
		want := span(nest(inside, each.kept, each.inMaps))
		if err := stocks.ExportSpans(t.Context(), []sdktrace.ReadOnlySpan{want}); err != nil {
			t.Fatal(err)
		}
	}
	delivered(t, processor)
	same(t, ours.spans(t), stock.spans(t), 5)
}

func TestMoreScopesThanAreKeptAreToldApart(t *testing.T) {
	ours, stock := newReceiver(t), newReceiver(t)
	processor := made[*otelspool.SpanProcessor](t)(otelspool.NewSpanProcessor(ours.config(t)))
	recorder := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(processor), sdktrace.WithSpanProcessor(recorder))
	for n := range 1000 {
		tracer := provider.Tracer(fmt.Sprint("scope ", n%600),
			trace.WithInstrumentationAttributes(attribute.Float64Slice("never equal", []float64{math.NaN()})))
		_, span := tracer.Start(t.Context(), fmt.Sprint("span ", n))
		span.End()
	}
	delivered(t, processor)
	stocks := stockTraces(t, stock)
	for _, span := range recorder.Ended() {
		if err := stocks.ExportSpans(t.Context(), []sdktrace.ReadOnlySpan{span}); err != nil {
			t.Fatal(err)
		}
	}
	same(t, ours.spans(t), stock.spans(t), 1000)
}
