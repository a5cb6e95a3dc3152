package otelspool

import (
	"sync"

	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/resource"
	"google.golang.org/protobuf/encoding/protowire"
)

// An envelope is what an export request has around the records of one scope, as bytes. The three signals have the same
// form and the same numbers of fields.
type envelope struct {
	resource    []byte // the field of the message of the resource
	scope       []byte // the field of the message of the scope
	scopeURL    []byte // their schema URLs
	resourceURL []byte
}

// The fields of ResourceSpans and ScopeSpans, and their kin.
const (
	fieldResources number = 1
	fieldInside    number = 1
	fieldScopes    number = 2
	fieldRecords   number = 2
	fieldSchemaURL number = 3
)

// room is how many bytes may stand before the records: two tags and lengths and what is known.
func (e *envelope) room() int {
	return len(e.resource) + len(e.scope) + 2*(1+protowire.SizeVarint(1<<63))
}

// close finishes b, which has room and then records, and returns the request in it and b, which may have moved.
func (e *envelope) close(b []byte) (request, moved []byte) {
	room := e.room()
	inScope := uint64(len(e.scope) + len(b) - room + len(e.scopeURL))
	inResource := uint64(len(e.resource)+1+protowire.SizeVarint(inScope)+len(e.resourceURL)) + inScope
	b = append(b, e.scopeURL...)
	b = append(b, e.resourceURL...)
	head := 2 + protowire.SizeVarint(inResource) + protowire.SizeVarint(inScope) + len(e.resource) + len(e.scope)
	request = b[room-head:]
	front := protowire.AppendTag(request[:0], fieldResources, protowire.BytesType)
	front = protowire.AppendVarint(front, inResource)
	front = append(front, e.resource...)
	front = protowire.AppendTag(front, fieldScopes, protowire.BytesType)
	front = protowire.AppendVarint(front, inScope)
	_ = append(front, e.scope...)
	return request, b
}

// Envelopes are those met so far. Making one takes longer than making a span.
type envelopes struct {
	signal signal
	mu     sync.RWMutex
	known  map[origin]*envelope
}

// An origin is where a record comes from. The resource is kept, so its address stays its own.
type origin struct {
	resource *resource.Resource
	scope    instrumentation.Scope
}

// More than a program has. It is a limit for those that make scopes as they go.
const mostEnvelopes = 256

func (e *envelopes) of(resource *resource.Resource, scope instrumentation.Scope) *envelope {
	from := origin{resource, scope}
	e.mu.RLock()
	found := e.known[from]
	e.mu.RUnlock()
	if found != nil {
		return found
	}
	made := e.make(from)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.known == nil || len(e.known) >= mostEnvelopes {
		e.known = make(map[origin]*envelope)
	}
	e.known[from] = made
	return made
}

func (e *envelopes) make(from origin) *envelope {
	made := &envelope{
		resourceURL: someText(nil, fieldSchemaURL, from.resource.SchemaURL()),
		scopeURL:    someText(nil, fieldSchemaURL, from.scope.SchemaURL),
	}
	if from.resource.Len() > 0 || from.resource != nil && e.signal.emptyResource {
		b, start := begin(nil, fieldInside)
		made.resource = end(attributeSet(b, 1, from.resource.Iter()), start)
	}
	if from.scope != (instrumentation.Scope{}) || e.signal.emptyScope {
		b, start := begin(nil, fieldInside)
		b = someText(b, 1, from.scope.Name)
		b = someText(b, 2, from.scope.Version)
		made.scope = end(attributeSet(b, 3, from.scope.Attributes.Iter()), start)
	}
	return made
}
