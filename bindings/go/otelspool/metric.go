package otelspool

import (
	"encoding/binary"
	"fmt"
	"math"

	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"google.golang.org/protobuf/encoding/protowire"
)

// appendMetric appends a metric, or nothing and returns why it can't.
func appendMetric(b []byte, field number, metric metricdata.Metrics) ([]byte, error) {
	whole := b
	b, start := begin(b, field)
	b = someText(b, 1, metric.Name)
	b = someText(b, 2, metric.Description)
	b = someText(b, 3, metric.Unit)
	var err error
	switch data := metric.Data.(type) {
	case metricdata.Gauge[int64]:
		b = gauge(b, data)
	case metricdata.Gauge[float64]:
		b = gauge(b, data)
	case metricdata.Sum[int64]:
		b, err = sum(b, data)
	case metricdata.Sum[float64]:
		b, err = sum(b, data)
	case metricdata.Histogram[int64]:
		b, err = histogram(b, data)
	case metricdata.Histogram[float64]:
		b, err = histogram(b, data)
	case metricdata.ExponentialHistogram[int64]:
		b, err = exponentialHistogram(b, data)
	case metricdata.ExponentialHistogram[float64]:
		b, err = exponentialHistogram(b, data)
	case metricdata.Summary:
		b = summary(b, data)
	default:
		err = fmt.Errorf("unknown aggregation %T", data)
	}
	if err != nil {
		return whole, fmt.Errorf("otelspool: metric %q was not stored: %w", metric.Name, err)
	}
	return end(b, start), nil
}

func gauge[N int64 | float64](b []byte, data metricdata.Gauge[N]) []byte {
	b, start := begin(b, 5)
	b = numberPoints(b, data.DataPoints)
	return end(b, start)
}

func sum[N int64 | float64](b []byte, data metricdata.Sum[N]) ([]byte, error) {
	b, start := begin(b, 7)
	b = numberPoints(b, data.DataPoints)
	b, err := temporality(b, data.Temporality)
	b = someVarint(b, 3, protowire.EncodeBool(data.IsMonotonic))
	return end(b, start), err
}

func histogram[N int64 | float64](b []byte, data metricdata.Histogram[N]) ([]byte, error) {
	b, start := begin(b, 9)
	for i := range data.DataPoints {
		b = histogramPoint(b, &data.DataPoints[i])
	}
	b, err := temporality(b, data.Temporality)
	return end(b, start), err
}

func exponentialHistogram[N int64 | float64](b []byte, data metricdata.ExponentialHistogram[N]) ([]byte, error) {
	b, start := begin(b, 10)
	for i := range data.DataPoints {
		b = exponentialPoint(b, &data.DataPoints[i])
	}
	b, err := temporality(b, data.Temporality)
	return end(b, start), err
}

func summary(b []byte, data metricdata.Summary) []byte {
	b, start := begin(b, 11)
	for i := range data.DataPoints {
		b = summaryPoint(b, &data.DataPoints[i])
	}
	return end(b, start)
}

func temporality(b []byte, temporality metricdata.Temporality) ([]byte, error) {
	switch temporality {
	case metricdata.DeltaTemporality:
		return appendVarint(b, 2, 1), nil
	case metricdata.CumulativeTemporality:
		return appendVarint(b, 2, 2), nil
	default:
		return b, fmt.Errorf("unknown temporality %v", temporality)
	}
}

func numberPoints[N int64 | float64](b []byte, points []metricdata.DataPoint[N]) []byte {
	for i := range points {
		point := &points[i]
		var start int
		b, start = begin(b, 1)
		b = someTime(b, 2, point.StartTime)
		b = someTime(b, 3, point.Time)
		b = value(b, 4, 6, point.Value)
		b = exemplars(b, 5, point.Exemplars)
		b = attributeSet(b, 7, point.Attributes.Iter())
		b = end(b, start)
	}
	return b
}

// value appends a number under one of two fields, also if it is zero.
func value[N int64 | float64](b []byte, double, integer number, value N) []byte {
	switch value := any(value).(type) {
	case int64:
		return appendFixed64(b, integer, uint64(value))
	case float64:
		return appendDouble(b, double, value)
	}
	return b
}

