/* kill_worker COUNTERS THREADS ROUNDS ITEMS MODE ENDPOINT[,ENDPOINT] [KEY=VALUE]...: does all that a client does, until
 * it is killed.
 *
 * A round opens a client for each endpoint, enqueues ITEMS items from each of THREADS threads with a sync and a flush here
 * and there, shuts the clients down and frees them. The threads take the clients in turn. MODE is letters: t has the
 * process wait to be traced by its parent, d says that an ingest is down and not to be waited for, s that there is a pause
 * after each item, c that the current folder is / while clients are open; - is none of these.
 *
 * Thread t keeps two numbers in the mapped file COUNTERS: how many items it ever handed to enqueue, stored before the
 * call, and how many of these were taken, stored after OK. They outlive the process; a later process goes on after them.
 * tests/campaign_kill/items.rs knows the text of item n of thread t. */

#include "settings.h"
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <time.h>
#include <unistd.h>

enum { MAX_THREADS = 8, MAX_CLIENTS = 2, MAX_PAD = 900, LONG_FILL = 40000, PAUSE_NS = 300000 };

/* A cache line a thread. */
struct counter {
    volatile uint64_t handed;
    volatile uint64_t acknowledged;
    volatile uint64_t shutdowns; /* of the client, in the first thread's */
    uint64_t unused[5];
};

struct job {
    spanspool_client *handle;
    struct counter *counter;
    int thread;
    int items;
    int is_first; /* of its client's threads */
    int is_slow;
    char json[LONG_FILL + 200 + FORM_ROOM];
};

static const char *kind_of(int thread, uint64_t n) {
    if (n % 40 == 21) return "long";
    /* Threads that go in step must not make a batch of bad items alone: then it may be the ingest that is bad. */
    if ((n + 7 * (uint64_t)thread) % 24 == 5) return "bad";
    if (n % 24 == 14) return "stranger";
    if (n % 8 == 3) return "team";
    if (n % 8 == 6) return "crew";
    return "plain";
}

static size_t write_item(struct job *job, uint64_t n, const char *kind) {
    size_t fill = !strcmp(kind, "long") ? LONG_FILL : n * 7919 % MAX_PAD;
    int length = snprintf(job->json, sizeof job->json, "{\"thread\":%d,\"n\":%llu,\"kind\":\"%s\",\"fill\":\"", job->thread,
                          (unsigned long long)n, kind);
    char *end = job->json + length;
    for (size_t i = 0; i < fill; i++) *end++ = (char)('a' + (i * 7 + n * 31 + (uint64_t)job->thread * 5) % 26);
    memcpy(end, "\"}", 3);
    return in_form(job->json, (size_t)(end + 2 - job->json));
}

static void enqueue_one(struct job *job, uint64_t n) {
    const char *kind = kind_of(job->thread, n);
    size_t length = write_item(job, n, kind);
    int named = !strcmp(kind, "team") || !strcmp(kind, "crew") || !strcmp(kind, "stranger");
    job->counter->handed = n + 1;
    /* The tracer knows by this call, which nothing else here makes, that an enqueue begins. */
    getppid();
    spanspool_status status;
    do {
        status = named ? spanspool_enqueue_as(job->handle, kind, job->json, length)
                       : spanspool_enqueue(job->handle, job->json, length);
        if (status == SPANSPOOL_ERR_FULL) nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    } while (status == SPANSPOOL_ERR_FULL);
    must(status, "enqueue");
    job->counter->acknowledged = n + 1;
}

/* Nothing but the deadline may keep an ingest that is down from being flushed to. */
static void may_be_late(spanspool_status status, const char *what) {
    if (status != SPANSPOOL_ERR_TIMEOUT) must(status, what);
}

static void *enqueue_items(void *argument) {
    struct job *job = argument;
    uint64_t first = job->counter->handed;
    for (uint64_t n = first; n < first + (uint64_t)job->items; n++) {
        enqueue_one(job, n);
        if (job->is_slow) nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
        if (!job->is_first) continue;
        if (n % 16 == 7) must(spanspool_sync(job->handle), "sync");
        if (n % 32 == 19) may_be_late(spanspool_flush(job->handle, 20), "flush");
    }
    return NULL;
}

/* A client with these settings, and the endpoint that ends at a comma or the end. */
static spanspool_client *open_at(const char *endpoint, char **settings) {
    /* Reading the settings cuts them up. */
    static char copies[64][256];
    char *mine[65];
    int count = 0;
    snprintf(copies[count++], sizeof copies[0], "endpoint=%.*s", (int)strcspn(endpoint, ","), endpoint);
    for (; *settings && count < 64; settings++) snprintf(copies[count++], sizeof copies[0], "%s", *settings);
    if (*settings) exit(2);
    for (int i = 0; i < count; i++) mine[i] = copies[i];
    mine[count] = NULL;
    spanspool_client *handle = open_of(mine);
    must(spanspool_set_named_key(handle, "team", "key-team"), "set_named_key");
    must(spanspool_set_named_key(handle, "crew", "key-crew"), "set_named_key");
    return handle;
}

static void run_round(struct job *jobs, int threads, const char *mode, const char *endpoints, char **settings) {
    uint64_t timeout_ms = strchr(mode, 'd') ? 20 : 60000;
    pthread_t running[MAX_THREADS];
    spanspool_client *clients[MAX_CLIENTS];
    int count = 0;
    for (const char *endpoint = endpoints; endpoint; endpoint = strchr(endpoint, ',')) {
        if (count == MAX_CLIENTS) exit(2);
        endpoint += *endpoint == ',';
        clients[count++] = open_at(endpoint, settings);
    }
    if (strchr(mode, 'c') && chdir("/")) exit(2);
    for (int t = 0; t < threads; t++) {
        jobs[t].handle = clients[t % count];
        jobs[t].is_first = t < count;
        if (pthread_create(&running[t], NULL, enqueue_items, &jobs[t])) exit(3);
    }
    for (int t = 0; t < threads; t++) pthread_join(running[t], NULL);
    jobs->counter->shutdowns++;
    for (int i = 0; i < count; i++) {
        may_be_late(spanspool_shutdown(clients[i], timeout_ms), "shutdown");
        spanspool_free(clients[i]);
    }
}

int main(int argc, char **argv) {
    if (argc < 7) return 2;
    int threads = atoi(argv[2]), rounds = atoi(argv[3]), items = atoi(argv[4]);
    const char *mode = argv[5];
    if (threads < 1 || threads > MAX_THREADS) return 2;
    int file = open(argv[1], O_RDWR);
    struct counter *counters =
        mmap(NULL, MAX_THREADS * sizeof *counters, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (counters == MAP_FAILED) return perror(argv[1]), 2;
    /* A client that hangs is a failure that is seen. */
    alarm(120);
    if (strchr(mode, 't')) {
        if (ptrace(PTRACE_TRACEME, 0, 0, 0)) return perror("ptrace"), 2;
        raise(SIGSTOP);
    }
    static struct job jobs[MAX_THREADS];
    for (int t = 0; t < threads; t++) {
        jobs[t] = (struct job){.counter = &counters[t], .thread = t, .items = items, .is_slow = !!strchr(mode, 's')};
    }
    int home = open(".", O_RDONLY);
    for (int round = 0; round < rounds; round++) {
        if (fchdir(home)) return perror("fchdir"), 2;
        run_round(jobs, threads, mode, argv[6], argv + 7);
    }
    return 0;
}
