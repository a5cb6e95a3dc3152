package spanspool_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"spanspool.example/spanspool"
)

// lines is a buffer for a logger that many threads use while a test reads it.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *lines) logger(level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: level})).With("part", "traces")
}

func TestTheLibraryLogsToSlog(t *testing.T) {
	var all, few lines
	for said, level := range map[*lines]slog.Level{&all: slog.LevelDebug, &few: slog.LevelWarn} {
		answers := []int{http.StatusServiceUnavailable, http.StatusUnauthorized, http.StatusOK}
		in := newIngest(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(answers[0])
			answers = answers[1:]
		})
		config := spanspool.Config{
			SpoolDir: t.TempDir(), Endpoint: in.url, APIKey: "sk-secret", Logger: said.logger(level),
			ScheduleDelay: spanspool.NoWait, BaseDelay: time.Millisecond, MaxDelay: 20 * time.Millisecond,
		}
		client := open(t, config)
		enqueue(t, client, item("log", 0))
		// This one logs on the caller's own thread, in the middle of the call.
		if err := client.Enqueue([]byte("not JSON")); err == nil {
			t.Fatal("accepted")
		}
		in.waitFor(t, "the delivery", func([]string) bool { return stats(t, client).Delivered == 1 }, func() {})
		client.Close()
		said.logger(level).Info("after the end", "config", config)
	}
	has := func(said *lines, level, text string) bool {
		for _, line := range strings.Split(said.String(), "\n") {
			if strings.Contains(line, "level="+level) && strings.Contains(line, "part=traces") && strings.Contains(line, text) {
				return true
			}
		}
		return false
	}
	if !has(&all, "DEBUG", "spanspool_enqueue") || !has(&all, "WARN", "503") || !has(&all, "ERROR", "401") ||
		!has(&all, "INFO", "export of lane") {
		t.Errorf("not all that was to be said:\n%s", all.String())
	}
	if !has(&few, "WARN", "503") || strings.Contains(few.String(), "DEBUG") {
		t.Errorf("not what the level asks for:\n%s", few.String())
	}
	if strings.Contains(all.String()+few.String(), "sk-secret") {
		t.Error("the key is in the log")
	}
}

// panicking is a handler with a defect.
type panicking struct{ slog.Handler }

func (panicking) Enabled(context.Context, slog.Level) bool { return true }

func (panicking) Handle(context.Context, slog.Record) error { panic("a defect") }

func TestAHandlerThatPanicsCostsItsLine(t *testing.T) {
	client := open(t, spanspool.Config{SpoolDir: t.TempDir(), Endpoint: nowhere, Logger: slog.New(panicking{})})
	if err := client.Enqueue([]byte("not JSON")); !errors.Is(err, spanspool.ErrInvalidItem) {
		t.Error(err)
	}
	enqueue(t, client, item("log", 0))
	for range 2 {
		if err := client.Shutdown(within(t, 20*time.Millisecond)); !errors.Is(err, spanspool.ErrTimeout) {
			t.Error(err)
		}
	}
}

func TestAConfigShowsNoSecrets(t *testing.T) {
	config := spanspool.Config{
		SpoolDir: "/s", APIKey: "sk-secret", Headers: map[string]string{"X-Token": "secret too"},
		Settings: map[string]string{"project": "secret three"},
	}
	var said lines
	said.logger(slog.LevelInfo).LogAttrs(context.Background(), slog.LevelInfo, "config", slog.Any("c", config))
	fmt.Fprintf(&said, "%v %+v %#v %s %v", config, config, config, config, &config)
	if text := said.String(); strings.Contains(text, "secret") || strings.Count(text, "header.X-Token") != 6 {
		t.Error(text)
	}
}
