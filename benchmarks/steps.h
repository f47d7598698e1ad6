/* The page with the steps of the power: see counters.c. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#define MOST_STEPS 4095

struct step {
    int64_t at_ns;
    double watts;
};

struct steps {
    uint64_t count, unused;
    struct step step[MOST_STEPS];
};

static inline int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static inline struct steps *open_steps(const char *path)
{
    int file = open(path, O_RDWR);
    void *page = file < 0 ? MAP_FAILED : mmap(NULL, sizeof(struct steps), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (page == MAP_FAILED) {
        perror(path);
        exit(1);
    }
    return page;
}
