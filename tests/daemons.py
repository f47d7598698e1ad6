"""Runs the daemon as systemd does: a process with a notification socket, a log and an address."""

from __future__ import annotations

import functools
import os
import re
import resource
import signal
import socket
import sqlite3
import tempfile
import threading
import time
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families

from command import INFEROMETER, environment
from fork_server import start
from ports import free_port
from store.database import open_database
from trees import powercap_zone, write
from waiting import await_true

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

PROC = Path(__file__).parent / "fixtures/proc/xeon_guest"
RANGE_UJ = 262_143_999_939  # the counter wraps one step of 61 uJ above it
STOP_SECONDS = 60.0
"""Longer than a stop may take, which the daemon itself limits (`HARD_STOP_SECONDS`)."""


@dataclass(slots=True)
class Listener:
    """The messages that a notification socket received, each with its Unix time."""

    path: Path
    received: list[tuple[float, str]] = field(default_factory=list)

    @property
    def messages(self) -> list[str]:
        """The messages in order."""
        return [message for _, message in self.received]

    def count(self, start: str) -> int:
        """Return the number of messages with this start."""
        return sum(message.startswith(start) for message in self.messages)

    def await_message(self, start: str, times: int = 1) -> None:
        """Wait for this number of messages with this start."""
        await_true(lambda: self.count(start) >= times)


@contextmanager
def notify_socket(folder: Path) -> Iterator[Listener]:
    """Listen as systemd does."""
    listener = Listener(folder / "notify")

    def listen() -> None:
        while message := bound.recv(4096):
            listener.received.append((time.time(), message.decode()))

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(str(listener.path))
        thread = threading.Thread(target=listen)
        thread.start()
        try:
            yield listener
        finally:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
                last.sendto(b"", str(listener.path))
            thread.join()
            listener.path.unlink()


@dataclass(frozen=True, slots=True)
class Daemon:
    """A started daemon: its process, and the paths of its log and its database."""

    process: subprocess.Popen[bytes]
    log: Path
    database: Path

    @property
    def home(self) -> Path:
        """The folder of its configuration and its simulated host."""
        return self.log.parent

    @property
    def address(self) -> str:
        """The host:port of its exporter since its last start."""
        return re.findall(r"msg=started .*listen=(\S+)", self.log.read_text())[-1]

    def logged(self, message: str) -> list[str]:
        """Return the log lines that contain this."""
        return [line for line in self.log.read_text().splitlines() if message in line]

    def await_log(self, message: str, times: int = 1) -> None:
        """Wait until this number of log lines contain this."""
        await_true(lambda: len(self.logged(message)) >= times or self.process.poll() is not None)
        assert len(self.logged(message)) >= times, self.log.read_text()

    def ask(self, path: str) -> tuple[int, str]:
        """Return the status and text of a path of the exporter."""
        with closing(HTTPConnection(self.address, timeout=60)) as connection:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def metric(self, name: str, **labels: str) -> float | None:
        """Return the one sample of this name and these labels, None if it is not exported."""
        status, text = self.ask("/metrics/all")
        assert status == 200
        found = [
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]
        assert len(found) <= 1
        return found[0] if found else None

    def energy(self, device: str = "package-0") -> float | None:
        """Return the exported energy of a package, in joules."""
        return self.metric("inferometer_energy_joules_total", device=device, domain="package")

    def send(self, number: signal.Signals) -> float:
        """Send a signal and return its Unix time."""
        self.process.send_signal(number)
        return time.time()

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        self.send(number)
        return self.process.wait(STOP_SECONDS)

    def limit_files(self, most_bytes: int) -> None:
        """Limit the size of the files it writes, like a full disk; longer files stay."""
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (most_bytes, resource.RLIM_INFINITY))

    def last_tick(self) -> float:
        """Return the Unix time of the last stored read."""
        return (query(self.database, "SELECT max(end_ns) FROM ticks") or 0) / 1e9

    def ticks(self, since: float = 0.0, until: float = 1e10) -> int:
        """Return the number of stored reads that began between two Unix times."""
        between = f"{since * 1e9:.0f} AND {until * 1e9:.0f}"
        return query(self.database, f"SELECT count(*) FROM ticks WHERE start_ns BETWEEN {between}")

    def last_read(self, probe: str = "rapl") -> float:
        """Return the Unix time of the last read of a probe, stored or not."""
        return self.metric("inferometer_probe_last_success_timestamp_seconds", probe=probe) or 0.0

    def recordings(self) -> int:
        """Return the number of stored recordings."""
        return query(self.database, "SELECT count(*) FROM recordings")


