"""Totals across kills and reboots, and samples across steps of the clock and suspensions."""

from __future__ import annotations

import json
import resource
import shutil
import signal
import sqlite3
from contextlib import closing
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

import fake_clock
from command import call
from daemons import PROC, configure, count_joules, create_host, query, running
from waiting import await_true

if TYPE_CHECKING:
    from pathlib import Path

    from daemons import Daemon
    from fake_clock import FakeClock

UNKNOWN_COUNT = "the count of a pause is unknown"
DEFERRED = "the restart is deferred until the store can be written again"
NEW_RECORDING = "the clock was set or the host was suspended"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A host with a boot id."""
    create_host(tmp_path)
    shutil.copytree(PROC, tmp_path / "proc")
    boot(tmp_path, "first")
    configure(tmp_path, procfs=tmp_path / "proc")
    return tmp_path


@pytest.fixture
def clock(tmp_path: Path) -> FakeClock:
    return fake_clock.build(tmp_path)


def boot(home: Path, boot_id: str) -> None:
    file = home / "proc/sys/kernel/random/boot_id"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{boot_id}\n")


def shows(daemon: Daemon, joules: float) -> None:
    """Wait until the counter's total is exported, which is when it is stored."""
    await_true(lambda: daemon.energy() == joules)


def stored(daemon: Daemon) -> list[list[int]]:
    """Return the starts of the stored reads of the counter, one list per recording."""
    with closing(sqlite3.connect(daemon.database)) as connection:
        rows = connection.execute(
            "SELECT recording_id, start_ns FROM ticks JOIN layouts ON layouts.id = layout_id "
            "WHERE probe = 'rapl' ORDER BY ticks.id"
        ).fetchall()
    return [[at for number, at in rows if number == recording] for recording in sorted({number for number, _ in rows})]


def test_a_total_continues_after_a_kill_and_after_a_reboot(home: Path) -> None:
    with running(home) as daemon:
        count_joules(home, 150.0)
        shows(daemon, 150.0)
        daemon.end(signal.SIGKILL)
    count_joules(home, 170.0)  # while no service runs
    with running(home) as daemon:
        shows(daemon, 170.0)
        assert daemon.end() == 0
    boot(home, "second")
    count_joules(home, 5.0)
    with running(home) as daemon:
        assert daemon.energy() == 170.0
        count_joules(home, 8.0)
        shows(daemon, 173.0)
    assert daemon.logged(UNKNOWN_COUNT) == []


def test_a_step_of_the_clock_moves_loses_and_duplicates_no_sample(home: Path, clock: FakeClock) -> None:
    with running(home, **clock.variables()) as daemon:
        for number, wall_seconds in enumerate((3600, -7200), 1):
            read = daemon.ticks()
            await_true(lambda read=read: daemon.ticks() > read)
            clock.move(wall_seconds)
            daemon.await_log(NEW_RECORDING, times=number)
            daemon.await_log("msg=started", times=number + 1)
        read = daemon.ticks()
        await_true(lambda: daemon.ticks() > read)
        count_joules(home, 130.0)
        shows(daemon, 130.0)
        assert daemon.end() == 0
    first, second, third = recordings = stored(daemon)
    assert second[0] - first[-1] > 3590e9
    assert third[0] - second[-1] < -10000e9
    for starts in recordings:  # no step inside
        assert all(0 < after - before < 1000e9 for before, after in pairwise(starts))
    done = call(
        home, "samples", "--since", "1d", "--until", "2100-01-01T00:00:00Z", "--channel", "*/energy_*", "--json"
    )
    found = [(sample["recording"], sample["time_ns"]) for sample in json.loads(done.stdout)["samples"]]
    assert len(found) == len(set(found)) == sum(map(len, recordings))


@pytest.mark.parametrize("cause", ["reload", "clock"])
def test_a_restart_while_the_store_fails_is_deferred_and_loses_no_sample(
    home: Path, clock: FakeClock, cause: str
) -> None:
    with running(home, **clock.variables()) as daemon:
        shows(daemon, 100.0)
        daemon.limit_files(16384)
        daemon.await_log("samples wait: the store cannot be written")
        if cause == "clock":
            clock.move(wall_seconds=3600)
        else:
            daemon.send(signal.SIGHUP)
        daemon.await_log(DEFERRED)
        count_joules(home, 130.0)
        await_true(lambda: daemon.metric("inferometer_energy_joules_total", domain="package") == 130.0)
        assert len(daemon.logged("msg=started")) == 1
        kept, waiting = daemon.ticks(), daemon.metric("inferometer_store_rows_waiting")
        daemon.limit_files(resource.RLIM_INFINITY)
        daemon.await_log("msg=started", times=2)
        count_joules(home, 150.0)
        shows(daemon, 150.0)
        assert daemon.end() == 0
    recordings = "SELECT count(*) FROM ticks JOIN layouts ON layouts.id = layout_id WHERE recording_id"
    assert waiting
    assert query(daemon.database, f"{recordings} = 1") >= kept + waiting
    assert query(daemon.database, f"{recordings} = 2")
    assert (len(daemon.logged(DEFERRED)), daemon.logged("ticks are lost")) == (1, [])


def test_a_stop_ends_a_deferred_restart(home: Path) -> None:
    with running(home) as daemon:
        daemon.limit_files(16384)
        daemon.await_log("samples wait: the store cannot be written")
        daemon.send(signal.SIGHUP)
        daemon.await_log(DEFERRED)
        assert daemon.end() == 1
    assert "ticks are lost" in daemon.log.read_text().splitlines()[-1]


def test_a_new_recording_begins_after_a_suspension_and_nothing_is_interpolated(home: Path, clock: FakeClock) -> None:
    with running(home, **clock.variables()) as daemon:
        shows(daemon, 100.0)
        read = daemon.ticks()
        await_true(lambda: daemon.ticks() > read)
        count_joules(home, 150.0)
        shows(daemon, 150.0)
        clock.move(wall_seconds=600, asleep_seconds=600)
        count_joules(home, 200.0)  # no read comes before the new recording
        daemon.await_log("msg=started", times=2)
        await_true(lambda: daemon.logged(UNKNOWN_COUNT))
        assert daemon.energy() == 150.0
        assert daemon.end() == 0
    assert daemon.logged(NEW_RECORDING)
    assert "reason=wrap_unknown" in daemon.logged(UNKNOWN_COUNT)[0]
    before, after = stored(daemon)
    assert after[0] - before[-1] > 590e9
