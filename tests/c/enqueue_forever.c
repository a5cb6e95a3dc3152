/* enqueue_forever COUNTERS THREADS PAD [KEY=VALUE]...: THREADS threads enqueue until the process is killed.
 *
 * Thread t keeps two numbers in the mapped file COUNTERS: how many items it ever handed to enqueue, stored before the
 * call, and how many of these were taken, stored after OK. They outlive the process; a later process goes on from
 * them. Items are {"thread":t,"n":n} with up to PAD bytes more. */

#include "settings.h"
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* A cache line a thread. */
struct counter {
    volatile uint64_t handed;
    volatile uint64_t acknowledged;
    uint64_t unused[6];
};

struct job {
    const spanspool_client *handle;
    struct counter *counter;
    int thread;
    int pad;
};

static void *enqueue_forever(void *argument) {
    const struct job *job = argument;
    char json[8192], fill[4096];
    memset(fill, 'x', sizeof fill);
    for (uint64_t n = job->counter->handed;; n++) {
        int pad = job->pad ? (int)(n * 7919 % (uint64_t)job->pad) : 0;
        int length = snprintf(json, sizeof json, "{\"thread\":%d,\"n\":%llu,\"fill\":\"%.*s\"}", job->thread,
                              (unsigned long long)n, pad, fill);
        job->counter->handed = n + 1;
        spanspool_status status;
        while ((status = spanspool_enqueue(job->handle, json, (size_t)length)) == SPANSPOOL_ERR_FULL) {
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        }
        must(status, "enqueue");
        job->counter->acknowledged = n + 1;
    }
    return NULL;
}

int main(int argc, char **argv) {
    if (argc < 4) return 2;
    int threads = atoi(argv[2]), pad = atoi(argv[3]);
    if (threads < 1 || threads > 64 || pad < 0 || pad > 4096) return 2;
    int file = open(argv[1], O_RDWR);
    struct counter *counters =
        mmap(NULL, (size_t)threads * sizeof *counters, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (counters == MAP_FAILED) return perror(argv[1]), 2;

    const spanspool_client *handle = open_of(argv + 4);
    static struct job jobs[64];
    for (int t = 0; t < threads; t++) {
        pthread_t thread;
        jobs[t] = (struct job){handle, &counters[t], t, pad};
        if (pthread_create(&thread, NULL, enqueue_forever, &jobs[t])) return 3;
    }
    pause();
    return 4;
}
