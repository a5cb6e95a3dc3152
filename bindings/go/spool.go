package spanspool

// #include "call.h"
import "C"

import (
	"context"
	"errors"
	"math"
	"runtime/cgo"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// A flush that nobody waits for any more ends after this. Each new one ends a backoff, so it must not be short: the
	// ingest would be asked as often. It is the default of max_delay_ms.
	flushSlice = 30 * time.Second
	// What calls that raced with a shutdown have just enqueued gets this long to be delivered, if all else was.
	lastSlice = time.Second
)

// A spool is a handle of the library and what keeps it valid: a call holds mu for reading, and mu is held for writing
// while the handle is freed. It is separate from Client, so that a wait that was given up keeps the spool, not the
// client.
type spool struct {
	mu     sync.RWMutex
	handle *C.spanspool_client // nil when freed
	last   Stats               // the counters at the shutdown's end, when handle is nil
	logger cgo.Handle          // 0: none

	paused  atomic.Bool   // as Pause and Wake said last
	closing atomic.Bool   // set by the first shutdown
	closed  chan struct{} // closed when outcome is there
	outcome error
}

// use runs one call on the handle.
func (s *spool) use(call func(*C.spanspool_client) C.spanspool_go_outcome) error {
	if !s.enter() {
		return shutDown()
	}
	defer s.mu.RUnlock()
	return failed(call(s.handle))
}

// enter holds the handle valid until mu.RUnlock. false: it was shut down, and there is nothing to unlock.
func (s *spool) enter() bool {
	if s.closing.Load() {
		return false
	}
	s.mu.RLock()
	if s.handle == nil {
		s.mu.RUnlock()
		return false
	}
	return true
}

// stats reads the counters, also after the shutdown.
func (s *spool) stats() (Stats, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.handle == nil {
		return s.last, nil
	}
	var raw C.spanspool_stats
	err := failed(C.spanspool_go_get_stats(s.handle, &raw))
	return statsOf(&raw), err
}

// settle sends at once and waits until every item is delivered or rejected, or until ctx is done.
//
// Nothing can interrupt the library's flush, so it runs in a goroutine, which is abandoned when ctx is done first.
func (s *spool) settle(ctx context.Context) error {
	for {
		if err := ctx.Err(); err != nil {
			return outOfTime(err)
		}
		wait := min(flushSlice, timeLeft(ctx))
		if wait == 0 {
			// The context is about to say so itself.
			return outOfTime(context.DeadlineExceeded)
		}
		done := make(chan error, 1)
		go func() { done <- s.flush(wait) }()
		select {
		case err := <-done:
			if !errors.Is(err, ErrTimeout) {
				return err
			}
		case <-ctx.Done():
			return outOfTime(ctx.Err())
		}
	}
}

// flush is one flush of the library, also while the spool is being shut down.
func (s *spool) flush(wait time.Duration) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.handle == nil {
		return shutDown()
	}
	return failed(C.spanspool_go_flush(s.handle, milliseconds(wait)))
}

// wait waits for the first shutdown, and has the same outcome.
func (s *spool) wait(ctx context.Context) error {
	select {
	case <-s.closed:
		return s.outcome
	default:
	}
	select {
	case <-s.closed:
		return s.outcome
	case <-ctx.Done():
		return outOfTime(ctx.Err())
	}
}

// shutdown delivers until ctx is done, then frees the handle.
func (s *spool) shutdown(ctx context.Context) error {
	if s.closing.Swap(true) {
		return s.wait(ctx)
	}
	var last time.Duration
	if s.paused.Load() || s.settle(ctx) == nil {
		last = min(lastSlice, timeLeft(ctx))
	}
	// This ends the calls in other goroutines, the abandoned flush included.
	s.outcome = failed(C.spanspool_go_shutdown(s.handle, milliseconds(last)))
	if cause := ctx.Err(); cause != nil && errors.Is(s.outcome, ErrTimeout) {
		s.outcome = outOfTime(cause)
	}
	counters, err := s.stats()
	if err == nil {
		s.last = counters
	}
	s.mu.Lock()
	C.spanspool_free(s.handle)
	s.handle = nil
	s.mu.Unlock()
	s.forgetLogger()
	close(s.closed)
	return s.outcome
}

// forgetLogger lets go of the logger, once the library logs nothing more.
func (s *spool) forgetLogger() {
	if s.logger != 0 {
		s.logger.Delete()
	}
}

// close is shutdown with no time for delivering.
func (s *spool) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 0)
	defer cancel()
	return s.shutdown(ctx)
}

// timeLeft is the time until ctx is done, and for ever if it has no deadline.
func timeLeft(ctx context.Context) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		return max(0, time.Until(deadline))
	}
	return math.MaxInt64
}

// milliseconds rounds up, so that the library does not answer just before a deadline.
func milliseconds(wait time.Duration) C.uint64_t {
	return C.uint64_t((wait + time.Millisecond - 1) / time.Millisecond)
}
