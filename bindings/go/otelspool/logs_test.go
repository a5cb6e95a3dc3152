package otelspool_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/log"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/trace"

	"spanspool.example/spanspool/otelspool"
)

func stockLogs(t testing.TB, to *receiver) sdklog.Processor {
	t.Helper()
	exporter, err := otlploghttp.New(context.Background(), otlploghttp.WithEndpointURL(to.url+"/v1/logs"))
	if err != nil {
		t.Fatal(err)
	}
	return sdklog.NewSimpleProcessor(exporter)
}

// eachRecord emits records with every field.
func eachRecord(provider log.LoggerProvider) (count int) {
	logger := provider.Logger("a scope", log.WithInstrumentationVersion("1.2"),
		log.WithSchemaURL("https://example.com/schemas/scope"),
		log.WithInstrumentationAttributes(attribute.String("of", "the scope")))
	ctx := context.Background()
	emit := func(ctx context.Context, logger log.Logger, fill func(*log.Record)) {
		var record log.Record
		fill(&record)
		logger.Emit(ctx, record)
		count++
	}
	emit(ctx, logger, func(*log.Record) {})
	for severity := log.Severity(-1); severity < 27; severity++ {
		emit(ctx, logger, func(r *log.Record) { r.SetSeverity(severity); r.SetSeverityText(severity.String()) })
	}
	for _, each := range attributesOfAllTypes() {
		emit(ctx, logger, func(r *log.Record) { r.SetBody(each.Value) })
	}
	emit(ctx, logger, func(r *log.Record) { r.SetBody(nest(attribute.IntValue(1), 30, true)) })
	traced := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: 3})
	emit(trace.ContextWithSpanContext(ctx, traced), logger, func(r *log.Record) {
		r.SetEventName("an event, héllo 🦀")
		r.SetTimestamp(time.Unix(1_700_000_000, 123))
		r.SetObservedTimestamp(time.Unix(1_700_000_001, 456))
		r.SetErr(errors.New("an error"))
		r.AddAttributes(attributesOfAllTypes()...)
	})
	emit(ctx, logger, func(r *log.Record) { r.SetTimestamp(time.Unix(-5, 0)); r.SetObservedTimestamp(time.Unix(-6, 0)) })
	emit(ctx, logger, func(r *log.Record) {
		list := make([]attribute.KeyValue, 10_000)
		for n := range list {
			list[n] = attribute.Int(fmt.Sprint("attribute.", n), n)
		}
		r.AddAttributes(list...)
	})
	emit(ctx, provider.Logger(""), func(r *log.Record) { r.SetBody(attribute.StringValue("of a scope without anything")) })
	return count
}

func TestEachRecordIsWhatTheStockExporterSends(t *testing.T) {
	for name, options := range map[string][]sdklog.LoggerProviderOption{
		"no limits":   {sdklog.WithResource(richResource()), sdklog.WithAttributeCountLimit(-1)},
		"low limits":  {sdklog.WithResource(richResource()), sdklog.WithAttributeCountLimit(3), sdklog.WithAttributeValueLengthLimit(5)},
		"no resource": {sdklog.WithResource(resource.Empty())},
	} {
		t.Run(name, func(t *testing.T) {
			ours, stock, batched := newReceiver(t), newReceiver(t), newReceiver(t)
			processor := made[*otelspool.LogProcessor](t)(otelspool.NewLogProcessor(ours.config(t)))
			exporter := made[*otelspool.LogExporter](t)(otelspool.NewLogExporter(batched.config(t)))
			provider := sdklog.NewLoggerProvider(append(options, sdklog.WithProcessor(processor),
				sdklog.WithProcessor(stockLogs(t, stock)), sdklog.WithProcessor(sdklog.NewBatchProcessor(exporter)))...)
			count := eachRecord(provider)
			if err := provider.ForceFlush(within(t, patience)); err != nil {
				t.Fatal(err)
			}
			same(t, ours.logs(t), stock.logs(t), count)
			same(t, batched.logs(t), stock.logs(t), count)
		})
	}
}

func TestARecordWithBytesThatAreNotUTF8Arrives(t *testing.T) {
	emit := func(processor sdklog.Processor, text string) {
		var record log.Record
		record.SetBody(attribute.StringValue(text))
		record.SetSeverityText(text)
		record.SetEventName(text)
		record.SetObservedTimestamp(time.Unix(1, 0))
		record.AddAttributes(attribute.String(text, text))
		sdklog.NewLoggerProvider(sdklog.WithProcessor(processor)).Logger(text).Emit(t.Context(), record)
	}
	ours, stock := newReceiver(t), newReceiver(t)
	processor := made[*otelspool.LogProcessor](t)(otelspool.NewLogProcessor(ours.config(t)))
	emit(processor, broken)
	delivered(t, processor)
	emit(stockLogs(t, stock), repaired)
	same(t, ours.logs(t), stock.logs(t), 1)
}

func TestALogExporterThatIsShutDownSaysSo(t *testing.T) {
	exporter := made[*otelspool.LogExporter](t)(otelspool.NewLogExporter(newReceiver(t).config(t)))
	if err := exporter.Shutdown(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	if err := exporter.Export(t.Context(), make([]sdklog.Record, 2)); err != sdklog.ErrExporterShutdown {
		t.Error(err)
	}
	if err := errors.Join(exporter.ForceFlush(t.Context()), exporter.Shutdown(t.Context())); err != nil {
		t.Error(err)
	}
}
