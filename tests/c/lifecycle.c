/* The life of a config and a handle: reuse, log, shutdown with threads at work, calls that come too late. */

#include "host.h"

#include <pthread.h>
#include <time.h>

static const char ITEM[] = "{\"object\":\"trace\"}";
#define ITEM_LEN (sizeof ITEM - 1)

static void config_outlived(const char *dir) {
    spanspool_config *config = offline_config(dir);
    spanspool_client *first = NULL, *second = NULL;
    char why[256] = "not empty";
    CHECK_STATUS(spanspool_init(config, &first, why, sizeof why), SPANSPOOL_OK);
    CHECK(why[0] == 0);
    CHECK_STATUS(spanspool_init(config, &second, NULL, 0), SPANSPOOL_OK);
    spanspool_config_free(config);
    CHECK(first && second && first != second);
    CHECK_STATUS(spanspool_enqueue(first, ITEM, ITEM_LEN), SPANSPOOL_OK);
    CHECK_STATUS(spanspool_enqueue(second, ITEM, ITEM_LEN), SPANSPOOL_OK);
    CHECK(stats_of(first).pending == 1 && stats_of(second).pending == 1);
    CHECK_STATUS(spanspool_sync(first), SPANSPOOL_OK);
    CHECK_STATUS(spanspool_pause(first), SPANSPOOL_OK);
    CHECK_STATUS(spanspool_pause(first), SPANSPOOL_OK);
    CHECK_STATUS(spanspool_wake(first), SPANSPOOL_OK);
    /* One is shut down first, the other just freed. */
    CHECK_STATUS(spanspool_shutdown(first, 0), SPANSPOOL_ERR_TIMEOUT);
    spanspool_free(first);
    spanspool_free(second);
}

static void nothing_to_wait_for(const char *dir) {
    spanspool_client *handle = open_offline(dir);
    CHECK_STATUS(spanspool_flush(handle, 0), SPANSPOOL_OK);
    CHECK_STATUS(spanspool_flush(handle, UINT64_MAX), SPANSPOOL_OK);
    CHECK_STATUS(spanspool_shutdown(handle, UINT64_MAX), SPANSPOOL_OK);
    spanspool_free(handle);
}

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;

static void count_invalid(int32_t level, const char *message, void *user_data) {
    pthread_mutex_lock(&log_lock);
    CHECK(level >= SPANSPOOL_LOG_ERROR && level <= SPANSPOOL_LOG_DEBUG);
    if (strstr(message, "spanspool_enqueue: item is not")) ++*(int *)user_data;
    pthread_mutex_unlock(&log_lock);
}

static void log_lines(const char *dir) {
    int with_log = 0, without_log = 0;
    spanspool_config *config = offline_config(dir);
    CHECK_STATUS(spanspool_config_set_log(config, count_invalid, &without_log), SPANSPOOL_OK);
    CHECK_STATUS(spanspool_config_set_log(config, NULL, &without_log), SPANSPOOL_OK);
    spanspool_client *handle = open_with(config);
    CHECK_STATUS(spanspool_enqueue(handle, "[]", 2), SPANSPOOL_ERR_INVALID_ITEM);
    spanspool_free(handle);
    CHECK(without_log == 0);

    config = offline_config(dir);
    CHECK_STATUS(spanspool_config_set_log(config, count_invalid, &with_log), SPANSPOOL_OK);
    handle = open_with(config);
    CHECK_STATUS(spanspool_enqueue(handle, "[]", 2), SPANSPOOL_ERR_INVALID_ITEM);
    spanspool_free(handle);
    CHECK(with_log == 1);
}

struct worker {
    pthread_t thread;
    const spanspool_client *handle;
    uint64_t accepted;
    spanspool_status end;
};

/* So many that a shutdown comes first; a library that never refuses must not hang the test. */
#define MANY 10000000

static void *enqueue_until_refused(void *argument) {
    struct worker *worker = argument;
    while (worker->accepted < MANY && !(worker->end = spanspool_enqueue(worker->handle, ITEM, ITEM_LEN)))
        worker->accepted++;
    return NULL;
}

/* Threads enqueue until the shutdown stops them. Every OK they saw is in the spool. */
static void shutdown_under_load(const char *dir) {
    enum { WORKERS = 4 };
    struct worker workers[WORKERS];
    memset(workers, 0, sizeof workers);
    spanspool_client *handle = open_offline(dir);
    for (int i = 0; i < WORKERS; i++) {
        workers[i].handle = handle;
        CHECK(pthread_create(&workers[i].thread, NULL, enqueue_until_refused, &workers[i]) == 0);
    }
    while (stats_of(handle).accepted < 1000 && !failures) continue;
    CHECK_STATUS(spanspool_shutdown(handle, 0), SPANSPOOL_ERR_TIMEOUT);
    uint64_t accepted = 0;
    for (int i = 0; i < WORKERS; i++) {
        pthread_join(workers[i].thread, NULL);
        CHECK_STATUS(workers[i].end, SPANSPOOL_ERR_SHUT_DOWN);
        accepted += workers[i].accepted;
    }
    spanspool_free(handle);
    handle = open_offline(dir);
    spanspool_stats stats = stats_of(handle);
    CHECK(stats.accepted == accepted && stats.pending == accepted);
    spanspool_free(handle);
}

