"""The daemon while its sensors, its store or its process fail."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
import subprocess
import time
from contextlib import closing, suppress
from http.client import HTTPConnection
from typing import TYPE_CHECKING

import pytest

import fake_nvml
from agent.config import load
from daemons import (
    configure,
    count_joules,
    counter,
    create_host,
    empty_store,
    free_address,
    launched,
    notify_socket,
    query,
    running,
)
from store.database import open_database
from store.reader import Reader
from waiting import await_true

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from daemons import Daemon

GPUS = (fake_nvml.H100, fake_nvml.A100)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return create_host(tmp_path)


@pytest.fixture(scope="module", autouse=True)
def stale(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon whose one sensor disappears before the first test; the last test checks the result."""
    home = create_host(tmp_path_factory.mktemp("stale"))
    configure(home, procfs=home / "no proc")
    with running(home) as daemon:
        assert daemon.ask("/-/ready") == (200, "ready\n")
        counter(home).write_text("")
        yield daemon


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One daemon for tests that restore its state."""
    with running(create_host(tmp_path_factory.mktemp("shared"))) as daemon:
        yield daemon


def missed(daemon: Daemon) -> float:
    """Return the number of scheduled reads of the counter that a busy host prevented."""
    return daemon.metric("inferometer_probe_reads_missed_total", probe="rapl") or 0.0


def test_another_process_reads_while_the_daemon_writes(shared: Daemon) -> None:
    count_joules(shared.home, 201.0)
    recording = query(shared.database, "SELECT max(id) FROM recordings")
    engine = open_database(str(shared.database), create=False)

    def read() -> bool:
        (series,) = Reader(engine).series(recording, 0, 2**62, frozenset({"energy_joules"}))
        return series.values[-1:] == (201.0,)

    try:
        await_true(read)
    finally:
        engine.dispose()


def test_a_locked_store_delays_neither_sampling_nor_scrapes_and_gets_every_tick_later(shared: Daemon) -> None:
    before = missed(shared)
    with closing(sqlite3.connect(shared.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        locked = time.time()
        time.sleep(1.2)  # so that the daemon waits for the lock
        for joules in (301.0, 302.0):
            count_joules(shared.home, joules)
            await_true(lambda joules=joules: shared.energy() == joules)
        released = time.time()
        other.execute("ROLLBACK")
    await_true(lambda: shared.last_tick() > released)
    due = (released - locked) / 0.05  # one of the three probes alone has as many
    assert shared.ticks(locked, released) + missed(shared) - before > due


def test_a_full_disk_is_logged_once_and_loses_no_tick(shared: Daemon) -> None:
    full, before = time.time(), missed(shared)
    shared.limit_files(16384)
    shared.await_log("samples wait: the store cannot be written")
    commit, stored = shared.metric("inferometer_store_last_commit_timestamp_seconds"), shared.last_tick()
    time.sleep(1.2)  # one more try
    count_joules(shared.home, 401.0)
    await_true(lambda: shared.energy() == 401.0)
    status, reason = shared.ask("/-/ready")
    assert (status, "ticks wait for the store" in reason) == (503, True)
    assert shared.metric("inferometer_store_up") == 0.0
    assert shared.metric("inferometer_store_rows_waiting") > 0
    assert shared.metric("inferometer_store_last_commit_timestamp_seconds") == commit
    assert shared.last_tick() == stored
    room = time.time()
    shared.limit_files(resource.RLIM_INFINITY)
    shared.await_log("the store can be written again")
    await_true(lambda: shared.last_tick() > room)
    await_true(lambda: shared.ask("/-/ready") == (200, "ready\n"))
    assert shared.metric("inferometer_store_up") == 1.0
    assert shared.metric("inferometer_store_last_commit_timestamp_seconds") > room - 1.0
    assert len(shared.logged("samples wait")) == 1
    assert shared.ticks(full, room) + missed(shared) - before > (room - full) / 0.05


@pytest.fixture
def full_disk(home: Path) -> Iterator[Path]:
    """A disk of 2 MiB for the database of `home`."""
    disk = home / "disk"
    disk.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], check=False).returncode:
        pytest.skip("needs root to mount a tmpfs")
    configure(home, top=f'database = "{disk}/inferometer.db"', listen=free_address())
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


def fill(disk: Path) -> Path:
    """Fill a disk to its last byte with a file, and return the file."""
    with (disk / "ballast").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    return disk / "ballast"


@pytest.mark.parametrize("store", ["new", "there"])
def test_the_service_waits_for_a_disk_that_is_full_at_the_start(home: Path, full_disk: Path, store: str) -> None:
    """A restart for each attempt would exhaust systemd's limit of starts."""
    if store == "there":
        (full_disk / "inferometer.db").write_bytes(empty_store())
    ballast = fill(full_disk)
    listen = load(home / "config.toml").listen
    with notify_socket(home) as systemd, launched(home, NOTIFY_SOCKET=str(systemd.path)) as daemon:
        daemon.await_log("the store is not available yet")
        systemd.await_message("READY=1")
        await_true(lambda: any("STATUS=" in text and "full" in text for text in systemd.messages))
        with closing(HTTPConnection(listen, timeout=10)) as connection:
            connection.request("GET", "/-/ready")
            answer = connection.getresponse()
            assert (answer.status, "full" in answer.read().decode()) == (503, True)
        ballast.unlink()
        daemon.await_log("msg=started")
        assert len(daemon.logged("the store is not available yet")) == 1
        assert daemon.ask("/-/ready") == (200, "ready\n")
        assert daemon.end() == 0
    assert "Traceback" not in daemon.log.read_text()


