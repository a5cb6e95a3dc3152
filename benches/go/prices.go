package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"spanspool.example/spanspool"
	"spanspool.example/spanspool/otelspool"
)

const rounds = 41

// A way of exporting, and what a span took in each round.
type way struct {
	name   string
	tracer trace.Tracer
	flush  func(context.Context) error
	spans  int // in a round
	took   []time.Duration
}

// prices prints what a span with ten attributes takes from its start to the return of End. The ways take turns, so that
// all meet the same machine; the ratio is the median of the rounds' ratios.
func prices() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	dir := must(os.MkdirTemp("", "spool"))
	defer os.RemoveAll(dir)
	config := spanspool.Config{SpoolDir: dir, Endpoint: server.URL, ScheduleDelay: time.Hour}

	ctx := context.Background()
	processor := must(otelspool.NewSpanProcessor(config))
	client := must(otelspool.NewTraceClient(config))
	uploading := must(otlptrace.New(ctx, client))
	stock := must(otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(server.URL+"/v1/traces")))
	none := func(context.Context) error { return nil }
	ways := []*way{
		of("the SDK, nothing exported", 5000, none, sdktrace.WithSpanProcessor(nothing{})),
		of("SpanProcessor", 5000, processor.ForceFlush, sdktrace.WithSpanProcessor(processor)),
		of("TraceClient after the SDK's simple processor", 1000, client.Client().Flush, sdktrace.WithSyncer(uploading)),
		of("the SDK's simple processor and OTLP exporter", 50, none, sdktrace.WithSyncer(stock)),
	}
	for round := range rounds {
		for _, way := range ways {
			begun := time.Now()
			for range way.spans {
				end(way.tracer)
			}
			if took := time.Since(begun) / time.Duration(way.spans); round > 0 { // the first one warms up
				way.took = append(way.took, took)
			}
			if err := way.flush(ctx); err != nil {
				log.Fatal(err)
			}
		}
	}
	for _, way := range ways {
		ratios := make([]float64, len(way.took))
		for i, took := range way.took {
			ratios[i] = float64(took) / float64(ways[0].took[i])
		}
		fmt.Printf("%-46s %9d ns  %7.2f x\n", way.name, median(way.took).Nanoseconds(), median(ratios))
	}
	for _, client := range []*spanspool.Client{processor.Client(), client.Client()} {
		if stats := must(client.Stats()); stats.Accepted != stats.Delivered {
			log.Fatalf("not all was delivered: %+v", stats)
		}
		client.Close()
	}
}

func of(name string, spans int, flush func(context.Context) error, option sdktrace.TracerProviderOption) *way {
	return &way{name: name, spans: spans, flush: flush, tracer: sdktrace.NewTracerProvider(option).Tracer("a scope")}
}

// end starts and ends a span with ten attributes that are strings.
func end(tracer trace.Tracer) {
	_, span := tracer.Start(context.Background(), "lookup_order")
	span.SetAttributes(
		attribute.String("attribute.0", "a value of some length"), attribute.String("attribute.1", "a value of some length"),
		attribute.String("attribute.2", "a value of some length"), attribute.String("attribute.3", "a value of some length"),
		attribute.String("attribute.4", "a value of some length"), attribute.String("attribute.5", "a value of some length"),
		attribute.String("attribute.6", "a value of some length"), attribute.String("attribute.7", "a value of some length"),
		attribute.String("attribute.8", "a value of some length"), attribute.String("attribute.9", "a value of some length"),
	)
	span.End()
}

// A processor that does nothing.
type nothing struct{}

func (nothing) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (nothing) OnEnd(sdktrace.ReadOnlySpan)                     {}
func (nothing) Shutdown(context.Context) error                  { return nil }
func (nothing) ForceFlush(context.Context) error                { return nil }

func median[T float64 | time.Duration](of []T) T {
	slices.Sort(of)
	return of[len(of)/2]
}
