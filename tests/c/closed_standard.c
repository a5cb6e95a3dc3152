/* A host that closed its standard descriptors, as daemons did, and prints all the same: none of that reaches the spool.
 *
 * usage: closed_standard KEY=VALUE… */

#define _DEFAULT_SOURCE

#include "host.h"

/* Prints, and looks where that went: nowhere, or while the library opens something to /dev/null. */
static void print(void) {
    char text[4096], link[64], target[256];
    memset(text, 'x', sizeof text);
    for (int file = 0; file < 3; file++) {
        if (write(file, text, sizeof text) < 0) continue;
        snprintf(link, sizeof link, "/proc/self/fd/%d", file);
        ssize_t length = readlink(link, target, sizeof target - 1);
        if (length < 0) continue;
        target[length] = 0;
        if (strcmp(target, "/dev/null")) failures++;
    }
}

/* Whether a standard descriptor is open, for longer than it takes to open something. */
static int is_open(int file) {
    for (int tries = 0; tries < 1000; tries++) {
        if (fcntl(file, F_GETFD) < 0) return 0;
        usleep(10000);
    }
    return 1;
}

int main(int argc, char **argv) {
    (void)argc;
    for (int file = 0; file < 3; file++) close(file);
    spanspool_client *handle = open_spool(argv + 1);
    for (uint64_t number = 0; number < 3000; number++) {
        if (enqueue_item(handle, "printed", number, 200)) failures++;
        print();
    }
    if (spanspool_flush(handle, 60000)) failures++;
    print();
    for (int file = 0; file < 3; file++) {
        if (is_open(file)) failures++;
    }
    spanspool_free(handle);
    return failures != 0;
}
