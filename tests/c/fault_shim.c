/* A library for LD_PRELOAD that makes calls on files fail which lie below a folder, as the file named by
 * SPANSPOOL_TEST_FAULTS says (struct faults below), and counts what a program must not do.
 *
 * Calls are numbered from 1 in the order in which they are made, whatever their kind. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

struct faults {
    _Atomic uint64_t calls;         /* made so far */
    _Atomic uint64_t first, last;   /* the calls that fail; 0 is none */
    _Atomic uint64_t error;         /* what they fail with; 0: a write is cut short, all else succeeds */
    _Atomic uint64_t only_syncs;    /* calls that bring nothing to stable storage succeed */
    _Atomic uint64_t made;          /* calls that failed */
    _Atomic uint64_t failed_syncs;  /* syncs among them */
    _Atomic uint64_t retried_syncs; /* syncs of a file of which one had failed before */
    _Atomic uint64_t sync_us;       /* how long a sync takes, in memory too */
    char folder[4096];
    _Atomic uint64_t read_error; /* what reads of its files fail with; 0: they succeed */
    _Atomic uint64_t read_us;    /* how long such a read takes */
    _Atomic uint64_t full;       /* calls that take room on the disk fail with ENOSPC */
};

struct mapping {
    char *begin, *end;
    dev_t device;
    ino_t inode;
};

static struct faults *faults;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct mapping mappings[256];
static size_t mapping_count;
static struct {
    dev_t device;
    ino_t inode;
} poisoned[4096];
static size_t poisoned_count;

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name) {
    return dlsym(RTLD_NEXT, name);
}

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("SPANSPOOL_TEST_FAULTS");
    int file = path ? REAL(open)(path, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *mapped = REAL(mmap)(NULL, sizeof *faults, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (mapped != MAP_FAILED) faults = mapped;
}

static int is_watched(const char *path) {
    return faults && strncmp(path, faults->folder, strlen(faults->folder)) == 0;
}

static int is_watched_file(int file) {
    if (!faults) return 0;
    char link[64], path[4352];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return is_watched(path);
}

/* Counts a call; tells whether it is to fail. */
static int fails(int is_sync) {
    uint64_t call = atomic_fetch_add(&faults->calls, 1) + 1;
    if (call < faults->first || call > faults->last || (faults->only_syncs && !is_sync)) return 0;
    atomic_fetch_add(&faults->made, 1);
    errno = (int)faults->error;
    return 1;
}

static int fails_at(const char *path) {
    return is_watched(path) && fails(0) && errno;
}

/* As fails, for a call that takes room. */
static int finds_no_room(void) {
    if (!faults->full) return fails(0);
    errno = ENOSPC;
    return 1;
}

/* Lets time pass without sleeping: the thread's timers may be put off. */
static void pass(uint64_t us) {
    struct timespec now, end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_nsec += (long)us * 1000;
    end.tv_sec += end.tv_nsec / 1000000000;
    end.tv_nsec %= 1000000000;
    do {
        sched_yield();
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec < end.tv_sec || (now.tv_sec == end.tv_sec && now.tv_nsec < end.tv_nsec));
}

/* Counts a sync of a file, on which a promise may rest; tells whether it is to fail. */
static int sync_fails(dev_t device, ino_t inode, int is_promise) {
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < poisoned_count; i++) {
        if (is_promise && poisoned[i].device == device && poisoned[i].inode == inode) {
            atomic_fetch_add(&faults->retried_syncs, 1);
        }
    }
    int failed = fails(1) && errno;
    if (failed) {
        atomic_fetch_add(&faults->failed_syncs, 1);
        if (poisoned_count < sizeof poisoned / sizeof *poisoned) {
            poisoned[poisoned_count].device = device;
            poisoned[poisoned_count++].inode = inode;
        }
    }
    int error = errno;
    pthread_mutex_unlock(&lock);
    pass(faults->sync_us);
    errno = error;
    return failed;
}

