/* idle STATE ITEMS [KEY=VALUE]...: enqueues ITEMS items, waits until export is in STATE (the number of export_state)
 * with nothing pending or, in backoff and hold, all of it, says "ready", and waits for the end of its standard input.
 * With a STATE of "restless" it goes on asking for the counters a hundred times a second instead. */

#include "settings.h"
#include <time.h>
#include <unistd.h>

static void pause_briefly(void) { nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL); }

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    int restless = strcmp(argv[1], "restless") == 0;
    uint64_t state = strtoull(argv[1], NULL, 10);
    uint64_t items = strtoull(argv[2], NULL, 10);
    spanspool_client *handle = open_of(argv + 3);
    for (uint64_t n = 0; n < items; n++) {
        char json[64];
        int length = snprintf(json, sizeof json, "{\"n\":%llu}", (unsigned long long)n);
        must(spanspool_enqueue(handle, json, (size_t)length), "enqueue");
    }

    spanspool_stats stats;
    for (;;) {
        must(spanspool_get_stats(handle, &stats, sizeof stats), "get_stats");
        if (stats.export_state == state && stats.pending == (state > 1 ? items : 0)) break;
        pause_briefly();
    }
    puts("ready");
    fflush(stdout);
    while (restless) {
        must(spanspool_get_stats(handle, &stats, sizeof stats), "get_stats");
        pause_briefly();
    }
    while (getchar() != EOF) continue;
    spanspool_free(handle);
    return 0;
}
