"""The life of the daemon for systemd and an administrator: start, ready, reload, stop, and refusal to start."""

from __future__ import annotations

import ast
import re
import signal
import socket
import subprocess
import sys
from contextlib import closing, suppress
from http.client import HTTPConnection
from typing import TYPE_CHECKING

import pytest

from command import environment
from daemons import (
    RANGE_UJ,
    STOP_SECONDS,
    configure,
    count_joules,
    create_host,
    free_address,
    launched,
    notify_socket,
    running,
)
from trees import powercap_zone
from waiting import await_true

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return create_host(tmp_path)


@pytest.fixture
def taken_port() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_every_state_of_the_service_is_reported_to_systemd(home: Path) -> None:
    with notify_socket(home) as systemd, launched(home, NOTIFY_SOCKET=str(systemd.path), WATCHDOG_USEC="200000") as one:
        one.await_log("msg=started")
        assert one.ask("/-/ready") == (200, "ready\n")
        assert one.energy() == 100.0
        systemd.await_message("WATCHDOG=1", times=4)
        await_true(lambda: re.fullmatch(r"STATUS=3 of 3 probes up, \d+ reads", systemd.messages[-1]))
        one.send(signal.SIGHUP)
        systemd.await_message("READY=1", times=2)
        assert one.end() == 0
    turns = [message.split("\n")[0] for message in systemd.messages if message[:4] not in {"WATC", "STAT", "EXTE"}]
    assert turns == ["READY=1", "RELOADING=1", "READY=1", "STOPPING=1"]
    assert one.log.read_text().splitlines()[-1].endswith("msg=stopped")


@pytest.mark.parametrize("signals", [[signal.SIGINT], [signal.SIGTERM, signal.SIGTERM]], ids=["int", "term twice"])
def test_a_stop_stores_every_tick_and_exits_with_0(home: Path, signals: list[signal.Signals]) -> None:
    with running(home) as daemon:
        await_true(lambda: daemon.metric("inferometer_store_rows_waiting") > 20)
        read = daemon.last_read()
        for number in signals:
            daemon.send(number)
        assert daemon.process.wait(STOP_SECONDS) == 0
    assert daemon.last_tick() > read - 1e-6


def test_a_stop_during_the_start_is_a_clean_stop(home: Path) -> None:
    with launched(home, "--path.procfs", "/proc") as daemon:
        daemon.await_log("probe found")
        assert daemon.end() == 0
    assert daemon.logged("msg=stopped")


def test_a_reload_applies_new_periods_and_roots_and_repeats_the_discovery(home: Path) -> None:
    powercap_zone(home / "other", "intel-rapl:0", "package-0", 700_000_000, RANGE_UJ)
    powercap_zone(home / "other", "intel-rapl:1", "package-1", 5_000_000, RANGE_UJ)
    with running(home) as daemon:
        configure(home, sysfs="other", sampling="estimates = false\n[sampling.periods]\nrapl = 0.02")
        daemon.send(signal.SIGHUP)
        daemon.await_log("msg=started", times=2)
        assert daemon.logged("probe=rapl")[-1].endswith("channels=2 period_seconds=0.02")
        assert daemon.logged("probe=memory")[-1].endswith("period_seconds=1.0")
        await_true(lambda: daemon.energy("package-1") == 5.0)
        assert daemon.recordings() == 2


def test_no_counter_decreases_at_a_wrap_or_a_reload(home: Path) -> None:
    count_joules(home, 262143.5)
    with running(home) as daemon:
        count_joules(home, 0.25)
        await_true(lambda: daemon.energy() == 262144.25)
        daemon.send(signal.SIGHUP)
        daemon.await_log("msg=started", times=2)
        await_true(lambda: daemon.energy() is not None)
        assert daemon.energy() == 262144.25
        count_joules(home, 2.25)
        await_true(lambda: daemon.energy() == 262146.25)


def test_a_reload_of_a_broken_file_is_refused_and_changes_nothing(home: Path) -> None:
    with notify_socket(home) as systemd, launched(home, NOTIFY_SOCKET=str(systemd.path)) as daemon:
        daemon.await_log("msg=started")
        address = daemon.address
        (home / "config.toml").write_text("[sampling]\nperiod_secnds = 1\n")
        daemon.send(signal.SIGHUP)
        daemon.await_log("reload refused")
        systemd.await_message("READY=1", times=2)
        count_joules(home, 150.0)
        await_true(lambda: daemon.energy() == 150.0)
        assert (daemon.address, daemon.recordings()) == (address, 1)
    (line,) = daemon.logged("reload refused")
    assert "level=error" in line
    assert "unknown key 'sampling.period_secnds'; did you mean 'sampling.period_seconds'?" in line