static int file_sync_fails(int file, int is_promise) {
    struct stat status;
    return is_watched_file(file) && fstat(file, &status) == 0 && S_ISREG(status.st_mode) &&
           sync_fails(status.st_dev, status.st_ino, is_promise);
}

static int folder_sync_fails(int file) {
    struct stat status;
    return is_watched_file(file) && fstat(file, &status) == 0 && S_ISDIR(status.st_mode) && fails(1) && errno;
}

/* sled syncs its file in this way when it opens and closes it, whatever happened before: nobody relies on that. */
int fsync(int file) {
    return file_sync_fails(file, 0) || folder_sync_fails(file) ? -1 : REAL(fsync)(file);
}

int fdatasync(int file) {
    return file_sync_fails(file, 1) ? -1 : REAL(fdatasync)(file);
}

int sync_file_range(int file, off64_t offset, off64_t length, unsigned flags) {
    if (is_watched_file(file) && fails(0) && errno) return -1;
    return REAL(sync_file_range)(file, offset, length, flags);
}

static void remember_mapping(char *begin, size_t length, int file) {
    struct stat status;
    if (!is_watched_file(file) || fstat(file, &status)) return;
    pthread_mutex_lock(&lock);
    size_t at = 0;
    while (at < mapping_count && mappings[at].begin != begin) at++;
    if (at < sizeof mappings / sizeof *mappings) {
        mappings[at] = (struct mapping){begin, begin + length, status.st_dev, status.st_ino};
        if (at == mapping_count) mapping_count++;
    }
    pthread_mutex_unlock(&lock);
}

void *mmap(void *address, size_t length, int protection, int flags, int file, off_t offset) {
    if (file >= 0 && is_watched_file(file) && fails(0) && errno) return MAP_FAILED;
    void *mapped = REAL(mmap)(address, length, protection, flags, file, offset);
    if (file >= 0 && mapped != MAP_FAILED) remember_mapping(mapped, length, file);
    return mapped;
}

void *mmap64(void *address, size_t length, int protection, int flags, int file, off_t offset) {
    return mmap(address, length, protection, flags, file, offset);
}

int munmap(void *address, size_t length) {
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < mapping_count;) {
        char *begin = mappings[i].begin;
        int inside = begin >= (char *)address && begin < (char *)address + length;
        if (inside) mappings[i] = mappings[--mapping_count];
        else i++;
    }
    pthread_mutex_unlock(&lock);
    return REAL(munmap)(address, length);
}

int msync(void *address, size_t length, int flags) {
    struct mapping found = {0};
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < mapping_count; i++) {
        if (mappings[i].begin <= (char *)address && (char *)address < mappings[i].end) found = mappings[i];
    }
    pthread_mutex_unlock(&lock);
    if (found.begin && sync_fails(found.device, found.inode, 1)) return -1;
    return REAL(msync)(address, length, flags);
}

/* How much of `length` bytes is to be written: all, half, or with -1 nothing. */
static ssize_t allowed(int file, size_t length) {
    if (!is_watched_file(file) || !finds_no_room()) return (ssize_t)length;
    return errno ? -1 : (ssize_t)(length > 1 ? length / 2 : length);
}

ssize_t write(int file, const void *bytes, size_t length) {
    ssize_t some = allowed(file, length);
    return some < 0 ? -1 : REAL(write)(file, bytes, (size_t)some);
}

ssize_t pwrite64(int file, const void *bytes, size_t length, off64_t offset) {
    ssize_t some = allowed(file, length);
    return some < 0 ? -1 : REAL(pwrite64)(file, bytes, (size_t)some, offset);
}

ssize_t pwrite(int file, const void *bytes, size_t length, off_t offset) {
    return pwrite64(file, bytes, length, offset);
}

ssize_t writev(int file, const struct iovec *parts, int count) {
    if (is_watched_file(file) && finds_no_room()) return errno ? -1 : REAL(writev)(file, parts, 1);
    return REAL(writev)(file, parts, count);
}

