package otelspool_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/log"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"spanspool.example/spanspool"
	"spanspool.example/spanspool/otelspool"
)

// The test program is its own child, too. This environment variable has the folder of its spool then.
const childsSpool = "OTELSPOOL_TEST_CHILD"

func TestMain(m *testing.M) {
	dir := os.Getenv(childsSpool)
	if dir == "" {
		os.Exit(m.Run())
	}
	recordForEver(dir)
}

// recordForEver prints the number of each span and record once its End and Emit have returned.
func recordForEver(dir string) {
	config := spanspool.Config{SpoolDir: dir, Endpoint: nowhere}
	spans, err := otelspool.NewSpanProcessor(config)
	if err != nil {
		fmt.Println(err)
		return
	}
	records, err := otelspool.NewLogProcessor(config)
	if err != nil {
		fmt.Println(err)
		return
	}
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)).Tracer("killed")
	logger := sdklog.NewLoggerProvider(sdklog.WithProcessor(records)).Logger("killed")
	for n := 0; ; n++ {
		ctx, span := tracer.Start(context.Background(), fmt.Sprint(n))
		var record log.Record
		record.SetEventName(fmt.Sprint(n))
		logger.Emit(ctx, record)
		span.End()
		fmt.Println(n, "ended")
	}
}

func TestWhatAKilledProcessHadEndedArrives(t *testing.T) {
	dir := t.TempDir()
	process := exec.Command(os.Args[0])
	process.Env = append(os.Environ(), childsSpool+"="+dir)
	process.Stderr = os.Stderr
	output, err := process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	ended := 0
	for lines := bufio.NewScanner(output); lines.Scan(); {
		// The last line may have been cut by the kill.
		if strings.HasSuffix(lines.Text(), "ended") {
			ended++
		}
		if ended == 1000 {
			if err := process.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := process.Wait(); err == nil || ended < 1000 {
		t.Fatalf("the child ended by itself: %v, %d", err, ended)
	}

	in := newReceiver(t)
	config := spanspool.Config{SpoolDir: dir, Endpoint: in.url, Adopt: "any"}
	spans := made[*otelspool.SpanProcessor](t)(otelspool.NewSpanProcessor(config))
	if err := spans.Shutdown(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	for n, each := range in.spans(t) {
		if got := each.ScopeSpans[0].Spans[0].Name; got != fmt.Sprint(n) {
			t.Fatalf("number %d is %q", n, got)
		}
	}
	if count := len(in.spans(t)); count < ended {
		t.Errorf("%d ended, %d came", ended, count)
	}

	other := newReceiver(t)
	config.Endpoint = other.url
	records := made[*otelspool.LogProcessor](t)(otelspool.NewLogProcessor(config))
	if err := records.Shutdown(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	if count := len(other.logs(t)); count < ended {
		t.Errorf("%d ended, %d records came", ended, count)
	}
	t.Logf("%d ended in a child that was killed", ended)
}
