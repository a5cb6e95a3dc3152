package otelspool_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"spanspool.example/spanspool"
)

const (
	// Longer than any step takes on a slow machine.
	patience = 2 * time.Minute
	nowhere  = "http://127.0.0.1:9"
)

// A request as it came in.
type request struct {
	path   string
	header http.Header
	body   []byte
}

// A receiver takes OTLP over HTTP and keeps it.
type receiver struct {
	url      string
	away     atomic.Bool // whether it answers 503 and keeps nothing
	mu       sync.Mutex
	requests []request
}

func newReceiver(t testing.TB) *receiver {
	r := &receiver{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, got *http.Request) {
		body, err := io.ReadAll(got.Body)
		if err != nil {
			t.Error(err)
		}
		if r.away.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.requests = append(r.requests, request{got.URL.Path, got.Header, body})
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	r.url = server.URL
	return r
}

// all are the requests so far.
func (r *receiver) all() []request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.requests)
}

// decode is the body as a message.
func decode[M proto.Message](t testing.TB, body []byte, into M) M {
	t.Helper()
	if err := proto.Unmarshal(body, into); err != nil {
		t.Fatal(err)
	}
	return into
}

// spans are those that came, in their order, each with its own resource and scope.
func (r *receiver) spans(t testing.TB) (all []*tracepb.ResourceSpans) {
	t.Helper()
	for _, request := range r.all() {
		for _, from := range decode(t, request.body, &tracepb.TracesData{}).ResourceSpans {
			for _, scope := range from.ScopeSpans {
				for _, span := range scope.Spans {
					all = append(all, &tracepb.ResourceSpans{
						Resource: from.Resource, SchemaUrl: from.SchemaUrl,
						ScopeSpans: []*tracepb.ScopeSpans{
							{Scope: scope.Scope, SchemaUrl: scope.SchemaUrl, Spans: []*tracepb.Span{span}},
						},
					})
				}
			}
		}
	}
	return all
}

// logs are as spans, of records.
func (r *receiver) logs(t testing.TB) (all []*logspb.ResourceLogs) {
	t.Helper()
	for _, request := range r.all() {
		for _, from := range decode(t, request.body, &logspb.LogsData{}).ResourceLogs {
			for _, scope := range from.ScopeLogs {
				for _, record := range scope.LogRecords {
					all = append(all, &logspb.ResourceLogs{
						Resource: from.Resource, SchemaUrl: from.SchemaUrl,
						ScopeLogs: []*logspb.ScopeLogs{
							{Scope: scope.Scope, SchemaUrl: scope.SchemaUrl, LogRecords: []*logspb.LogRecord{record}},
						},
					})
				}
			}
		}
	}
	return all
}

// metrics are as spans, of metrics.
func (r *receiver) metrics(t testing.TB) (all []*metricspb.ResourceMetrics) {
	t.Helper()
	for _, request := range r.all() {
		for _, from := range decode(t, request.body, &metricspb.MetricsData{}).ResourceMetrics {
			for _, scope := range from.ScopeMetrics {
				for _, metric := range scope.Metrics {
					all = append(all, &metricspb.ResourceMetrics{
						Resource: from.Resource, SchemaUrl: from.SchemaUrl,
						ScopeMetrics: []*metricspb.ScopeMetrics{
							{Scope: scope.Scope, SchemaUrl: scope.SchemaUrl, Metrics: []*metricspb.Metric{metric}},
						},
					})
				}
			}
		}
	}
	return all
}

// same compares what came from us with what came from the SDK's own exporter.
func same[M proto.Message](t *testing.T, ours, stock []M, atLeast int) {
	t.Helper()
	if len(ours) != len(stock) || len(stock) < atLeast {
		t.Fatalf("%d of ours came, %d of the SDK's; at least %d were to", len(ours), len(stock), atLeast)
	}
	for i := range ours {
		if !proto.Equal(ours[i], stock[i]) {
			t.Errorf("number %d is\n%.3000s\nnot\n%.3000s", i, prototext.Format(ours[i]), prototext.Format(stock[i]))
		}
	}
}

// config is that of a client with a spool of its own that sends to the receiver.
func (r *receiver) config(t testing.TB) spanspool.Config {
	return spanspool.Config{SpoolDir: t.TempDir(), Endpoint: r.url}
}

// within is a context that ends in time.
func within(t testing.TB, limit time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	return ctx
}

// plug is what all processors and exporters have.
type plug interface {
	ForceFlush(context.Context) error
	Shutdown(context.Context) error
}

// made is what a constructor returned; the test's end closes it.
func made[P plug](t testing.TB) func(P, error) P {
	return func(p P, err error) P {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Shutdown(within(t, 0)) })
		return p
	}
}

// delivered waits until all that p stored has arrived.
func delivered(t testing.TB, p plug) {
	t.Helper()
	if err := p.ForceFlush(within(t, patience)); err != nil {
		t.Fatal(err)
	}
}
