"""Scrapes of the service succeed during reloads, steps of the clock, changes of the address and slow clients."""

from __future__ import annotations

import signal
import socket
import threading
import time
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import fake_clock
from daemons import configure, create_host, launched, notify_socket, running
from waiting import await_true

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE_SECONDS = 10.0
"""The default scrape timeout of Prometheus."""
ENERGY = b'inferometer_energy_joules_total{device="package-0"'


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return create_host(tmp_path)


def scrape(address: str) -> str:
    """Return "200" for a scrape that contains the energy, else the error."""
    try:
        with closing(HTTPConnection(address, timeout=PATIENCE_SECONDS)) as connection:
            connection.request("GET", "/metrics")
            answer = connection.getresponse()
            body = answer.read()
    except (OSError, HTTPException) as error:
        return repr(error)
    return str(answer.status) if answer.status != 200 or ENERGY in body else "200 without the energy"


def tasks(pid: int) -> int:
    """Return the number of threads of a process."""
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


@contextmanager
def scraping(address: str) -> Iterator[list[str]]:
    """Scrape without a pause inside the block, in a thread; yield the list of results."""
    results: list[str] = []
    ended = threading.Event()

    def run() -> None:
        while not ended.is_set():
            results.append(scrape(address))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield results
    finally:
        ended.set()
        thread.join()


def test_no_scrape_is_lost_while_the_service_reloads(home: Path) -> None:
    with notify_socket(home) as systemd, launched(home, NOTIFY_SOCKET=str(systemd.path)) as daemon:
        daemon.await_log("msg=started")
        address, threads = daemon.address, tasks(daemon.process.pid)
        with scraping(address) as results:
            for number in (2, 3):
                daemon.send(signal.SIGHUP)
                systemd.await_message("READY=1", times=number)
            (home / "config.toml").write_text("broken = ")
            daemon.send(signal.SIGHUP)
            systemd.await_message("READY=1", times=4)
        assert daemon.address == address
        await_true(lambda: tasks(daemon.process.pid) <= threads)  # a reload ends the threads of a start
    assert set(results) == {"200"}
    assert len(results) > 10


def test_no_scrape_is_lost_while_a_new_recording_begins_after_the_clock_was_set(home: Path, tmp_path: Path) -> None:
    clock = fake_clock.build(tmp_path)
    with running(home, **clock.variables()) as daemon:
        with scraping(daemon.address) as results:
            for number, wall_seconds in enumerate((3600, -7200), 2):
                clock.move(wall_seconds)
                daemon.await_log("msg=started", times=number)
            time.sleep(0.5)
        assert set(results) == {"200"}


def test_a_new_address_answers_before_the_old_one_closes(home: Path) -> None:
    with notify_socket(home) as systemd, launched(home, NOTIFY_SOCKET=str(systemd.path)) as daemon:
        daemon.await_log("msg=started")
        old = daemon.address
        configure(home, listen="127.0.0.2:0")
        daemon.send(signal.SIGHUP)
        daemon.await_log("msg=started", times=2)
        new = daemon.address
        assert new.startswith("127.0.0.2:")
        systemd.await_message("READY=1", times=2)
        assert scrape(new) == "200"
        await_true(lambda: "refused" in scrape(old))


# --- slow clients: the connections of one local user must not exclude others ----------------------------------------


def slow_head(address: tuple[str, int], ended: threading.Event) -> None:
    """Send a request a byte at a time."""
    with socket.create_connection(address, timeout=PATIENCE_SECONDS) as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\n")
        client.settimeout(1.0)
        while not ended.is_set():
            client.sendall(b"X")
            with suppress(TimeoutError):
                if not client.recv(100):
                    return


def slow_reader(address: tuple[str, int], ended: threading.Event) -> None:
    """Send a request, and read the response a byte at a time."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        client.settimeout(PATIENCE_SECONDS)
        client.connect(address)
        client.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        while client.recv(1) and not ended.wait(0.5):
            pass


def idle(address: tuple[str, int], ended: threading.Event) -> None:
    """Send one request, and leave the connection open."""
    with socket.create_connection(address, timeout=1.0) as client:
        client.sendall(b"GET /-/healthy HTTP/1.1\r\nConnection: keep-alive\r\n\r\n")
        while client.recv(65536):
            pass
        ended.wait(1.0)


def half_open(address: tuple[str, int], ended: threading.Event) -> None:
    """Connect, close the sending direction or send nothing, and wait."""
    with socket.create_connection(address, timeout=1.0) as client:
        while not ended.is_set():
            with suppress(TimeoutError):
                if not client.recv(1):
                    return


@pytest.mark.parametrize("attack", [slow_head, slow_reader, idle, half_open])
def test_two_hundred_slow_clients_prevent_no_scrape(home: Path, attack) -> None:
    ended = threading.Event()

    def again(address: tuple[str, int]) -> None:
        while not ended.is_set():
            with suppress(OSError):
                attack(address, ended)

    with running(home) as daemon:
        host, _, port = daemon.address.rpartition(":")
        attackers = [threading.Thread(target=again, args=((host, int(port)),), daemon=True) for _ in range(200)]
        for attacker in attackers:
            attacker.start()
        results = []
        for _ in range(15):
            results.append(scrape(daemon.address))
            time.sleep(0.3)
        threads = tasks(daemon.process.pid)
        ended.set()
    for attacker in attackers:
        attacker.join(30)
    assert results == ["200"] * 15
    assert threads < 20
