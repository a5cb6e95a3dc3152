package spanspool

// #include <stdint.h>
import "C"

import (
	"context"
	"log/slog"
	"runtime/cgo"
)

// spanspoolGoLog hands a line of the library's to the logger behind handle. It runs on threads of the library's own.
//
//export spanspoolGoLog
func spanspoolGoLog(level C.int32_t, message *C.char, handle C.uintptr_t) {
	logger, ctx, at := cgo.Handle(handle).Value().(*slog.Logger), context.Background(), slogLevel(int32(level))
	if logger.Enabled(ctx, at) {
		logger.Log(ctx, at, C.GoString(message))
	}
}

// slogLevel: 1 error, 2 warning, 3 change of state, 4 debug.
func slogLevel(level int32) slog.Level {
	switch level {
	case 1:
		return slog.LevelError
	case 2:
		return slog.LevelWarn
	case 3:
		return slog.LevelInfo
	default:
		return slog.LevelDebug
	}
}
