package spanspool

// #include <spanspool.h>
import "C"

import (
	"context"
	"log/slog"
	"runtime/cgo"
)

// spanspoolGoLog hands a log line of the library to the logger of handle. It runs on threads of the library.
//
//export spanspoolGoLog
func spanspoolGoLog(level C.int32_t, message *C.char, handle C.uintptr_t) {
	// A handler's panic must not travel through the library's frames, nor end the process on one of its threads.
	defer func() { _ = recover() }()
	logger, ctx, at := cgo.Handle(handle).Value().(*slog.Logger), context.Background(), slogLevel(int32(level))
	if logger.Enabled(ctx, at) {
		logger.Log(ctx, at, C.GoString(message))
	}
}

// slogLevel is the level of the library in slog's terms.
func slogLevel(level int32) slog.Level {
	switch level {
	case C.SPANSPOOL_LOG_ERROR:
		return slog.LevelError
	case C.SPANSPOOL_LOG_WARN:
		return slog.LevelWarn
	case C.SPANSPOOL_LOG_INFO:
		return slog.LevelInfo
	default:
		return slog.LevelDebug
	}
}
