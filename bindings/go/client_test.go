package spanspool_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"testing"
	"time"

	"spanspool.example/spanspool"
)

// Nobody listens on port 9.
const nowhere = "http://127.0.0.1:9/"

// within is a context for what must be done in the end.
func within(t testing.TB, timeout time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	t.Cleanup(cancel)
	return ctx
}

// hanging is an ingest that takes requests and answers none until the test's end.
func hanging(t *testing.T) *ingest {
	end := make(chan struct{})
	in := newIngest(t, func(http.ResponseWriter, *http.Request) { <-end })
	t.Cleanup(func() { close(end) })
	return in
}

func TestItemsArriveWholeAndInOrder(t *testing.T) {
	in := newIngest(t, nil)
	client := open(t, spanspool.Config{
		Endpoint: in.url, APIKey: "sk-go", Headers: map[string]string{"X-Team": "gophers"}, MaxSpoolBytes: 64 << 20,
		Durability: "power", Settings: map[string]string{"max_batch_size": "10", "project": "p"},
	})
	var sent []string
	for n := range 95 {
		sent = append(sent, item("in-order", n))
	}
	sent = append(sent, `{"text":"two\n\u0000 <&> 𝄞","number":1e300}`)
	enqueue(t, client, sent...)
	if err := client.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := client.Flush(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	if got := in.items(); !slices.Equal(got, sent) {
		t.Fatalf("sent %q\ncame %q", sent, got)
	}
	for _, request := range in.all() {
		for name, value := range map[string]string{
			"Authorization": "Bearer sk-go", "X-Team": "gophers", "Openai-Project": "p",
		} {
			if got := request.header.Get(name); got != value {
				t.Errorf("%s: %q, not %q", name, got, value)
			}
		}
		if len(request.items) > 10 {
			t.Errorf("a batch of %d items", len(request.items))
		}
	}
	s := stats(t, client)
	if s.Accepted != 96 || s.Delivered != 96 || s.Pending != 0 || s.LastHTTPStatus != 200 || s.BatchesSent < 10 {
		t.Errorf("%+v", s)
	}
}

func TestNamedKeys(t *testing.T) {
	in := newIngest(t, nil)
	client := open(t, spanspool.Config{Endpoint: in.url, APIKey: "sk-default"})
	if err := client.EnqueueAs("team", []byte(item("named", 0))); err != nil {
		t.Fatal(err)
	}
	if err := client.Flush(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	if s := stats(t, client); s.Rejected != 1 {
		t.Fatalf("an item without its key was not set aside: %+v", s)
	}
	if err := client.SetNamedKey("team", "sk-team"); err != nil {
		t.Fatal(err)
	}
	if err := client.Flush(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	if err := client.SetAPIKey("sk-later"); err != nil {
		t.Fatal(err)
	}
	enqueue(t, client, item("plain", 0))
	if err := client.Flush(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, request := range in.all() {
		keys = append(keys, request.header.Get("Authorization"))
	}
	if !slices.Equal(keys, []string{"Bearer sk-team", "Bearer sk-later"}) {
		t.Errorf("keys: %q", keys)
	}
}

func TestWakeEndsABackoff(t *testing.T) {
	first := true
	in := newIngest(t, func(w http.ResponseWriter, _ *http.Request) {
		if first {
			first = false
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	client := open(t, spanspool.Config{
		Endpoint: in.url, ScheduleDelay: spanspool.NoWait, BaseDelay: 24 * time.Hour, MaxDelay: 24 * time.Hour,
	})
	enqueue(t, client, item("wake", 0))
	in.waitFor(t, "the second attempt", func(items []string) bool { return len(items) == 2 }, func() {
		if stats(t, client).ExportState != spanspool.ExportBackoff {
			return
		}
		if err := client.Wake(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestNothingIsSentBetweenPauseAndWake(t *testing.T) {
	in := newIngest(t, nil)
	dir := t.TempDir()
	client := open(t, spanspool.Config{SpoolDir: dir, Endpoint: in.url, ScheduleDelay: spanspool.NoWait})
	if err := client.Pause(); err != nil {
		t.Fatal(err)
	}
	enqueue(t, client, item("paused", 0))
	if err := client.Flush(within(t, 300*time.Millisecond)); !errors.Is(err, spanspool.ErrTimeout) {
		t.Errorf("the flush while paused: %v", err)
	}
	if came := in.items(); len(came) != 0 {
		t.Errorf("came while paused: %q", came)
	}
	if err := client.Wake(); err != nil {
		t.Fatal(err)
	}
	if err := client.Flush(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	if err := client.Pause(); err != nil {
		t.Fatal(err)
	}
	enqueue(t, client, item("paused", 1))
	// No call can wake it after this one, so it does not wait, although the context has no end.
	if err := client.Shutdown(context.Background()); !errors.Is(err, spanspool.ErrTimeout) {
		t.Errorf("the shutdown while paused: %v", err)
	}
	if came := in.items(); !slices.Equal(came, []string{item("paused", 0)}) {
		t.Errorf("came: %q", came)
	}
}

// Neither context has a deadline, so only the cancellation can end these calls.
func TestCancellationEndsFlushAndShutdown(t *testing.T) {
	in := hanging(t)
	dir := t.TempDir()
	client := open(t, spanspool.Config{SpoolDir: dir, Endpoint: in.url})
	enqueue(t, client, item("cancelled", 0))
	cancelled(t, in, "Flush", client.Flush)
	cancelled(t, in, "Shutdown", client.Shutdown)

	heir := newIngest(t, nil)
	next := open(t, spanspool.Config{SpoolDir: dir, Endpoint: heir.url})
	if err := next.Shutdown(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	if got := heir.items(); !slices.Equal(got, []string{item("cancelled", 0)}) {
		t.Errorf("the next client delivered %q", got)
	}
}

// cancelled cancels a call when the request is there that it waits for.
func cancelled(t *testing.T, in *ingest, name string, call func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	answer := make(chan error, 1)
	go func() { answer <- call(ctx) }()
	in.waitFor(t, name, func(items []string) bool { return len(items) > 0 }, func() {})
	cancel()
	select {
	case err := <-answer:
		if !errors.Is(err, context.Canceled) || !errors.Is(err, spanspool.ErrTimeout) {
			t.Errorf("%s: %v", name, err)
		}
	case <-time.After(patience):
		t.Fatalf("%s goes on after it was cancelled", name)
	}
}

// Each flush of the library ends a backoff: a wait that is made of many of them would ask the ingest as often.
func TestAFlushDoesNotHurryTheIngest(t *testing.T) {
	in := newIngest(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	client := open(t, spanspool.Config{Endpoint: in.url, BaseDelay: 24 * time.Hour, MaxDelay: 24 * time.Hour})
	enqueue(t, client, item("hurry", 0))
	err := client.Flush(within(t, 2*time.Second))
	if !errors.Is(err, spanspool.ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if got := len(in.all()); got < 1 || got > 2 {
		t.Errorf("%d requests", got)
	}
}

func TestAfterShutdownEveryCallSaysSo(t *testing.T) {
	in := newIngest(t, nil)
	client := open(t, spanspool.Config{Endpoint: in.url})
	enqueue(t, client, item("last", 0))
	ctx := within(t, patience)
	for range 2 {
		if err := client.Shutdown(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if err := client.Close(); err != nil {
		t.Error(err)
	}
	if got := in.items(); !slices.Equal(got, []string{item("last", 0)}) {
		t.Errorf("came: %q", got)
	}
	for name, err := range map[string]error{
		"Enqueue":     client.Enqueue([]byte(item("late", 0))),
		"EnqueueAs":   client.EnqueueAs("name", []byte(item("late", 0))),
		"Flush":       client.Flush(ctx),
		"Sync":        client.Sync(),
		"Pause":       client.Pause(),
		"Wake":        client.Wake(),
		"SetAPIKey":   client.SetAPIKey("sk"),
		"SetNamedKey": client.SetNamedKey("name", "sk"),
	} {
		if !errors.Is(err, spanspool.ErrShutDown) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if s := stats(t, client); s.Accepted != 1 || s.Delivered != 1 || s.Pending != 0 || s.LastHTTPStatus != 200 {
		t.Errorf("the counters after the shutdown: %+v", s)
	}
}

func TestCloseLeavesItemsToTheNextClient(t *testing.T) {
	dir := t.TempDir()
	client := open(t, spanspool.Config{SpoolDir: dir, Endpoint: nowhere})
	enqueue(t, client, item("left", 0), item("left", 1))
	if err := client.Close(); !errors.Is(err, spanspool.ErrTimeout) {
		t.Errorf("Close: %v", err)
	}
	in := newIngest(t, nil)
	next := open(t, spanspool.Config{SpoolDir: dir, Endpoint: in.url})
	if err := next.Flush(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	if got := in.items(); !slices.Equal(got, []string{item("left", 0), item("left", 1)}) {
		t.Errorf("came: %q", got)
	}
}
