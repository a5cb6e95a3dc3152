// Service: an HTTP service that records a trace and a span for each request, and ends gracefully on SIGTERM.
package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"spanspool.example/spanspool"
)

type object = map[string]any

// traced records each request that next answers.
func traced(exporter *spanspool.Exporter, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		started := time.Now().UTC()
		next.ServeHTTP(w, r)
		id := make([]byte, 28)
		rand.Read(id)
		trace, span := "trace_"+hex.EncodeToString(id[:16]), "span_"+hex.EncodeToString(id[16:])
		// No r.Context(): that ends when the caller goes away, and the span is wanted all the same.
		err := exporter.Export(context.Background(),
			object{"object": "trace", "id": trace, "workflow_name": "service", "group_id": nil, "metadata": nil},
			object{"object": "trace.span", "id": span, "trace_id": trace, "parent_id": nil,
				"started_at": started, "ended_at": time.Now().UTC(), "error": nil,
				"span_data": object{"type": "custom", "name": r.Method, "data": object{"path": r.URL.Path}}})
		if err != nil {
			slog.Error("a request goes unrecorded", "error", err) // such as spanspool.ErrFull
		}
	})
}

func run(spoolDir, endpoint string) error {
	client, err := spanspool.Open(spanspool.Config{SpoolDir: spoolDir, Endpoint: endpoint, Logger: slog.Default()})
	if err != nil {
		return err
	}
	defer client.Close()

	hello := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "hello from", r.URL.Path) })
	server := &http.Server{Handler: traced(spanspool.NewExporter(client), hello)}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	stop, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	fmt.Println("listening on", listener.Addr())
	select {
	case err := <-failed:
		return err
	case <-stop.Done():
	}

	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil { // finishes the answers under way
		slog.Error("stopping", "error", err)
	}
	if err := client.Shutdown(ctx); err != nil {
		fmt.Println(err)
		return nil // nothing is lost: the next run delivers it
	}
	fmt.Println("all delivered")
	return nil
}

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: service SPOOL_DIR ENDPOINT")
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}
