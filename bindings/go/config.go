package spanspool

// #include <spanspool.h>
// #include <stdlib.h>
//
// spanspool_status spanspool_go_set_log(spanspool_config *config, uintptr_t handle);
import "C"

import (
	"fmt"
	"log/slog"
	"maps"
	"runtime/cgo"
	"slices"
	"strconv"
	"strings"
	"time"
	"unsafe"
)

// NoWait stands for no time at all in a duration of [Config], where 0 stands for the default. It is allowed for
// ScheduleDelay (every item is sent at once) and EnqueueTimeout.
const NoWait time.Duration = -1

// A Config says where the spool is, where items go, and what the limits are. What is left at its zero value has the
// library's default. A config may be used for any number of clients, one after another or at once.
//
// Durations are whole milliseconds, MaxAge whole seconds; anything finer is an [ErrInvalidArgument].
type Config struct {
	// SpoolDir is the folder that keeps the items. It is made when absent. Required.
	SpoolDir string
	// Endpoint is the ingest that batches are posted to, an http:// or https:// URL.
	Endpoint string
	// APIKey is sent as "Authorization: Bearer". If empty, OPENAI_API_KEY is read when the client is opened. It is
	// never written to disk or to a log.
	APIKey string
	// Durability is what a nil error of Enqueue survives: "process", the death of the process, or "power", a power cut.
	Durability string
	// MaxSpoolBytes limits the bytes on disk of this client's lane.
	MaxSpoolBytes int64

	// ScheduleDelay is the longest wait before a batch that is not full is sent.
	ScheduleDelay time.Duration
	// EnqueueTimeout is the longest that Enqueue waits for room in the journal.
	EnqueueTimeout time.Duration
	// ConnectTimeout is the longest wait for a connection.
	ConnectTimeout time.Duration
	// RequestTimeout is the longest wait for a whole request.
	RequestTimeout time.Duration
	// BaseDelay is the first backoff after a failed attempt. It doubles from there, up to MaxDelay.
	BaseDelay time.Duration
	// MaxDelay is the longest backoff, and the time between probes on hold.
	MaxDelay time.Duration
	// MaxAge drops older pending items, and counts them as expired.
	MaxAge time.Duration
	// SyncInterval is the longest time that accepted items wait for stable storage, with Durability "process".
	SyncInterval time.Duration
	// Adopt says which lanes of dead processes are delivered: "same", those of this exporter and endpoint and of exporter
	// "none", or "any", all.
	Adopt string
	// AdoptInterval is how often the lanes of dead processes are searched for.
	AdoptInterval time.Duration

	// Headers are further headers of every request.
	Headers map[string]string
	// Settings are all others by their names in the C header, such as "overflow": "drop_oldest".
	Settings map[string]string
	// Logger receives the library's log: an ingest that refuses, items set aside or dropped, and at debug level why a
	// call failed. Without one nothing is logged. Its handler is called on the library's threads, several at once, and
	// must not call the client. If it panics, the line is lost.
	Logger *slog.Logger
}

// String names what is set, without values: some of them are secret.
func (c Config) String() string {
	settings, err := c.settings()
	if err != nil {
		return "spanspool.Config{" + err.Error() + "}"
	}
	return "spanspool.Config{" + strings.Join(slices.Sorted(maps.Keys(settings)), " ") + "}"
}

// GoString is String: %#v shows no secrets either.
func (c Config) GoString() string { return c.String() }

// LogValue is String, for slog.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// settings are all that are set, by their names in C.
func (c Config) settings() (map[string]string, error) {
	all := maps.Clone(c.Settings)
	if all == nil {
		all = make(map[string]string)
	}
	typed := map[string]string{
		"spool_dir": c.SpoolDir, "endpoint": c.Endpoint, "api_key": c.APIKey, "durability": c.Durability,
		"adopt": c.Adopt,
	}
	if c.MaxSpoolBytes != 0 {
		typed["max_spool_bytes"] = strconv.FormatInt(c.MaxSpoolBytes, 10)
	}
	durations, err := c.durations()
	if err != nil {
		return nil, err
	}
	maps.Copy(typed, durations)
	for name, value := range c.Headers {
		typed["header."+name] = value
	}
	for name, value := range typed {
		if value == "" && !strings.HasPrefix(name, "header.") {
			continue
		}
		if _, twice := all[name]; twice {
			return nil, invalid("%s is set twice, by its field and in Settings", name)
		}
		all[name] = value
	}
	return all, nil
}

