package spanspool_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"spanspool.example/spanspool"
)

func header(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../include/spanspool.h")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// statuses are the errors of the package by their names in C.
var statuses = map[string]spanspool.Status{
	"INVALID_ARGUMENT": spanspool.ErrInvalidArgument,
	"INVALID_ITEM":     spanspool.ErrInvalidItem,
	"ITEM_TOO_LARGE":   spanspool.ErrItemTooLarge,
	"UNKNOWN_SETTING":  spanspool.ErrUnknownSetting,
	"FULL":             spanspool.ErrFull,
	"TIMEOUT":          spanspool.ErrTimeout,
	"SHUT_DOWN":        spanspool.ErrShutDown,
	"IO":               spanspool.ErrIO,
	"CORRUPT":          spanspool.ErrCorrupt,
	"LOCKED":           spanspool.ErrLocked,
	"INTERNAL":         spanspool.ErrInternal,
}

func TestEveryStatusOfTheHeaderIsAnError(t *testing.T) {
	found := regexp.MustCompile(`SPANSPOOL_ERR_(\w+) = (\d+)`).FindAllStringSubmatch(header(t), -1)
	if len(found) != len(statuses) {
		t.Errorf("%d in the header, %d here", len(found), len(statuses))
	}
	texts := make(map[string]bool)
	for _, status := range found {
		number, _ := strconv.Atoi(status[2])
		here, known := statuses[status[1]]
		if !known || int(here) != number {
			t.Errorf("%s = %d is %d here", status[1], number, here)
		}
		var err error = &spanspool.Error{Status: here, Message: "some text"}
		if !errors.Is(err, here) || err.Error() != "spanspool: some text" {
			t.Errorf("%v is not %v", err, here)
		}
		texts[here.Error()] = true
	}
	if len(texts) != len(found) || texts[spanspool.Status(77).Error()] {
		t.Errorf("not a phrase for each: %v", texts)
	}
}

func TestEveryCounterOfTheHeaderIsInStats(t *testing.T) {
	_, after, _ := strings.Cut(header(t), "typedef struct spanspool_stats {")
	body, _, _ := strings.Cut(after, "}")
	fields := regexp.MustCompile(`uint64_t (\w+);`).FindAllStringSubmatch(body, -1)
	kind := reflect.TypeFor[spanspool.Stats]()
	if len(fields) < 15 || len(fields) != kind.NumField() {
		t.Fatalf("%d in the header, %d here", len(fields), kind.NumField())
	}
	for at, field := range fields {
		// A duration needs no unit in its name.
		want := strings.ReplaceAll(strings.TrimSuffix(field[1], "_ms"), "_", "")
		if got := kind.Field(at).Name; !strings.EqualFold(got, want) {
			t.Errorf("%s is where the header has %s", got, field[1])
		}
	}
	if age := reflect.TypeFor[time.Duration](); kind.Field(9).Type != age {
		t.Errorf("%s is no duration", kind.Field(9).Name)
	}
}

func TestEveryExportStateOfTheHeaderHasAName(t *testing.T) {
	found := regexp.MustCompile(`SPANSPOOL_EXPORT_(\w+) = (\d+)`).FindAllStringSubmatch(header(t), -1)
	if len(found) < 4 {
		t.Fatalf("%d in the header", len(found))
	}
	for _, state := range found {
		number, _ := strconv.ParseUint(state[2], 10, 64)
		if got := spanspool.ExportState(number).String(); got != strings.ToLower(state[1]) {
			t.Errorf("%s = %d is %q here", state[1], number, got)
		}
	}
	if got := spanspool.ExportState(77).String(); got != "ExportState(77)" {
		t.Error(got)
	}
}

func TestDurationsThatDoNotFitAreErrors(t *testing.T) {
	for text, config := range map[string]spanspool.Config{
		"ScheduleDelay is 1.5ms; it must be a multiple of 1ms": {ScheduleDelay: 1500 * time.Microsecond},
		"MaxAge is 1.5s; it must be a multiple of 1s":          {MaxAge: 1500 * time.Millisecond},
		"MaxAge can't be NoWait":                               {MaxAge: spanspool.NoWait},
		"BaseDelay is negative: -1s":                           {BaseDelay: -time.Second},
		"connect_timeout_ms='0'":                               {ConnectTimeout: spanspool.NoWait},
		"1 to 86400000":                                        {RequestTimeout: 2_000_000 * time.Hour},
		"adopt is set twice":                                   {Adopt: "any", Settings: map[string]string{"adopt": "any"}},
		"adopt_interval_ms is set twice": {
			AdoptInterval: time.Second, Settings: map[string]string{"adopt_interval_ms": "1000"},
		},
	} {
		config.SpoolDir = t.TempDir()
		client, err := spanspool.Open(config)
		if client != nil || !errors.Is(err, spanspool.ErrInvalidArgument) || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestEveryDurationIsASetting(t *testing.T) {
	config := spanspool.Config{Settings: map[string]string{"exporter": "none"}}
	set := reflect.ValueOf(&config).Elem()
	durations := 0
	for at := range set.NumField() {
		if field := set.Field(at); field.Type() == reflect.TypeFor[time.Duration]() {
			field.Set(reflect.ValueOf(2 * time.Second))
			durations++
		}
	}
	// All of them reach the library, which accepts them, and the text names each.
	text := open(t, config)
	names := regexp.MustCompile(`\w+_(ms|s)\b`).FindAllString(config.String(), -1)
	if text == nil || durations != 9 || len(names) != durations {
		t.Errorf("%d durations, %q", durations, names)
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	settings := func(name, value string) spanspool.Config {
		return spanspool.Config{SpoolDir: dir, Settings: map[string]string{name: value}}
	}
	for name, c := range map[string]struct {
		config spanspool.Config
		status spanspool.Status
		text   string
	}{
		"no folder":      {spanspool.Config{}, spanspool.ErrInvalidArgument, "spool_dir"},
		"unknown":        {settings("shelf_life", "3"), spanspool.ErrUnknownSetting, "shelf_life"},
		"bad value":      {settings("jitter", "7"), spanspool.ErrInvalidArgument, "0 to 1"},
		"bad endpoint":   {spanspool.Config{SpoolDir: dir, Endpoint: "not a url"}, spanspool.ErrInvalidArgument, "'not a url'"},
		"bad durability": {spanspool.Config{SpoolDir: dir, Durability: "much"}, spanspool.ErrInvalidArgument, "process, power"},
		"bad adoption":   {spanspool.Config{SpoolDir: dir, Adopt: "some"}, spanspool.ErrInvalidArgument, "same, any"},
		"negative":       {spanspool.Config{SpoolDir: dir, MaxSpoolBytes: -1}, spanspool.ErrInvalidArgument, "max_spool_bytes"},
		"NUL in a value": {spanspool.Config{SpoolDir: dir + "\x00more"}, spanspool.ErrInvalidArgument, "NUL"},
		"NUL in a name":  {settings("jitter\x00", "0"), spanspool.ErrInvalidArgument, "NUL"},
		"set twice":      {settings("spool_dir", dir), spanspool.ErrInvalidArgument, "twice"},
		"a file, no dir": {spanspool.Config{SpoolDir: file}, spanspool.ErrIO, file},
		"a bad header":   {spanspool.Config{SpoolDir: dir, Headers: map[string]string{"Host": "x"}}, spanspool.ErrInvalidArgument, "host"},
	} {
		client, err := spanspool.Open(c.config)
		if client != nil || !errors.Is(err, c.status) || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(c.text)) {
			t.Errorf("%s: %v", name, err)
		}
		var detail *spanspool.Error
		if !errors.As(err, &detail) || detail.Status != c.status {
			t.Errorf("%s: not an Error of this status: %#v", name, err)
		}
	}
}

func TestEnqueueSaysWhatIsWrong(t *testing.T) {
	client := open(t, spanspool.Config{Settings: map[string]string{
		"exporter": "none", "max_queue_size": "1", "max_item_bytes": "1 KiB",
	}, EnqueueTimeout: spanspool.NoWait})
	check := func(what string, err error, status spanspool.Status) {
		t.Helper()
		// The text says more than the phrase of the status does.
		if !errors.Is(err, status) || !strings.HasPrefix(err.Error(), "spanspool: ") || strings.HasSuffix(err.Error(), status.Error()) {
			t.Errorf("%s: %v", what, err)
		}
		for _, other := range statuses {
			if other != status && errors.Is(err, other) {
				t.Errorf("%s: it is also %v", what, other)
			}
		}
	}
	check("nil", client.Enqueue(nil), spanspool.ErrInvalidItem)
	check("empty", client.Enqueue([]byte{}), spanspool.ErrInvalidItem)
	check("an array", client.Enqueue([]byte("[]")), spanspool.ErrInvalidItem)
	check("not UTF-8", client.Enqueue([]byte("{\"a\":\"\xff\"}")), spanspool.ErrInvalidItem)
	long := []byte(item(strings.Repeat("x", 1024), 0))
	check("long", client.Enqueue(long), spanspool.ErrItemTooLarge)
	numbers := fmt.Sprintf("item of %d bytes is over max_item_bytes=1024", len(long))
	if err := client.Enqueue(long); !strings.Contains(err.Error(), numbers) {
		t.Errorf("not %q: %v", numbers, err)
	}
	check("no name", client.EnqueueAs("", []byte(item("a", 0))), spanspool.ErrInvalidArgument)
	check("a long name", client.EnqueueAs(strings.Repeat("x", 256), []byte(item("a", 0))), spanspool.ErrInvalidArgument)
	check("no key", client.SetAPIKey(""), spanspool.ErrInvalidArgument)
	enqueue(t, client, item("fits", 0))
	full := client.Enqueue([]byte(item("over", 0)))
	check("no room", full, spanspool.ErrFull)
	if !strings.Contains(full.Error(), "max_queue_size") {
		t.Errorf("which limit? %v", full)
	}
	for _, err := range []error{
		client.EnqueueAs("a\x00b", []byte(item("a", 0))), client.SetAPIKey("a\x00b"),
		client.SetNamedKey("a\x00b", "c"), client.SetNamedKey("a", "b\x00c"),
	} {
		if !errors.Is(err, spanspool.ErrInvalidArgument) || !strings.Contains(err.Error(), "NUL") {
			t.Error(err)
		}
	}
	if s := stats(t, client); s.Accepted != 1 {
		t.Errorf("%+v", s)
	}
}
