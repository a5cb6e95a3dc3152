package spanspool

// #include <spanspool.h>
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
	// What calls that raced with a shutdown have just taken gets this long to be delivered, if all else was.
	lastSlice = time.Second
)

// A spool is the handle of the library's with what keeps it valid: whoever uses it holds mu for reading, whoever frees
// it holds mu for writing. It is apart from Client, so that a wait that was given up keeps the spool, not the client.
type spool struct {
	mu     sync.RWMutex
	handle *C.spanspool // nil when freed
	logger cgo.Handle   // 0: none

	closing atomic.Bool   // set by whoever shuts it down
	closed  chan struct{} // closed when outcome is there
	outcome error
}

// use runs one call on the handle.
func (s *spool) use(call func(*C.spanspool) C.spanspool_status) error {
	if !s.enter() {
		return shutDown()
	}
	defer s.mu.RUnlock()
	return failure(call(s.handle))
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

// settle sends at once and waits until all that was taken is delivered or rejected, or until ctx is done.
//
// Nothing can interrupt the library's flush, so it runs in a goroutine, which is left alone when ctx is done first.
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

// flush is one call of the library's, also while the spool is being shut down.
func (s *spool) flush(wait time.Duration) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.handle == nil {
		return shutDown()
	}
	return failure(C.spanspool_flush(s.handle, milliseconds(wait)))
}

// wait waits for whoever came first to shut it down, and has the same outcome.
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
	if s.settle(ctx) == nil {
		last = min(lastSlice, timeLeft(ctx))
	}
	// This ends the calls that others are in, the flush that was left alone included.
	s.outcome = failure(C.spanspool_shutdown(s.handle, milliseconds(last)))
	if cause := ctx.Err(); cause != nil && errors.Is(s.outcome, ErrTimeout) {
		s.outcome = outOfTime(cause)
	}
	s.mu.Lock()
	C.spanspool_free(s.handle)
	s.handle = nil
	s.mu.Unlock()
	s.forgetLogger()
	close(s.closed)
	return s.outcome
}

// forgetLogger is for when the library says nothing more.
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
