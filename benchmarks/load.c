/*
 * The command that is measured: draws the given power, and records its start and its end.
 *
 * Usage: load STEPS SPANS [WATTS SECONDS ...]
 *
 * Writes each step into STEPS (see counters.c) as it begins, and after the last step the earlier power. Appends to the
 * file SPANS a line "START END" in nanoseconds of CLOCK_MONOTONIC, stamped first and last of all.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <unistd.h>

#include "steps.h"

static void draw(struct steps *steps, int64_t at_ns, double watts)
{
    if (steps->count >= MOST_STEPS)
        exit(3);
    steps->step[steps->count] = (struct step){at_ns, watts};
    __atomic_store_n(&steps->count, steps->count + 1, __ATOMIC_RELEASE);
}

int main(int argc, char **argv)
{
    int64_t start = now_ns(), end = start;
    if (argc < 5 || argc % 2 == 0) {
        fprintf(stderr, "usage: load STEPS SPANS WATTS SECONDS ...\n");
        return 2;
    }
    struct steps *steps = open_steps(argv[1]);
    double before = steps->step[steps->count - 1].watts;
    for (int i = 3; i < argc; i += 2) {
        draw(steps, end, atof(argv[i]));
        end += (int64_t)(atof(argv[i + 1]) * 1e9);
        struct timespec until = {end / 1000000000, end % 1000000000};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
    }
    int spans = open(argv[2], O_WRONLY | O_APPEND);
    end = now_ns();
    draw(steps, end, before);
    dprintf(spans, "%" PRId64 " %" PRId64 "\n", start, end);
    return 0;
}
