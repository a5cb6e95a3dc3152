/* Loads the library, opens a spool, unloads the library with the spool open or freed, and goes on for a while. */

#include <dlfcn.h>
#include <pthread.h>
#include <spanspool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void *library;

/* ISO C knows no cast from an object's address to a function's. */
static void find(const char *name, void *function, size_t size) {
    void *symbol = dlsym(library, name);
    memcpy(function, &symbol, size);
}

#define FIND(name) \
    __typeof__(&name) p_##name; \
    find(#name, &p_##name, sizeof p_##name)

static int use(char **argv) {
    FIND(spanspool_config_new);
    FIND(spanspool_config_set);
    FIND(spanspool_config_free);
    FIND(spanspool_init);
    FIND(spanspool_enqueue);
    FIND(spanspool_flush);
    FIND(spanspool_free);
    spanspool_client *handle = NULL;
    spanspool_config *config = p_spanspool_config_new();
    int failed = p_spanspool_config_set(config, "spool_dir", argv[3], NULL, 0) ||
                 p_spanspool_config_set(config, "endpoint", argv[4], NULL, 0) ||
                 p_spanspool_init(config, &handle, NULL, 0);
    p_spanspool_config_free(config);
    failed = failed || p_spanspool_enqueue(handle, "{\"id\":\"before-0\"}", 17);
    failed = failed || p_spanspool_flush(handle, 0) != SPANSPOOL_ERR_TIMEOUT;
    if (strcmp(argv[1], "free") == 0) p_spanspool_free(handle);
    return failed;
}

static void *use_in_thread(void *argv) { return use(argv) ? argv : NULL; }

/* usage: dlclose keep|free LIBRARY SPOOL_DIR ENDPOINT ; a line on standard input for each step */
int main(int argc, char **argv) {
    if (argc != 5) return 2;
    library = dlopen(argv[2], RTLD_NOW | RTLD_LOCAL);
    if (!library) return fprintf(stderr, "%s\n", dlerror()), 2;
    /* In a thread of its own: the main thread's thread-local variables would keep the library loaded. */
    pthread_t thread;
    void *failed = argv;
    if (pthread_create(&thread, NULL, use_in_thread, argv) || pthread_join(thread, &failed) || failed) return 3;
    getchar();
    if (dlclose(library)) return 4;
    puts("closed");
    fflush(stdout);
    getchar();
    /* A fork calls the handlers that the library registered. */
    pid_t child = fork();
    if (child == 0) _exit(0);
    int status = 1;
    waitpid(child, &status, 0);
    return status || !dlopen(argv[2], RTLD_NOW | RTLD_NOLOAD) ? 5 : 0;
}
