"""The messages to systemd, received from a real datagram socket."""

from __future__ import annotations

import os
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from agent.daemon import sd_notify as notify
from waiting import await_true

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=["path", "abstract"])
def receiver(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[socket.socket]:
    name = str(tmp_path / "notify") if request.param == "path" else f"@inferometer-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(name.replace("@", "\0", 1) if request.param == "abstract" else name)
        bound.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        yield bound


@pytest.mark.parametrize(
    ("tell", "message"),
    [(notify.ready, "READY=1"), (notify.stopping, "STOPPING=1"), (notify.watchdog, "WATCHDOG=1")],
)
def test_each_state_is_one_datagram(receiver: socket.socket, tell, message: str) -> None:
    assert tell() is True
    assert receiver.recv(4096) == message.encode()


def test_a_status_is_one_line(receiver: socket.socket) -> None:
    assert notify.status("3 probes,\nREADY=1 é")
    assert receiver.recv(4096).decode() == "STATUS=3 probes, READY=1 é"


def test_a_reload_has_its_start_in_microseconds(receiver: socket.socket) -> None:
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert notify.reloading()
    state, moment = receiver.recv(4096).decode().splitlines()
    assert state == "RELOADING=1"
    assert before <= int(moment.removeprefix("MONOTONIC_USEC=")) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


@pytest.mark.parametrize("address", [None, "", "relative", "vsock:2:1"])
def test_without_a_socket_nothing_is_sent(monkeypatch: pytest.MonkeyPatch, address: str | None) -> None:
    if address is None:
        monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    else:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
    assert notify.ready() is False


def test_a_missing_socket_is_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    assert notify.ready() is False


@pytest.mark.parametrize(
    ("limit", "pid", "interval"),
    [
        ("30000000", None, 15.0),
        pytest.param("30000000", str(os.getpid()), 15.0, id="its own"),
        ("30000000", "1", None),
        ("500000", None, 0.25),
        ("0", None, None),
        ("soon", None, None),
        (None, None, None),
    ],
)
def test_the_watchdog_is_served_at_twice_the_required_rate(
    monkeypatch: pytest.MonkeyPatch, limit: str | None, pid: str | None, interval: float | None
) -> None:
    for name, value in (("WATCHDOG_USEC", limit), ("WATCHDOG_PID", pid)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert notify.watchdog_interval_seconds() == interval


def test_a_start_is_reported_until_it_ends_or_takes_too_long(receiver: socket.socket) -> None:
    with notify.keep_alive(every_seconds=0.01):
        for _ in range(3):
            assert receiver.recv(4096).decode() == "EXTEND_TIMEOUT_USEC=120000\nWATCHDOG=1"
    with notify.keep_alive(every_seconds=0.01, longest_seconds=0.0):
        await_true(lambda: not [thread for thread in threading.enumerate() if thread.name == "notify"])


def test_an_extension_is_in_microseconds(receiver: socket.socket) -> None:
    assert notify.extend_timeout(1.5)
    assert receiver.recv(4096).decode() == "EXTEND_TIMEOUT_USEC=1500000"
