/*
 * The computation that is disturbed: always the same work, one half of it arithmetic, one half memory.
 *
 * Usage: kernel CPU
 *
 * Pins itself to CPU. For every line on standard input it does the work once and answers with one line, in
 * nanoseconds: processor and wall time of the arithmetic, processor and wall time of the walk through memory. The walk
 * goes in random order through 256 KiB, which fits the second cache of an ordinary core: a program that evicts it costs time.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define LINES 4096 /* of 64 bytes */
#define HOPS 12000000
#define ROUNDS 40000000

struct line {
    uint32_t next, filler[15];
};

static struct line walk[LINES] __attribute__((aligned(64)));

static int64_t at(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13, *state ^= *state >> 7, *state ^= *state << 17;
    return *state;
}

/* One cycle through all lines: Sattolo's shuffle. */
static void lay_out(void)
{
    uint64_t state = 88172645463325252u;
    for (uint32_t i = 0; i < LINES; i++)
        walk[i].next = i;
    for (uint32_t i = LINES - 1; i > 0; i--) {
        uint32_t j = next_random(&state) % i, kept = walk[i].next;
        walk[i].next = walk[j].next, walk[j].next = kept;
    }
}

static uint64_t arithmetic(void)
{
    uint64_t state = 1, sum = 0;
    for (int i = 0; i < ROUNDS; i++)
        sum += next_random(&state);
    return sum;
}

static uint64_t memory(void)
{
    uint32_t line = 0;
    for (int i = 0; i < HOPS; i++)
        line = walk[line].next;
    return line;
}

static volatile uint64_t result;

static void timed(uint64_t (*work)(void), const char *after)
{
    int64_t cpu = at(CLOCK_PROCESS_CPUTIME_ID), wall = at(CLOCK_MONOTONIC);
    result = work();
    printf("%" PRId64 " %" PRId64 "%s", at(CLOCK_PROCESS_CPUTIME_ID) - cpu, at(CLOCK_MONOTONIC) - wall, after);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: kernel CPU\n");
        return 2;
    }
    cpu_set_t only;
    CPU_ZERO(&only);
    CPU_SET(atoi(argv[1]), &only);
    if (sched_setaffinity(0, sizeof only, &only)) {
        perror("sched_setaffinity");
        return 1;
    }
    lay_out();
    for (int byte; (byte = getchar()) != EOF;)
        if (byte == '\n') {
            timed(arithmetic, " ");
            timed(memory, "\n");
            fflush(stdout);
        }
    return 0;
}
