package spanspool_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"spanspool.example/spanspool"
)

// Longer than any step takes on a slow machine.
const patience = 2 * time.Minute

// A request as it came in.
type request struct {
	header http.Header
	items  []string
}

// An ingest is an HTTP server on the loopback address that keeps what it is sent.
type ingest struct {
	url      string
	mu       sync.Mutex
	requests []request
	changed  chan struct{} // has something in it when a request came since the last look
}

// newIngest answers as answer says; nil: everything is accepted. A request is kept before it is answered.
func newIngest(t testing.TB, answer http.HandlerFunc) *ingest {
	in := &ingest{changed: make(chan struct{}, 1)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var batch struct{ Data []json.RawMessage }
		if err != nil || json.Unmarshal(body, &batch) != nil {
			t.Errorf("not a batch: %q, %v", body, err)
		}
		in.keep(r.Header, batch.Data)
		if answer != nil {
			answer(w, r)
		}
	}))
	// Connections that wait for an answer must not hold up the end.
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	in.url = server.URL + "/v1/traces/ingest"
	return in
}

func (in *ingest) keep(header http.Header, data []json.RawMessage) {
	in.mu.Lock()
	defer in.mu.Unlock()
	items := make([]string, len(data))
	for i, item := range data {
		items[i] = string(item)
	}
	in.requests = append(in.requests, request{header, items})
	select {
	case in.changed <- struct{}{}:
	default:
	}
}

// all returns what came in so far.
func (in *ingest) all() []request {
	in.mu.Lock()
	defer in.mu.Unlock()
	return slices.Clone(in.requests)
}

// items are those of all requests, in their order.
func (in *ingest) items() []string {
	var items []string
	for _, request := range in.all() {
		items = append(items, request.items...)
	}
	return items
}

// waitFor waits until condition holds for the items that came in; meanwhile runs in between.
func (in *ingest) waitFor(t testing.TB, what string, condition func([]string) bool, meanwhile func()) {
	t.Helper()
	deadline := time.After(patience)
	for !condition(in.items()) {
		meanwhile()
		select {
		case <-in.changed:
		case <-time.After(5 * time.Millisecond):
		case <-deadline:
			t.Fatalf("not in time: %s; %d items came", what, len(in.items()))
		}
	}
}

// item is the item number n of those called name.
func item(name string, n int) string {
	return fmt.Sprintf(`{"object":"trace","id":"%s-%d"}`, name, n)
}

// open opens a spool of its own, or that of config; the test's end closes it.
func open(t testing.TB, config spanspool.Config) *spanspool.Client {
	t.Helper()
	if config.SpoolDir == "" {
		config.SpoolDir = t.TempDir()
	}
	if config.Settings == nil && config.Adopt == "" {
		// The next client of a test may have another ingest.
		config.Adopt = "any"
	}
	client, err := spanspool.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func enqueue(t testing.TB, client *spanspool.Client, items ...string) {
	t.Helper()
	for _, item := range items {
		if err := client.Enqueue([]byte(item)); err != nil {
			t.Fatalf("%s: %v", item, err)
		}
	}
}

// stats are the counters of a client that is open.
func stats(t testing.TB, client *spanspool.Client) spanspool.Stats {
	t.Helper()
	stats, err := client.Stats()
	if err != nil {
		t.Fatal(err)
	}
	return stats
}
