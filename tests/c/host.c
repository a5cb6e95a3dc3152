/*
 * A program with an open spool that does what the lines of its standard input say, and answers each with one line.
 *
 *   enqueue NAME COUNT [PADDING]   the status of the last item, and how many were taken
 *   enqueue_as KEY NAME COUNT      the same under the name of a key
 *   large NAME BYTES               the status of an item NAME-0 that is so much longer, and its error's text
 *   noise NAME BYTES               the same, of bytes that don't compress
 *   flush MS, shutdown MS          the status
 *   free, key KEY                  the status
 *   named_key NAME KEY             the status
 *   pause, wake, sync              the status
 *   chdir DIR, chroot DIR, user ID 0 or -1
 *   stats                          accepted, delivered, rejected, pending, lanes_adopted
 *   fork COMMAND; COMMAND …        their answers from a child, then how that ended
 *   clone COMMAND; COMMAND …       as fork, with a raw clone that calls no handler
 *   stay COMMAND; COMMAND …        their answers from a child that lives until it is killed, then its pid
 *   nest DEPTH NAME                a child, its child and so on enqueue and flush; how the first one ended
 *   take DIR                       closes all descriptors but the standard ones, and opens DIR and DIR/own in their place; how
 *                                  many
 *   taken                          how many of them are not what `take` opened any more
 *   posix_spawn, vfork             how a program ended that was started that way and lists its descriptors
 */

/* For vfork and syscall. */
#define _DEFAULT_SOURCE

#include "host.h"

#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>

extern char **environ;

static spanspool_client *handle;

static void run(char *line);

static void answer(const char *format, uint64_t number) {
    printf(format, number);
    putchar('\n');
}

static void enqueue(const char *arguments) {
    char name[64];
    uint64_t count = 0, taken = 0;
    int padding = 0;
    if (sscanf(arguments, "%63s %" SCNu64 " %d", name, &count, &padding) < 2) exit(2);
    spanspool_status status = SPANSPOOL_OK;
    while (taken < count && !(status = enqueue_item(handle, name, taken, padding))) taken++;
    printf("%d %" PRIu64 "\n", (int)status, taken);
}

static void enqueue_as(const char *arguments) {
    char key_name[64], name[64];
    uint64_t count = 0, taken = 0;
    if (sscanf(arguments, "%63s %63s %" SCNu64, key_name, name, &count) < 3) exit(2);
    spanspool_status status = SPANSPOOL_OK;
    while (taken < count && !(status = enqueue_item_as(handle, key_name, name, taken, 0))) taken++;
    printf("%d %" PRIu64 "\n", (int)status, taken);
}

static spanspool_status set_named_key(const char *arguments) {
    char name[64], key[64];
    if (sscanf(arguments, "%63s %63s", name, key) < 2) exit(2);
    return spanspool_set_named_key(handle, name, key);
}

static void enqueue_large(const char *arguments, int is_noise) {
    char name[64], why[512];
    int padding = 0;
    if (sscanf(arguments, "%63s %d", name, &padding) < 2) exit(2);
    size_t size = (size_t)padding + 128 + FORM_ROOM;
    char *item = malloc(size);
    if (!item) exit(2);
    int len = snprintf(item, size, "{\"id\":\"%s-0\",\"pad\":\"%*s\"}", name, padding, "");
    uint32_t random = 1;
    for (int i = len - 3; is_noise && item[i] == ' '; i--) {
        random = random * 1664525 + 1013904223;
        item[i] = (char)('A' + (random >> 24) % 26);
    }
    spanspool_status status = spanspool_enqueue(handle, item, in_form(item, (size_t)len));
    free(item);
    spanspool_last_error(handle, why, sizeof why);
    printf("%d%s%s\n", (int)status, *why ? " " : "", why);
}

static void show_stats(void) {
    spanspool_stats stats = stats_of(handle);
    printf("%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", stats.accepted, stats.delivered,
           stats.rejected, stats.pending, stats.lanes_adopted);
}

static void run_all(char *commands) {
    for (char *command = strtok(commands, ";"); command; command = strtok(NULL, ";")) {
        run(command + strspn(command, " "));
        fflush(stdout);
    }
}

static void in_child(char *commands, int stays, int raw) {
    pid_t child = raw ? (pid_t)syscall(SYS_clone, SIGCHLD, 0L, 0L, 0L, 0L) : fork();
    if (child == 0) {
        /* A child that hangs must not outlive the test for long. */
        alarm(300);
        run_all(commands);
        if (stays) {
            printf("%d\n", (int)getpid());
            fflush(stdout);
            for (;;) pause();
        }
        _exit(failures != 0);
    }
    if (!stays) printf("%d\n", wait_for(child));
}

