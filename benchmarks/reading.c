/* Reads the files it is given on absolute deadlines and appends what they hold to another, once a second.
 *
 * reading PERIOD_NS OUTPUT FILE...
 *
 * What the service's sampler does, in the least that C needs for it: each file is kept open and read with one pread, its
 * integer becomes a double, a beat is two stamps and its values, and a second of beats is one write. It says `reading`
 * when it has begun, and goes on until it is killed. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * SECOND + t.tv_nsec;
}

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  int files = argc - 3;
  int64_t period = atoll(argv[1]);
  int out = open(argv[2], O_WRONLY | O_CREAT | O_APPEND, 0600);
  int *fd = calloc(files, sizeof *fd);
  size_t row = 2 + files, rows = SECOND / period + 2, filled = 0;
  int64_t *buffer = calloc(row * rows, sizeof *buffer);
  if (out < 0 || !fd || !buffer) return 1;
  for (int i = 0; i < files; i++)
    if ((fd[i] = open(argv[3 + i], O_RDONLY)) < 0) return 1;
  puts("reading");
  fflush(stdout);
  int64_t due = now(), flush = due + SECOND;
  for (;;) {
    struct timespec at = {due / SECOND, due % SECOND};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
    int64_t *beat = buffer + filled * row;
    beat[0] = now();
    for (int i = 0; i < files; i++) {
      char text[32] = {0};
      if (pread(fd[i], text, sizeof text - 1, 0) <= 0) return 1;
      ((double *)beat)[2 + i] = strtoll(text, NULL, 10) / 1e6;
    }
    beat[1] = now();
    filled++;
    if (beat[1] >= flush || filled == rows) {
      if (write(out, buffer, filled * row * sizeof *buffer) < 0) return 1;
      filled = 0;
      flush += SECOND;
    }
    due += period;
    while (due + period <= beat[1]) due += period;
  }
}