@pytest.mark.parametrize("obstacle", ["port", "database"])
def test_a_reload_that_fails_continues_with_the_configuration_before(
    home: Path, taken_port: str, obstacle: str
) -> None:
    own = free_address()
    configure(home, listen=own)
    with running(home) as daemon:
        if obstacle == "port":
            configure(home, listen=taken_port)
        else:
            configure(home, top='database = "/proc/none/inferometer.db"', listen=own)
        daemon.send(signal.SIGHUP)
        daemon.await_log("msg=started", times=2)
        count_joules(home, 150.0)
        await_true(lambda: daemon.energy() == 150.0)
        assert daemon.address == own
    (line,) = daemon.logged("reload failed, continuing as before")
    assert (taken_port if obstacle == "port" else "/proc/none") in line
    assert "Traceback" not in line


def test_a_second_daemon_on_a_database_is_refused_with_the_pid_of_the_first(home: Path) -> None:
    with running(home) as first:
        with launched(home) as second:
            assert second.process.wait(60) == 1
        (line,) = first.logged("error: ")
        assert str(first.database) in line
        assert f"process {first.process.pid}" in line
        stored = first.ticks()
        await_true(lambda: first.ticks() > stored)
        assert first.ask("/-/ready")[0] == 200


def test_a_port_in_use_is_reported_with_its_remedy_and_nothing_stays_locked(home: Path, taken_port: str) -> None:
    with launched(home, "--listen", taken_port) as daemon:
        assert daemon.process.wait(60) == 1
    (line,) = daemon.logged("error: ")
    assert f"cannot listen on '{taken_port}'" in line
    assert "choose another port" in line
    assert "Traceback" not in daemon.log.read_text()
    with running(home) as daemon:
        assert daemon.ask("/-/ready")[0] == 200


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--log-level", "loud"], "--log-level: 'loud' is not one of debug"),
        (["--listen", "here"], "--listen: 'here' is not host:port"),
        (["--config", "/nowhere.toml"], "/nowhere.toml: it cannot be read"),
    ],
)
def test_an_invalid_configuration_exits_with_2(home: Path, arguments: list[str], message: str) -> None:
    with launched(home, *arguments) as daemon:
        assert daemon.process.wait(60) == 2
    assert daemon.log.read_text().startswith(f"error: {message}")


def test_every_line_in_the_journal_has_its_priority_and_so_has_the_last(home: Path) -> None:
    journal = (home / "log").open("ab")
    stream = (home / "log").stat()
    journal.close()
    configure(home, top="loglevel = 1")
    with launched(home, JOURNAL_STREAM=f"{stream.st_dev}:{stream.st_ino}") as daemon:
        assert daemon.process.wait(60) == 2
    (line,) = daemon.log.read_text().splitlines()
    assert line.startswith("<3>level=error logger=daemon msg=")
    assert "did you mean 'log_level'?" in line


def test_options_override_variables_and_variables_override_the_file(home: Path, taken_port: str) -> None:
    configure(home, top='database = "/proc/none/file.db"', sysfs="absent", listen=taken_port)
    by_variable = {"INFEROMETER_DATABASE": f"{home}/variable.db", "INFEROMETER_LISTEN": taken_port}
    roots = {"INFEROMETER_PATH_SYSFS": str(home / "sys"), "INFEROMETER_LOG_LEVEL": "error"}
    with running(home, "--listen", "127.0.0.1:0", "--log-level", "info", **by_variable, **roots) as daemon:
        assert f"database={home}/variable.db" in daemon.logged("msg=started")[0]
        assert daemon.energy() == 100.0


def test_it_runs_without_a_home_and_with_all_standard_streams_closed(home: Path) -> None:
    listen = free_address()
    configure(home, top=f'database = "{home}/state/inferometer/inferometer.db"', listen=listen)
    variables = {name: value for name, value in environment(home).items() if name not in {"HOME", "XDG_STATE_HOME"}}
    script = 'exec "$0" -c "from agent.cli.entry import daemon; daemon()" --config "$1" <&- >&- 2>&-'
    argv = ["sh", "-c", script, sys.executable, str(home / "config.toml")]
    with subprocess.Popen(argv, cwd=home, env=variables) as process:
        try:
            await_true(lambda: answers(listen) == 200)
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        finally:
            process.kill()


def answers(address: str) -> int | None:
    """Return the status of /-/ready, None while there is no answer."""
    with closing(HTTPConnection(address, timeout=10)) as connection, suppress(OSError):
        connection.request("GET", "/-/ready")
        return connection.getresponse().status
    return None


def test_the_service_imports_only_the_modules_that_it_needs(home: Path) -> None:
    code = """
import atexit, os, signal, sys, threading, time
from agent.daemon.entry import main

def stop():
    while not any(thread.name == "recorder" for thread in threading.enumerate()):
        time.sleep(0.05)
    time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)

atexit.register(lambda: print(sorted({name.partition(".")[0] for name in list(sys.modules)})))
threading.Thread(target=stop, daemon=True).start()
sys.exit(main())
"""
    environ = environment(home, INFEROMETER_CONFIG=str(home / "config.toml"))
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stderr
    loaded = set(ast.literal_eval(done.stdout))
    assert "sqlalchemy" in loaded
    unneeded = {"alembic", "cpuinfo", "jsonschema", "numpy", "onnx", "onnxruntime", "psutil", "pydantic", "pynvml"}
    unneeded |= {"click", "rich", "typer"}
    assert not loaded & unneeded
