/* A library for LD_PRELOAD that keeps a log of all calls by which a program changes what lies below a folder, or brings
 * it to stable storage. The folder is named by SPANSPOOL_TEST_ORDER_FOLDER, the log by SPANSPOOL_TEST_ORDER_LOG; several
 * processes may write one log. The file that SPANSPOOL_TEST_ORDER_ORDERS names says what is to go wrong (struct orders).
 *
 * A call is two lines, one before it is made and one after it has returned:
 *
 *   CALL B OPERATION INODE OFFSET LENGTH PARENT NAME PARENT NAME PATH PATH JOURNALS
 *   CALL E OPERATION RESULT INODE JOURNALS
 *
 * Fields are separated by tabs. PARENT is the inode of the folder that has the entry NAME, PATH the whole of it; the
 * second ones are where a rename leads. What does not apply is 0 or empty. JOURNALS is what the header of each mapped
 * journal says at that moment: see write_journals. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

struct orders {
    _Atomic uint64_t hold_us;           /* each sync of a journal's header or file takes so much longer */
    _Atomic uint64_t fail_header_syncs; /* so many of the next syncs of a header fail that would release something */
    _Atomic uint64_t fail_journals;     /* 1: all syncs of journals fail */
    _Atomic uint64_t die_at_header;     /* 1: the process dies of the next sync of a header */
};

struct mapping {
    char *begin, *end;
    uint64_t offset, inode;
};

/* Where an entry of a folder is. */
struct place {
    uint64_t parent, inode;
    char path[PATH_MAX], *name;
};

