/* A library for LD_PRELOAD that refuses to start threads while the file named by SPANSPOOL_TEST_THREADS exists, as the
 * system does where no more are allowed. A number in the file lets as many start first. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

/* How many were started while the file was there. */
static atomic_int started;

/* How many more may start; -1 is any number. */
static int allowed(void) {
    const char *path = getenv("SPANSPOOL_TEST_THREADS");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return -1;
    char text[16] = "";
    ssize_t length = read(file, text, sizeof text - 1);
    close(file);
    return length > 0 ? atoi(text) : 0;
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*work)(void *),
                   void *argument) {
    int (*start)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    *(void **)&start = dlsym(RTLD_NEXT, "pthread_create");
    int most = allowed();
    if (most < 0) atomic_store(&started, 0);
    else if (atomic_fetch_add(&started, 1) >= most) return EAGAIN;
    return start(thread, attributes, work, argument);
}