@functools.cache
def empty_store() -> bytes:
    """Return a store with its tables, made only once: that takes longer than the rest of a start."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "inferometer.db"
        open_database(str(path)).dispose()
        return path.read_bytes()


def free_address() -> str:
    """Return a free address on loopback."""
    return f"127.0.0.1:{free_port()}"


def create_host(home: Path) -> Path:
    """Make `home` a host of one package with 100 J on its counter, which wraps at 262144 J, and return it."""
    powercap_zone(home / "sys", "intel-rapl:0", "package-0", 100_000_000, RANGE_UJ)
    configure(home)
    database = home / "state/inferometer/inferometer.db"
    database.parent.mkdir(parents=True)
    database.write_bytes(empty_store())
    return home


def counter(home: Path) -> Path:
    """Return the file of the package's counter."""
    return home / "sys/class/powercap/intel-rapl:0/energy_uj"


def count_joules(home: Path, joules: float) -> None:
    """Set the package's counter."""
    write(counter(home), round(joules * 1e6))


def query(database: Path, sql: str) -> int:
    """Return the single number of a database query, read while the daemon writes."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)) as connection:
        return connection.execute(sql).fetchone()[0]


def configure(
    home: Path,
    top: str = "",
    sampling: str = "period_seconds = 0.05\nestimates = false",
    sysfs: str = "sys",
    procfs: Path = PROC,
    library: Path | str = "",
    listen: str = "127.0.0.1:0",
    exporter: str = "",
) -> None:
    """Write the configuration file of `home`, by default with a free port, a period of 50 ms and no estimates."""
    for root in (home / sysfs, procfs):  # an empty root is a host without sensors, a missing one an error
        root.mkdir(parents=True, exist_ok=True)
    (home / "config.toml").write_text(
        f"""{top}
[sampling]
{sampling}
[path]
sysfs = "{home / sysfs}"
procfs = "{procfs}"
nvml_library = "{library or home / "no library"}"
[exporter]
listen = "{listen}"
{exporter}
"""
    )


@contextmanager
def launched(home: Path, *arguments: object, **variables: str) -> Iterator[Daemon]:
    """Start a daemon with the configuration file of `home`; killed after the block. Several may log to one file."""
    line = [*INFEROMETER, "daemon", "--config", home / "config.toml", *arguments]
    environ = environment(home, **variables)
    for name in {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "JOURNAL_STREAM"} - variables.keys():
        environ.pop(name, None)
    with (home / "log").open("ab") as errors:
        process = start([*map(str, line)], environ, cwd=home, stderr=errors)
    try:
        yield Daemon(process, home / "log", home / "state/inferometer/inferometer.db")
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def running(home: Path, *arguments: object, **variables: str) -> Iterator[Daemon]:
    """Start a daemon as `launched` does, and wait until it exports its first reads."""
    log = home / "log"
    before = log.read_text().count("msg=started") if log.exists() else 0
    with (
        notify_socket(home) as systemd,
        launched(home, *arguments, NOTIFY_SOCKET=str(systemd.path), **variables) as daemon,
    ):
        daemon.await_log("msg=started", times=before + 1)
        systemd.await_message("READY=1")
        yield daemon
