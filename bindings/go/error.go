package spanspool

// #include "call.h"
import "C"

import "unsafe"

// A Status is what the library answers instead of OK. It is what [errors.Is] compares with:
//
//	if errors.Is(err, spanspool.ErrFull) { … }
//
// The numbers are those of enum spanspool_status in the C header. A newer library may give others.
type Status int32

const (
	// ErrInvalidArgument: an argument or a setting is not allowed; nothing was changed. Correct the call.
	ErrInvalidArgument Status = C.SPANSPOOL_ERR_INVALID_ARGUMENT
	// ErrInvalidItem: the item is not exactly one JSON object in UTF-8, or with exporter=otlp not one export request of
	// the client's signal; nothing was stored. Correct the item.
	ErrInvalidItem Status = C.SPANSPOOL_ERR_INVALID_ITEM
	// ErrItemTooLarge: the item is longer than max_item_bytes; nothing was stored. Shorten it or raise the setting.
	ErrItemTooLarge Status = C.SPANSPOOL_ERR_ITEM_TOO_LARGE
	// ErrUnknownSetting: there is no setting of that name; nothing was changed. Correct the name.
	ErrUnknownSetting Status = C.SPANSPOOL_ERR_UNKNOWN_SETTING
	// ErrFull: the spool is at its limit and overflow is reject, or the journal had no room within
	// EnqueueTimeout; nothing was stored. Count the item as lost, or try again later.
	ErrFull Status = C.SPANSPOOL_ERR_FULL
	// ErrTimeout: the time was over first. What was not delivered stays in the spool and is delivered later.
	ErrTimeout Status = C.SPANSPOOL_ERR_TIMEOUT
	// ErrShutDown: the client was shut down; nothing was stored.
	ErrShutDown Status = C.SPANSPOOL_ERR_SHUT_DOWN
	// ErrIO: the operating system refused a file operation. Trying again may help.
	ErrIO Status = C.SPANSPOOL_ERR_IO
	// ErrCorrupt: a file of the spool is damaged, or of a format that this version does not read.
	ErrCorrupt Status = C.SPANSPOOL_ERR_CORRUPT
	// ErrLocked: another process holds what this call needs. Trying again may help.
	ErrLocked Status = C.SPANSPOOL_ERR_LOCKED
	// ErrInternal: a defect of spanspool itself. What was accepted before is still safe; please report it.
	ErrInternal Status = C.SPANSPOOL_ERR_INTERNAL
)

// Error is the library's phrase for the status.
func (s Status) Error() string {
	return C.GoString(C.spanspool_status_str(C.int32_t(s)))
}

// An Error is what every function of the package returns when it fails, alone or wrapped.
type Error struct {
	// Status says what happened; errors.Is finds it.
	Status Status
	// Message says what was wrong, and where and what is allowed if that is known.
	Message string

	// What ended the wait, for errors.Is with context.Canceled and context.DeadlineExceeded; may be nil.
	cause error
}

func (e *Error) Error() string { return "spanspool: " + e.Message }

// Unwrap gives the status, and what ended the wait if a context did.
func (e *Error) Unwrap() []error {
	if e.cause == nil {
		return []error{e.Status}
	}
	return []error{e.Status, e.cause}
}

// failed makes an error of the outcome of a call on a handle.
func failed(outcome C.spanspool_go_outcome) error {
	if outcome.status == C.SPANSPOOL_OK {
		return nil
	}
	defer C.free(unsafe.Pointer(outcome.text))
	return explained(outcome.status, outcome.text)
}

// explained makes an error of a status and a text, which may be nil.
func explained(status C.spanspool_status, text *C.char) error {
	if status == C.SPANSPOOL_OK || text == nil || *text == 0 {
		return failure(status)
	}
	return &Error{Status: Status(status), Message: C.GoString(text)}
}

// failure makes an error of a status that has no text of its own.
func failure(status C.spanspool_status) error {
	if status == C.SPANSPOOL_OK {
		return nil
	}
	return &Error{Status: Status(status), Message: Status(status).Error()}
}

func shutDown() error { return failure(C.SPANSPOOL_ERR_SHUT_DOWN) }

// outOfTime says that a context ended the wait.
func outOfTime(cause error) error {
	return &Error{
		Status:  ErrTimeout,
		Message: cause.Error() + "; what is not delivered yet stays in the spool",
		cause:   cause,
	}
}
