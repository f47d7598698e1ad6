/*
 * Moves energy counters as hardware does: once a period it writes into each file, in place, the energy until now.
 *
 * Usage: counters PERIOD_US STEPS FILE START_UJ RANGE_UJ SHARE [FILE START_UJ RANGE_UJ SHARE ...]
 *
 * STEPS is a page that other programs share and write: a count, and that number of pairs of a time on CLOCK_MONOTONIC
 * and the watts from then on. The page gives the energy of any period in closed form. A file shows
 * START_UJ and its SHARE of this energy, modulo RANGE_UJ. Says "moving" when every file has been written once, and ends
 * with its parent.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "steps.h"

#define MOST_FILES 1024

struct counter {
    int file, width;
    double share;
    uint64_t start, range;
};

static struct counter counters[MOST_FILES];

/* Microjoules drawn until `now`; the steps before `*from` are in `*until` already. */
static double drawn_uj(const struct steps *steps, uint64_t *from, double *until, int64_t now)
{
    uint64_t count = __atomic_load_n(&steps->count, __ATOMIC_ACQUIRE);
    for (; *from + 1 < count && steps->step[*from + 1].at_ns <= now; ++*from)
        *until += steps->step[*from].watts * 1e-3 * (steps->step[*from + 1].at_ns - steps->step[*from].at_ns);
    return *until + steps->step[*from].watts * 1e-3 * (now - steps->step[*from].at_ns);
}

static void show(const struct counter *counter, double uj)
{
    char text[32];
    uint64_t value = (counter->start + (uint64_t)(uj * counter->share)) % counter->range;
    int length = snprintf(text, sizeof text, "%0*" PRIu64 "\n", counter->width, value);
    if (pwrite(counter->file, text, length, 0) != length) {
        perror("pwrite");
        exit(1);
    }
}

int main(int argc, char **argv)
{
    int files = (argc - 3) / 4;
    if (argc < 7 || (argc - 3) % 4 || files > MOST_FILES) {
        fprintf(stderr, "usage: counters PERIOD_US STEPS FILE START_UJ RANGE_UJ SHARE ...\n");
        return 2;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct steps *steps = open_steps(argv[2]);
    for (int i = 0; i < files; i++) {
        char **of = argv + 3 + 4 * i;
        counters[i] = (struct counter){open(of[0], O_WRONLY), 0, atof(of[3]), strtoull(of[1], 0, 10), strtoull(of[2], 0, 10)};
        counters[i].width = snprintf(NULL, 0, "%" PRIu64, counters[i].start); /* never longer, never shorter */
        if (counters[i].file < 0) {
            perror(of[0]);
            return 1;
        }
    }
    sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){.sched_priority = 50}); /* where it may */
    long period_ns = 1000 * atol(argv[1]);
    uint64_t from = 0;
    double until = 0;
    struct timespec due;
    clock_gettime(CLOCK_MONOTONIC, &due);
    for (int first = 1;; first = 0) {
        double uj = drawn_uj(steps, &from, &until, now_ns());
        for (int i = 0; i < files; i++)
            show(&counters[i], uj);
        if (first && puts("moving") != EOF)
            fflush(stdout);
        due.tv_nsec += period_ns;
        for (; due.tv_nsec >= 1000000000; due.tv_nsec -= 1000000000)
            due.tv_sec++;
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
    }
}
