package otelspool_test

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	api "go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/trace"

	"spanspool.example/spanspool/otelspool"
)

func stockMetrics(t testing.TB, to *receiver) metric.Exporter {
	t.Helper()
	exporter, err := otlpmetrichttp.New(context.Background(), otlpmetrichttp.WithEndpointURL(to.url+"/v1/metrics"))
	if err != nil {
		t.Fatal(err)
	}
	return exporter
}

// eachInstrument uses every kind of instrument.
func eachInstrument(t testing.TB, provider api.MeterProvider) {
	t.Helper()
	traced := trace.ContextWithSpanContext(context.Background(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled}))
	with := api.WithAttributes(attributesOfAllTypes()...)
	meter := provider.Meter("a scope", api.WithInstrumentationVersion("1"), api.WithSchemaURL("https://example.com/scope"),
		api.WithInstrumentationAttributes(attribute.Bool("of.scope", true)))
	ints, err := meter.Int64Counter("ints", api.WithUnit("By"), api.WithDescription("héllo 🦀"))
	doubles, err2 := meter.Float64UpDownCounter("doubles")
	gauge, err3 := meter.Int64Gauge("gauge")
	times, err4 := meter.Float64Histogram("times", api.WithUnit("s"))
	sizes, err5 := meter.Int64Histogram("sizes")
	observed, err6 := meter.Float64ObservableGauge("observed", api.WithFloat64Callback(
		func(_ context.Context, o api.Float64Observer) error { o.Observe(-1.5, with); return nil }))
	for _, err := range []error{err, err2, err3, err4, err5, err6} {
		if err != nil {
			t.Fatal(err)
		}
	}
	_ = observed
	ints.Add(traced, 0)
	ints.Add(traced, 7, with)
	doubles.Add(traced, -2.5)
	gauge.Record(traced, -3, with)
	for n := range 50 {
		times.Record(traced, float64(n*n)/7-3, with)
		sizes.Record(traced, int64(n*n))
	}
	other, err := provider.Meter("").Int64Counter("of.no.scope")
	if err != nil {
		t.Fatal(err)
	}
	other.Add(traced, 1)
}

// oddMetrics have what the SDK never makes, or seldom.
func oddMetrics() []metricdata.Metrics {
	begun, at := time.Unix(-1, 0), time.Unix(1_700_000_000, 5)
	set := attribute.NewSet(attributesOfAllTypes()...)
	exemplars := []metricdata.Exemplar[float64]{{}, {FilteredAttributes: attributesOfAllTypes(), Time: at, Value: -1,
		SpanID: []byte{1, 2}, TraceID: []byte{3}}}
	return []metricdata.Metrics{
		{Data: metricdata.Gauge[int64]{}},
		{Name: "gauge", Data: metricdata.Gauge[float64]{DataPoints: []metricdata.DataPoint[float64]{
			{}, {Attributes: set, StartTime: begun, Time: at, Value: math.NaN(), Exemplars: exemplars}}}},
		{Name: "sum", Data: metricdata.Sum[int64]{Temporality: metricdata.DeltaTemporality, IsMonotonic: true,
			DataPoints: []metricdata.DataPoint[int64]{{Value: math.MinInt64, StartTime: at}, {}}}},
		{Name: "histogram", Data: metricdata.Histogram[int64]{Temporality: metricdata.CumulativeTemporality,
			DataPoints: []metricdata.HistogramDataPoint[int64]{{}, {Attributes: set, StartTime: at, Time: at, Count: 3,
				Bounds: []float64{0, 1.5}, BucketCounts: []uint64{0, 1, math.MaxUint64}, Min: metricdata.NewExtrema[int64](0),
				Max: metricdata.NewExtrema[int64](9), Sum: -4}}}},
		{Name: "exponential", Data: metricdata.ExponentialHistogram[float64]{Temporality: metricdata.DeltaTemporality,
			DataPoints: []metricdata.ExponentialHistogramDataPoint[float64]{{}, {Attributes: set, StartTime: at, Time: at,
				Count: 3, Sum: math.Inf(1), Scale: -3, ZeroCount: 4, ZeroThreshold: 0.5, Exemplars: exemplars,
				PositiveBucket: metricdata.ExponentialBucket{Offset: -7, Counts: []uint64{0, 1, 300, math.MaxUint64}},
				NegativeBucket: metricdata.ExponentialBucket{Offset: 7, Counts: make([]uint64, 200)},
				Min:            metricdata.NewExtrema(math.Copysign(0, -1)), Max: metricdata.NewExtrema(2.0)}}}},
		{Name: "summary", Data: metricdata.Summary{DataPoints: []metricdata.SummaryDataPoint{{}, {Attributes: set,
			StartTime: at, Time: at, Count: 2, Sum: 3, QuantileValues: []metricdata.QuantileValue{{}, {Quantile: 0.5, Value: 2}}}}}},
	}
}

// exported compares what both exporters send of collected.
func exported(t *testing.T, collected *metricdata.ResourceMetrics, atLeast int) {
	t.Helper()
	ours, stock := newReceiver(t), newReceiver(t)
	exporter := made[*otelspool.MetricExporter](t)(otelspool.NewMetricExporter(ours.config(t)))
	if err := exporter.Export(t.Context(), collected); err != nil {
		t.Fatal(err)
	}
	delivered(t, exporter)
	if err := stockMetrics(t, stock).Export(t.Context(), collected); err != nil {
		t.Fatal(err)
	}
	same(t, ours.metrics(t), stock.metrics(t), atLeast)
}

