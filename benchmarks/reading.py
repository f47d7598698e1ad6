"""Does the same as reading.c, into SQLite, in minimal Python: `reading.py PERIOD_NS OUTPUT FILE...`.

It checks, counts and serves nothing, so its cost is the minimum for any service in Python.
"""

from __future__ import annotations

import os
import sqlite3
import struct
import sys
import threading
import time
from collections import deque

SECOND = 1_000_000_000
ROW_VALUES = 12
_SET_UP = """PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
CREATE TABLE ticks (id INTEGER PRIMARY KEY, layout_id INTEGER NOT NULL, start_ns BIGINT NOT NULL,
 end_ns BIGINT NOT NULL, readings BLOB NOT NULL);
CREATE INDEX ticks_layout_start ON ticks (layout_id, start_ns)"""
_INSERT = "INSERT INTO ticks (layout_id, start_ns, end_ns, readings) VALUES (?, ?, ?, ?)"


def main(period_ns: int, output: str, files: list[str]) -> None:
    """Read the files once per period; another thread stores each complete second of reads."""
    fds = [os.open(file, os.O_RDONLY) for file in files]
    reads: deque[tuple[int, int, list[int]]] = deque()
    full = threading.Semaphore(0)
    threading.Thread(target=keep, args=(output, len(files), reads, full), daemon=True).start()
    sys.stdout.write("reading\n")
    sys.stdout.flush()
    pread, now = os.pread, time.monotonic_ns
    due = now()
    flush = due + SECOND
    while True:
        time.sleep(max(0, due - now()) / 1e9)
        start = now()
        values = [int(pread(fd, 64, 0)) for fd in fds]
        end = now()
        reads.append((start, end, values))
        if end >= flush:
            full.release()
            flush += SECOND
        due += period_ns * max(1, (end - due) // period_ns)


def keep(output: str, files: int, reads: deque[tuple[int, int, list[int]]], full: threading.Semaphore) -> None:
    """Store each complete second of reads in one transaction."""
    store = sqlite3.connect(output, isolation_level=None)
    store.executescript(_SET_UP)
    widths = [min(ROW_VALUES, files - first) for first in range(0, files, ROW_VALUES)]
    layouts = [(1 + at, at * ROW_VALUES, struct.Struct(f"<{width}d").pack) for at, width in enumerate(widths)]
    while full.acquire():
        rows = []
        for _ in range(len(reads)):
            start, end, raws = reads.popleft()
            values = [raw / 1e6 for raw in raws]
            rows += [(layout, start, end, pack(*values[first : first + ROW_VALUES])) for layout, first, pack in layouts]
        store.execute("BEGIN IMMEDIATE")
        store.executemany(_INSERT, rows)
        store.execute("COMMIT")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
