/*
 * held_batches: how many batches wait for their key, through setting keys, a shutdown and a new handle.
 *
 *   held SPOOL_DIR ENDPOINT
 */

#include "host.h"

static const char ITEM[] = "{\"object\":\"trace\"}";

static spanspool_client *open_online(char **arguments) {
    spanspool_config *config = spanspool_config_new();
    CHECK_STATUS(spanspool_config_set(config, "spool_dir", arguments[0], NULL, 0), SPANSPOOL_OK);
    CHECK_STATUS(spanspool_config_set(config, "endpoint", arguments[1], NULL, 0), SPANSPOOL_OK);
    return open_with(config);
}

static void enqueue_as(const spanspool_client *handle, const char *name) {
    CHECK_STATUS(spanspool_enqueue_as(handle, name, ITEM, sizeof ITEM - 1), SPANSPOOL_OK);
}

static int is(const spanspool_client *handle, uint64_t held, uint64_t rejected, uint64_t delivered) {
    const spanspool_stats stats = stats_of(handle);
    return stats.held_batches == held && stats.rejected == rejected && stats.delivered == delivered &&
           stats.partially_rejected == 0;
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    spanspool_client *handle = open_online(argv + 1);
    CHECK(is(handle, 0, 0, 0));
    /* One batch of two items, and one of one. */
    enqueue_as(handle, "team");
    enqueue_as(handle, "team");
    enqueue_as(handle, "other");
    CHECK_STATUS(spanspool_flush(handle, 60000), SPANSPOOL_OK);
    CHECK(is(handle, 2, 3, 0));
    CHECK_STATUS(spanspool_set_named_key(handle, "team", "sk-team"), SPANSPOOL_OK);
    CHECK_STATUS(spanspool_flush(handle, 60000), SPANSPOOL_OK);
    CHECK(is(handle, 1, 1, 2));
    CHECK_STATUS(spanspool_shutdown(handle, 60000), SPANSPOOL_OK);
    CHECK(is(handle, 1, 1, 2));
    spanspool_client *next = open_online(argv + 1);
    /* The rejected store is looked through in the background. */
    for (int waited_ms = 0; stats_of(next).held_batches == 0 && waited_ms < 60000; waited_ms += 5) sleep_ms(5);
    CHECK(is(next, 1, 1, 2));
    CHECK_STATUS(spanspool_set_named_key(next, "other", "sk-other"), SPANSPOOL_OK);
    CHECK_STATUS(spanspool_flush(next, 60000), SPANSPOOL_OK);
    CHECK(is(next, 0, 0, 3));
    CHECK(is(handle, 1, 1, 2));
    /* One is left for whoever looks at the spool from outside. */
    enqueue_as(next, "third");
    CHECK_STATUS(spanspool_flush(next, 60000), SPANSPOOL_OK);
    CHECK(is(next, 1, 1, 3));
    spanspool_free(next);
    spanspool_free(handle);
    return verdict();
}
