package spanspool_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"spanspool.example/spanspool"
)

func Example() {
	// An ingest that accepts everything, and a folder for the spool.
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	dir, err := os.MkdirTemp("", "spool")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	client, err := spanspool.Open(spanspool.Config{
		SpoolDir:      dir,
		Endpoint:      server.URL,
		ScheduleDelay: time.Second,
		Logger:        slog.Default().With("part", "traces"),
	})
	if err != nil {
		log.Fatal(err) // says which setting is wrong, and what is allowed
	}
	defer client.Close()

	err = client.Enqueue([]byte(`{"object":"trace","id":"trace_0123456789abcdef0123456789abcdef"}`))
	switch {
	case errors.Is(err, spanspool.ErrFull):
		fmt.Println("no room; count it as lost, or try again later")
	case err != nil:
		fmt.Println(err)
	}

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := client.Flush(ctx); err != nil {
		fmt.Println(err) // what is left stays in the spool
	}
	stats, err := client.Stats()
	fmt.Println("delivered", stats.Delivered, "of", stats.Accepted, err)
	// Output: delivered 1 of 1 <nil>
}

func ExampleExporter() {
	dir, err := os.MkdirTemp("", "spool")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	client, err := spanspool.Open(spanspool.Config{SpoolDir: dir, Settings: map[string]string{"exporter": "none"}})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	type trace struct {
		Object string `json:"object"`
		ID     string `json:"id"`
	}
	err = spanspool.NewExporter(client).Export(context.Background(), trace{"trace", "trace_1"}, "no object")
	var failed *spanspool.ExportError
	if errors.As(err, &failed) {
		fmt.Println(failed.Index, failed.Err)
	}
	// Output: 1 spanspool: item is not a JSON object: it must begin with '{'
}
