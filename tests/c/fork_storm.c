/*
 * Forks again and again while four threads enqueue more than the journal holds, so that segments are written all the
 * time. Each child enqueues and delivers its own. Prints how many items the parent's threads got OK for, each.
 */

#include "host.h"

#include <glob.h>
#include <pthread.h>

enum { THREADS = 4, CHILDREN = 40, CHILD_ITEMS = 20 };

static spanspool_client *handle;
static int done;

struct thread {
    pthread_t id;
    char name[16];
    uint64_t taken;
};

static void *enqueue_until_done(void *argument) {
    struct thread *thread = argument;
    while (!__atomic_load_n(&done, __ATOMIC_ACQUIRE)) {
        spanspool_status status = enqueue_item(handle, thread->name, thread->taken, 500);
        if (status == SPANSPOOL_OK) {
            thread->taken++;
        } else if (status != SPANSPOOL_ERR_FULL) {
            CHECK_STATUS(status, SPANSPOOL_OK);
            break;
        }
        if (thread->taken % 32 == 0) sleep_ms(1);
    }
    return NULL;
}

static int has_segments(const char *pattern) {
    glob_t found;
    int outcome = glob(pattern, GLOB_NOSORT, NULL, &found);
    globfree(&found);
    return outcome == 0;
}

static void live(int child) {
    char name[16];
    snprintf(name, sizeof name, "child%d", child);
    alarm(300);
    for (uint64_t i = 0; i < CHILD_ITEMS; i++) CHECK_STATUS(enqueue_item(handle, name, i, 500), SPANSPOOL_OK);
    /* Every other child leaves without waiting: what it enqueued is for others to deliver. */
    if (child % 2) CHECK_STATUS(spanspool_flush(handle, 120000), SPANSPOOL_OK);
    fflush(stdout);
    _exit(failures);
}

/* usage: fork_storm SEGMENTS_PATTERN KEY=VALUE… */
int main(int argc, char **argv) {
    if (argc < 3) return 2;
    handle = open_spool(argv + 2);
    struct thread threads[THREADS];
    memset(threads, 0, sizeof threads);
    for (int i = 0; i < THREADS; i++) {
        snprintf(threads[i].name, sizeof threads[i].name, "thread%d", i);
        CHECK(pthread_create(&threads[i].id, NULL, enqueue_until_done, &threads[i]) == 0);
    }
    while (!has_segments(argv[1]) && !failures) sleep_ms(1);
    pid_t children[CHILDREN];
    for (int i = 0; i < CHILDREN; i++) {
        children[i] = fork();
        if (children[i] == 0) live(i);
        sleep_ms(i % 7);
    }
    for (int i = 0; i < CHILDREN; i++) CHECK(wait_for(children[i]) == 0);
    __atomic_store_n(&done, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i].id, NULL);
        printf("%" PRIu64 "\n", threads[i].taken);
    }
    CHECK_STATUS(spanspool_flush(handle, 120000), SPANSPOOL_OK);
    printf("delivered\n");
    fflush(stdout);
    /* The children's lanes are adopted meanwhile. */
    while (getchar() != EOF) continue;
    spanspool_free(handle);
    return verdict();
}
