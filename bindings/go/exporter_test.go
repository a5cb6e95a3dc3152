package spanspool_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"spanspool.example/spanspool"
)

// A span as a program of agents has it: JSON by its own method.
type span struct {
	name  string
	ended time.Time
}

func (s span) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]any{"object": "trace.span", "id": s.name, "ended_at": s.ended.UTC()})
}

type plain struct {
	Object string         `json:"object"`
	ID     string         `json:"id"`
	Data   map[string]any `json:"data,omitempty"`
}

func TestExporterStoresWhatBecomesJSON(t *testing.T) {
	in := newIngest(t, nil)
	client := open(t, spanspool.Config{Endpoint: in.url})
	exporter := spanspool.NewExporter(client)
	ended := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	err := exporter.Export(context.Background(),
		span{"marshaler", ended}, &span{"pointer", ended}, plain{Object: "trace", ID: "<&>"},
		[]byte(`{ "as":"it is" }`), json.RawMessage(`{"raw": 1.0}`), map[string]any{"map": 1},
	)
	if err != nil {
		t.Fatal(err)
	}
	if err := exporter.Export(context.Background()); err != nil {
		t.Errorf("nothing to do: %v", err)
	}
	if err := client.Flush(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	want := []string{
		`{"ended_at":"2026-01-02T03:04:05Z","id":"marshaler","object":"trace.span"}`,
		`{"ended_at":"2026-01-02T03:04:05Z","id":"pointer","object":"trace.span"}`,
		`{"object":"trace","id":"<&>"}`, `{ "as":"it is" }`, `{"raw": 1.0}`, `{"map":1}`,
	}
	for at, text := range in.items() {
		if at >= len(want) || text != want[at] {
			t.Errorf("item %d: %s", at, text)
		}
	}
	if len(in.items()) != len(want) {
		t.Errorf("%d items came", len(in.items()))
	}
}

func TestExporterSaysWhichItemFailed(t *testing.T) {
	client := open(t, spanspool.Config{Settings: map[string]string{"exporter": "none"}})
	exporter := spanspool.NewExporter(client)
	good := json.RawMessage(item("good", 0))
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	var unsupported *json.UnsupportedValueError
	for name, c := range map[string]struct {
		ctx   context.Context
		items []any
		index int
		is    func(error) bool
	}{
		"not JSON": {context.Background(), []any{good, good, []byte("{"), good}, 2,
			func(err error) bool { return errors.Is(err, spanspool.ErrInvalidItem) }},
		"not an object": {context.Background(), []any{"text"}, 0,
			func(err error) bool { return errors.Is(err, spanspool.ErrInvalidItem) }},
		"no JSON for it": {context.Background(), []any{good, plain{Data: map[string]any{"x": math.NaN()}}}, 1,
			func(err error) bool { return errors.As(err, &unsupported) }},
		"cancelled": {cancelled, []any{good}, 0,
			func(err error) bool { return errors.Is(err, context.Canceled) }},
	} {
		before := stats(t, client).Accepted
		err := exporter.Export(c.ctx, c.items...)
		var failed *spanspool.ExportError
		if !errors.As(err, &failed) || failed.Index != c.index || !c.is(err) {
			t.Errorf("%s: %v", name, err)
		}
		if stored := stats(t, client).Accepted - before; stored != uint64(c.index) {
			t.Errorf("%s: %d were stored", name, stored)
		}
	}
	if !slices.Equal([]byte(good), []byte(item("good", 0))) {
		t.Error("the caller's bytes were changed")
	}
}
