package spanspool_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"spanspool.example/spanspool"
)

func TestAnUnreachableClientIsClosed(t *testing.T) {
	dir, in := t.TempDir(), newIngest(t, nil)
	func() {
		client, err := spanspool.Open(spanspool.Config{SpoolDir: dir, Endpoint: nowhere})
		if err != nil {
			t.Fatal(err)
		}
		enqueue(t, client, item("forgotten", 0))
	}()
	// Its lane is free only when it was closed; then another client takes over what it left.
	open(t, spanspool.Config{SpoolDir: dir, Endpoint: in.url, AdoptInterval: 20 * time.Millisecond})
	in.waitFor(t, "the item of the forgotten client", func(items []string) bool { return len(items) > 0 }, runtime.GC)
	if got := in.items(); !slices.Equal(got, []string{item("forgotten", 0)}) {
		t.Errorf("came: %q", got)
	}
}

func TestAdoptSaysWhoseItemsAreDelivered(t *testing.T) {
	dir, in := t.TempDir(), newIngest(t, nil)
	left, err := spanspool.Open(spanspool.Config{SpoolDir: dir, Endpoint: nowhere})
	if err != nil {
		t.Fatal(err)
	}
	enqueue(t, left, item("left", 0))
	left.Close()
	config := spanspool.Config{SpoolDir: dir, Endpoint: in.url, Adopt: "same", AdoptInterval: 20 * time.Millisecond}
	same := open(t, config)
	enqueue(t, same, item("mine", 0))
	if err := same.Flush(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	same.Close()
	if got := in.items(); !slices.Equal(got, []string{item("mine", 0)}) {
		t.Errorf("came: %q", got)
	}
	config.Adopt = "any"
	open(t, config)
	in.waitFor(t, "the item that was left", func(items []string) bool {
		return slices.Contains(items, item("left", 0))
	}, func() {})
}

// The call is the last that knows the client: it must count as held until the call is over.
func TestAClientInACallIsNotClosed(t *testing.T) {
	in := hanging(t)
	answer := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		client, err := spanspool.Open(spanspool.Config{SpoolDir: t.TempDir(), Endpoint: in.url})
		if err == nil {
			err = client.Enqueue([]byte(item("held", 0)))
		}
		if err == nil {
			err = client.Flush(ctx)
		}
		answer <- err
	}()
	rounds := 0
	in.waitFor(t, "the request, and collections after it", func(items []string) bool {
		return len(items) > 0 && rounds > 20
	}, func() {
		runtime.GC()
		if len(in.all()) > 0 {
			rounds++
		}
	})
	cancel()
	if err := <-answer; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// Every method in many goroutines while others shut the client down: nothing is used after it is freed, and every
// accepted item is there for the next client, once.
func TestCallsRaceWithShutdown(t *testing.T) {
	for round := range 8 {
		dir := t.TempDir()
		client := open(t, spanspool.Config{SpoolDir: dir, Endpoint: nowhere})
		var accepted atomic.Int64
		var goroutines sync.WaitGroup
		loop := func(call func(n int) error) {
			for n := 0; ; n++ {
				switch err := call(n); {
				case errors.Is(err, spanspool.ErrShutDown):
					return
				case err != nil && !errors.Is(err, spanspool.ErrTimeout):
					t.Error(err)
					return
				}
			}
		}
		for id, call := range []func(int) error{
			func(n int) error { return client.Flush(within(t, 3*time.Millisecond)) },
			func(n int) error {
				if _, err := client.Stats(); err != nil {
					return err
				}
				return client.Wake()
			},
			func(n int) error { return client.Sync() },
			func(n int) error { return client.Wake() },
			func(n int) error { return client.SetAPIKey("sk") },
			func(n int) error { return client.SetNamedKey("name", "sk") },
			nil, nil, nil,
		} {
			if call == nil {
				call = func(n int) error {
					err := client.Enqueue([]byte(item(string(rune('a'+id)), n)))
					if err == nil {
						accepted.Add(1)
					}
					return err
				}
			}
			goroutines.Add(1)
			go func() { defer goroutines.Done(); loop(call) }()
		}
		for accepted.Load() < 300 {
			runtime.Gosched()
		}
		for range 2 {
			goroutines.Add(1)
			go func() {
				defer goroutines.Done()
				if err := client.Shutdown(within(t, time.Duration(round)*time.Millisecond)); !errors.Is(err, spanspool.ErrTimeout) {
					t.Errorf("Shutdown: %v", err)
				}
			}()
		}
		goroutines.Wait()

		in := newIngest(t, nil)
		next := open(t, spanspool.Config{SpoolDir: dir, Endpoint: in.url})
		if err := next.Shutdown(within(t, patience)); err != nil {
			t.Fatal(err)
		}
		items := in.items()
		slices.Sort(items)
		if got := len(slices.Compact(items)); got != int(accepted.Load()) || got != len(in.items()) {
			t.Errorf("%d accepted, %d came, %d of them different", accepted.Load(), len(in.items()), got)
		}
	}
}

// stopping is a logger that stops a call in its middle.
type stopping struct {
	slog.Handler
	inside, goOn chan struct{}
}

func (s *stopping) Handle(_ context.Context, line slog.Record) error {
	if strings.HasPrefix(line.Message, "spanspool_enqueue") {
		close(s.inside)
		<-s.goOn
	}
	return nil
}

func TestNothingIsFreedInTheMiddleOfACall(t *testing.T) {
	debug := slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelDebug})
	log := &stopping{debug, make(chan struct{}), make(chan struct{})}
	client := open(t, spanspool.Config{Logger: slog.New(log), Settings: map[string]string{"exporter": "none"}})
	refused, closed := make(chan error, 1), make(chan error, 1)
	go func() { refused <- client.Enqueue([]byte("no object")) }()
	<-log.inside
	go func() { closed <- client.Close() }()
	select {
	case <-closed:
		t.Fatal("freed while a call is in it")
	case <-time.After(300 * time.Millisecond):
		// Only gives a wrong Close the time to show itself.
	}
	close(log.goOn)
	if err := <-refused; !errors.Is(err, spanspool.ErrInvalidItem) {
		t.Errorf("Enqueue: %v", err)
	}
	if err := <-closed; err != nil {
		t.Errorf("Close: %v", err)
	}
}
