package otelspool_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"go.opentelemetry.io/otel/attribute"
	otellog "go.opentelemetry.io/otel/log"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	"go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"spanspool.example/spanspool"
	"spanspool.example/spanspool/otelspool"
)

func Example() {
	// A receiver that accepts everything, and a folder for the spool.
	collector := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer collector.Close()
	dir, err := os.MkdirTemp("", "spool")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	processor, err := otelspool.NewSpanProcessor(spanspool.Config{SpoolDir: dir, Endpoint: collector.URL})
	if err != nil {
		log.Fatal(err) // says which setting is wrong, and what is allowed
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(processor))

	_, span := provider.Tracer("shop").Start(context.Background(), "lookup_order")
	span.SetAttributes(attribute.Int("order", 7))
	span.End() // from here on no kill takes it

	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := provider.Shutdown(ctx); err != nil {
		fmt.Println(err) // what is left stays in the spool for the next process
	}
	stats, err := processor.Client().Stats()
	fmt.Println("delivered", stats.Delivered, "of", stats.Accepted, err)
	// Output: delivered 1 of 1 <nil>
}

// Logs, metrics and spans share a spool.
func Example_allSignals() {
	collector := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer collector.Close()
	dir, err := os.MkdirTemp("", "spool")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	config := spanspool.Config{SpoolDir: dir, Endpoint: collector.URL}

	records, err := otelspool.NewLogProcessor(config)
	if err != nil {
		log.Fatal(err)
	}
	logs := sdklog.NewLoggerProvider(sdklog.WithProcessor(records))
	exporter, err := otelspool.NewMetricExporter(config)
	if err != nil {
		log.Fatal(err)
	}
	metrics := metric.NewMeterProvider(metric.WithReader(metric.NewPeriodicReader(exporter)))

	var record otellog.Record
	record.SetBody(attribute.StringValue("shipped"))
	logs.Logger("shop").Emit(context.Background(), record)
	orders, err := metrics.Meter("shop").Int64Counter("orders")
	if err != nil {
		log.Fatal(err)
	}
	orders.Add(context.Background(), 1)

	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	fmt.Println(logs.Shutdown(ctx), metrics.Shutdown(ctx))
	// Output: <nil> <nil>
}
