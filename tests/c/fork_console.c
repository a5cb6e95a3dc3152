/* Forks while the console exporter waits for a pipe that is full: the child prints its own all the same. */

#include "host.h"

/* usage: fork_console SPOOL_DIR */
int main(int argc, char **argv) {
    if (argc != 2) return 2;
    int full[2];
    if (pipe(full) || dup2(full[1], STDOUT_FILENO) < 0) return 2;
    spanspool_config *config = offline_config(argv[1]);
    CHECK_STATUS(spanspool_config_set(config, "exporter", "console", NULL, 0), SPANSPOOL_OK);
    spanspool_client *handle = open_with(config);
    /* More than a pipe holds: once some of it is there, the exporter waits in the middle of the batch. */
    for (uint64_t i = 0; i < 100; i++) CHECK_STATUS(enqueue_item(handle, "parent", i, 4000), SPANSPOOL_OK);
    CHECK_STATUS(spanspool_flush(handle, 0), SPANSPOOL_ERR_TIMEOUT);
    char byte;
    if (read(full[0], &byte, 1) != 1) return 2;

    pid_t child = fork();
    if (child == 0) {
        int out = open("/dev/null", O_WRONLY | O_CLOEXEC);
        if (dup2(out, STDOUT_FILENO) < 0) _exit(2);
        int status = (int)enqueue_item(handle, "child", 0, 0);
        if (!status) status = (int)spanspool_flush(handle, 20000);
        _exit(status);
    }
    int ended = wait_for(child);
    if (ended) fprintf(stderr, "the child ended with %d\n", ended);
    _exit(ended || failures);
}
