package otelspool_test

import (
	"testing"
	"time"

	"spanspool.example/spanspool"
	"spanspool.example/spanspool/otelspool"
)

// The directory benches/go compares the whole of a span with what the SDK's own processors take.
func BenchmarkOnEnd(b *testing.B) {
	config := spanspool.Config{SpoolDir: b.TempDir(), Endpoint: nowhere, ScheduleDelay: time.Hour,
		Settings: map[string]string{"overflow": "drop_oldest"}}
	processor := made[*otelspool.SpanProcessor](b)(otelspool.NewSpanProcessor(config))
	span := sampled()
	b.ReportAllocs()
	for b.Loop() {
		processor.OnEnd(span)
	}
}
