/* soak THREADS RATE LEAK [KEY=VALUE]...: THREADS threads enqueue RATE items a second together until standard input ends.
 *
 * Then it delivers what is left and says, in one line: how many items each thread had taken, in one number for each; "of";
 * and the lane's accepted, delivered, rejected, pending and dropped items and how many calls had answered FULL.
 * Thread t's items are {"thread":t,"n":n,"fill":…} of about 500 bytes, n counting from 0. With LEAK 1 a descriptor is
 * lost each second; with 0 none is. */

#include "settings.h"
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#define MAX_THREADS 64
#define FILL 450
#define NOISE 65536
#define TICK_NS 10000000
#define TICKS_A_SECOND 100

struct job {
    const spanspool_client *handle;
    int thread;
    uint64_t rate;
    uint64_t taken;
    uint64_t full;
};

static char noise[NOISE + FILL];
static volatile int ended;

/* Letters that hardly compress (xorshift64). */
static void make_noise(void) {
    uint64_t x = 88172645463325252u;
    for (size_t i = 0; i < sizeof noise; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        noise[i] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"[x >> 58];
    }
}

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void enqueue_one(struct job *job) {
    char json[FILL + 100];
    int length = snprintf(json, sizeof json, "{\"thread\":%d,\"n\":%" PRIu64 ",\"fill\":\"%.*s\"}", job->thread,
                          job->taken, FILL, noise + job->taken * 7919 % NOISE);
    spanspool_status status;
    while ((status = spanspool_enqueue(job->handle, json, (size_t)length)) == SPANSPOOL_ERR_FULL) job->full++;
    must(status, "enqueue");
    job->taken++;
}

/* Keeps to the rate; what a stall of the machine cost beyond a second is not made up for. */
static void *enqueue_at_rate(void *argument) {
    struct job *job = argument;
    int64_t begin = now_ns();
    for (uint64_t tick = 0, made = 0; !ended; tick++) {
        int64_t due = begin + (int64_t)tick * TICK_NS, late = now_ns() - due;
        if (late > 1000000000) begin += late;
        if (late < 0) nanosleep(&(struct timespec){.tv_nsec = -late}, NULL);
        for (uint64_t upto = (tick + 1) * job->rate / TICKS_A_SECOND; made < upto; made++) enqueue_one(job);
    }
    return NULL;
}

static void *lose_descriptors(void *unused) {
    for (; !ended; sleep(1)) {
        if (open("/dev/null", O_RDONLY) < 0) exit(3);
    }
    return unused;
}

static void report(const spanspool_client *handle, const struct job *jobs, int threads) {
    spanspool_stats s;
    uint64_t full = 0;
    must(spanspool_get_stats(handle, &s, sizeof s), "get_stats");
    for (int t = 0; t < threads; t++) {
        printf("%" PRIu64 " ", jobs[t].taken);
        full += jobs[t].full;
    }
    uint64_t dropped = s.dropped_overflow + s.dropped_expired + s.dropped_corrupt;
    printf("of %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", s.accepted, s.delivered,
           s.rejected, s.pending, dropped, full);
}

int main(int argc, char **argv) {
    if (argc < 4) return 2;
    int threads = atoi(argv[1]), rate = atoi(argv[2]), leak = atoi(argv[3]);
    if (threads < 1 || threads > MAX_THREADS || rate < 1) return 2;
    make_noise();
    spanspool_client *handle = open_of(argv + 4);

    static struct job jobs[MAX_THREADS];
    pthread_t ids[MAX_THREADS], leaker;
    for (int t = 0; t < threads; t++) {
        jobs[t] = (struct job){handle, t, (uint64_t)(rate / threads), 0, 0};
        if (pthread_create(&ids[t], NULL, enqueue_at_rate, &jobs[t])) return 3;
    }
    if (leak && pthread_create(&leaker, NULL, lose_descriptors, NULL)) return 3;
    while (getchar() != EOF) {
    }
    ended = 1;
    for (int t = 0; t < threads; t++) pthread_join(ids[t], NULL);
    must(spanspool_flush(handle, 600000), "flush");
    report(handle, jobs, threads);
    must(spanspool_shutdown(handle, 10000), "shutdown");
    spanspool_free(handle);
    return 0;
}
