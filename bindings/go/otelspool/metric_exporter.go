package otelspool

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"

	"spanspool.example/spanspool"
)

// A MetricExporter stores what a periodic reader collects when its export returns.
//
// Prefer cumulative temporality, the default: delivery is at least once, and a request that arrives twice counts a
// delta twice.
type MetricExporter struct {
	*plug
	temporality metric.TemporalitySelector
	aggregation metric.AggregationSelector
}

// A MetricOption is a choice of a [MetricExporter].
type MetricOption func(*MetricExporter)

// WithTemporality says which temporality each kind of instrument has. Without it
// OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE does (cumulative, delta or lowmemory).
func WithTemporality(selector metric.TemporalitySelector) MetricOption {
	return func(e *MetricExporter) { e.temporality = selector }
}

// WithAggregation says which aggregation each kind of instrument has. Without it
// OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION does, for histograms (explicit_bucket_histogram or
// base2_exponential_bucket_histogram).
func WithAggregation(selector metric.AggregationSelector) MetricOption {
	return func(e *MetricExporter) { e.aggregation = selector }
}

// NewMetricExporter opens the spool in config.SpoolDir. It sets the exporter and the signal.
func NewMetricExporter(config spanspool.Config, options ...MetricOption) (*MetricExporter, error) {
	made := &MetricExporter{}
	var err error
	if made.temporality, err = preferredTemporality(); err != nil {
		return nil, err
	}
	if made.aggregation, err = preferredAggregation(); err != nil {
		return nil, err
	}
	for _, option := range options {
		option(made)
	}
	if made.plug, err = open(metrics, config); err != nil {
		return nil, err
	}
	return made, nil
}

// Temporality is what WithTemporality or the environment says.
func (e *MetricExporter) Temporality(kind metric.InstrumentKind) metricdata.Temporality {
	return e.temporality(kind)
}

// Aggregation is what WithAggregation or the environment says.
func (e *MetricExporter) Aggregation(kind metric.InstrumentKind) metric.Aggregation {
	return e.aggregation(kind)
}

// An item with more bytes gets no further metric: a request can be cut only between items.
const mostOfMetrics = 256 << 10

// Export stores collected metrics: those of one scope as an item, or several if they are long. The error says which
// metrics have an aggregation or a temporality that OTLP does not know, and how many items could not be stored; all
// others are. After Shutdown it is the SDK's ErrExporterShutdown.
func (e *MetricExporter) Export(_ context.Context, collected *metricdata.ResourceMetrics) error {
	from := collected.Resource
	if from == nil {
		from = resource.Empty()
	}
	var refused refused
	var unknown []error
	for _, scope := range collected.ScopeMetrics {
		around := e.known.of(from, scope.Scope)
		made := newItem(around)
		for _, metric := range scope.Metrics {
			var err error
			if made.bytes, err = appendMetric(made.bytes, fieldRecords, metric); err != nil {
				unknown = append(unknown, err)
			}
			if len(made.bytes) > mostOfMetrics {
				refused.add(made.enqueue(e.client))
				made = newItem(around)
			}
		}
		if !made.isEmpty() {
			refused.add(made.enqueue(e.client))
		}
	}
	err := errors.Join(append(unknown, refused.err())...)
	if errors.Is(err, spanspool.ErrShutDown) {
		return metric.ErrExporterShutdown
	}
	return err
}
