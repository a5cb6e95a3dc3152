/* Where no more threads can be started, init fails and leaves no thread behind and no lane locked. */

#define _GNU_SOURCE
#include "check.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#define MOST_THREADS 16

/* How many more threads may be started. */
static atomic_int threads_left;

/* In the place of the C library's. */
int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*work)(void *),
                   void *argument) {
    int (*start)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    *(void **)&start = dlsym(RTLD_NEXT, "pthread_create");
    if (atomic_fetch_sub(&threads_left, 1) <= 0) return EAGAIN;
    return start(thread, attributes, work, argument);
}

static int entries_of(const char *path) {
    int count = 0;
    DIR *dir = opendir(path);
    if (!dir) return -1;
    for (struct dirent *entry; (entry = readdir(dir));) count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}

/* A thread that has ended is listed a moment longer. */
static int is_alone(void) {
    for (int i = 0; i < 1000; i++) {
        if (entries_of("/proc/self/task") == 1) return 1;
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    return 0;
}

/* Opens a client that sends with two threads, when no more than `threads` may be started. */
static int32_t open_with_threads(const char *spool, int threads, spanspool_client **client, char *why,
                                 size_t len) {
    spanspool_config *config = spanspool_config_new();
    CHECK_STATUS(spanspool_config_set(config, "spool_dir", spool, NULL, 0), SPANSPOOL_OK);
    CHECK_STATUS(spanspool_config_set(config, "endpoint", "http://127.0.0.1:9/", NULL, 0), SPANSPOOL_OK);
    CHECK_STATUS(spanspool_config_set(config, "max_in_flight", "2", NULL, 0), SPANSPOOL_OK);
    threads_left = threads;
    int32_t status = spanspool_init(config, client, why, len);
    spanspool_config_free(config);
    return status;
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    char lanes[4096];
    snprintf(lanes, sizeof lanes, "%s/lanes", argv[1]);
    int failed = 0;
    for (int threads = 0; threads < MOST_THREADS; threads++) {
        char why[512] = "";
        spanspool_client *client = NULL;
        int32_t status = open_with_threads(argv[1], threads, &client, why, sizeof why);
        if (status == SPANSPOOL_OK) {
            spanspool_free(client);
            break;
        }
        failed++;
        CHECK_STATUS(status, SPANSPOOL_ERR_IO);
        CHECK_HAS(why, "thread");
        CHECK(client == NULL);
        CHECK(is_alone());
        /* Each init finds the lane of the one before unlocked. */
        CHECK(entries_of(lanes) == 1);
    }
    /* The committer, two threads that send, and the adopter. */
    CHECK(failed == 4);
    CHECK(is_alone());
    CHECK(entries_of(lanes) == 1);
    return verdict();
}
