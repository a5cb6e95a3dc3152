/* A library for LD_PRELOAD: a sync of a folder fails with the error number in SPANSPOOL_TEST_FOLDER_SYNC. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int fsync(int file) {
    int (*sync)(int);
    *(void **)&sync = dlsym(RTLD_NEXT, "fsync");
    struct stat status;
    const char *error = getenv("SPANSPOOL_TEST_FOLDER_SYNC");
    if (error && fstat(file, &status) == 0 && S_ISDIR(status.st_mode)) {
        errno = atoi(error);
        return -1;
    }
    return sync(file);
}
