/* private_journal: a shim to preload. A journal that is mapped is mapped privately: what the library stores in it never
 * reaches the file. With the journal's writes gone, tests must see losses. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef void *map_function(void *, size_t, int, int, int, off_t);

static int is_journal(int file) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = '\0';
    return strstr(path, "/journal") != NULL;
}

void *mmap(void *address, size_t length, int protection, int flags, int file, off_t offset) {
    map_function *next;
    *(void **)&next = dlsym(RTLD_NEXT, "mmap");
    if (file >= 0 && (flags & MAP_SHARED) && is_journal(file)) flags = (flags & ~MAP_SHARED) | MAP_PRIVATE;
    return next(address, length, protection, flags, file, offset);
}

void *mmap64(void *address, size_t length, int protection, int flags, int file, off_t offset) {
    return mmap(address, length, protection, flags, file, offset);
}
