/* Reads files on absolute deadlines and stores their values once a second.
 *
 * reading PERIOD_NS OUTPUT FILE...
 *
 * Does the work of the service's sampler in minimal C: each file stays open and is read with one pread, its integer
 * becomes a double, and a tick is two timestamps and its values. If OUTPUT ends in .db, a second of ticks is one
 * transaction of rows like the service's in a SQLite file, twelve values a row, by the system's libsqlite3; otherwise
 * it is one write to a plain file. It prints `reading` at the start, and runs until it is killed. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * SECOND + t.tv_nsec;
}

enum { ROW_VALUES = 12 };
typedef struct sqlite3 sqlite3;
typedef struct sqlite3_stmt sqlite3_stmt;
static int (*sql_open)(const char *, sqlite3 **);
static int (*sql_exec)(sqlite3 *, const char *, void *, void *, char **);
static int (*sql_prepare)(sqlite3 *, const char *, int, sqlite3_stmt **, const char **);
static int (*sql_int64)(sqlite3_stmt *, int, int64_t);
static int (*sql_blob)(sqlite3_stmt *, int, const void *, int, void (*)(void *));
static int (*sql_step)(sqlite3_stmt *);
static int (*sql_reset)(sqlite3_stmt *);
static sqlite3 *db;
static sqlite3_stmt *insert;

static void *symbol(void *library, const char *name) {
  void *found = dlsym(library, name);
  if (!found) exit(3);
  return found;
}

static int open_store(const char *path) {
  void *library = dlopen("libsqlite3.so.0", RTLD_NOW);
  if (!library) return 0;
  sql_open = symbol(library, "sqlite3_open");
  sql_exec = symbol(library, "sqlite3_exec");
  sql_prepare = symbol(library, "sqlite3_prepare_v2");
  sql_int64 = symbol(library, "sqlite3_bind_int64");
  sql_blob = symbol(library, "sqlite3_bind_blob");
  sql_step = symbol(library, "sqlite3_step");
  sql_reset = symbol(library, "sqlite3_reset");
  return !sql_open(path, &db) &&
         !sql_exec(db,
                   "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
                   "CREATE TABLE ticks (id INTEGER PRIMARY KEY, layout_id INTEGER NOT NULL, start_ns BIGINT NOT NULL,"
                   " end_ns BIGINT NOT NULL, readings BLOB NOT NULL);"
                   "CREATE INDEX ticks_layout_start ON ticks (layout_id, start_ns)",
                   0, 0, 0) &&
         !sql_prepare(db, "INSERT INTO ticks (layout_id, start_ns, end_ns, readings) VALUES (?, ?, ?, ?)", -1, &insert,
                      0);
}

static int keep(const int64_t *ticks, size_t count, size_t row, int files) {
  if (sql_exec(db, "BEGIN IMMEDIATE", 0, 0, 0)) return 0;
  for (size_t i = 0; i < count; i++, ticks += row)
    for (int first = 0, layout = 1; first < files; first += ROW_VALUES, layout++) {
      int values = files - first < ROW_VALUES ? files - first : ROW_VALUES;
      sql_int64(insert, 1, layout);
      sql_int64(insert, 2, ticks[0]);
      sql_int64(insert, 3, ticks[1]);
      sql_blob(insert, 4, ticks + 2 + first, values * sizeof *ticks, 0);
      if (sql_step(insert) != 101 || sql_reset(insert)) return 0; /* SQLITE_DONE */
    }
  return !sql_exec(db, "COMMIT", 0, 0, 0);
}

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  int files = argc - 3;
  int64_t period = atoll(argv[1]);
  size_t length = strlen(argv[2]);
  int stores = length > 3 && !strcmp(argv[2] + length - 3, ".db");
  int out = stores ? 0 : open(argv[2], O_WRONLY | O_CREAT | O_APPEND, 0600);
  if (stores && !open_store(argv[2])) return 3;
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
    int64_t *tick = buffer + filled * row;
    tick[0] = now();
    for (int i = 0; i < files; i++) {
      char text[32] = {0};
      if (pread(fd[i], text, sizeof text - 1, 0) <= 0) return 1;
      ((double *)tick)[2 + i] = strtoll(text, NULL, 10) / 1e6;
    }
    tick[1] = now();
    filled++;
    if (tick[1] >= flush || filled == rows) {
      if (stores ? !keep(buffer, filled, row, files) : write(out, buffer, filled * row * sizeof *buffer) < 0) return 1;
      filled = 0;
      flush += SECOND;
    }
    due += period;
    while (due + period <= tick[1]) due += period;
  }
}