static void calls_after_shutdown(const char *dir) {
    spanspool_client *handle = open_offline(dir);
    CHECK_STATUS(spanspool_shutdown(handle, 1000), SPANSPOOL_OK);
    CHECK_STATUS(spanspool_shutdown(handle, 1000), SPANSPOOL_ERR_SHUT_DOWN);
    CHECK_STATUS(spanspool_enqueue(handle, ITEM, ITEM_LEN), SPANSPOOL_ERR_SHUT_DOWN);
    CHECK_STATUS(spanspool_enqueue_as(handle, "team", ITEM, ITEM_LEN), SPANSPOOL_ERR_SHUT_DOWN);
    CHECK_STATUS(spanspool_set_api_key(handle, "key"), SPANSPOOL_ERR_SHUT_DOWN);
    CHECK_STATUS(spanspool_set_named_key(handle, "team", "key"), SPANSPOOL_ERR_SHUT_DOWN);
    CHECK_STATUS(spanspool_pause(handle), SPANSPOOL_ERR_SHUT_DOWN);
    CHECK_STATUS(spanspool_wake(handle), SPANSPOOL_ERR_SHUT_DOWN);
    CHECK_STATUS(spanspool_sync(handle), SPANSPOOL_ERR_SHUT_DOWN);
    CHECK_STATUS(spanspool_flush(handle, 1000), SPANSPOOL_ERR_SHUT_DOWN);
    struct worker late = {0};
    late.handle = handle;
    CHECK(pthread_create(&late.thread, NULL, enqueue_until_refused, &late) == 0);
    pthread_join(late.thread, NULL);
    CHECK(late.accepted == 0);
    CHECK_STATUS(late.end, SPANSPOOL_ERR_SHUT_DOWN);
    spanspool_free(handle);
}

/* A path need not be UTF-8: the spool of such a name is opened again, and no other. */
static void any_path(const char *dir) {
    for (uint64_t pending = 0; pending < 2; pending++) {
        spanspool_client *handle = open_offline(dir);
        CHECK(stats_of(handle).pending == pending);
        CHECK_STATUS(spanspool_enqueue(handle, ITEM, ITEM_LEN), SPANSPOOL_OK);
        spanspool_free(handle);
    }
}

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

/* A handle whose shutdown left an item pending and no thread behind. On a machine so slow that a thread needs half a
   second to end, shutdown does not wait for it, and the thread keeps the lane: then it is tried again. */
static spanspool_client *shut_down_with_an_item(const char *dir) {
    for (;;) {
        spanspool_client *handle = open_offline(dir);
        CHECK_STATUS(spanspool_enqueue(handle, ITEM, ITEM_LEN), SPANSPOOL_OK);
        int64_t begin = now_ms();
        CHECK_STATUS(spanspool_shutdown(handle, 0), SPANSPOOL_ERR_TIMEOUT);
        if (now_ms() - begin < 500) return handle;
        spanspool_free(handle);
    }
}

/* The counters of a handle stay what its shutdown left, though its lane goes on under another one. */
static void counters_after_shutdown(const char *dir) {
    spanspool_client *handle = shut_down_with_an_item(dir);
    const spanspool_stats last = stats_of(handle);
    const uint64_t had = last.accepted;
    CHECK(had > 0 && last.pending == had && last.export_state == SPANSPOOL_EXPORT_IDLE);
    spanspool_client *next = open_offline(dir);
    CHECK_STATUS(spanspool_enqueue(next, ITEM, ITEM_LEN), SPANSPOOL_OK);
    CHECK(stats_of(next).accepted == had + 1 && stats_of(next).pending == had + 1);
    const spanspool_stats still = stats_of(handle);
    CHECK(memcmp(&last, &still, sizeof last) == 0);
    CHECK_STATUS(spanspool_shutdown(handle, 0), SPANSPOOL_ERR_SHUT_DOWN);
    CHECK(stats_of(handle).accepted == had);
    spanspool_free(handle);
    spanspool_free(next);
}

/* usage: lifecycle FOLDER */
int main(int argc, char **argv) {
    if (argc != 2) return 2;
    config_outlived(in(argv[1], "outlived"));
    nothing_to_wait_for(in(argv[1], "empty"));
    log_lines(in(argv[1], "log"));
    calls_after_shutdown(in(argv[1], "late"));
    counters_after_shutdown(in(argv[1], "counters"));
    any_path(in(argv[1], "f\xfcr \xff"));
    shutdown_under_load(in(argv[1], "load"));
    return verdict();
}
