// Shop: a program that records a span, a log record and a count for each order, until it is told to end. Kill it as
// often as you like: what it said it shipped arrives.
//
//	go run ./example SPOOL_DIR    # to a Collector on this machine, or where OTEL_EXPORTER_OTLP_ENDPOINT says
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"go.opentelemetry.io/otel/attribute"
	otellog "go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/metric"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"spanspool.example/spanspool"
	"spanspool.example/spanspool/otelspool"
)

// A shop ships orders, and records what it does.
type shop struct {
	tracer trace.Tracer
	logger otellog.Logger
	orders metric.Int64Counter
}

func (s *shop) ship(ctx context.Context, order string) {
	ctx, span := s.tracer.Start(ctx, "ship", trace.WithAttributes(attribute.String("order.id", order)))
	defer span.End()
	var record otellog.Record
	record.SetSeverity(otellog.SeverityInfo)
	record.SetBody(attribute.StringValue("shipped " + order))
	s.logger.Emit(ctx, record)
	s.orders.Add(ctx, 1)
}

// open makes a shop, and what ends its recording.
func open(spoolDir string) (*shop, func(context.Context) error, error) {
	config := spanspool.Config{SpoolDir: spoolDir, Logger: slog.Default()}
	processor, err := otelspool.NewSpanProcessor(config)
	if err != nil {
		return nil, nil, err
	}
	records, err := otelspool.NewLogProcessor(config)
	if err != nil {
		return nil, nil, err
	}
	exporter, err := otelspool.NewMetricExporter(config)
	if err != nil {
		return nil, nil, err
	}
	from := resource.NewSchemaless(attribute.String("service.name", "shop"))
	spans := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(processor), sdktrace.WithResource(from))
	logs := sdklog.NewLoggerProvider(sdklog.WithProcessor(records), sdklog.WithResource(from))
	metrics := sdkmetric.NewMeterProvider(
		sdkmetric.WithReader(sdkmetric.NewPeriodicReader(exporter)), sdkmetric.WithResource(from))
	orders, err := metrics.Meter("shop").Int64Counter("orders")
	if err != nil {
		return nil, nil, err
	}
	end := func(ctx context.Context) error {
		// Metrics first, while there is time: the last ones are not collected yet, all others are stored.
		return errors.Join(metrics.Shutdown(ctx), spans.Shutdown(ctx), logs.Shutdown(ctx))
	}
	return &shop{spans.Tracer("shop"), logs.Logger("shop"), orders}, end, nil
}

func run(spoolDir string) error {
	shop, end, err := open(spoolDir)
	if err != nil {
		return err
	}
	stop, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	for n := 1; stop.Err() == nil; n++ {
		order := fmt.Sprintf("order-%d-%06d", os.Getpid(), n)
		shop.ship(context.Background(), order)
		fmt.Println(order)
		select {
		case <-stop.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := end(ctx); err != nil {
		fmt.Println(err)
		return nil // nothing is lost: the next run delivers it
	}
	fmt.Println("all delivered")
	return nil
}

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: example SPOOL_DIR")
	}
	if err := run(os.Args[1]); err != nil {
		log.Fatal(err)
	}
}
