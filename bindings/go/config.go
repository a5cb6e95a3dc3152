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
	"unsafe"
)

// A Config says where the spool is, where items go, and what the limits are. What is left out has the library's
// default. It may be used for any number of clients, one after another or at once.
type Config struct {
	// SpoolDir is the folder that keeps the items; it is made when absent. Required.
	SpoolDir string
	// Endpoint is the ingest that batches are posted to, an http:// or https:// URL.
	Endpoint string
	// APIKey is sent as "Authorization: Bearer". If empty, OPENAI_API_KEY is read when the client is opened. It is never
	// written to disk or to a log.
	APIKey string
	// Durability is what a nil error of Enqueue survives: "process", the death of the process, or "power", a power cut.
	Durability string
	// MaxSpoolBytes is the number of bytes on disk at most, of this process's lane.
	MaxSpoolBytes int64
	// Headers are further headers of every request.
	Headers map[string]string
	// Settings are all others by their names in the C header, such as "schedule_delay_ms": "1000".
	Settings map[string]string
	// Logger receives what the library has to say: an ingest that refuses, items set aside or dropped, at debug level why
	// a call failed. Without one nothing is said anywhere. Its handler is called on threads of the library's, several at
	// once, and must not call the client.
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
	}
	if c.MaxSpoolBytes != 0 {
		typed["max_spool_bytes"] = strconv.FormatInt(c.MaxSpoolBytes, 10)
	}
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

// open makes a handle of the library's. logger is the number of a cgo.Handle with a *slog.Logger, or 0.
func (c Config) open(logger cgo.Handle) (*C.spanspool, error) {
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
	var handle *C.spanspool
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

// explained makes an error of a status and the text that came with it.
func explained(status C.spanspool_status, why *C.char) error {
	if text := C.GoString(why); status != C.SPANSPOOL_OK && text != "" {
		return &Error{Status: Status(status), Message: text}
	}
	return failure(status)
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
