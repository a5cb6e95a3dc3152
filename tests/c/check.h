/* What the C tests share: checks that go on after a failure, and a spool that needs no network. */

#ifndef CHECK_H
#define CHECK_H

#include <inttypes.h>
#include <spanspool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures;

#define CHECK(condition)                                                          \
    do {                                                                          \
        if (!(condition)) {                                                       \
            printf("%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);        \
            failures++;                                                           \
        }                                                                         \
    } while (0)

#define CHECK_STATUS(call, expected) check_status((call), (expected), #call, __FILE__, __LINE__)
#define CHECK_HAS(text, part) check_has((text), (part), __FILE__, __LINE__)

static inline void check_status(int32_t got, int32_t expected, const char *call, const char *file, int line) {
    if (got != expected) {
        printf("%s:%d: %s: %" PRId32 " (%s), expected %" PRId32 "\n", file, line, call, got,
               spanspool_status_str(got), expected);
        failures++;
    }
}

static inline void check_has(const char *text, const char *part, const char *file, int line) {
    if (!strstr(text, part)) {
        printf("%s:%d: no '%s' in '%s'\n", file, line, part, text);
        failures++;
    }
}

/* Settings for a spool in `dir` whose items stay there. A slow machine makes no enqueue fail; a test of a full spool
   sets enqueue_timeout_ms itself. */
static inline spanspool_config *offline_config(const char *dir) {
    spanspool_config *config = spanspool_config_new();
    CHECK(config != NULL);
    CHECK_STATUS(spanspool_config_set(config, "spool_dir", dir, NULL, 0), SPANSPOOL_OK);
    CHECK_STATUS(spanspool_config_set(config, "exporter", "none", NULL, 0), SPANSPOOL_OK);
    CHECK_STATUS(spanspool_config_set(config, "enqueue_timeout_ms", "60000", NULL, 0), SPANSPOOL_OK);
    return config;
}

/* Opens and frees `config`. Without a handle no test can go on. */
static inline spanspool_client *open_with(spanspool_config *config) {
    char why[512] = "";
    spanspool_client *handle = NULL;
    CHECK_STATUS(spanspool_init(config, &handle, why, sizeof why), SPANSPOOL_OK);
    spanspool_config_free(config);
    if (!handle) {
        printf("cannot open: %s\n", why);
        exit(1);
    }
    return handle;
}

static inline spanspool_client *open_offline(const char *dir) { return open_with(offline_config(dir)); }

static inline spanspool_stats stats_of(const spanspool_client *handle) {
    spanspool_stats stats;
    memset(&stats, 0, sizeof stats);
    CHECK_STATUS(spanspool_get_stats(handle, &stats, sizeof stats), SPANSPOOL_OK);
    return stats;
}

static inline int verdict(void) {
    if (failures) printf("%d checks failed\n", failures);
    return failures != 0;
}

#endif
