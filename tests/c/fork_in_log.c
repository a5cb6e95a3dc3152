/*
 * The first call of a child logs a line while it opens its lane. The log function forks there, and returns once another
 * thread could fork as well: nobody hangs.
 *
 *   fork_in_log FOLDER
 */

#include "host.h"

#include <pthread.h>

static pid_t main_process;
static int forked;
/* Forks of the other thread, which ends once this is set. */
static volatile int others, is_over;

static void fork_once(int32_t level, const char *message, void *user_data) {
    (void)level, (void)message, (void)user_data;
    if (getpid() == main_process || forked++) return;
    pid_t child = fork();
    if (child == 0) _exit(0);
    CHECK(wait_for(child) == 0);
    /* One may have been under way when this began. */
    int enough = others + 2;
    while (others < enough) nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static void *fork_often(void *unused) {
    while (!is_over) {
        pid_t child = fork();
        if (child == 0) _exit(0);
        CHECK(wait_for(child) == 0);
        others++;
    }
    return unused;
}

/* A lane whose journal can't be read: who looks for an orphan says so. */
static void make_bad_lane(const char *spool) {
    char lane[4096];
    snprintf(lane, sizeof lane, "%s/lanes/00000000aaaaaaaa", spool);
    CHECK(mkdir(lane, 0700) == 0);
    FILE *journal = fopen(in(lane, "journal"), "we");
    CHECK(journal && fputs("no journal", journal) >= 0 && fclose(journal) == 0);
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    main_process = getpid();
    spanspool_config *config = offline_config(argv[1]);
    CHECK_STATUS(spanspool_config_set_log(config, fork_once, NULL), SPANSPOOL_OK);
    spanspool_client *handle = open_with(config);
    make_bad_lane(argv[1]);
    pid_t child = fork();
    if (child == 0) {
        alarm(60);
        pthread_t other;
        CHECK(pthread_create(&other, NULL, fork_often, NULL) == 0);
        CHECK_STATUS(enqueue_item(handle, "child", 0, 0), SPANSPOOL_OK);
        is_over = 1;
        CHECK(pthread_join(other, NULL) == 0);
        CHECK(forked > 0);
        CHECK(stats_of(handle).accepted == 1);
        _exit(verdict());
    }
    CHECK(wait_for(child) == 0);
    CHECK(stats_of(handle).accepted == 0);
    return verdict();
}
