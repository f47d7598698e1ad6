"""The processes of a server are found from the port of its URL; a server elsewhere has none here."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

from agent.host.server import Server, find_server
from ports import free_port

if TYPE_CHECKING:
    from pathlib import Path

LISTEN = """
import socket, sys
listening = socket.create_server(('127.0.0.1', 0))
print(listening.getsockname()[1], flush=True)
sys.stdin.read()
"""


def test_the_process_that_listens_on_a_local_port_is_the_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        found = find_server(f"http://user:secret@localhost:{port}/v1?key=1")
        assert found == Server(f"http://localhost:{port}", True, frozenset({os.getpid()}))


def test_every_process_that_shares_the_socket_is_the_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        number = listening.fileno()
        line = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with subprocess.Popen(line, pass_fds=[number], **pipes) as worker:
            worker.stdout.readline()
            found = find_server(f"http://127.0.0.1:{listening.getsockname()[1]}")
            worker.communicate()
    assert found.processes == {os.getpid(), worker.pid}


def test_a_program_that_passes_connections_on_is_not_the_server(tmp_path: Path) -> None:
    forwarder = tmp_path / "docker-proxy"
    shutil.copy(os.path.realpath(sys.executable), forwarder)
    environment = {**os.environ, "PYTHONHOME": sys.base_prefix}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([forwarder, "-c", LISTEN], env=environment, text=True, **pipes) as process:
        port = int(process.stdout.readline())
        found = find_server(f"http://127.0.0.1:{port}")
        process.communicate()
    assert (found.local, found.processes) == (True, None)


def test_a_port_without_a_visible_process_has_no_known_server(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        assert find_server(f"http://127.0.0.1:{port}", str(tmp_path)).processes is None
    assert find_server(f"http://127.0.0.1:{free_port()}").processes is None


def test_an_address_of_another_host_is_not_local() -> None:
    for url in ("http://192.0.2.1:8000", "https://[2001:db8::1]", "http://"):
        assert find_server(url) == Server(url, False, None)
