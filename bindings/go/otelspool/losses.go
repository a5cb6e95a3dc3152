package otelspool

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"spanspool.example/spanspool"
)

// Losses are the records that could not be stored since one was. A full spool refuses a record thousands of times a
// second, so only the first loss of each kind is told, and the number of the others once a record is stored again.
type losses struct {
	any   atomic.Bool // whether there is one
	mu    sync.Mutex
	kinds map[spanspool.Status]bool // those told
	more  uint64                    // records not told of
}

// of counts what became of a record, and returns what to say now, or nil.
func (l *losses) of(err error) error {
	if err != nil {
		return l.add(err)
	}
	if l.any.Load() {
		return l.untold()
	}
	return nil
}

func (l *losses) add(err error) error {
	var status spanspool.Status
	errors.As(err, &status)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.kinds == nil {
		l.kinds = make(map[spanspool.Status]bool)
	}
	l.any.Store(true)
	if l.kinds[status] {
		l.more++
		return nil
	}
	l.kinds[status] = true
	return fmt.Errorf("otelspool: a record was not stored: %w", err)
}

// untold begins anew, and says how many losses were not told, or returns nil.
func (l *losses) untold() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	more := l.more
	l.any.Store(false)
	clear(l.kinds)
	l.more = 0
	if more == 0 {
		return nil
	}
	return fmt.Errorf("otelspool: %d more records were not stored", more)
}
