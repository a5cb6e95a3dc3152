/*
 * A prefork server: eight workers that were forked with the master's handle enqueue without end; the master kills one
 * after the other at random and forks its successor. At last all but one are killed, and that one delivers.
 *
 * counters[LIFE] is how many items LIFE-0, LIFE-1 … the worker with that number had got OK for.
 */

#include "host.h"

#include <signal.h>

enum { WORKERS = 8, MAX_LIVES = 4096, DONE = MAX_LIVES };

static const spanspool_client *handle;
static uint64_t *counters;

static void work(uint64_t life) {
    char name[32];
    snprintf(name, sizeof name, "%" PRIu64, life);
    for (uint64_t number = 0; !__atomic_load_n(&counters[DONE], __ATOMIC_ACQUIRE);) {
        spanspool_status status = enqueue_item(handle, name, number, 100);
        if (status == SPANSPOOL_OK) {
            __atomic_store_n(&counters[life], ++number, __ATOMIC_RELEASE);
        } else if (status != SPANSPOOL_ERR_FULL) {
            CHECK_STATUS(status, SPANSPOOL_OK);
            _exit(1);
        }
        if (number % 16 == 0) sleep_ms(2);
    }
}

static pid_t born(uint64_t life) {
    pid_t worker = fork();
    if (worker == 0) {
        alarm(600);
        work(life);
        /* The survivor delivers its own; what the dead left comes with it. */
        int status = (int)spanspool_flush(handle, 60000);
        for (;;) {
            printf("survivor %d %" PRIu64 "\n", status, stats_of(handle).lanes_adopted);
            fflush(stdout);
            sleep_ms(200);
        }
    }
    return worker;
}

static void killed(pid_t worker) {
    kill(worker, SIGKILL);
    CHECK(wait_for(worker) == -SIGKILL);
}

/* usage: prefork COUNTERS SECONDS KEY=VALUE… ; ends when its standard input does */
int main(int argc, char **argv) {
    if (argc < 4) return 2;
    counters = shared_counters(argv[1], MAX_LIVES + 1);
    handle = open_spool(argv + 3);
    pid_t workers[WORKERS];
    uint64_t lives = 0;
    while (lives < WORKERS) {
        workers[lives] = born(lives);
        lives++;
    }
    time_t end = time(NULL) + atoi(argv[2]);
    srand((unsigned)getpid());
    while (time(NULL) < end && lives < MAX_LIVES) {
        int victim = rand() % WORKERS;
        killed(workers[victim]);
        workers[victim] = born(lives++);
        sleep_ms(rand() % 100);
    }
    for (int i = 1; i < WORKERS; i++) killed(workers[i]);
    __atomic_store_n(&counters[DONE], 1, __ATOMIC_RELEASE);
    printf("lives %" PRIu64 "\n", lives);
    fflush(stdout);
    while (getchar() != EOF) continue;
    killed(workers[0]);
    return verdict();
}
