/* backlog fill BYTES SAMPLE [KEY=VALUE]...    enqueues the lines of SAMPLE over and over, BYTES bytes at least
 * backlog drain [KEY=VALUE]...                delivers all that is in the spool
 * backlog open TIMES [KEY=VALUE]...           opens and closes the spool, and says how many microseconds opening took
 *
 * The first two say how many items the lane has delivered and how many it took in its whole life, and the most memory
 * that the process had, in KiB. */

#include "settings.h"
#include <inttypes.h>
#include <time.h>

#define MAX_LINES 4096

/* Reads the lines of a file; their ends become NUL. Gives how many there are. */
static size_t read_lines(const char *path, char *lines[MAX_LINES], size_t lengths[MAX_LINES]) {
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END)) exit(2);
    size_t size = (size_t)ftell(file), count = 0;
    char *text = malloc(size);
    rewind(file);
    if (!text || fread(text, 1, size, file) != size) exit(2);
    fclose(file);
    for (char *at = text, *end; count < MAX_LINES && (end = memchr(at, '\n', size - (size_t)(at - text))); at = end + 1) {
        lines[count] = at;
        lengths[count++] = (size_t)(end - at);
    }
    return count;
}

static void fill(const spanspool_client *handle, uint64_t bytes, const char *sample) {
    static char *lines[MAX_LINES];
    static size_t lengths[MAX_LINES];
    size_t count = read_lines(sample, lines, lengths);
    uint64_t done = 0;
    for (size_t i = 0; done < bytes; i = (i + 1) % count) {
        must(spanspool_enqueue(handle, lines[i], lengths[i]), "enqueue");
        done += lengths[i];
    }
}

static unsigned long peak_memory_kib(void) {
    char line[256];
    unsigned long kib = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof line, status)) sscanf(line, "VmHWM: %lu", &kib);
    if (status) fclose(status);
    return kib;
}

static void report(const spanspool_client *handle) {
    spanspool_stats stats;
    must(spanspool_get_stats(handle, &stats, sizeof stats), "get_stats");
    printf("%" PRIu64 " %" PRIu64 " %lu\n", stats.delivered, stats.accepted, peak_memory_kib());
}

static int64_t now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int main(int argc, char **argv) {
    spanspool_client *handle = NULL;
    if (argc > 4 && !strcmp(argv[1], "fill")) {
        handle = open_of(argv + 4);
        fill(handle, strtoull(argv[2], NULL, 10), argv[3]);
        report(handle);
    } else if (argc > 2 && !strcmp(argv[1], "drain")) {
        handle = open_of(argv + 2);
        must(spanspool_flush(handle, UINT64_MAX), "flush");
        report(handle);
    } else if (argc > 3 && !strcmp(argv[1], "open")) {
        spanspool_config *config = config_of(argv + 3);
        for (int times = atoi(argv[2]); times > 0; times--) {
            spanspool_free(handle);
            handle = NULL;
            int64_t before = now_us();
            must(spanspool_init(config, &handle, NULL, 0), "init");
            printf("%" PRId64 "\n", now_us() - before);
        }
        spanspool_config_free(config);
    } else {
        return 2;
    }
    spanspool_free(handle);
    return 0;
}