int fallocate(int file, int mode, off_t offset, off_t length) {
    if (is_watched_file(file) && finds_no_room() && errno) return -1;
    return REAL(fallocate)(file, mode, offset, length);
}

int fallocate64(int file, int mode, off64_t offset, off64_t length) {
    return fallocate(file, mode, offset, length);
}

int ftruncate(int file, off_t length) {
    if (is_watched_file(file) && fails(0) && errno) return -1;
    return REAL(ftruncate)(file, length);
}

int ftruncate64(int file, off64_t length) {
    return ftruncate(file, length);
}

/* Tells whether a read is to fail; it takes its time. */
static int read_fails(int file) {
    if (!faults || !(faults->read_error || faults->read_us) || !is_watched_file(file)) return 0;
    if (faults->read_us) pass(faults->read_us);
    errno = (int)faults->read_error;
    return errno != 0;
}

ssize_t read(int file, void *bytes, size_t length) {
    return read_fails(file) ? -1 : REAL(read)(file, bytes, length);
}

ssize_t pread64(int file, void *bytes, size_t length, off64_t offset) {
    return read_fails(file) ? -1 : REAL(pread64)(file, bytes, length, offset);
}

ssize_t pread(int file, void *bytes, size_t length, off_t offset) {
    return pread64(file, bytes, length, offset);
}

/* Whether a call on a path that counts from a folder is to fail. */
static int fails_below(int folder, const char *path) {
    char link[64], whole[8192];
    if (!faults || path[0] == '/' || folder == AT_FDCWD) return fails_at(path);
    snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    ssize_t length = readlink(link, whole, 4096);
    if (length < 0) return 0;
    snprintf(whole + length, sizeof whole - (size_t)length, "/%s", path);
    return fails_at(whole);
}

/* The same for a call that makes something. */
static int cannot_make(int folder, const char *path) {
    char link[64], at[8192];
    if (!faults || !faults->full) return fails_below(folder, path);
    /* What is there takes no more room. */
    if (faccessat(folder, path, F_OK, 0) == 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    ssize_t length = path[0] == '/' ? 0 : readlink(link, at, 4096);
    if (length < 0) return 0;
    snprintf(at + length, sizeof at - (size_t)length, "%s%s", length ? "/" : "", path);
    return is_watched(at) && finds_no_room();
}

int mkdirat(int folder, const char *path, mode_t mode) {
    return cannot_make(folder, path) ? -1 : REAL(mkdirat)(folder, path, mode);
}

int renameat(int folder, const char *from, int to_folder, const char *to) {
    return fails_below(folder, from) ? -1 : REAL(renameat)(folder, from, to_folder, to);
}

int unlinkat(int folder, const char *path, int flags) {
    return fails_below(folder, path) ? -1 : REAL(unlinkat)(folder, path, flags);
}

int mkdir(const char *path, mode_t mode) {
    return fails_at(path) ? -1 : REAL(mkdir)(path, mode);
}

int rename(const char *from, const char *to) {
    return fails_at(from) ? -1 : REAL(rename)(from, to);
}

int unlink(const char *path) {
    return fails_at(path) ? -1 : REAL(unlink)(path);
}

static int open_fails(const char *path, int flags) {
    return (flags & O_CREAT) && fails_at(path);
}

static mode_t mode_of(int flags, va_list arguments) {
    return flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
}

int open(const char *path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = mode_of(flags, arguments);
    va_end(arguments);
    return open_fails(path, flags) ? -1 : REAL(open)(path, flags, mode);
}

int openat(int folder, const char *path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = mode_of(flags, arguments);
    va_end(arguments);
    if ((flags & O_CREAT) && cannot_make(folder, path)) return -1;
    return REAL(openat)(folder, path, flags, mode);
}

int openat64(int folder, const char *path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = mode_of(flags, arguments);
    va_end(arguments);
    return openat(folder, path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = mode_of(flags, arguments);
    va_end(arguments);
    return open_fails(path, flags) ? -1 : REAL(open64)(path, flags, mode);
}