static struct orders *orders;
static int log_file = -1;
static char folder[PATH_MAX];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct mapping mappings[64];
static size_t mapping_count;
static _Atomic uint64_t calls;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void begin(void) {
    const char *log = getenv("SPANSPOOL_TEST_ORDER_LOG"), *below = getenv("SPANSPOOL_TEST_ORDER_FOLDER");
    const char *path = getenv("SPANSPOOL_TEST_ORDER_ORDERS");
    if (!log || !below || !path || !realpath(below, folder)) abort();
    int file = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
    orders = mmap(NULL, sizeof *orders, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    log_file = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (orders == MAP_FAILED || log_file < 0) abort();
    syscall(SYS_close, file);
}

static int is_watched(const char *path) {
    size_t length = strlen(folder);
    return log_file >= 0 && strncmp(path, folder, length) == 0 && (path[length] == '/' || !path[length]);
}

static int path_of(int file, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    path[length < 0 ? 0 : length] = 0;
    return length > 0;
}

/* The inode of an open file below the folder; 0: it is none such. */
static uint64_t watched_inode(int file, char *path) {
    struct stat status;
    return path_of(file, path) && is_watched(path) && fstat(file, &status) == 0 ? status.st_ino : 0;
}

/* Finds where `path`, taken from the folder `from`, leads, links in the folders before it followed. */
static int locate(int from, const char *path, struct place *place) {
    char whole[2 * PATH_MAX], base[PATH_MAX] = "", parent[PATH_MAX];
    if (log_file < 0 || !path || strlen(path) >= PATH_MAX) return 0;
    if (*path != '/' && !(from == AT_FDCWD ? getcwd(base, sizeof base) != NULL : path_of(from, base))) return 0;
    snprintf(whole, sizeof whole, "%s%s%s", base, *base ? "/" : "", path);
    for (size_t end = strlen(whole); end > 1 && whole[end - 1] == '/';) whole[--end] = 0;
    char *slash = strrchr(whole, '/');
    if (!slash || slash == whole) return 0;
    *slash = 0;
    struct stat status;
    if (!realpath(whole, parent) || !is_watched(parent) || stat(parent, &status)) return 0;
    if (snprintf(place->path, sizeof place->path, "%s/%s", parent, slash + 1) >= (int)sizeof place->path) return 0;
    place->parent = status.st_ino;
    place->name = place->path + strlen(parent) + 1;
    place->inode = lstat(place->path, &status) == 0 ? status.st_ino : 0;
    return 1;
}

static uint64_t word_at(const char *header, size_t offset) {
    return atomic_load((_Atomic uint64_t *)(header + offset));
}

/* For each journal that is mapped for writing: INODE:RING:TAIL, then the 21 words of its valid checkpoint. */
static int write_journals(char *out, size_t room) {
    size_t used = 0;
    for (size_t i = 0; i < mapping_count; i++) {
        if (mappings[i].offset) continue;
        const char *header = mappings[i].begin;
        uint64_t slot[21], again[21], active;
        do {
            active = word_at(header, 512) & 1;
            for (size_t w = 0; w < 21; w++) slot[w] = word_at(header, (active ? 832 : 576) + 8 * w);
            for (size_t w = 0; w < 21; w++) again[w] = word_at(header, (active ? 832 : 576) + 8 * w);
        } while (memcmp(slot, again, sizeof slot) != 0 || active != (word_at(header, 512) & 1));
        used += (size_t)snprintf(out + used, room - used, "%s%lu:%lu:%lu", used ? " " : "", mappings[i].inode,
                                 word_at(header, 16), word_at(header, 64));
        for (size_t w = 0; w < 21; w++) used += (size_t)snprintf(out + used, room - used, ":%lu", slot[w]);
    }
    return (int)used;
}

static void write_line(const char *format, ...) {
    char line[2 * PATH_MAX + 16384];
    va_list arguments;
    va_start(arguments, format);
    int used = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    pthread_mutex_lock(&lock);
    used += write_journals(line + used, sizeof line - (size_t)used - 1);
    pthread_mutex_unlock(&lock);
    line[used++] = '\n';
    if (syscall(SYS_write, log_file, line, (size_t)used) != used) abort();
}

/* The line before a call; returns the call's number. */
static uint64_t before(const char *operation, uint64_t inode, uint64_t offset, uint64_t length, const struct place *from,
                       const struct place *to) {
    uint64_t call = atomic_fetch_add(&calls, 1);
    write_line("%d.%lu\tB\t%s\t%lu\t%lu\t%lu\t%lu\t%s\t%lu\t%s\t%s\t%s\t", (int)getpid(), call, operation, inode, offset,
               length, from ? from->parent : 0, from ? from->name : "", to ? to->parent : 0, to ? to->name : "",
               from ? from->path : "", to ? to->path : "");
    return call;
}

/* The line after a call, whose errno stays as it is. */
static void after(uint64_t call, const char *operation, int answer, uint64_t inode) {
    int error = errno;
    write_line("%d.%lu\tE\t%s\t%d\t%lu\t", (int)getpid(), call, operation, answer < 0 ? error : 0, inode);
    errno = error;
}

/* Makes `made`, a call that changes the content of `file`. */
#define CHANGING(file, made)                                          \
    char path[PATH_MAX];                                              \
    uint64_t inode = watched_inode(file, path);                       \
    if (!inode) return made;                                          \
    uint64_t call = before("write", inode, 0, 0, NULL, NULL);         \
    __typeof__(made) answer = made;                                   \
    after(call, "write", (int)answer, inode);                         \
    return answer

ssize_t write(int file, const void *bytes, size_t length) {
    CHANGING(file, REAL(write)(file, bytes, length));
}

ssize_t pwrite(int file, const void *bytes, size_t length, off_t offset) {
    CHANGING(file, REAL(pwrite)(file, bytes, length, offset));
}

ssize_t pwrite64(int file, const void *bytes, size_t length, off64_t offset) {
    CHANGING(file, REAL(pwrite64)(file, bytes, length, offset));
}

ssize_t writev(int file, const struct iovec *parts, int count) {
    CHANGING(file, REAL(writev)(file, parts, count));
}

int ftruncate(int file, off_t length) {
    CHANGING(file, REAL(ftruncate)(file, length));
}

int ftruncate64(int file, off64_t length) {
    CHANGING(file, REAL(ftruncate64)(file, length));
}

int fallocate(int file, int mode, off_t offset, off_t length) {
    CHANGING(file, REAL(fallocate)(file, mode, offset, length));
}

int fallocate64(int file, int mode, off64_t offset, off64_t length) {
    CHANGING(file, REAL(fallocate64)(file, mode, offset, length));
}

static int refused(void) {
    errno = EIO;
    return -1;
}

/* Lets time pass without sleeping: the thread's timers may be put off. */
static void pass(uint64_t us) {
    struct timespec now, end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    uint64_t until = (uint64_t)end.tv_sec * 1000000 + (uint64_t)end.tv_nsec / 1000 + us;
    do {
        syscall(SYS_sched_yield);
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000 < until);
}

static int is_refused(const char *path) {
    return strstr(path, "/journal") && atomic_load(&orders->fail_journals);
}

#define SYNCING(name, file)                                                              \
    char path[PATH_MAX];                                                                 \
    uint64_t inode = watched_inode(file, path);                                          \
    if (!inode) return REAL(name)(file);                                                 \
    uint64_t call = before("sync", inode, 0, 0, NULL, NULL);                             \
    if (strstr(path, "/journal")) pass(atomic_load(&orders->hold_us));                    \
    int answer = is_refused(path) ? refused() : REAL(name)(file);                        \
    after(call, "sync", answer, inode);                                                  \
    return answer

int fsync(int file) {
    SYNCING(fsync, file);
}

int fdatasync(int file) {
    SYNCING(fdatasync, file);
}

int msync(void *address, size_t length, int flags) {
    struct mapping found = {0};
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < mapping_count; i++) {
        if (mappings[i].begin <= (char *)address && (char *)address < mappings[i].end) found = mappings[i];
    }
    pthread_mutex_unlock(&lock);
    if (!found.begin) return REAL(msync)(address, length, flags);
    uint64_t offset = found.offset + (uint64_t)((char *)address - found.begin);
    uint64_t call = before("msync", found.inode, offset, length, NULL, NULL);
    int fails = atomic_load(&orders->fail_journals) != 0;
    if (offset == 0) {
        if (atomic_load(&orders->die_at_header)) raise(SIGKILL);
        pass(atomic_load(&orders->hold_us));
        static _Atomic uint64_t last_head;
        uint64_t head = word_at(found.begin, (word_at(found.begin, 512) & 1 ? 832 : 576) + 24);
        uint64_t left = atomic_load(&orders->fail_header_syncs);
        if (head != atomic_exchange(&last_head, head) && left) {
            atomic_store(&orders->fail_header_syncs, left - 1);
            fails = 1;
        }
    }
    int answer = fails ? refused() : REAL(msync)(address, length, flags);
    after(call, "msync", answer, found.inode);
    return answer;
}