func TestEachMetricIsWhatTheStockExporterSends(t *testing.T) {
	for name, selector := range map[string]metric.TemporalitySelector{
		"cumulative": metric.CumulativeTemporalitySelector, "delta": metric.DeltaTemporalitySelector,
	} {
		t.Run(name, func(t *testing.T) {
			reader := metric.NewManualReader(metric.WithTemporalitySelector(selector))
			exponential := metric.NewView(metric.Instrument{Name: "sizes"}, metric.Stream{
				Aggregation: metric.AggregationBase2ExponentialHistogram{MaxSize: 20, MaxScale: 10}})
			eachInstrument(t, metric.NewMeterProvider(metric.WithReader(reader), metric.WithResource(richResource()),
				metric.WithView(exponential)))
			var collected metricdata.ResourceMetrics
			if err := reader.Collect(t.Context(), &collected); err != nil {
				t.Fatal(err)
			}
			exported(t, &collected, 7)
		})
	}
	t.Run("odd", func(t *testing.T) {
		exported(t, &metricdata.ResourceMetrics{ScopeMetrics: []metricdata.ScopeMetrics{
			{Metrics: oddMetrics()}, {Scope: instrumentation.Scope{Name: "another"}, Metrics: oddMetrics()}}}, 12)
	})
	t.Run("many", func(t *testing.T) {
		// Longer than an item gets.
		many := make([]metricdata.Metrics, 50)
		for n := range many {
			many[n] = metricdata.Metrics{Name: strings.Repeat("n", n), Description: strings.Repeat("long", 10_000),
				Data: metricdata.Gauge[int64]{}}
		}
		exported(t, &metricdata.ResourceMetrics{Resource: richResource(),
			ScopeMetrics: []metricdata.ScopeMetrics{{Metrics: many}}}, 50)
	})
}

func TestAMetricThatOTLPDoesNotKnowCostsNoOther(t *testing.T) {
	ours := newReceiver(t)
	exporter := made[*otelspool.MetricExporter](t)(otelspool.NewMetricExporter(ours.config(t)))
	err := exporter.Export(t.Context(), &metricdata.ResourceMetrics{ScopeMetrics: []metricdata.ScopeMetrics{
		{Metrics: []metricdata.Metrics{{Name: "none"}, {Name: "odd", Data: metricdata.Sum[int64]{}}}},
		{Metrics: []metricdata.Metrics{{Name: "none"}, {Name: "good", Data: metricdata.Gauge[int64]{}}}},
		{},
	}})
	if err == nil || !strings.Contains(err.Error(), `"none"`) || !strings.Contains(err.Error(), `"odd"`) {
		t.Error(err)
	}
	delivered(t, exporter)
	if got := ours.metrics(t); len(got) != 1 || got[0].ScopeMetrics[0].Metrics[0].Name != "good" {
		t.Errorf("%v", got)
	}
	if err := exporter.Shutdown(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	err = exporter.Export(t.Context(), &metricdata.ResourceMetrics{ScopeMetrics: []metricdata.ScopeMetrics{{Metrics: oddMetrics()}}})
	if err != metric.ErrExporterShutdown {
		t.Error(err)
	}
}

func TestAPeriodicReaderExportsThroughTheSpool(t *testing.T) {
	ours := newReceiver(t)
	exporter := made[*otelspool.MetricExporter](t)(otelspool.NewMetricExporter(ours.config(t)))
	provider := metric.NewMeterProvider(metric.WithReader(metric.NewPeriodicReader(exporter)))
	eachInstrument(t, provider)
	if err := provider.ForceFlush(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	if got := ours.metrics(t); len(got) != 7 {
		t.Errorf("%d came", len(got))
	}
	if err := provider.Shutdown(within(t, patience)); err != nil {
		t.Error(err)
	}
}

func TestTheEnvironmentChoosesTemporalityAndAggregation(t *testing.T) {
	const temporality = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
	const aggregation = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"
	kinds := []metric.InstrumentKind{metric.InstrumentKindCounter, metric.InstrumentKindUpDownCounter,
		metric.InstrumentKindHistogram, metric.InstrumentKindObservableCounter, metric.InstrumentKindGauge}
	for _, set := range [][2]string{{"", ""}, {"delta", "base2_exponential_bucket_histogram"},
		{"LowMemory", "explicit_bucket_histogram"}, {"cumulative", ""}} {
		t.Setenv(temporality, set[0])
		t.Setenv(aggregation, set[1])
		in := newReceiver(t)
		ours := made[*otelspool.MetricExporter](t)(otelspool.NewMetricExporter(in.config(t)))
		stock := stockMetrics(t, in)
		for _, kind := range kinds {
			if ours.Temporality(kind) != stock.Temporality(kind) || ours.Aggregation(kind) == nil {
				t.Errorf("%q: %v of %v", set, ours.Temporality(kind), kind)
			}
		}
		_, exponential := ours.Aggregation(metric.InstrumentKindHistogram).(metric.AggregationBase2ExponentialHistogram)
		if exponential != strings.HasPrefix(set[1], "base2") {
			t.Errorf("%q: %v", set, exponential)
		}
		chosen := made[*otelspool.MetricExporter](t)(otelspool.NewMetricExporter(in.config(t),
			otelspool.WithTemporality(metric.DeltaTemporalitySelector),
			otelspool.WithAggregation(func(metric.InstrumentKind) metric.Aggregation { return metric.AggregationDrop{} })))
		if chosen.Temporality(kinds[0]) != metricdata.DeltaTemporality || chosen.Aggregation(kinds[0]) != (metric.AggregationDrop{}) {
			t.Error("what the program chooses is not used")
		}
	}
	for _, variable := range []string{temporality, aggregation} {
		t.Setenv(variable, "wrong")
		if _, err := otelspool.NewMetricExporter(newReceiver(t).config(t)); err == nil || !strings.Contains(err.Error(), variable) {
			t.Error(err)
		}
		t.Setenv(variable, "")
	}
}
