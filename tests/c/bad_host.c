/* A host that breaks what the header asks of it, so that a sanitizer in the library has something to find. */

#include "check.h"

#include <pthread.h>

static const char ITEM[] = "{\"object\":\"trace\",\"id\":\"0\"}";
enum { LENGTH = sizeof ITEM - 1, DIGIT = LENGTH - 3 };

static char *item;
static int done;

static void *change(void *unused) {
    for (int digit = 0; !__atomic_load_n(&done, __ATOMIC_RELAXED); digit = (digit + 1) % 10)
        item[DIGIT] = (char)('0' + digit);
    return unused;
}

/* Changes an item while the library reads it. */
static void race(const spanspool_client *handle) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, change, NULL) == 0);
    for (int i = 0; i < 10000; i++) CHECK_STATUS(spanspool_enqueue(handle, item, LENGTH), SPANSPOOL_OK);
    __atomic_store_n(&done, 1, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
}

/* usage: bad_host none|race|overflow|freed SPOOL_DIR */
int main(int argc, char **argv) {
    if (argc != 3) return 2;
    spanspool_client *handle = open_offline(argv[2]);
    item = malloc(LENGTH);
    memcpy(item, ITEM, LENGTH);
    if (strcmp(argv[1], "race") == 0) {
        race(handle);
    } else if (strcmp(argv[1], "overflow") == 0) {
        spanspool_enqueue(handle, item, LENGTH + 1);
    } else {
        if (strcmp(argv[1], "freed") == 0) free(item);
        spanspool_enqueue(handle, item, LENGTH);
    }
    spanspool_free(handle);
    return verdict();
}
