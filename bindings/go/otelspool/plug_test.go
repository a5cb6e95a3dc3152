package otelspool_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/log"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"spanspool.example/spanspool"
	"spanspool.example/spanspool/otelspool"
)

// told collects what OpenTelemetry's error handler gets.
type told struct {
	mu     sync.Mutex
	errors []error
}

func (h *told) Handle(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.errors = append(h.errors, err)
}

// all are the errors since the last look.
func (h *told) all() []error {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := h.errors
	h.errors = nil
	return all
}

func listen(t *testing.T) *told {
	before := otel.GetErrorHandler()
	t.Cleanup(func() { otel.SetErrorHandler(before) })
	handler := &told{}
	otel.SetErrorHandler(handler)
	return handler
}

// sampled is a span with ten attributes that are strings.
func sampled() sdktrace.ReadOnlySpan {
	stub := tracetest.SpanStub{Name: "a span", SpanKind: trace.SpanKindServer, SpanContext: trace.NewSpanContext(
		trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled})}
	for n := range 10 {
		stub.Attributes = append(stub.Attributes, attribute.String(fmt.Sprint("attribute.", n), "a value of some length"))
	}
	return stub.Snapshot()
}

func TestAFullSpoolIsToldOnceAndThenCounted(t *testing.T) {
	handler, in := listen(t), newReceiver(t)
	in.away.Store(true)
	config := in.config(t)
	config.Settings = map[string]string{"max_queue_size": "3"}
	processor := made[*otelspool.SpanProcessor](t)(otelspool.NewSpanProcessor(config))
	for range 100 {
		processor.OnEnd(sampled())
	}
	got := handler.all()
	if len(got) != 1 || !errors.Is(got[0], spanspool.ErrFull) {
		t.Errorf("told: %v", got)
	}
	in.away.Store(false)
	delivered(t, processor)
	processor.OnEnd(sampled())
	got = handler.all()
	if len(got) != 1 || !strings.Contains(got[0].Error(), "96 more records were not stored") {
		t.Errorf("told: %v", got)
	}
}

func TestALossIsToldOnceOfEachKind(t *testing.T) {
	handler, in := listen(t), newReceiver(t)
	config := in.config(t)
	config.Settings = map[string]string{"max_item_bytes": "1KiB"}
	processor := made[*otelspool.SpanProcessor](t)(otelspool.NewSpanProcessor(config))
	long := tracetest.SpanStub{SpanContext: sampled().SpanContext(), Name: strings.Repeat("long", 1000)}.Snapshot()
	processor.OnEnd(long)
	processor.OnEnd(long)
	processor.OnEnd(long)
	got := handler.all()
	if len(got) != 1 || !errors.Is(got[0], spanspool.ErrItemTooLarge) {
		t.Errorf("told: %v", got)
	}
	// The rest of the count is told at the end, and one after it once.
	if err := processor.Shutdown(within(t, patience)); err != nil {
		t.Error(err)
	}
	processor.OnEnd(sampled())
	processor.OnEnd(sampled())
	got = handler.all()
	if len(got) != 2 || !strings.Contains(got[0].Error(), "2 more records") || !errors.Is(got[1], spanspool.ErrShutDown) {
		t.Errorf("told: %v", got)
	}
	if err := errors.Join(processor.ForceFlush(t.Context()), processor.Shutdown(t.Context())); err != nil {
		t.Error(err)
	}
}

func TestALoggersErrorsGoTheSameWay(t *testing.T) {
	handler, in := listen(t), newReceiver(t)
	config := in.config(t)
	config.Settings = map[string]string{"max_item_bytes": "1KiB"}
	processor := made[*otelspool.LogProcessor](t)(otelspool.NewLogProcessor(config))
	logger := sdklog.NewLoggerProvider(sdklog.WithProcessor(processor)).Logger("a scope")
	for _, text := range []string{"short", strings.Repeat("x", 2000), strings.Repeat("y", 2000), "short"} {
		var record log.Record
		record.SetBody(attribute.StringValue(text))
		logger.Emit(t.Context(), record)
	}
	got := handler.all()
	if len(got) != 2 || !errors.Is(got[0], spanspool.ErrItemTooLarge) || !strings.Contains(got[1].Error(), "1 more") {
		t.Errorf("told: %v", got)
	}
}

func TestAnExportSaysHowManyWereNotStored(t *testing.T) {
	in := newReceiver(t)
	config := in.config(t)
	config.Settings = map[string]string{"max_item_bytes": "1KiB"}
	exporter := made[*otelspool.SpanExporter](t)(otelspool.NewSpanExporter(config))
	long := tracetest.SpanStub{SpanContext: sampled().SpanContext(), Name: strings.Repeat("long", 1000)}.Snapshot()
	err := exporter.ExportSpans(t.Context(), []sdktrace.ReadOnlySpan{long, sampled(), long})
	if !errors.Is(err, spanspool.ErrItemTooLarge) || !strings.Contains(err.Error(), "2 records") {
		t.Error(err)
	}
	delivered(t, exporter)
	if got := in.spans(t); len(got) != 1 {
		t.Errorf("%d came", len(got))
	}
}

