// Calls on a handle that read the text of their failure before they return: it belongs to the thread, and a goroutine
// may be on another one at its next call.

#ifndef SPANSPOOL_GO_CALL_H
#define SPANSPOOL_GO_CALL_H

#include <spanspool.h>
#include <stdlib.h>

typedef struct {
    spanspool_status status;
    char *text; // NULL on OK and without memory; the caller frees it
} spanspool_go_outcome;

static inline spanspool_go_outcome spanspool_go_outcome_of(const spanspool_client *client, spanspool_status status) {
    spanspool_go_outcome outcome = {status, NULL};
    if (status != SPANSPOOL_OK) {
        size_t size = spanspool_last_error(client, NULL, 0) + 1;
        outcome.text = malloc(size);
        if (outcome.text) spanspool_last_error(client, outcome.text, size);
    }
    return outcome;
}

static inline spanspool_go_outcome spanspool_go_enqueue(const spanspool_client *c, const char *json, size_t len) {
    return spanspool_go_outcome_of(c, spanspool_enqueue(c, json, len));
}

static inline spanspool_go_outcome spanspool_go_enqueue_as(const spanspool_client *c, const char *name,
                                                           const char *json, size_t len) {
    return spanspool_go_outcome_of(c, spanspool_enqueue_as(c, name, json, len));
}

static inline spanspool_go_outcome spanspool_go_set_api_key(const spanspool_client *c, const char *key) {
    return spanspool_go_outcome_of(c, spanspool_set_api_key(c, key));
}

static inline spanspool_go_outcome spanspool_go_set_named_key(const spanspool_client *c, const char *name,
                                                              const char *key) {
    return spanspool_go_outcome_of(c, spanspool_set_named_key(c, name, key));
}

static inline spanspool_go_outcome spanspool_go_pause(const spanspool_client *c) {
    return spanspool_go_outcome_of(c, spanspool_pause(c));
}

static inline spanspool_go_outcome spanspool_go_wake(const spanspool_client *c) {
    return spanspool_go_outcome_of(c, spanspool_wake(c));
}

static inline spanspool_go_outcome spanspool_go_sync(const spanspool_client *c) {
    return spanspool_go_outcome_of(c, spanspool_sync(c));
}

static inline spanspool_go_outcome spanspool_go_flush(const spanspool_client *c, uint64_t timeout_ms) {
    return spanspool_go_outcome_of(c, spanspool_flush(c, timeout_ms));
}

static inline spanspool_go_outcome spanspool_go_get_stats(const spanspool_client *c, spanspool_stats *out) {
    return spanspool_go_outcome_of(c, spanspool_get_stats(c, out, sizeof *out));
}

static inline spanspool_go_outcome spanspool_go_shutdown(spanspool_client *c, uint64_t timeout_ms) {
    return spanspool_go_outcome_of(c, spanspool_shutdown(c, timeout_ms));
}

#endif
