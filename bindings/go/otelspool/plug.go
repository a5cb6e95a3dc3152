package otelspool

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"go.opentelemetry.io/otel"

	"spanspool.example/spanspool"
)

// How long a flush or a shutdown waits whose context has no deadline. It is OTLP's default for a request.
const patience = 10 * time.Second

// A plug is what every processor and exporter has: the client of one signal.
type plug struct {
	client *spanspool.Client
	known  envelopes
	losses losses
}

// A signal is one of OTLP's three, and what the SDK's own exporter of it does with a resource without attributes and
// with a scope without anything: it sends a message without contents, or none.
type signal struct {
	name                      string
	emptyResource, emptyScope bool
}

var (
	traces  = signal{name: "traces", emptyResource: true}
	logs    = signal{name: "logs"}
	metrics = signal{name: "metrics", emptyResource: true, emptyScope: true}
)

// open opens a client for one signal, with the settings of config.
func open(signal signal, config spanspool.Config) (*plug, error) {
	config.Settings = maps.Clone(config.Settings)
	if config.Settings == nil {
		config.Settings = make(map[string]string)
	}
	for name, value := range map[string]string{"exporter": "otlp", "signal": signal.name} {
		if other, set := config.Settings[name]; set && other != value {
			return nil, &spanspool.Error{
				Status:  spanspool.ErrInvalidArgument,
				Message: fmt.Sprintf("%s is %q; here it must be %q, or left out", name, other, value),
			}
		}
		config.Settings[name] = value
	}
	if !namesUserAgent(config) {
		version := spanspool.Version()
		config.Settings["header.User-Agent"] = fmt.Sprintf(
			"spanspool-otelspool/%[1]s spanspool/%[1]s OTel-OTLP-Exporter-Go/%[1]s", version)
	}
	client, err := spanspool.Open(config)
	if err != nil {
		return nil, err
	}
	return &plug{client: client, known: envelopes{signal: signal}}, nil
}

func namesUserAgent(config spanspool.Config) bool {
	for name := range config.Headers {
		if strings.EqualFold(name, "User-Agent") {
			return true
		}
	}
	for name := range config.Settings {
		if strings.EqualFold(name, "header.User-Agent") {
			return true
		}
	}
	return false
}

// Client is what the records are stored with: for its counters, its keys, or to wake it. Shutdown shuts it down.
func (p *plug) Client() *spanspool.Client { return p.client }

// ForceFlush sends at once and waits until every record stored before was delivered or rejected, or until ctx is done,
// for at most 10 seconds if it has no deadline. Then the error is [spanspool.ErrTimeout] and ctx.Err(), and what is
// left stays in the spool. After Shutdown it does nothing.
func (p *plug) ForceFlush(ctx context.Context) error {
	ctx, cancel := withPatience(ctx)
	defer cancel()
	if err := p.client.Flush(ctx); !errors.Is(err, spanspool.ErrShutDown) {
		return err
	}
	return nil
}

// Shutdown accepts no more records, delivers until ctx is done, for at most 10 seconds if it has no deadline, and stops
// the client. With [spanspool.ErrTimeout] nothing is lost: what is left stays in the spool for the next process. A
// second Shutdown waits for the first and returns the same.
func (p *plug) Shutdown(ctx context.Context) error {
	ctx, cancel := withPatience(ctx)
	defer cancel()
	err := p.client.Shutdown(ctx)
	if lost := p.losses.untold(); lost != nil {
		otel.Handle(lost)
	}
	return err
}

// withPatience is ctx with a deadline.
func withPatience(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, patience)
}

// store stores a record that a processor was given. The error is what to say of it, if anything.
func (p *plug) store(item *item) error { return p.losses.of(item.enqueue(p.client)) }
