/* enqueue_bytes FILE [KEY=VALUE]...: enqueues the items of FILE, each after its length in four bytes, the lowest first.
 * Then it says "ready" and waits to be killed. */

#include "settings.h"
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc < 2) return 2;
    FILE *file = fopen(argv[1], "rb");
    if (!file) return perror(argv[1]), 2;
    spanspool_client *handle = open_of(argv + 2);
    unsigned char length[4];
    while (fread(length, 1, sizeof length, file) == sizeof length) {
        size_t bytes = length[0] | length[1] << 8 | (size_t)length[2] << 16;
        char *item = malloc(bytes);
        if (!item || fread(item, 1, bytes, file) != bytes) return 3;
        must(spanspool_enqueue(handle, item, bytes), "enqueue");
        free(item);
    }
    fclose(file);
    puts("ready");
    fflush(stdout);
    pause();
    return 4;
}
