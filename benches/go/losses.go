package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"spanspool.example/spanspool"
	"spanspool.example/spanspool/otelspool"
)

// How long a child lives. The SDK's batching processor exports every 5 seconds, and what is in it then.
const lifetime = 8 * time.Second

// losses prints how many spans are lost when the process is killed with SIGKILL: with the SDK's batching processor as
// it is by default, and with ours.
func losses() {
	for _, name := range []string{"stock", "ours"} {
		var arrived atomic.Int64
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			arrived.Add(spansIn(must(io.ReadAll(r.Body))))
			w.Header().Set("Content-Type", "application/x-protobuf")
		}))
		dir := must(os.MkdirTemp("", "spool"))
		defer os.RemoveAll(dir)
		ended := kill(exec.Command(must(os.Executable()), "child", name, dir, server.URL))
		if name == "ours" {
			// The next process.
			next := must(otelspool.NewSpanProcessor(spanspool.Config{SpoolDir: dir, Endpoint: server.URL}))
			if err := next.Shutdown(context.Background()); err != nil {
				log.Fatal(err)
			}
		}
		server.Close()
		// One more may have ended than the child had time to say.
		fmt.Printf("%-6s %6d ended, %6d arrived, %6d lost\n", name, ended, arrived.Load(), max(0, ended-arrived.Load()))
	}
}

// kill runs the child for its lifetime, and returns how many spans it says it ended.
func kill(child *exec.Cmd) (ended int64) {
	child.Stderr = os.Stderr
	output := must(child.StdoutPipe())
	if err := child.Start(); err != nil {
		log.Fatal(err)
	}
	time.AfterFunc(lifetime, func() { child.Process.Kill() })
	for lines := bufio.NewReader(output); ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			break
		}
		ended = must(strconv.ParseInt(line[:len(line)-1], 10, 64))
	}
	child.Wait()
	return ended
}

// endForEver ends about a thousand spans a second, and says how many it ended.
func endForEver(name, dir, endpoint string) {
	var option sdktrace.TracerProviderOption
	if name == "stock" {
		option = sdktrace.WithBatcher(must(otlptracehttp.New(context.Background(),
			otlptracehttp.WithEndpointURL(endpoint+"/v1/traces"))))
	} else {
		option = sdktrace.WithSpanProcessor(must(otelspool.NewSpanProcessor(
			spanspool.Config{SpoolDir: dir, Endpoint: endpoint})))
	}
	tracer := sdktrace.NewTracerProvider(option).Tracer("a scope")
	for n := 1; ; n++ {
		end(tracer)
		fmt.Println(n)
		time.Sleep(time.Millisecond)
	}
}

func spansIn(body []byte) (count int64) {
	var data tracepb.TracesData
	if err := proto.Unmarshal(body, &data); err != nil {
		log.Fatal(err)
	}
	for _, from := range data.ResourceSpans {
		for _, scope := range from.ScopeSpans {
			count += int64(len(scope.Spans))
		}
	}
	return count
}
