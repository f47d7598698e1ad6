"""A PostgreSQL server, and an empty database of it for each test."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from postgresql_server import INITDB, end_with_parent, wait_until_it_answers, with_driver


@pytest.fixture(scope="package")
def server():
    """A server on a unix socket: the URL of its databases, without a name, and a connection for its owner."""
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
        postgres = Path(INITDB).resolve().with_name("postgres")
        settings = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={folder}", "-c", "fsync=off"]
        processes = []

        def start():
            command = [postgres, "-D", folder / "cluster", *settings]
            quiet = {"stderr": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
            processes.append(subprocess.Popen(command, cwd=folder, preexec_fn=end_with_parent, **quiet, **user))  # noqa: PLW1509  no thread is needed before the exec

        def restart():
            processes[-1].send_signal(signal.SIGQUIT)  # as after a crash: no client is notified
            processes[-1].wait(60)
            admin.dispose()
            start()
            wait_until_it_answers(admin)

        start()
        try:
            url = f"postgresql://tester@/{{}}?host={folder}"
            admin = create_engine(with_driver(url.format("postgres")), isolation_level="AUTOCOMMIT")
            wait_until_it_answers(admin)
            yield url, admin, restart
            admin.dispose()
        finally:
            processes[-1].send_signal(signal.SIGINT)
            processes[-1].wait(60)


@pytest.fixture
def url(server, request):
    """The URL of an empty database for one test."""
    template, admin, _ = server
    name = f"test{abs(hash(request.node.name))}"
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield template.format(name)
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def engine(opened, url):
    return opened(url)
