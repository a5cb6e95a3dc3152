/* A host that closed its standard descriptors, as daemons did, and prints all the same: none of that reaches the spool.
 *
 * usage: closed_standard KEY=VALUE… */

#include "host.h"

#include <signal.h>

static void print(void) {
    char text[4096];
    memset(text, 'x', sizeof text);
    for (int file = 0; file < 3; file++) {
        if (write(file, text, sizeof text) > 0) failures++;
    }
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
        if (fcntl(file, F_GETFD) >= 0) failures++;
    }
    spanspool_free(handle);
    return failures != 0;
}