def test_a_stop_ends_the_wait_for_disk_space(home: Path, full_disk: Path) -> None:
    fill(full_disk)
    with launched(home) as daemon:
        daemon.await_log("the store is not available yet")
        assert daemon.end() == 0


def test_a_stop_that_hangs_in_the_store_ends_before_systemd_kills_it(home: Path) -> None:
    with running(home) as daemon, closing(sqlite3.connect(daemon.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        time.sleep(1.5)  # so that ticks wait
        assert daemon.end() == 1
    assert "ticks are lost" in daemon.log.read_text()


def test_a_kill_loses_at_most_the_last_second_and_the_next_start_continues(home: Path) -> None:
    with running(home) as daemon:
        stored = daemon.ticks()
        await_true(lambda: daemon.ticks() > stored)
        await_true(lambda: time.time() - daemon.last_tick() < 2.0)
        last = daemon.last_tick()
        daemon.process.kill()
        assert daemon.process.wait(60) == -signal.SIGKILL
    assert daemon.last_tick() >= last
    with closing(sqlite3.connect(daemon.database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    before = daemon.ticks()
    with running(home) as daemon:
        await_true(lambda: daemon.ticks() > before)
        assert daemon.recordings() == 2


def test_a_deleted_database_is_created_again(home: Path) -> None:
    with running(home, WATCHDOG_USEC="200000") as daemon:
        daemon.database.unlink()
        daemon.await_log("msg=started", times=2)
        await_true(lambda: daemon.ticks() > 0)
    (line,) = daemon.logged("the database was deleted or replaced")
    assert str(daemon.database) in line


def test_a_stop_that_cannot_store_the_last_ticks_reports_it_and_exits_with_1(home: Path) -> None:
    with running(home) as daemon:
        daemon.limit_files(16384)
        daemon.await_log("samples wait: the store cannot be written")
        assert daemon.end() == 1
    assert "ticks are lost" in daemon.log.read_text().splitlines()[-1]


@pytest.fixture
def library(tmp_path: Path) -> Path:
    library = fake_nvml.build(tmp_path)
    fake_nvml.write_state(library, GPUS)
    return library


def test_a_lost_gpu_stops_its_own_probe_and_the_last_one_makes_the_service_unready(home: Path, library: Path) -> None:
    lost = [fake_nvml.Gpu(gpu.uuid, error=fake_nvml.GPU_IS_LOST) for gpu in GPUS]
    configure(home, library=library, sysfs="none", procfs=home / "no proc")
    with (
        notify_socket(home) as systemd,
        launched(home, NOTIFY_SOCKET=str(systemd.path), WATCHDOG_USEC="200000") as daemon,
    ):
        daemon.await_log("msg=started")
        fake_nvml.write_state(library, [lost[0], GPUS[1]])
        daemon.await_log("device lost")
        await_true(lambda: "STATUS=1 of 2 probes up" in systemd.messages[-1])
        await_true(lambda: daemon.ask("/-/ready") == (200, f"no fresh tick from nvml/{GPUS[0].uuid}\n"))
        fake_nvml.write_state(library, lost)
        daemon.await_log("device lost", times=2)
        await_true(lambda: daemon.ask("/-/ready")[0] == 503)
        assert "no fresh tick from" in daemon.ask("/-/ready")[1]
        systemd.await_message("WATCHDOG=1", times=systemd.count("WATCHDOG=1") + 3)
        assert daemon.ask("/-/healthy")[0] == 200


def test_a_driver_that_hangs_delays_neither_other_probes_nor_the_stop(home: Path, library: Path) -> None:
    hanging, probe = fake_nvml.Gpu(GPUS[0].uuid, delay_seconds=300), f"nvml/{GPUS[0].uuid}"
    configure(home, library=library)
    with running(home) as daemon:
        fake_nvml.write_state(library, [hanging, GPUS[1]])
        await_true(lambda: daemon.last_read() > daemon.last_read(probe) + 1.0)
        count_joules(home, 101.0)
        await_true(lambda: daemon.energy() == 101.0)
        read = daemon.last_read()
        assert daemon.end() == 0
    assert len(daemon.logged("probe left behind in its driver")) == 1
    assert daemon.last_tick() > read - 1e-6


@pytest.mark.parametrize("sensors", ["none", "slow"])
def test_the_watchdog_is_served_if_nothing_is_read_or_rarely(home: Path, sensors: str) -> None:
    if sensors == "none":
        configure(home, sysfs="none", procfs=home / "no proc")
    else:
        configure(home, sampling="period_seconds = 60")
    with (
        notify_socket(home) as systemd,
        launched(home, NOTIFY_SOCKET=str(systemd.path), WATCHDOG_USEC="200000") as daemon,
    ):
        daemon.await_log("msg=started")
        systemd.await_message("WATCHDOG=1", times=8)
        assert daemon.ask("/-/ready")[0] == (503 if sensors == "none" else 200)


def test_a_sensor_without_new_values_makes_the_service_unready(stale: Daemon) -> None:
    await_true(lambda: stale.ask("/-/ready") == (503, "no fresh tick from rapl\n"))
    await_true(lambda: stale.energy() is None)
    assert stale.metric("inferometer_probe_up", probe="rapl") == 0.0
    rejected = "SELECT count(*) FROM rejections WHERE reason = 'read_error'"
    await_true(lambda: query(stale.database, rejected) > 100)
    assert len(stale.logged("read failed")) == 1
    counter(stale.home).write_text("110000000\n")
    await_true(lambda: stale.energy() == 110.0)
    await_true(lambda: stale.ask("/-/ready") == (200, "ready\n"))
