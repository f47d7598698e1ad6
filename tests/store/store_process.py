"""Commands that the tests of the store run in separate processes, one command a run."""

from __future__ import annotations

import sys
import threading
from itertools import count

from probes.model import Channel, Device, Kind
from store.database import daemon_lock, open_database
from store.errors import StoreError
from store.maintenance.compaction import compact
from store.reader import Reader
from store.records import Host, Tick
from store.writer import Writer

CHANNELS = tuple(Channel(Device(f"package-{n}", Kind.CPU), "package", "power_watts") for n in range(10))
PER_APPEND = 20
A_SECOND = 100
START_NS = 1_700_000_400 * 10**9


def say(words: object) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


def try_to_open(url: str) -> None:
    """Print the result of opening, and whether Alembic was loaded."""
    open_database(url).dispose()
    say("opened with alembic" if "alembic" in sys.modules else "opened")


def open_each() -> None:
    """Open every database named on standard input, one at a time."""
    say("ready")
    for line in sys.stdin:
        try:
            open_database(line.strip()).dispose()
        except StoreError as error:
            say(error)
        else:
            say("opened")


def append(url: str) -> None:
    """Append without end; print the recording, then the number of committed ticks."""
    writer = Writer(open_database(url))
    [layout] = writer.register(Host("host", "name"), [("rapl", CHANNELS)], "child", 1)
    say(writer.recording)
    for start in count(0, PER_APPEND):
        writer.append([Tick(layout.id, n, n, (float(n),) * len(CHANNELS)) for n in range(start, start + PER_APPEND)])
        say(start + PER_APPEND)


def record(url: str) -> None:
    """Append a second's ticks at a time and compact meanwhile, without end; print the number of ticks."""
    writer = Writer(open_database(url))
    [layout] = writer.register(Host("host", "name"), [("rapl", CHANNELS)], "child", 1)
    threading.Thread(target=compact_for_ever, args=(url,), daemon=True).start()
    for start in count(0, A_SECOND):
        at = [(number, START_NS + number * 10**9) for number in range(start, start + A_SECOND)]
        say(f"{writer.recording} {start + A_SECOND}")
        writer.append([Tick(layout.id, moment, moment, (float(n),) * len(CHANNELS)) for n, moment in at])


def compact_for_ever(url: str) -> None:
    engine = open_database(url)
    while True:
        compact(engine, 2**62)


def read(url: str, recording: str) -> None:
    """Print the number of ticks."""
    engine = open_database(url, create=False)
    [first, *_] = Reader(engine).series(int(recording), 0, 2**62, frozenset({"power_watts"}))
    say(len(first.values))
    engine.dispose()


def hold(url: str, host: str = "host") -> None:
    """Hold the daemon's lock until standard input ends."""
    engine = open_database(url)
    with daemon_lock(engine, host):
        say("held")
        sys.stdin.read()


if __name__ == "__main__":
    commands = {"open": try_to_open, "open_each": open_each, "append": append, "record": record, "read": read}
    commands["hold"] = hold
    try:
        commands[sys.argv[1]](*sys.argv[2:])
    except StoreError as refused:
        say(f"refused: {refused}")