/* The table of mappings and what is mapped change as one. */
static void *mapped(void *address, size_t length, int protection, int flags, int file, off64_t offset) {
    char path[PATH_MAX];
    uint64_t inode = file >= 0 && flags & MAP_SHARED && protection & PROT_WRITE ? watched_inode(file, path) : 0;
    pthread_mutex_lock(&lock);
    char *answer = (char *)syscall(SYS_mmap, address, length, protection, flags, file, offset);
    if (inode && answer != MAP_FAILED) {
        size_t at = 0;
        while (at < mapping_count && mappings[at].begin != answer) at++;
        if (at == sizeof mappings / sizeof *mappings) abort();
        mappings[at] = (struct mapping){answer, answer + length, (uint64_t)offset, inode};
        if (at == mapping_count) mapping_count++;
    }
    pthread_mutex_unlock(&lock);
    return answer;
}

void *mmap(void *address, size_t length, int protection, int flags, int file, off_t offset) {
    return mapped(address, length, protection, flags, file, offset);
}

void *mmap64(void *address, size_t length, int protection, int flags, int file, off64_t offset) {
    return mapped(address, length, protection, flags, file, offset);
}

int munmap(void *address, size_t length) {
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < mapping_count;) {
        char *at = mappings[i].begin;
        if (at >= (char *)address && at < (char *)address + length) mappings[i] = mappings[--mapping_count];
        else i++;
    }
    int answer = (int)syscall(SYS_munmap, address, length);
    pthread_mutex_unlock(&lock);
    return answer;
}