func TestWhatIsNotDeliveredStaysInTheSpool(t *testing.T) {
	config := spanspool.Config{SpoolDir: t.TempDir(), Endpoint: nowhere}
	processor := made[*otelspool.SpanProcessor](t)(otelspool.NewSpanProcessor(config))
	processor.OnEnd(sampled())
	short := func() context.Context { return within(t, 20*time.Millisecond) }
	for _, err := range []error{processor.ForceFlush(short()), processor.Shutdown(short())} {
		if !errors.Is(err, spanspool.ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	}
	in := newReceiver(t)
	config.Endpoint, config.Adopt = in.url, "any"
	next := made[*otelspool.SpanProcessor](t)(otelspool.NewSpanProcessor(config))
	delivered(t, next)
	for until := time.Now().Add(patience); len(in.all()) == 0 && time.Now().Before(until); {
		time.Sleep(5 * time.Millisecond)
	}
	if got := in.spans(t); len(got) != 1 {
		t.Errorf("%d came", len(got))
	}
}

func TestAContextWithoutADeadlineDoesNotWaitForEver(t *testing.T) {
	processor := made[*otelspool.SpanProcessor](t)(
		otelspool.NewSpanProcessor(spanspool.Config{SpoolDir: t.TempDir(), Endpoint: nowhere}))
	processor.OnEnd(sampled())
	if err := processor.Shutdown(context.Background()); !errors.Is(err, spanspool.ErrTimeout) {
		t.Error(err)
	}
}

func TestWhereAndHowItSends(t *testing.T) {
	in := newReceiver(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", in.url)
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-team=agents%20a")
	version := spanspool.Version()
	ours := fmt.Sprintf("spanspool-otelspool/%[1]s spanspool/%[1]s OTel-OTLP-Exporter-Go/%[1]s", version)
	for _, each := range []struct {
		headers, settings map[string]string
		agent             string
	}{
		{nil, nil, ours},
		{map[string]string{"user-agent": "mine/1"}, nil, "mine/1"},
		{nil, map[string]string{"header.User-Agent": "mine/2", "exporter": "otlp", "signal": "traces"}, "mine/2"},
	} {
		processor := made[*otelspool.SpanProcessor](t)(otelspool.NewSpanProcessor(
			spanspool.Config{SpoolDir: t.TempDir(), Headers: each.headers, Settings: each.settings}))
		processor.OnEnd(sampled())
		delivered(t, processor)
		got := in.all()
		last := got[len(got)-1]
		if last.path != "/v1/traces" || last.header.Get("User-Agent") != each.agent || last.header.Get("X-Team") != "agents a" {
			t.Errorf("%+v", last.header)
		}
	}
	for name, value := range map[string]string{"exporter": "none", "signal": "logs"} {
		settings := map[string]string{name: value}
		_, err := otelspool.NewSpanProcessor(spanspool.Config{SpoolDir: t.TempDir(), Settings: settings})
		if !errors.Is(err, spanspool.ErrInvalidArgument) || !strings.Contains(err.Error(), name) || len(settings) != 1 {
			t.Error(err)
		}
	}
	if _, err := otelspool.NewLogProcessor(spanspool.Config{}); !errors.Is(err, spanspool.ErrInvalidArgument) {
		t.Error(err)
	}
}

func TestManyGoroutinesEndSpansDuringAShutdown(t *testing.T) {
	listen(t)
	in := newReceiver(t)
	processor := made[*otelspool.SpanProcessor](t)(otelspool.NewSpanProcessor(in.config(t)))
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(processor))
	var ending sync.WaitGroup
	for n := range 8 {
		ending.Go(func() {
			for i := range 300 {
				_, span := provider.Tracer(fmt.Sprint("scope ", i%7)).Start(context.Background(), fmt.Sprint(n, " ", i))
				span.SetAttributes(attribute.String("text", strings.Repeat("x", i)))
				span.End()
				if n == 0 && i == 200 {
					ending.Go(func() { processor.Shutdown(within(t, patience)) })
				}
			}
		})
	}
	ending.Wait()
	stats, err := processor.Client().Stats()
	if err != nil || stats.Accepted < 200 || stats.Accepted != stats.Delivered+stats.Pending {
		t.Errorf("%+v, %v", stats, err)
	}
	var names []string
	for _, each := range in.spans(t) {
		scope := each.ScopeSpans[0]
		names = append(names, scope.Spans[0].Name)
		var n, i int
		fmt.Sscan(scope.Spans[0].Name, &n, &i)
		if scope.Scope.Name != fmt.Sprint("scope ", i%7) || len(scope.Spans[0].Attributes[0].Value.GetStringValue()) != i {
			t.Errorf("%v", each)
		}
	}
	slices.Sort(names)
	if len(slices.Compact(names)) != int(stats.Delivered) {
		t.Errorf("%d names, %d delivered", len(names), stats.Delivered)
	}
}

func TestEndAllocatesNothing(t *testing.T) {
	if raceDetector {
		t.Skip("the detector of data races allocates")
	}
	config := spanspool.Config{SpoolDir: t.TempDir(), Endpoint: nowhere, ScheduleDelay: time.Hour}
	processor := made[*otelspool.SpanProcessor](t)(otelspool.NewSpanProcessor(config))
	span := sampled()
	if each := testing.AllocsPerRun(1000, func() { processor.OnEnd(span) }); each > 0 {
		t.Errorf("%v allocations", each)
	}
}
