/* power COUNTERS FIRST THREADS PAUSE_US SYNC_MS [KEY=VALUE]...: THREADS threads enqueue until the process is killed, or
 * whoever started it ends.
 *
 * Thread t, counted from FIRST, keeps numbers in the mapped file COUNTERS: how many items it ever handed to enqueue,
 * stored before the call, and after which of them the newest OK stands, stored after it. A later process goes on after
 * what was handed. While the third number is not 0, the thread rests. The fourth is what the second was before the
 * newest spanspool_sync that succeeded; one is made every SYNC_MS milliseconds, or none with 0.
 *
 * The items' text is known from t and n alone: short ones, now and then one that is longer than half a small ring, and
 * some of thread 0 under a key's name. */

#include "settings.h"
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define LONG_BYTES 100000

/* A cache line a thread. */
struct counter {
    volatile uint64_t handed;
    volatile uint64_t acknowledged;
    volatile uint64_t resting;
    volatile uint64_t synced;
    uint64_t unused[4];
};

struct job {
    const spanspool_client *handle;
    struct counter *counter;
    unsigned thread;
    long pause_us;
};

static size_t write_item(char *json, unsigned thread, uint64_t n) {
    size_t fill = n % 512 == 100 ? LONG_BYTES : (size_t)(n * 7919 % 600);
    size_t length = (size_t)sprintf(json, "{\"thread\":%u,\"n\":%llu,\"fill\":\"", thread, (unsigned long long)n);
    for (size_t i = 0; i < fill; i++) json[length++] = (char)('a' + (n + thread + i) % 26);
    memcpy(json + length, "\"}", 2);
    return in_form(json, length + 2);
}

static void pause_us(long us) {
    nanosleep(&(struct timespec){.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000}, NULL);
}

static void *enqueue_forever(void *argument) {
    const struct job *job = argument;
    char *json = malloc(LONG_BYTES + 200 + FORM_ROOM);
    if (!json) exit(3);
    for (uint64_t n = job->counter->handed;; n++) {
        while (job->counter->resting) pause_us(1000);
        size_t length = write_item(json, job->thread, n);
        int named = job->thread == 0 && n % 64 == 5;
        job->counter->handed = n + 1;
        spanspool_status status;
        do {
            status = named ? spanspool_enqueue_as(job->handle, "other", json, length)
                           : spanspool_enqueue(job->handle, json, length);
            if (status == SPANSPOOL_ERR_FULL) pause_us(1000);
        } while (status == SPANSPOOL_ERR_FULL);
        must(status, "enqueue");
        job->counter->acknowledged = n + 1;
        pause_us(job->pause_us);
    }
    return NULL;
}

int main(int argc, char **argv) {
    if (argc < 6) return 2;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL)) return perror("prctl"), 2;
    unsigned first = (unsigned)atoi(argv[2]), threads = (unsigned)atoi(argv[3]);
    long sync_ms = atol(argv[5]);
    if (threads < 1 || first + threads > 64) return 2;
    int file = open(argv[1], O_RDWR);
    struct counter *counters =
        mmap(NULL, (first + threads) * sizeof *counters, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (counters == MAP_FAILED) return perror(argv[1]), 2;

    const spanspool_client *handle = open_of(argv + 6);
    must(spanspool_set_named_key(handle, "other", "sk-other"), "set_named_key");
    static struct job jobs[64];
    for (unsigned t = first; t < first + threads; t++) {
        pthread_t thread;
        jobs[t] = (struct job){handle, &counters[t], t, atol(argv[4])};
        if (pthread_create(&thread, NULL, enqueue_forever, &jobs[t])) return 3;
    }
    while (!sync_ms) pause();
    for (;;) {
        uint64_t acknowledged[64];
        for (unsigned t = first; t < first + threads; t++) acknowledged[t] = counters[t].acknowledged;
        must(spanspool_sync(handle), "sync");
        for (unsigned t = first; t < first + threads; t++) counters[t].synced = acknowledged[t];
        pause_us(sync_ms * 1000);
    }
}
