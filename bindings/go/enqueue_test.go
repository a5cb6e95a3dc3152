package spanspool_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"spanspool.example/spanspool"
)

// An item of 500 bytes, and a spool that keeps what it has room for and then drops the oldest.
func enqueueing(t testing.TB) (*spanspool.Client, []byte) {
	client := open(t, spanspool.Config{Settings: map[string]string{
		"exporter": "none", "overflow": "drop_oldest",
	}, MaxSpoolBytes: 64 << 20, EnqueueTimeout: time.Minute})
	text := []byte(item("", 0))
	return client, []byte(strings.Replace(string(text), `"-0"`, `"`+strings.Repeat("x", 500-len(text)+2)+`"`, 1))
}

func TestEnqueueAllocatesNothing(t *testing.T) {
	client, item := enqueueing(t)
	got := testing.AllocsPerRun(1000, func() {
		if err := client.Enqueue(item); err != nil {
			t.Fatal(err)
		}
	})
	if got != 0 {
		t.Errorf("%v allocations", got)
	}
}

func BenchmarkEnqueue(b *testing.B) {
	client, item := enqueueing(b)
	b.ReportAllocs()
	b.SetBytes(int64(len(item)))
	b.ResetTimer()
	for range b.N {
		if err := client.Enqueue(item); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEnqueueParallel(b *testing.B) {
	client, item := enqueueing(b)
	b.ReportAllocs()
	b.SetBytes(int64(len(item)))
	b.ResetTimer()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if err := client.Enqueue(item); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkExport(b *testing.B) {
	client, _ := enqueueing(b)
	exporter := spanspool.NewExporter(client)
	value := plain{Object: "trace", ID: strings.Repeat("x", 470)}
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		if err := exporter.Export(context.Background(), value); err != nil {
			b.Fatal(err)
		}
	}
}
