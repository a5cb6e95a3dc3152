/* sync_log: preloaded, it notes when each sync of a program began and ended in the file that SYNC_LOG names.
 *
 * The file is a count, then that many entries of four words: thread, begin and end in Unix time in nanoseconds (end is 0
 * while the call lasts), and 1 for msync. It is as long as the test made it; what does not fit is not noted. */

#define _GNU_SOURCE
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct entry {
    uint64_t thread, begin_ns;
    _Atomic uint64_t end_ns;
    uint64_t is_msync;
};

struct log {
    _Atomic uint64_t count;
    struct entry entries[];
};

static struct log *sync_log;
static uint64_t room;

__attribute__((constructor)) static void open_log(void) {
    const char *path = getenv("SYNC_LOG");
    struct stat stat;
    int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0 || fstat(file, &stat)) abort();
    sync_log = mmap(NULL, (size_t)stat.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (sync_log == MAP_FAILED) abort();
    room = ((uint64_t)stat.st_size - sizeof *sync_log) / sizeof(struct entry);
    close(file);
}

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static long noted(long number, long a, long b, long c) {
    uint64_t index = atomic_fetch_add(&sync_log->count, 1);
    struct entry *entry = index < room ? &sync_log->entries[index] : NULL;
    if (entry) {
        entry->thread = (uint64_t)syscall(SYS_gettid);
        entry->is_msync = number == SYS_msync;
        entry->begin_ns = now_ns();
    }
    long answer = syscall(number, a, b, c);
    if (entry) entry->end_ns = now_ns();
    return answer;
}

int msync(void *address, size_t length, int flags) {
    return (int)noted(SYS_msync, (long)address, (long)length, flags);
}

int fsync(int file) { return (int)noted(SYS_fsync, file, 0, 0); }

int fdatasync(int file) { return (int)noted(SYS_fdatasync, file, 0, 0); }
