/* Threads: many threads share one handle. Each of them traces its own work; nobody waits for the network. */
#include <spanspool.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { THREADS = 4, JOBS = 250 };

struct worker {
    const spanspool_client *spool;
    int number;
    int refused; /* items that enqueue did not take: this program's to count */
};

/* The log function is called from any thread, so it makes one call that is safe there. */
static void log_line(int32_t level, const char *message, void *user_data) {
    (void)user_data;
    if (level <= SPANSPOOL_LOG_WARN) fprintf(stderr, "spanspool: %s\n", message);
}

static void *work(void *argument) {
    struct worker *worker = argument;
    for (int job = 0; job < JOBS; job++) {
        char item[512];
        int length = snprintf(item, sizeof item,
                              "{\"object\":\"trace.span\",\"id\":\"span_%08x%016x\",\"trace_id\":\"trace_%032x\","
                              "\"parent_id\":null,\"started_at\":\"2026-01-01T00:00:00.000000+00:00\","
                              "\"ended_at\":\"2026-01-01T00:00:01.000000+00:00\",\"error\":null,"
                              "\"span_data\":{\"type\":\"custom\",\"name\":\"job\",\"data\":{\"worker\":%d,\"job\":%d}}}",
                              (unsigned)worker->number, (unsigned)job, (unsigned)worker->number, worker->number, job);
        spanspool_status status = spanspool_enqueue(worker->spool, item, (size_t)length);
        if (status) worker->refused++;
    }
    return NULL;
}

static spanspool_client *open_spool(const char *spool_dir, const char *endpoint) {
    char why[256] = "";
    spanspool_client *spool = NULL;
    spanspool_config *config = spanspool_config_new();
    spanspool_status status = spanspool_config_set(config, "spool_dir", spool_dir, why, sizeof why);
    if (!status) status = spanspool_config_set(config, "endpoint", endpoint, why, sizeof why);
    if (!status) status = spanspool_config_set_log(config, log_line, NULL);
    if (!status) status = spanspool_init(config, &spool, why, sizeof why);
    spanspool_config_free(config);
    if (status) fprintf(stderr, "cannot open the spool: %s\n", why[0] ? why : spanspool_status_str(status));
    return spool;
}

int main(int argc, char **argv) {
    if (argc != 3) return fprintf(stderr, "usage: threads SPOOL_DIR ENDPOINT\n"), 2;
    spanspool_client *spool = open_spool(argv[1], argv[2]);
    if (!spool) return 1;

    pthread_t threads[THREADS];
    struct worker workers[THREADS];
    int started = 0, refused = 0;
    for (; started < THREADS; started++) {
        workers[started] = (struct worker){spool, started, 0};
        if (pthread_create(&threads[started], NULL, work, &workers[started])) break;
    }
    for (int n = 0; n < started; n++) {
        pthread_join(threads[n], NULL);
        refused += workers[n].refused;
    }

    /* Only now, with nobody in a call on the handle, may it be freed. */
    spanspool_status status = spanspool_flush(spool, 10000);
    spanspool_stats stats;
    if (!spanspool_get_stats(spool, &stats, sizeof stats))
        printf("accepted %llu, delivered %llu, refused %d\n", (unsigned long long)stats.accepted,
               (unsigned long long)stats.delivered, refused);
    if (status) fprintf(stderr, "%s\n", spanspool_status_str(status));
    spanspool_free(spool);
    return status || refused || started < THREADS;
}