static int nest(int depth, const char *name) {
    if (depth == 0) return 0;
    pid_t child = fork();
    if (child > 0) return wait_for(child);
    char mine[80];
    snprintf(mine, sizeof mine, "%s%d", name, depth);
    int status = (int)enqueue_item(handle, mine, 0, 0);
    if (!status) status = (int)spanspool_flush(handle, 60000);
    if (!status) status = nest(depth - 1, name);
    _exit(status);
}

enum { TAKEN = 64 };

static int taken[TAKEN];
static struct stat taken_as[TAKEN];

static void take(const char *dir) {
    char own[4096];
    snprintf(own, sizeof own, "%s/own", dir);
    for (int fd = 3; fd < 1024; fd++) close(fd);
    for (int i = 0; i < TAKEN; i++) {
        taken[i] = i % 2 ? open(own, O_RDWR | O_CREAT, 0600) : open(dir, O_RDONLY | O_DIRECTORY);
        if (taken[i] < 0 || fstat(taken[i], &taken_as[i])) exit(2);
    }
    answer("%" PRIu64, TAKEN);
}

static void show_taken(void) {
    uint64_t lost = 0;
    for (int i = 0; i < TAKEN; i++) {
        struct stat now;
        lost += fstat(taken[i], &now) || now.st_ino != taken_as[i].st_ino || now.st_dev != taken_as[i].st_dev;
    }
    answer("%" PRIu64, lost);
}

static void start(int with_vfork) {
    char *const arguments[] = {"ls", "-l", "/proc/self/fd", NULL};
    pid_t child = 0;
    if (with_vfork) {
        child = vfork();
        if (child == 0) {
            execve("/bin/ls", arguments, environ);
            _exit(127);
        }
    } else if (posix_spawn(&child, "/bin/ls", NULL, NULL, arguments, environ)) {
        exit(2);
    }
    printf("ended %d\n", wait_for(child));
}

static void run(char *line) {
    size_t length = strcspn(line, " ");
    char *rest = line + length + (line[length] != 0);
    if (strncmp(line, "enqueue", length) == 0) {
        enqueue(rest);
    } else if (strncmp(line, "enqueue_as", length) == 0) {
        enqueue_as(rest);
    } else if (strncmp(line, "named_key", length) == 0) {
        answer("%" PRIu64, set_named_key(rest));
    } else if (strncmp(line, "large", length) == 0) {
        enqueue_large(rest, 0);
    } else if (strncmp(line, "noise", length) == 0) {
        enqueue_large(rest, 1);
    } else if (strncmp(line, "flush", length) == 0) {
        answer("%" PRIu64, spanspool_flush(handle, strtoull(rest, NULL, 10)));
    } else if (strncmp(line, "shutdown", length) == 0) {
        answer("%" PRIu64, spanspool_shutdown(handle, strtoull(rest, NULL, 10)));
    } else if (strncmp(line, "pause", length) == 0) {
        answer("%" PRIu64, spanspool_pause(handle));
    } else if (strncmp(line, "wake", length) == 0) {
        answer("%" PRIu64, spanspool_wake(handle));
    } else if (strncmp(line, "sync", length) == 0) {
        answer("%" PRIu64, spanspool_sync(handle));
    } else if (strncmp(line, "chdir", length) == 0) {
        printf("%d\n", chdir(rest));
    } else if (strncmp(line, "chroot", length) == 0) {
        printf("%d\n", chroot(rest) || chdir("/"));
    } else if (strncmp(line, "user", length) == 0) {
        printf("%d\n", setuid((uid_t)atoi(rest)));
    } else if (strncmp(line, "free", length) == 0) {
        spanspool_free(handle);
        handle = NULL;
        answer("%" PRIu64, 0);
    } else if (strncmp(line, "key", length) == 0) {
        answer("%" PRIu64, spanspool_set_api_key(handle, rest));
    } else if (strncmp(line, "stats", length) == 0) {
        show_stats();
    } else if (strncmp(line, "fork", length) == 0) {
        in_child(rest, 0, 0);
    } else if (strncmp(line, "clone", length) == 0) {
        in_child(rest, 0, 1);
    } else if (strncmp(line, "stay", length) == 0) {
        in_child(rest, 1, 0);
    } else if (strncmp(line, "take", length) == 0) {
        take(rest);
    } else if (strncmp(line, "taken", length) == 0) {
        show_taken();
    } else if (strncmp(line, "nest", length) == 0) {
        int depth = atoi(rest);
        answer("%" PRIu64, (uint64_t)nest(depth, strchr(rest, ' ') + 1));
    } else if (strncmp(line, "posix_spawn", length) == 0 || strncmp(line, "vfork", length) == 0) {
        start(line[0] == 'v');
    } else {
        exit(2);
    }
}

/* usage: host KEY=VALUE… */
int main(int argc, char **argv) {
    (void)argc;
    handle = open_spool(argv + 1);
    answer_lines(run);
    spanspool_free(handle);
    return verdict();
}