// durations are the settings that are durations, by their names in C, as texts; empty for the default.
func (c Config) durations() (map[string]string, error) {
	texts := make(map[string]string)
	for _, d := range []struct {
		field string
		name  string
		value time.Duration
		unit  time.Duration
	}{
		{"ScheduleDelay", "schedule_delay_ms", c.ScheduleDelay, time.Millisecond},
		{"EnqueueTimeout", "enqueue_timeout_ms", c.EnqueueTimeout, time.Millisecond},
		{"ConnectTimeout", "connect_timeout_ms", c.ConnectTimeout, time.Millisecond},
		{"RequestTimeout", "request_timeout_ms", c.RequestTimeout, time.Millisecond},
		{"BaseDelay", "base_delay_ms", c.BaseDelay, time.Millisecond},
		{"MaxDelay", "max_delay_ms", c.MaxDelay, time.Millisecond},
		{"MaxAge", "max_age_s", c.MaxAge, time.Second},
		{"SyncInterval", "sync_interval_ms", c.SyncInterval, time.Millisecond},
		{"AdoptInterval", "adopt_interval_ms", c.AdoptInterval, time.Millisecond},
	} {
		switch {
		case d.value == 0:
		case d.value == NoWait && d.field == "MaxAge":
			return nil, invalid("MaxAge can't be NoWait; 0 keeps items for ever")
		case d.value == NoWait:
			texts[d.name] = "0"
		case d.value < 0:
			return nil, invalid("%s is negative: %v", d.field, d.value)
		case d.value%d.unit != 0:
			return nil, invalid("%s is %v; it must be a multiple of %v", d.field, d.value, d.unit)
		default:
			texts[d.name] = strconv.FormatInt(int64(d.value/d.unit), 10)
		}
	}
	return texts, nil
}

// open makes a handle of the library. logger is the number of a cgo.Handle with a *slog.Logger, or 0.
func (c Config) open(logger cgo.Handle) (*C.spanspool_client, error) {
	settings, err := c.settings()
	if err != nil {
		return nil, err
	}
	config := C.spanspool_config_new()
	defer C.spanspool_config_free(config)
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if err := set(config, name, settings[name]); err != nil {
			return nil, err
		}
	}
	if logger != 0 {
		if err := failure(C.spanspool_go_set_log(config, C.uintptr_t(logger))); err != nil {
			return nil, err
		}
	}
	var why [1024]C.char
	var handle *C.spanspool_client
	status := C.spanspool_init(config, &handle, &why[0], C.size_t(len(why)))
	return handle, explained(status, &why[0])
}

func set(config *C.spanspool_config, name, value string) error {
	key, err := cText("the name of a setting", name)
	if err != nil {
		return err
	}
	defer C.free(unsafe.Pointer(key))
	text, err := cText("the setting "+name, value)
	if err != nil {
		return err
	}
	defer C.free(unsafe.Pointer(text))
	var why [1024]C.char
	return explained(C.spanspool_config_set(config, key, text, &why[0], C.size_t(len(why))), &why[0])
}

// cText is value as a C string, to be freed. C would take a NUL inside for its end and act on half of it.
func cText(what, value string) (*C.char, error) {
	if strings.Contains(value, "\x00") {
		return nil, invalid("%s has a NUL character in it", what)
	}
	return C.CString(value), nil
}

func invalid(format string, arguments ...any) error {
	return &Error{Status: ErrInvalidArgument, Message: fmt.Sprintf(format, arguments...)}
}
