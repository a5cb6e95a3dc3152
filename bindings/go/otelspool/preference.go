package otelspool

import (
	"fmt"
	"os"
	"strings"

	"go.opentelemetry.io/otel/sdk/metric"

	"spanspool.example/spanspool"
)

const (
	temporalityVariable = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
	aggregationVariable = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"
)

func preferredTemporality() (metric.TemporalitySelector, error) {
	return preference(temporalityVariable, "cumulative", map[string]metric.TemporalitySelector{
		"cumulative": metric.CumulativeTemporalitySelector,
		"delta":      metric.DeltaTemporalitySelector,
		"lowmemory":  metric.LowMemoryTemporalitySelector,
	})
}

func preferredAggregation() (metric.AggregationSelector, error) {
	return preference(aggregationVariable, "explicit_bucket_histogram", map[string]metric.AggregationSelector{
		"explicit_bucket_histogram":          metric.DefaultAggregationSelector,
		"base2_exponential_bucket_histogram": exponential,
	})
}

// exponential has the sizes that OpenTelemetry's specification gives.
func exponential(kind metric.InstrumentKind) metric.Aggregation {
	if kind == metric.InstrumentKindHistogram {
		return metric.AggregationBase2ExponentialHistogram{MaxSize: 160, MaxScale: 20}
	}
	return metric.DefaultAggregationSelector(kind)
}

// preference is what the environment variable chooses, or the choice called unset.
func preference[T any](variable, unset string, choices map[string]T) (T, error) {
	text := strings.TrimSpace(os.Getenv(variable))
	if text == "" {
		text = unset
	}
	choice, ok := choices[strings.ToLower(text)]
	if !ok {
		return choice, &spanspool.Error{
			Status:  spanspool.ErrInvalidArgument,
			Message: fmt.Sprintf("%s is %q, which is no choice of it", variable, text),
		}
	}
	return choice, nil
}
