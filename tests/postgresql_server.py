"""A PostgreSQL server of its own, its programs, and connections to it."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import OperationalError

if TYPE_CHECKING:
    from collections.abc import Iterator

BINARIES = [shutil.which("initdb"), *sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb")), reverse=True)]
INITDB = next(filter(None, BINARIES), None)


def end_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGQUIT)  # PR_SET_PDEATHSIG: no server outlives the tests, however they end


def with_driver(url):
    return url.replace("://", "+psycopg://")


def wait_until_it_answers(admin):
    deadline = time.monotonic() + 30
    while True:
        try:
            admin.connect().close()
        except OperationalError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return


@dataclass
class Server:
    """A running server: its folder with its unix socket, and the connections of its superuser `tester`."""

    folder: Path
    settings: tuple[str, ...]
    user: dict[str, object]
    admin: Engine
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def url(self, database: str = "postgres", user: str = "tester") -> str:
        """Return the URL of a database by the unix socket."""
        return f"postgresql://{user}@/{database}?host={self.folder}"

    def start(self) -> None:
        program = Path(INITDB or "").resolve().with_name("postgres")
        words = ["-c", f"unix_socket_directories={self.folder}", "-c", "fsync=off"]
        for setting in ("listen_addresses=", *self.settings):
            words += ["-c", setting]
        command = [program, "-D", self.folder / "cluster", *words]
        quiet = {"stderr": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
        self.processes.append(
            subprocess.Popen(command, cwd=self.folder, preexec_fn=end_with_parent, **quiet, **self.user)  # noqa: PLW1509  no thread is needed before the exec
        )
        wait_until_it_answers(self.admin)

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        self.processes[-1].send_signal(number)
        self.processes[-1].wait(60)

    def restart(self) -> None:
        self.stop(signal.SIGQUIT)  # as after a crash: no client is notified
        self.admin.dispose()
        self.start()

    @contextmanager
    def database(self, name: str) -> Iterator[str]:
        """Create an empty database, and drop it after the block; yield its URL."""
        with self.admin.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        try:
            yield self.url(name)
        finally:
            with self.admin.connect() as connection:
                connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))

    def psql(self, database: str, script: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a script with psql, as the superuser."""
        program = Path(INITDB or "").resolve().with_name("psql")
        command = [program, "-X", "-q", "-v", "ON_ERROR_STOP=1", *words, self.url(database)]
        return subprocess.run(command, input=script, capture_output=True, text=True, timeout=60, check=False)


@contextmanager
def started_server(*settings: str) -> Iterator[Server]:
    """Start a server on a unix socket with settings such as `max_connections=20`; any user may connect."""
    if INITDB is None:
        pytest.skip("postgresql is not installed")
    with tempfile.TemporaryDirectory(prefix="inferometer-pg-") as name:
        folder, user = Path(name), {}
        if os.geteuid() == 0:
            os.chown(folder, 65534, 65534)  # PostgreSQL refuses to run as root
            user = {"user": 65534, "group": 65534, "extra_groups": []}
        options = ["--no-sync", "--auth=trust", "--username=tester", "--encoding=UTF8", "--locale=C"]
        subprocess.run(
            [INITDB, "-D", folder / "cluster", *options], check=True, capture_output=True, cwd=folder, **user
        )
        admin = create_engine(with_driver(f"postgresql://tester@/postgres?host={folder}"), isolation_level="AUTOCOMMIT")
        server = Server(folder, settings, user, admin)
        try:
            server.start()
            yield server
            admin.dispose()
        finally:
            server.stop()
