/* no_sync: preloaded, it takes a program's protection from power cuts away: nothing is brought to stable storage,
 * and every call says that it was. */

#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

int msync(void *address, size_t length, int flags) { return (void)address, (void)length, (void)flags, 0; }

int fsync(int file) { return (void)file, 0; }

int fdatasync(int file) { return (void)file, 0; }

int sync_file_range(int file, off64_t offset, off64_t length, unsigned flags) {
    return (void)file, (void)offset, (void)length, (void)flags, 0;
}
