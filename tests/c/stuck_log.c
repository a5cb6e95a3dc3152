/*
 * A log function that never returns keeps one thread of the library. Every call returns all the same, and a child
 * works.
 *
 *   stuck_log FOLDER
 */

/* For glob. */
#define _DEFAULT_SOURCE

#include "host.h"

#include <glob.h>
#include <pthread.h>
#include <time.h>

enum { IN_TIME_S = 10, PATIENCE_MS = 30000 };

static pthread_t main_thread;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int stuck;

static int is_stuck(void) {
    pthread_mutex_lock(&lock);
    int is = stuck;
    pthread_mutex_unlock(&lock);
    return is;
}

static void never_return(int32_t level, const char *message, void *user_data) {
    (void)level, (void)message, (void)user_data;
    if (pthread_equal(pthread_self(), main_thread)) return;
    pthread_mutex_lock(&lock);
    stuck = 1;
    pthread_mutex_unlock(&lock);
    for (;;) pause();
}

#define IN_TIME(call)                        \
    do {                                     \
        time_t began = time(NULL);           \
        call;                                \
        CHECK(time(NULL) - began < IN_TIME_S); \
    } while (0)

static spanspool_status enqueue_of(spanspool_client *handle, size_t size) {
    static char item[100000];
    int len = snprintf(item, sizeof item, "{\"pad\":\"%*s\"}", (int)size, "");
    return spanspool_enqueue(handle, item, (size_t)len);
}

/* The thread of the disk says that the file is gone. */
static void remove_lock(const char *spool) {
    glob_t found;
    char pattern[4096];
    snprintf(pattern, sizeof pattern, "%s/lanes/*/lock", spool);
    CHECK(glob(pattern, 0, NULL, &found) == 0 && found.gl_pathc == 1);
    CHECK(unlink(found.gl_pathv[0]) == 0);
    globfree(&found);
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    main_thread = pthread_self();
    spanspool_config *config = offline_config(argv[1]);
    CHECK_STATUS(spanspool_config_set(config, "journal_bytes", "64KiB", NULL, 0), SPANSPOOL_OK);
    CHECK_STATUS(spanspool_config_set(config, "sync_interval_ms", "10", NULL, 0), SPANSPOOL_OK);
    CHECK_STATUS(spanspool_config_set(config, "enqueue_timeout_ms", "100", NULL, 0), SPANSPOOL_OK);
    CHECK_STATUS(spanspool_config_set_log(config, never_return, NULL), SPANSPOOL_OK);
    spanspool_client *handle = open_with(config);
    remove_lock(argv[1]);
    int left = PATIENCE_MS;
    for (; !is_stuck() && left > 0; left--) {
        CHECK_STATUS(enqueue_of(handle, 10), SPANSPOOL_OK);
        sleep_ms(1);
    }
    CHECK(left > 0);

    spanspool_status status = SPANSPOOL_OK;
    while (status == SPANSPOOL_OK) IN_TIME(status = enqueue_of(handle, 1000));
    CHECK_STATUS(status, SPANSPOOL_ERR_FULL);
    IN_TIME(CHECK_STATUS(enqueue_of(handle, 90000), SPANSPOOL_ERR_FULL));
    IN_TIME(CHECK_STATUS(spanspool_sync(handle), SPANSPOOL_OK));
    IN_TIME(CHECK(stats_of(handle).pending > 0));
    IN_TIME(CHECK_STATUS(spanspool_flush(handle, 100), SPANSPOOL_ERR_TIMEOUT));
    pid_t child = fork();
    if (child == 0) {
        alarm(60);
        IN_TIME(CHECK_STATUS(enqueue_of(handle, 10), SPANSPOOL_OK));
        IN_TIME(spanspool_shutdown(handle, 0));
        _exit(verdict());
    }
    CHECK(wait_for(child) == 0);
    IN_TIME(CHECK_STATUS(spanspool_shutdown(handle, 0), SPANSPOOL_ERR_TIMEOUT));
    return verdict();
}
