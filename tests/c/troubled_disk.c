/* troubled_disk RESULTS FAULTS ITEMS [KEY=VALUE]...: a client whose disk fails it for a while (see fault_shim.c).
 *
 * Two threads enqueue ITEMS items each, once each. Byte t*ITEMS+n of the mapped file RESULTS becomes 255 before item n
 * of thread t is handed to enqueue, and then the status that came back. Then the disk is well again: all must
 * come to work by itself. What can't be so whatever the disk does is printed and ends the program with 1. */

#include "host.h"
#include "settings.h"

#include <pthread.h>

/* Where fault_shim.c's struct faults says which call is the last to fail, and its size, in words. */
enum { LAST = 2, FAULTS_WORDS = 1024 };

#define SECOND 1000

static spanspool_config *config;
static spanspool_client *handle;
static unsigned char *results;
static volatile uint64_t *faults;
static uint64_t items;

static int is_trouble(spanspool_status status) {
    return status == SPANSPOOL_ERR_FULL || status == SPANSPOOL_ERR_IO;
}

/* Every 50th item is one the ingest refuses, every 40th too long for the ring; some are of another key. */
static spanspool_status enqueue_one(uint64_t thread, uint64_t n) {
    static const char *const keys[] = {"", "", "", "other"};
    size_t pad = n % 40 == 39 ? 70000 : n * 7919 % 3000;
    char *json = malloc(pad + 200);
    int head = sprintf(json, "{\"thread\":%d,\"n\":%d,\"refuse\":%s,\"pad\":\"", (int)thread, (int)n,
                       n % 50 == 49 ? "true" : "false");
    memset(json + head, 'a' + (int)(n % 26), pad);
    size_t len = (size_t)head + pad;
    memcpy(json + len, "\"}", 2);
    const char *key = keys[n % 4];
    spanspool_status status = *key ? spanspool_enqueue_as(handle, key, json, len + 2)
                                   : spanspool_enqueue(handle, json, len + 2);
    free(json);
    return status;
}

static void *enqueue_all(void *argument) {
    uint64_t thread = *(uint64_t *)argument;
    for (uint64_t n = 0; n < items; n++) {
        unsigned char *result = &results[thread * items + n];
        *result = 255;
        spanspool_status status = enqueue_one(thread, n);
        CHECK(status == SPANSPOOL_OK || is_trouble(status));
        *result = (unsigned char)status;
    }
    return NULL;
}

/* Opens the spool; while that is refused, the disk must be to blame. */
static void open_at_last(void) {
    char why[1024] = "";
    spanspool_status status;
    for (int tries = 0; (status = spanspool_init(config, &handle, why, sizeof why)); tries++) {
        CHECK(status == SPANSPOOL_ERR_IO && *why);
        if (tries == 20) faults[LAST] = 0;
        if (tries == 1000 || failures) {
            printf("cannot open: %d %s\n", status, why);
            exit(1);
        }
        sleep_ms(1);
    }
}

/* The disk is well again: items are taken, synced and delivered, all without being asked twice. */
static void recover(void) {
    int taken = 0;
    for (int tries = 0; taken < 10 && tries < 60 * SECOND; tries++) {
        spanspool_status status = spanspool_enqueue(handle, "{\"late\":true}", 13);
        CHECK(status == SPANSPOOL_OK || is_trouble(status));
        taken = status == SPANSPOOL_OK ? taken + 1 : 0;
        if (status) sleep_ms(1);
    }
    CHECK(taken == 10);
    spanspool_status synced = SPANSPOOL_ERR_IO;
    for (int tries = 0; synced && tries < 60 * SECOND; tries++) {
        synced = spanspool_sync(handle);
        CHECK(synced == SPANSPOOL_OK || synced == SPANSPOOL_ERR_IO);
        if (synced) sleep_ms(1);
    }
    CHECK_STATUS(synced, SPANSPOOL_OK);
    CHECK_STATUS(spanspool_flush(handle, 60 * SECOND), SPANSPOOL_OK);
    spanspool_stats stats;
    CHECK_STATUS(spanspool_get_stats(handle, &stats, sizeof stats), SPANSPOOL_OK);
    CHECK(stats.pending == 0 && stats.dropped_corrupt == 0 && stats.dropped_overflow == 0);
    CHECK(stats.accepted == stats.delivered + stats.rejected);
    if (failures) printf("%" PRIu64 " accepted, %" PRIu64 " delivered, %" PRIu64 " rejected, %" PRIu64 " corrupt, %" PRIu64 " expired\n",
                         stats.accepted, stats.delivered, stats.rejected, stats.dropped_corrupt, stats.dropped_expired);
}

int main(int argc, char **argv) {
    if (argc < 4) return 2;
    items = strtoull(argv[3], NULL, 10);
    results = (unsigned char *)shared_counters(argv[1], (2 * items + 7) / 8);
    faults = shared_counters(argv[2], FAULTS_WORDS);
    config = config_of(argv + 4);
    open_at_last();
    CHECK_STATUS(spanspool_set_named_key(handle, "other", "key"), SPANSPOOL_OK);
    pthread_t threads[2];
    uint64_t numbers[2] = {0, 1};
    for (int t = 0; t < 2; t++) pthread_create(&threads[t], NULL, enqueue_all, &numbers[t]);
    for (int t = 0; t < 2; t++) pthread_join(threads[t], NULL);
    spanspool_status synced = spanspool_sync(handle);
    CHECK(synced == SPANSPOOL_OK || synced == SPANSPOOL_ERR_IO);
    faults[LAST] = 0;
    recover();
    CHECK_STATUS(spanspool_shutdown(handle, 10 * SECOND), SPANSPOOL_OK);
    spanspool_free(handle);
    return verdict();
}
