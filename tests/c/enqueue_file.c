/* enqueue_file FILE FLUSH_MS [KEY=VALUE]...: enqueues the lines of FILE, flushes unless FLUSH_MS is 0, shuts down.
 * Prints the counters accepted, delivered and pending before it does. */

#include "settings.h"
#include <inttypes.h>

static void enqueue_lines(const spanspool_client *handle, FILE *file) {
    size_t size = 0, used = 0;
    char *line = NULL;
    for (int c; (c = getc(file)) != EOF;) {
        if (c == '\n') {
            must(spanspool_enqueue(handle, line, used), "enqueue");
            used = 0;
            continue;
        }
        if (used == size && !(line = realloc(line, size = size ? 2 * size : 1024))) exit(3);
        line[used++] = (char)c;
    }
    free(line);
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    FILE *file = fopen(argv[1], "rb");
    if (!file) return perror(argv[1]), 2;
    uint64_t flush_ms = strtoull(argv[2], NULL, 10);

    spanspool_client *handle = open_of(argv + 3);
    enqueue_lines(handle, file);
    fclose(file);
    if (flush_ms) must(spanspool_flush(handle, flush_ms), "flush");

    spanspool_stats stats;
    must(spanspool_get_stats(handle, &stats, sizeof stats), "get_stats");
    printf("%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", stats.accepted, stats.delivered, stats.pending);
    spanspool_status stopped = spanspool_shutdown(handle, 0);
    if (stopped != SPANSPOOL_ERR_TIMEOUT || !stats.pending) must(stopped, "shutdown");
    spanspool_free(handle);
    return 0;
}
