package spanspool

// #include "call.h"
import "C"

import (
	"context"
	"runtime"
	"runtime/cgo"
	"unsafe"
)

// A Client is an open spool, and the native threads that deliver from it. Its methods may be called by any number of
// goroutines at once. After [Client.Shutdown] they return [ErrShutDown], except for [Client.Stats].
//
// A client that becomes unreachable is closed as by [Client.Close]. That is a safety net: the runtime promises neither
// when nor whether it does so.
type Client struct {
	spool *spool
}

// Open opens the spool in config.SpoolDir, takes over what dead processes left in it, and begins to deliver.
// OPENAI_API_KEY, OPENAI_ORG_ID and OPENAI_PROJECT_ID are read here, with exporter=otlp the variables of OpenTelemetry.
//
// The error says what was wrong and what is allowed:
//   - [ErrUnknownSetting] or [ErrInvalidArgument] for a setting
//   - [ErrIO] when the folder can't be made, written or filled up to journal_bytes
//   - [ErrInvalidArgument] when the library has another version than the header that the program was built with
func Open(config Config) (*Client, error) {
	if err := checkVersion(); err != nil {
		return nil, err
	}
	opened := &spool{closed: make(chan struct{})}
	if config.Logger != nil {
		opened.logger = cgo.NewHandle(config.Logger)
	}
	var err error
	if opened.handle, err = config.open(opened.logger); err != nil {
		opened.forgetLogger()
		return nil, err
	}
	client := &Client{spool: opened}
	// In a goroutine of its own: a request under way can delay it, and other finalisers would have to wait.
	runtime.SetFinalizer(client, func(client *Client) { go client.spool.close() })
	return client, nil
}

// Enqueue accepts one item: a JSON object in UTF-8, or with the setting exporter=otlp the protobuf bytes of one export
// request. The item is copied, and sent as it is. When Enqueue returns nil the
// item is durable as [Config].Durability says. It will be delivered by this process or by the next one on the same
// SpoolDir. Enqueue waits for no network, and for the disk at most EnqueueTimeout. It allocates nothing unless it
// fails.
//
// On an error ([ErrInvalidItem], [ErrItemTooLarge], [ErrFull], [ErrIO], [ErrShutDown]) nothing was stored. One
// exception: with Durability "power" an item that could not be synced (ErrIO) may still be delivered.
func (c *Client) Enqueue(item []byte) error {
	defer runtime.KeepAlive(c)
	if !c.spool.enter() {
		return shutDown()
	}
	defer c.spool.mu.RUnlock()
	return failed(C.spanspool_go_enqueue(c.spool.handle, chars(item), C.size_t(len(item))))
}

// EnqueueAs is Enqueue for an item that is to be sent with the key that [Client.SetNamedKey] gives under name, before
// or after this call. The spool keeps the name, never the key. Items whose turn comes are set aside in the rejected
// store, with the reason no_key:NAME if no key has that name, or key_refused:NAME if the ingest answers the key with 401
// or 403. They are sent as soon as any client of the same destination in this spool sets the key. name has 1 to 255
// bytes, else the error is [ErrInvalidArgument].
func (c *Client) EnqueueAs(name string, item []byte) error {
	defer runtime.KeepAlive(c)
	text, err := cText("the name of a key", name)
	if err != nil {
		return err
	}
	defer C.free(unsafe.Pointer(text))
	return c.spool.use(func(handle *C.spanspool_client) C.spanspool_go_outcome {
		return C.spanspool_go_enqueue_as(handle, text, chars(item), C.size_t(len(item)))
	})
}

// chars is the memory of item as C wants it. The library copies it during the call and keeps no pointer.
//
// The functions that take it must not be marked `#cgo noescape`: they may log, and that runs Go code, which may move
// the stack.
func chars(item []byte) *C.char { return (*C.char)(unsafe.Pointer(unsafe.SliceData(item))) }

// Flush sends at once, also during a backoff or a hold, and waits until every item enqueued before was delivered or
// rejected, or until ctx is done.
//
// When ctx is done first, the error is both [ErrTimeout] and ctx.Err(). What is left stays in the spool and is
// delivered later. A wait that was given up keeps a thread for up to 30 seconds.
func (c *Client) Flush(ctx context.Context) error {
	defer runtime.KeepAlive(c)
	if c.spool.closing.Load() {
		return shutDown()
	}
	return c.spool.settle(ctx)
}

// Sync waits until every item enqueued before is on stable storage, so that a power cut can't take it.
func (c *Client) Sync() error {
	defer runtime.KeepAlive(c)
	return c.spool.use(func(handle *C.spanspool_client) C.spanspool_go_outcome { return C.spanspool_go_sync(handle) })
}

// Pause sends nothing until Wake: items are taken and durable as before, but no request begins. Meanwhile Flush waits as
// in an outage, for Wake or ctx. Shutdown does not wait: no call can end the pause after it.
func (c *Client) Pause() error {
	defer runtime.KeepAlive(c)
	c.spool.paused.Store(true)
	return c.spool.use(func(handle *C.spanspool_client) C.spanspool_go_outcome { return C.spanspool_go_pause(handle) })
}

// Wake says that the network is back: it ends a pause, a backoff or a hold and tries now. It does not wait.
func (c *Client) Wake() error {
	defer runtime.KeepAlive(c)
	c.spool.paused.Store(false)
	return c.spool.use(func(handle *C.spanspool_client) C.spanspool_go_outcome { return C.spanspool_go_wake(handle) })
}

// SetAPIKey replaces the API key and tries at once what was waiting for one. The key is kept in memory only.
func (c *Client) SetAPIKey(key string) error {
	defer runtime.KeepAlive(c)
	text, err := cText("the API key", key)
	if err != nil {
		return err
	}
	defer C.free(unsafe.Pointer(text))
	return c.spool.use(func(handle *C.spanspool_client) C.spanspool_go_outcome {
		return C.spanspool_go_set_api_key(handle, text)
	})
}

// SetNamedKey sets the key for items that were enqueued under name. Those set aside as no_key:NAME or key_refused:NAME,
// by any process of this spool with the same destination, go back on their way in the background; [Client.Flush] waits
// for that. The key is kept in memory only: a new process has to set it again.
func (c *Client) SetNamedKey(name, key string) error {
	defer runtime.KeepAlive(c)
	nameText, err := cText("the name of a key", name)
	if err != nil {
		return err
	}
	defer C.free(unsafe.Pointer(nameText))
	keyText, err := cText("the API key", key)
	if err != nil {
		return err
	}
	defer C.free(unsafe.Pointer(keyText))
	return c.spool.use(func(handle *C.spanspool_client) C.spanspool_go_outcome {
		return C.spanspool_go_set_named_key(handle, nameText, keyText)
	})
}

// Stats reads the counters as they are now. After [Client.Shutdown] they are those at its end.
func (c *Client) Stats() (Stats, error) {
	defer runtime.KeepAlive(c)
	return c.spool.stats()
}

// Shutdown accepts no more items, delivers until ctx is done, stops the threads and frees everything. Calls in other
// goroutines end soon. A second Shutdown waits for the first and returns the same.
//
// It returns nil when all was delivered or rejected, and [ErrTimeout] when items stay in the spool for the next client.
// With a ctx that is never done it waits as long as the ingest is away.
func (c *Client) Shutdown(ctx context.Context) error {
	defer runtime.KeepAlive(c)
	return c.spool.shutdown(ctx)
}

// Close is Shutdown with no time for delivering: what is pending stays in the spool. After Shutdown it changes nothing.
func (c *Client) Close() error {
	defer runtime.KeepAlive(c)
	return c.spool.close()
}