/* Makes `made`, a call that changes the entry `path` of the folder `from`. */
#define AT(operation, from, path, made)                                             \
    struct place place;                                                             \
    if (!locate(from, path, &place)) return made;                                   \
    uint64_t call = before(operation, place.inode, 0, 0, &place, NULL);             \
    int answer = made, error = errno;                                               \
    struct stat status;                                                             \
    uint64_t inode = lstat(place.path, &status) == 0 ? status.st_ino : place.inode; \
    errno = error;                                                                  \
    after(call, operation, answer, inode);                                          \
    return answer

int mkdir(const char *path, mode_t mode) {
    AT("mkdir", AT_FDCWD, path, REAL(mkdir)(path, mode));
}

int mkdirat(int from, const char *path, mode_t mode) {
    AT("mkdir", from, path, REAL(mkdirat)(from, path, mode));
}

int unlink(const char *path) {
    AT("unlink", AT_FDCWD, path, REAL(unlink)(path));
}

int rmdir(const char *path) {
    AT("unlink", AT_FDCWD, path, REAL(rmdir)(path));
}

int unlinkat(int from, const char *path, int flags) {
    AT("unlink", from, path, REAL(unlinkat)(from, path, flags));
}

#define MOVING(from, path, to, target, made)                                \
    struct place place, goal;                                               \
    if (!locate(from, path, &place) || !locate(to, target, &goal)) return made; \
    uint64_t call = before("rename", place.inode, 0, 0, &place, &goal);     \
    int answer = made;                                                      \
    after(call, "rename", answer, place.inode);                             \
    return answer

int rename(const char *path, const char *target) {
    MOVING(AT_FDCWD, path, AT_FDCWD, target, REAL(rename)(path, target));
}

int renameat(int from, const char *path, int to, const char *target) {
    MOVING(from, path, to, target, REAL(renameat)(from, path, to, target));
}

int renameat2(int from, const char *path, int to, const char *target, unsigned flags) {
    MOVING(from, path, to, target, REAL(renameat2)(from, path, to, target, flags));
}

static int opened(int from, const char *path, int flags, mode_t mode) {
    struct place place;
    int makes = flags & O_CREAT && locate(from, path, &place) && (!place.inode || flags & O_TRUNC);
    if (!makes) return (int)syscall(SYS_openat, from, path, flags | O_LARGEFILE, mode);
    const char *operation = place.inode ? "write" : "create";
    uint64_t call = before(operation, place.inode, 0, 0, &place, NULL);
    int file = (int)syscall(SYS_openat, from, path, flags | O_LARGEFILE, mode), error = errno;
    struct stat status;
    uint64_t inode = file >= 0 && fstat(file, &status) == 0 ? status.st_ino : 0;
    errno = error;
    after(call, operation, file, inode);
    return file;
}

#define OPENING(from)                                                  \
    va_list arguments;                                                 \
    va_start(arguments, flags);                                        \
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0; \
    va_end(arguments);                                                 \
    return opened(from, path, flags, mode)

int open(const char *path, int flags, ...) {
    OPENING(AT_FDCWD);
}

int open64(const char *path, int flags, ...) {
    OPENING(AT_FDCWD);
}

int openat(int from, const char *path, int flags, ...) {
    OPENING(from);
}

int openat64(int from, const char *path, int flags, ...) {
    OPENING(from);
}
