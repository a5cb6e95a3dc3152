/*
 * The log function is not called after spanspool_free or a failed spanspool_init, whatever thread was left: one that
 * waits for a reader of standard output, and one that is inside a slow log function.
 *
 *   late_log FOLDER
 */

/* For RTLD_NEXT. */
#define _GNU_SOURCE

#include "host.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>

static const char ITEM[] = "{\"object\":\"trace.span\",\"id\":\"span_1\"}";

/* Longer than the library waits for a thread that it has told to end. */
enum { SLOW_MS = 2000, PATIENCE_MS = 30000 };

/* What a host's log function uses, and frees once the handle is gone. */
struct log {
    pthread_mutex_t lock;
    pthread_t main;
    int slow, inside, freed, calls, late;
};

static struct log log_of(int slow) {
    struct log log = {0};
    pthread_mutex_init(&log.lock, NULL);
    log.main = pthread_self();
    log.slow = slow;
    return log;
}

static int add(struct log *log, int *counter, int more) {
    pthread_mutex_lock(&log->lock);
    int now = *counter += more;
    pthread_mutex_unlock(&log->lock);
    return now;
}

static void receive(int32_t level, const char *message, void *user_data) {
    struct log *log = user_data;
    (void)level;
    add(log, &log->calls, 1);
    add(log, &log->late, add(log, &log->freed, 0));
    if (log->slow && strstr(message, "delivered") && !pthread_equal(pthread_self(), log->main)) {
        add(log, &log->inside, 1);
        sleep_ms(SLOW_MS);
        add(log, &log->late, add(log, &log->freed, 0));
        add(log, &log->inside, -1);
    }
}

static int threads(void) {
    int count = 0;
    DIR *tasks = opendir("/proc/self/task");
    if (!tasks) exit(2);
    for (const struct dirent *task; (task = readdir(tasks));) count += task->d_name[0] != '.';
    closedir(tasks);
    return count;
}

#define UNTIL(condition)                                                       \
    do {                                                                       \
        int left = PATIENCE_MS;                                                \
        while (!(condition) && left-- > 0) sleep_ms(1);                        \
        CHECK(left > 0);                                                       \
    } while (0)

/* Settings that print to standard output at once, and log to `log`. */
static spanspool_config *console(const char *dir, struct log *log) {
    spanspool_config *config = spanspool_config_new();
    CHECK_STATUS(spanspool_config_set(config, "spool_dir", dir, NULL, 0), SPANSPOOL_OK);
    CHECK_STATUS(spanspool_config_set(config, "exporter", "console", NULL, 0), SPANSPOOL_OK);
    CHECK_STATUS(spanspool_config_set(config, "schedule_delay_ms", "0", NULL, 0), SPANSPOOL_OK);
    CHECK_STATUS(spanspool_config_set_log(config, receive, log), SPANSPOOL_OK);
    return config;
}

/* Frees `handle` while a thread of its writes to a pipe that nobody reads, and then reads it. */
static void thread_left_at_a_full_pipe(const char *dir) {
    struct log log = log_of(0);
    spanspool_client *handle = open_with(console(dir, &log));
    char byte = 0;
    int ends[2];
    CHECK(pipe(ends) == 0);
    CHECK(fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0);
    while (write(ends[1], &byte, 1) == 1) continue;
    CHECK(fcntl(ends[1], F_SETFL, 0) == 0);
    int out = dup(1);
    CHECK(out >= 0 && dup2(ends[1], 1) == 1);
    CHECK_STATUS(spanspool_enqueue(handle, ITEM, sizeof ITEM - 1), SPANSPOOL_OK);
    UNTIL(stats_of(handle).export_state == SPANSPOOL_EXPORT_SENDING);
    spanspool_free(handle);
    add(&log, &log.freed, 1);
    const int calls = add(&log, &log.calls, 0);
    CHECK(threads() > 1);
    CHECK(dup2(out, 1) == 1 && close(out) == 0 && close(ends[1]) == 0);
    /* The thread has the other end to write to until it is done. */
    while (read(ends[0], &byte, 1) == 1) continue;
    close(ends[0]);
    UNTIL(threads() == 1);
    CHECK(log.late == 0 && log.calls == calls);
}

/* Frees `handle` while one of its threads is inside the log function: free waits for it. */
static void thread_inside_the_log_function(const char *dir) {
    struct log log = log_of(1);
    spanspool_client *handle = open_with(console(dir, &log));
    CHECK_STATUS(spanspool_enqueue(handle, ITEM, sizeof ITEM - 1), SPANSPOOL_OK);
    UNTIL(add(&log, &log.inside, 0) > 0);
    spanspool_free(handle);
    add(&log, &log.freed, 1);
    CHECK(add(&log, &log.inside, 0) == 0);
    UNTIL(threads() == 1);
    CHECK(log.late == 0);
}

/* Fails the thread that would look for orphans, once the one before it is inside this log's function. */
static struct log *failing;

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument) {
    int (*create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    *(void **)&create = dlsym(RTLD_NEXT, "pthread_create");
    static int made;
    if (failing && ++made == 3) {
        UNTIL(add(failing, &failing->inside, 0) > 0);
        return EAGAIN;
    }
    return create(thread, attributes, run, argument);
}

static void failed_init(const char *dir) {
    spanspool_client *handle = open_offline(dir);
    CHECK_STATUS(spanspool_enqueue(handle, ITEM, sizeof ITEM - 1), SPANSPOOL_OK);
    spanspool_free(handle);
    struct log log = log_of(1);
    spanspool_config *config = console(dir, &log);
    char why[256];
    failing = &log;
    CHECK_STATUS(spanspool_init(config, &handle, why, sizeof why), SPANSPOOL_ERR_IO);
    add(&log, &log.freed, 1);
    failing = NULL;
    CHECK_HAS(why, "os error 11");
    CHECK(add(&log, &log.inside, 0) == 0 && log.calls > 0);
    spanspool_config_free(config);
    UNTIL(threads() == 1);
    CHECK(log.late == 0);
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    thread_left_at_a_full_pipe(in(argv[1], "pipe"));
    thread_inside_the_log_function(in(argv[1], "slow"));
    failed_init(in(argv[1], "failed"));
    return verdict();
}
