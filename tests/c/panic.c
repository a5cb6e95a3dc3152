/*
 * A panic in the library as it is shipped. The program brings its own clock_gettime, which the library is linked to,
 * and lets it fail as no kernel does: Rust's standard library answers that with a panic, wherever it asks for the time.
 *
 *   panic SPOOL_DIR ENDPOINT ACCEPTED    the ids of the items that got OK are written to the file ACCEPTED
 */

/* For syscall. */
#define _DEFAULT_SOURCE

#include "host.h"

#include <errno.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* The clock is broken for the thread of this name; an empty name is none. */
static char broken_thread[16];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int panics, begun_again;

static int is_broken(clockid_t clock) {
    char name[16] = "";
    int same = 0;
    pthread_mutex_lock(&lock);
    if (*broken_thread) {
        prctl(PR_GET_NAME, name);
        same = strcmp(name, broken_thread) == 0;
    }
    pthread_mutex_unlock(&lock);
    /* The library's threads get as far as a batch: the time of day is right for them. */
    return same && (strcmp(name, "panic") == 0 || clock == CLOCK_MONOTONIC);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    if (is_broken(clock)) {
        errno = EINVAL;
        return -1;
    }
    return (int)syscall(SYS_clock_gettime, clock, now);
}

static void break_clock(const char *thread) {
    pthread_mutex_lock(&lock);
    begun_again = 0;
    snprintf(broken_thread, sizeof broken_thread, "%s", thread);
    pthread_mutex_unlock(&lock);
}

static void count_panics(int32_t level, const char *message, void *user_data) {
    (void)level, (void)user_data;
    pthread_mutex_lock(&lock);
    panics += strstr(message, "a defect of spanspool") != NULL;
    begun_again += strstr(message, "begins again") && *broken_thread && strstr(message, broken_thread);
    pthread_mutex_unlock(&lock);
}

static int read_count(const int *count) {
    pthread_mutex_lock(&lock);
    int value = *count;
    pthread_mutex_unlock(&lock);
    return value;
}

static FILE *accepted;

/* Enqueues the item NAME-NUMBER and notes it when it was taken. */
static spanspool_status enqueue(const spanspool_client *handle, const char *name, uint64_t number) {
    spanspool_status status = enqueue_item(handle, name, number, 100);
    if (status == SPANSPOOL_OK) fprintf(accepted, "%s-%" PRIu64 "\n", name, number);
    return status;
}

/* An item that is too long for the ring: only the committer can store it. */
static void enqueue_long(const spanspool_client *handle, const char *id) {
    static char item[100 * 1024];
    int len = snprintf(item, sizeof item, "{\"id\":\"%s\",\"pad\":\"%*s\"}", id, 90 * 1024, "");
    CHECK_STATUS(spanspool_enqueue(handle, item, (size_t)len), SPANSPOOL_OK);
    fprintf(accepted, "%s\n", id);
}

static spanspool_config *settings(char **arguments) {
    spanspool_config *config = spanspool_config_new();
    CHECK_STATUS(spanspool_config_set(config, "spool_dir", arguments[1], NULL, 0), SPANSPOOL_OK);
    CHECK_STATUS(spanspool_config_set(config, "endpoint", arguments[2], NULL, 0), SPANSPOOL_OK);
    CHECK_STATUS(spanspool_config_set(config, "journal_bytes", "128KiB", NULL, 0), SPANSPOOL_OK);
    CHECK_STATUS(spanspool_config_set(config, "schedule_delay_ms", "10", NULL, 0), SPANSPOOL_OK);
    CHECK_STATUS(spanspool_config_set(config, "sync_interval_ms", "10", NULL, 0), SPANSPOOL_OK);
    /* The committer pauses after a panic. */
    CHECK_STATUS(spanspool_config_set(config, "enqueue_timeout_ms", "60000", NULL, 0), SPANSPOOL_OK);
    CHECK_STATUS(spanspool_config_set_log(config, count_panics, NULL), SPANSPOOL_OK);
    return config;
}

/* A panic in a call of ours: ERR_INTERNAL, and the next calls are as if nothing had been. */
static void panic_in_calls(spanspool_config *config, spanspool_client **handle) {
    char why[256] = "";
    break_clock("panic");
    CHECK_STATUS(spanspool_init(config, handle, why, sizeof why), SPANSPOOL_ERR_INTERNAL);
    CHECK_HAS(why, "a defect of spanspool");
    CHECK(*handle == NULL);
    break_clock("");
    *handle = open_with(config);
    for (uint64_t i = 0; i < 20; i++) CHECK_STATUS(enqueue(*handle, "before", i), SPANSPOOL_OK);

    int before = read_count(&panics);
    break_clock("panic");
    for (int i = 0; i < 4; i++) CHECK_STATUS(spanspool_flush(*handle, 1000), SPANSPOOL_ERR_INTERNAL);
    CHECK_STATUS(spanspool_sync(*handle), SPANSPOOL_OK);
    break_clock("");
    CHECK(read_count(&panics) - before == 4);
    CHECK(stats_of(*handle).accepted == 20);
    for (uint64_t i = 0; i < 20; i++) CHECK_STATUS(enqueue(*handle, "after", i), SPANSPOOL_OK);
    CHECK_STATUS(spanspool_flush(*handle, 60000), SPANSPOOL_OK);
}

/* A panic at every turn of one of the library's threads, until it has begun again a few times. */
static void panic_in_thread(const spanspool_client *handle, const char *thread) {
    break_clock(thread);
    uint64_t number = 0;
    for (int waited_ms = 0; read_count(&begun_again) < 4; waited_ms += 5) {
        if (waited_ms > 120000) {
            printf("%s did not begin again\n", thread);
            exit(1);
        }
        if (number < 50) CHECK_STATUS(enqueue(handle, thread, number++), SPANSPOOL_OK);
        spanspool_wake(handle);
        sleep_ms(5);
    }
    break_clock("");
    CHECK_STATUS(spanspool_flush(handle, 60000), SPANSPOOL_OK);
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    accepted = fopen(argv[3], "we");
    if (!accepted) return 2;
    spanspool_client *handle = NULL;
    panic_in_calls(settings(argv), &handle);
    panic_in_thread(handle, "spanspool-disk");
    enqueue_long(handle, "long");
    panic_in_thread(handle, "spanspool-net");
    panic_in_thread(handle, "spanspool-adopt");
    enqueue_long(handle, "longer");
    CHECK_STATUS(spanspool_flush(handle, 60000), SPANSPOOL_OK);
    spanspool_stats stats = stats_of(handle);
    CHECK(stats.accepted == stats.delivered);
    CHECK_STATUS(spanspool_shutdown(handle, 60000), SPANSPOOL_OK);
    spanspool_free(handle);
    fclose(accepted);
    return verdict();
}