func histogramPoint[N int64 | float64](b []byte, point *metricdata.HistogramDataPoint[N]) []byte {
	b, start := begin(b, 1)
	b = someTime(b, 2, point.StartTime)
	b = someTime(b, 3, point.Time)
	b = someFixed64(b, 4, point.Count)
	b = appendDouble(b, 5, float64(point.Sum))
	if len(point.BucketCounts) > 0 {
		b = protowire.AppendTag(b, 6, protowire.BytesType)
		b = protowire.AppendVarint(b, uint64(8*len(point.BucketCounts)))
		for _, count := range point.BucketCounts {
			b = binary.LittleEndian.AppendUint64(b, count)
		}
	}
	if len(point.Bounds) > 0 {
		b = protowire.AppendTag(b, 7, protowire.BytesType)
		b = protowire.AppendVarint(b, uint64(8*len(point.Bounds)))
		for _, bound := range point.Bounds {
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(bound))
		}
	}
	b = exemplars(b, 8, point.Exemplars)
	b = attributeSet(b, 9, point.Attributes.Iter())
	b = extrema(b, 11, point.Min)
	b = extrema(b, 12, point.Max)
	return end(b, start)
}

func exponentialPoint[N int64 | float64](b []byte, point *metricdata.ExponentialHistogramDataPoint[N]) []byte {
	b, start := begin(b, 1)
	b = attributeSet(b, 1, point.Attributes.Iter())
	b = someTime(b, 2, point.StartTime)
	b = someTime(b, 3, point.Time)
	b = someFixed64(b, 4, point.Count)
	b = appendDouble(b, 5, float64(point.Sum))
	b = someSigned(b, 6, point.Scale)
	b = someFixed64(b, 7, point.ZeroCount)
	b = buckets(b, 8, point.PositiveBucket)
	b = buckets(b, 9, point.NegativeBucket)
	b = exemplars(b, 11, point.Exemplars)
	b = extrema(b, 12, point.Min)
	b = extrema(b, 13, point.Max)
	b = someDouble(b, 14, point.ZeroThreshold)
	return end(b, start)
}

func buckets(b []byte, field number, bucket metricdata.ExponentialBucket) []byte {
	b, start := begin(b, field)
	b = someSigned(b, 1, bucket.Offset)
	if len(bucket.Counts) > 0 {
		var counts int
		b, counts = begin(b, 2)
		for _, count := range bucket.Counts {
			b = protowire.AppendVarint(b, count)
		}
		b = end(b, counts)
	}
	return end(b, start)
}

// someSigned is a number of protobuf's sint32.
func someSigned(b []byte, field number, value int32) []byte {
	return someVarint(b, field, protowire.EncodeZigZag(int64(value)))
}

func extrema[N int64 | float64](b []byte, field number, extrema metricdata.Extrema[N]) []byte {
	if value, defined := extrema.Value(); defined {
		return appendDouble(b, field, float64(value))
	}
	return b
}

func exemplars[N int64 | float64](b []byte, field number, list []metricdata.Exemplar[N]) []byte {
	for i := range list {
		each := &list[i]
		var start int
		b, start = begin(b, field)
		b = someTime(b, 2, each.Time)
		b = value(b, 3, 6, each.Value)
		b = someBytes(b, 4, each.SpanID)
		b = someBytes(b, 5, each.TraceID)
		b = attributes(b, 7, each.FilteredAttributes)
		b = end(b, start)
	}
	return b
}

func summaryPoint(b []byte, point *metricdata.SummaryDataPoint) []byte {
	b, start := begin(b, 1)
	b = someTime(b, 2, point.StartTime)
	b = someTime(b, 3, point.Time)
	b = someFixed64(b, 4, point.Count)
	b = someDouble(b, 5, point.Sum)
	for _, each := range point.QuantileValues {
		var inner int
		b, inner = begin(b, 6)
		b = someDouble(b, 1, each.Quantile)
		b = someDouble(b, 2, each.Value)
		b = end(b, inner)
	}
	b = attributeSet(b, 7, point.Attributes.Iter())
	return end(b, start)
}
