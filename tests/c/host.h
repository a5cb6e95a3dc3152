/* What the programs share that play a host: settings from the command line, items, and the log in a file. */

#ifndef HOST_H
#define HOST_H

#include "check.h"
#include "form.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static FILE *log_file;

static inline void write_log(int32_t level, const char *message, void *user_data) {
    (void)user_data;
    fprintf(log_file, "%" PRId32 " %s\n", level, message);
    fflush(log_file);
}

/* Opens a spool with settings in the form KEY=VALUE; log=FILE names a file that log lines are added to. */
static inline spanspool_client *open_spool(char **settings) {
    note_form(settings);
    spanspool_config *config = spanspool_config_new();
    char why[512];
    for (; *settings; settings++) {
        char *value = strchr(*settings, '=');
        if (!value) exit(2);
        *value++ = 0;
        if (strcmp(*settings, "log") == 0) {
            log_file = fopen(value, "ae");
            if (!log_file) exit(2);
            spanspool_config_set_log(config, write_log, NULL);
        } else if (spanspool_config_set(config, *settings, value, why, sizeof why)) {
            fprintf(stderr, "%s\n", why);
            exit(2);
        }
    }
    return open_with(config);
}

/* Enqueues the item NAME-NUMBER, which has `padding` more bytes. */
static inline spanspool_status enqueue_item_as(const spanspool_client *handle, const char *key_name, const char *name,
                                               uint64_t number, int padding) {
    size_t size = 200 + FORM_ROOM + (size_t)padding;
    char *item = malloc(size);
    if (!item) exit(2);
    int len = snprintf(item, size, "{\"id\":\"%s-%" PRIu64 "\",\"pad\":\"%*s\"}", name, number, padding, "");
    size_t length = in_form(item, (size_t)len);
    spanspool_status status = *key_name ? spanspool_enqueue_as(handle, key_name, item, length)
                                        : spanspool_enqueue(handle, item, length);
    free(item);
    return status;
}

static inline spanspool_status enqueue_item(const spanspool_client *handle, const char *name, uint64_t number, int padding) {
    return enqueue_item_as(handle, "", name, number, padding);
}

/* Says that it is ready, and gives `answer` each line of the input. */
static inline void answer_lines(void (*answer)(char *line)) {
    char line[4096];
    printf("ready\n");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        answer(line);
        fflush(stdout);
    }
}

/* How a child ended: its exit code, or the signal that killed it as a negative number. */
static inline int wait_for(pid_t child) {
    int status = 0;
    while (waitpid(child, &status, 0) != child) continue;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* Counters in a file, which outlive whoever changes them. */
static inline uint64_t *shared_counters(const char *path, size_t count) {
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, (off_t)(count * sizeof(uint64_t)))) exit(2);
    void *counters = mmap(NULL, count * sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (counters == MAP_FAILED) exit(2);
    return counters;
}

/* The path of `name` in `folder`, until the next call. */
static inline const char *in(const char *folder, const char *name) {
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static inline void sleep_ms(long ms) {
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

#endif
