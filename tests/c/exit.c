/*
 * Ends in the way that its argument names while four threads enqueue and a request is under way. counters[THREAD] is
 * how many items THREAD-0, THREAD-1 … were answered OK.
 */

#include "host.h"

#include <pthread.h>
#include <sys/resource.h>

enum { THREADS = 4 };

static spanspool_client *handle;
static uint64_t *counters;

static void *enqueue_for_ever(void *argument) {
    uint64_t *counter = argument;
    char name[16];
    snprintf(name, sizeof name, "%d", (int)(counter - counters));
    for (;;) {
        if (enqueue_item(handle, name, *counter, 0) == SPANSPOOL_OK) __atomic_add_fetch(counter, 1, __ATOMIC_RELEASE);
        if (*counter % 16 == 0) sleep_ms(1);
    }
    return NULL;
}

/* usage: exit exit|_exit|abort|return COUNTERS KEY=VALUE… ; ends at the first byte of standard input */
int main(int argc, char **argv) {
    if (argc < 4) return 2;
    struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    counters = shared_counters(argv[2], THREADS);
    handle = open_spool(argv + 3);
    pthread_t thread;
    for (int i = 0; i < THREADS; i++) CHECK(pthread_create(&thread, NULL, enqueue_for_ever, &counters[i]) == 0);
    getchar();
    if (strcmp(argv[1], "exit") == 0) exit(failures);
    if (strcmp(argv[1], "_exit") == 0) _exit(failures);
    if (strcmp(argv[1], "abort") == 0) abort();
    return failures;
}
