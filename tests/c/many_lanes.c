/*
 * Opens more lanes than a table of a thousand descriptors has room for, forks a child that does nothing, prints its
 * process id, and ends without a word to the library once its input ends.
 *
 *   many_lanes FOLDER
 */

#include "host.h"

#include <sys/resource.h>

enum { LANES = 600 };

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files)) return 2;
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files)) return 2;
    for (int i = 0; i < LANES; i++) {
        spanspool_config *config = offline_config(argv[1]);
        CHECK_STATUS(spanspool_config_set(config, "journal_bytes", "64KiB", NULL, 0), SPANSPOOL_OK);
        open_with(config);
    }
    pid_t child = fork();
    if (child == 0) {
        alarm(300);
        for (;;) pause();
    }
    printf("%d\n", (int)child);
    fflush(stdout);
    while (getchar() != EOF) continue;
    _exit(verdict());
}
