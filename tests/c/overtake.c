/* One thread is held in the middle of the copy of its item; another one enqueues a short item, and then one that is too long
 * for the ring. Usage: overtake <spool folder> <endpoint> */

#include "check.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#define LONG_BYTES 40000

static char *slow_item, *slow_page;
static size_t slow_len, page;
static int reached[2], gate[2];
static spanspool_client *handle;
static volatile sig_atomic_t long_is_taken;

/* The copy has come to the page that can't be read: it may go on when there is something in `gate`. */
static void hold(int number) {
    char any = 0;
    (void)number;
    if (write(reached[1], &any, 1) != 1 || read(gate[0], &any, 1) != 1 || mprotect(slow_page, page, PROT_READ | PROT_WRITE)) {
        _exit(3);
    }
}

/* Fills `item` with a JSON object of `len` bytes. */
static void fill(char *item, size_t len, int n) {
    int head = sprintf(item, "{\"n\":%d,\"pad\":\"", n);
    memset(item + head, 'a', len - (size_t)head - 2);
    memcpy(item + len - 2, "\"}", 2);
}

static void *enqueue_slow(void *unused) {
    CHECK_STATUS(spanspool_enqueue(handle, slow_item, slow_len), SPANSPOOL_OK);
    return unused;
}

static void *enqueue_short_then_long(void *unused) {
    static char item[LONG_BYTES];
    CHECK_STATUS(spanspool_enqueue(handle, "{\"n\":1}", 7), SPANSPOOL_OK);
    fill(item, sizeof item, 2);
    CHECK_STATUS(spanspool_enqueue(handle, item, sizeof item), SPANSPOOL_OK);
    long_is_taken = 1;
    return unused;
}

int main(int count, char **arguments) {
    if (count != 3) return 2;
    page = (size_t)sysconf(_SC_PAGESIZE);
    slow_len = 3 * page;
    void *memory = NULL;
    if (posix_memalign(&memory, page, slow_len) || pipe(reached) || pipe(gate)) return 2;
    slow_item = memory;
    slow_page = slow_item + page;
    fill(slow_item, slow_len, 0);
    struct sigaction action = {.sa_handler = hold};
    if (sigaction(SIGSEGV, &action, NULL) || sigaction(SIGBUS, &action, NULL)) return 2;

    spanspool_config *config = spanspool_config_new();
    CHECK_STATUS(spanspool_config_set(config, "spool_dir", arguments[1], NULL, 0), SPANSPOOL_OK);
    CHECK_STATUS(spanspool_config_set(config, "endpoint", arguments[2], NULL, 0), SPANSPOOL_OK);
    CHECK_STATUS(spanspool_config_set(config, "journal_bytes", "64 KiB", NULL, 0), SPANSPOOL_OK);
    CHECK_STATUS(spanspool_config_set(config, "validation", "none", NULL, 0), SPANSPOOL_OK);
    handle = open_with(config);

    char any = 0;
    pthread_t slow, other;
    if (mprotect(slow_page, page, PROT_NONE) || pthread_create(&slow, NULL, enqueue_slow, NULL)) return 2;
    if (read(reached[0], &any, 1) != 1 || pthread_create(&other, NULL, enqueue_short_then_long, NULL)) return 2;
    /* What can't go on keeps to its time all the same. */
    CHECK_STATUS(spanspool_flush(handle, 300), SPANSPOOL_ERR_TIMEOUT);
    CHECK(!long_is_taken);
    if (write(gate[1], &any, 1) != 1 || pthread_join(slow, NULL) || pthread_join(other, NULL)) return 2;
    CHECK_STATUS(spanspool_flush(handle, 60000), SPANSPOOL_OK);
    CHECK_STATUS(spanspool_shutdown(handle, 60000), SPANSPOOL_OK);
    spanspool_free(handle);
    return failures > 0;
}
