package otelspool

import (
	"context"
	"errors"

	sdklog "go.opentelemetry.io/otel/sdk/log"

	"spanspool.example/spanspool"
)

// A LogProcessor stores each record when its Emit returns. What can't be stored is told as by a [SpanProcessor].
type LogProcessor struct {
	*plug
}

// NewLogProcessor opens the spool in config.SpoolDir. It sets the exporter and the signal.
func NewLogProcessor(config spanspool.Config) (*LogProcessor, error) {
	plug, err := open(logs, config)
	if err != nil {
		return nil, err
	}
	return &LogProcessor{plug}, nil
}

// Enabled is always true.
func (p *LogProcessor) Enabled(context.Context, sdklog.EnabledParameters) bool { return true }

// OnEmit stores record. It does not return every error, see [SpanProcessor].
func (p *LogProcessor) OnEmit(_ context.Context, record *sdklog.Record) error {
	return p.store(logItem(&p.known, record))
}

// A LogExporter stores the records of a batch when its export returns, each as an item of its own. It is for programs
// that keep the SDK's batching processor: what that holds is lost with the process.
type LogExporter struct {
	*plug
}

// NewLogExporter opens the spool in config.SpoolDir. It sets the exporter and the signal.
func NewLogExporter(config spanspool.Config) (*LogExporter, error) {
	plug, err := open(logs, config)
	if err != nil {
		return nil, err
	}
	return &LogExporter{plug}, nil
}

// Export stores records. The error says how many could not be stored, and why the first could not; the others are.
// After Shutdown it is the SDK's ErrExporterShutdown.
func (e *LogExporter) Export(_ context.Context, records []sdklog.Record) error {
	var refused refused
	for i := range records {
		refused.add(logItem(&e.known, &records[i]).enqueue(e.client))
	}
	err := refused.err()
	if errors.Is(err, spanspool.ErrShutDown) {
		return sdklog.ErrExporterShutdown
	}
	return err
}
