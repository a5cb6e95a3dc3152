/*
 * A program with an open spool that does what the lines of its standard input say, and answers each with a status.
 *
 *   enqueue NAME COUNT PADDING KEY   items under the name of a key, or of none with "-", until one is not taken
 *   long NAME BYTES                  one item, which does not compress
 *   flush MS
 *   sync
 *   name KEY                         the key of that name becomes known
 *
 * usage: order KEY=VALUE…; it ends with its input, in an orderly way
 */

#include "host.h"

static spanspool_client *handle;

static spanspool_status enqueue_as(const char *key, const char *item, size_t length) {
    if (*key == '-') return spanspool_enqueue(handle, item, length);
    return spanspool_enqueue_as(handle, key, item, length);
}

static spanspool_status enqueue(const char *name, uint64_t count, int padding, const char *key) {
    char item[4200];
    spanspool_status status = SPANSPOOL_OK;
    for (uint64_t n = 0; n < count && !status; n++) {
        int length = snprintf(item, sizeof item, "{\"id\":\"%s-%" PRIu64 "\",\"pad\":\"%*s\"}", name, n, padding, "");
        status = enqueue_as(key, item, (size_t)length);
    }
    return status;
}

static spanspool_status enqueue_long(const char *name, size_t bytes) {
    char *item = malloc(bytes + 200);
    if (!item) exit(2);
    size_t length = (size_t)snprintf(item, 200, "{\"id\":\"%s-0\",\"pad\":\"", name);
    uint64_t noise = 1;
    for (size_t end = length + bytes; length < end; length++) {
        noise = noise * 6364136223846793005u + 1442695040888963407u;
        item[length] = (char)('0' + (noise >> 58));
        if (item[length] == '\\') item[length] = '-';
    }
    memcpy(item + length, "\"}", 2);
    spanspool_status status = spanspool_enqueue(handle, item, length + 2);
    free(item);
    return status;
}

static spanspool_status run(const char *line) {
    char name[64] = "", key[64] = "";
    uint64_t number = 0;
    int padding = 0;
    if (sscanf(line, "enqueue %63s %" SCNu64 " %d %63s", name, &number, &padding, key) == 4)
        return enqueue(name, number, padding, key);
    if (sscanf(line, "long %63s %" SCNu64, name, &number) == 2) return enqueue_long(name, (size_t)number);
    if (sscanf(line, "flush %" SCNu64, &number) == 1) return spanspool_flush(handle, number);
    if (strcmp(line, "sync") == 0) return spanspool_sync(handle);
    if (sscanf(line, "name %63s", key) == 1) return spanspool_set_named_key(handle, key, "sk-test");
    exit(2);
}

static void answer(char *line) {
    printf("%d\n", (int)run(line));
}

int main(int argc, char **argv) {
    (void)argc;
    handle = open_spool(argv + 1);
    answer_lines(answer);
    spanspool_free(handle);
    return verdict();
}
