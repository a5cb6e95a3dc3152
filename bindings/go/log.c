// The log function that the library gets. It calls the one in Go.

#include <spanspool.h>

#include "_cgo_export.h"

static void log_line(int32_t level, const char *message, void *user_data) {
    spanspoolGoLog(level, (char *)message, (uintptr_t)user_data);
}

// The handle is a number that Go made, never an address. C only passes it through.
spanspool_status spanspool_go_set_log(spanspool_config *config, uintptr_t handle) {
    return spanspool_config_set_log(config, log_line, (void *)handle);
}
