package otelspool

import (
	"slices"
	"sync"

	"spanspool.example/spanspool"
)

// An item is one export request in the making: records of one scope in their envelope. It is used once.
type item struct {
	around *envelope
	bytes  []byte // room for the envelope's front, then the records
}

var items = sync.Pool{New: func() any { return new(item) }}

// A longer buffer is not kept for the next item.
const mostKept = 64 << 10

func newItem(around *envelope) *item {
	made := items.Get().(*item)
	made.around = around
	made.bytes = slices.Grow(made.bytes[:0], around.room())[:around.room()]
	return made
}

// isEmpty tells whether there is no record in it.
func (i *item) isEmpty() bool { return len(i.bytes) == i.around.room() }

// enqueue stores the item.
func (i *item) enqueue(client *spanspool.Client) error {
	request, moved := i.around.close(i.bytes)
	err := client.Enqueue(request)
	if i.bytes = moved; cap(moved) <= mostKept {
		items.Put(i)
	}
	return err
}
