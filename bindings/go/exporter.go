package spanspool

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
)

// An Exporter accepts finished traces and spans as values. It replaces an exporter that posts them to the ingest itself
// and gives up after a few tries. When its call returns nil, the items are durable, and it waited for no network. It
// may be used by any number of goroutines.
type Exporter struct {
	client *Client
}

// NewExporter makes an exporter that puts items into client. The caller still owns the client and shuts it down.
func NewExporter(client *Client) *Exporter { return &Exporter{client: client} }

// An ExportError says which item could not be exported. Those before it are stored; it and those after it are not.
type ExportError struct {
	// Index of the item among those given to Export, from 0.
	Index int
	Err   error
}

func (e *ExportError) Error() string { return fmt.Sprintf("item %d: %v", e.Index, e.Err) }

// Unwrap gives the reason, such as [ErrFull].
func (e *ExportError) Unwrap() error { return e.Err }

// Export stores items in their order. Each becomes one JSON object by [encoding/json], so a [json.Marshaler] is used;
// <, > and & are left as they are. A []byte and a [json.RawMessage] are JSON already and are sent as they are.
//
// It stops at the first item that fails, or before the next one when ctx is done, with an [*ExportError].
func (e *Exporter) Export(ctx context.Context, items ...any) error {
	for index, item := range items {
		if err := e.export(ctx, item); err != nil {
			return &ExportError{Index: index, Err: err}
		}
	}
	return nil
}

func (e *Exporter) export(ctx context.Context, item any) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	text, err := encode(item)
	if err != nil {
		return err
	}
	return e.client.Enqueue(text)
}

func encode(item any) ([]byte, error) {
	switch item := item.(type) {
	case []byte:
		return item, nil
	case json.RawMessage:
		return item, nil
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(item)
	return text.Bytes(), err
}
