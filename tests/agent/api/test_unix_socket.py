"""The unix socket: what it serves, who may connect, which file it replaces, and that it is removed."""

from __future__ import annotations

import grp
import os
import signal
import socket
import stat
import subprocess
import sys
from contextlib import closing
from http.client import HTTPConnection
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from agent.api.endpoint import Endpoint, serve
from agent.api.metrics import Exporter
from agent.api.sockets import ListenError
from agent.api.unix_socket import UnixAddress, bind_unix
from agent.sampling.probe_reader import ProbeHealth
from command import as_nobody
from daemons import configure, create_host, launched, running
from nobody import NOBODY
from probes.model import Channel, Device, Kind
from store.records import Layout, Tick
from waiting import await_true

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = 1_700_000_000_000_000_000
TCP = "127.0.0.1:0"


class UnixConnection(HTTPConnection):
    """An HTTP client on a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(10)
        self.sock.connect(self._path)


def ask(path: Path, page: str) -> tuple[int, bytes]:
    with closing(UnixConnection(str(path))) as connection:
        connection.request("GET", page)
        answer = connection.getresponse()
        return answer.status, answer.read()


@pytest.fixture
def exporter() -> Exporter:
    channel = Channel(Device("GPU-1", Kind.GPU), "board", "power_watts")
    state = ProbeHealth("gpu", 1.0, latest=Tick(1, NOW, NOW, (250.0,)))
    return Exporter([Layout(1, "gpu", (channel,))], [state], lambda: 0, lambda: NOW, "1.2.3")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "http.sock"


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with closing(Endpoint()) as made:
        yield made


def leave_dead_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left:
        left.bind(str(path))


def test_the_metrics_are_served_on_a_unix_socket_beside_tcp(exporter: Exporter, path: Path) -> None:
    with closing(serve(exporter, TCP, unix=UnixAddress(str(path)))) as server:
        status, body = ask(path, "/metrics")
        with closing(HTTPConnection(server.address, timeout=10)) as connection:
            connection.request("GET", "/-/healthy")
            assert connection.getresponse().status == 200
    samples = [sample for family in text_string_to_metric_families(body.decode()) for sample in family.samples]
    assert status == 200
    assert [sample.value for sample in samples if sample.name == "inferometer_power_watts"] == [250.0]


def test_the_socket_is_open_to_its_owner_and_group_only_and_is_removed_at_the_end(
    exporter: Exporter, path: Path
) -> None:
    before = os.umask(0o077)  # that of the unit
    try:
        server = serve(exporter, TCP, unix=UnixAddress(str(path)))
    finally:
        os.umask(before)
    status = path.lstat()
    assert stat.S_ISSOCK(status.st_mode)
    assert stat.S_IMODE(status.st_mode) == 0o660
    server.close()
    assert not path.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file to any group")
@pytest.mark.parametrize("by_name", [True, False])
def test_the_group_of_the_socket_is_set_by_name_or_number(path: Path, endpoint: Endpoint, by_name: bool) -> None:
    group = grp.getgrnam("daemon")
    endpoint.bind(TCP, UnixAddress(str(path), group.gr_name if by_name else str(group.gr_gid)))
    assert path.stat().st_gid == group.gr_gid


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file to any group")
def test_a_new_group_is_given_to_the_socket_that_is_bound(exporter: Exporter, path: Path, endpoint: Endpoint) -> None:
    endpoint.bind(TCP, UnixAddress(str(path)))
    endpoint.show(exporter)
    inode = path.stat().st_ino
    endpoint.bind(TCP, UnixAddress(str(path), "daemon"))
    endpoint.show(exporter)
    assert (path.stat().st_ino, path.stat().st_gid) == (inode, grp.getgrnam("daemon").gr_gid)
    assert ask(path, "/-/healthy")[0] == 200


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize(("group", "allowed"), [("", False), (str(NOBODY), True)])
def test_only_the_group_of_the_socket_can_connect(
    tmp_path: Path, exporter: Exporter, group: str, allowed: bool
) -> None:
    path = tmp_path / "http.sock"
    script = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
    with as_nobody(tmp_path) as user, closing(serve(exporter, TCP, unix=UnixAddress(str(path), group))):
        client = [sys.executable, "-c", script, str(path)]
        ended = subprocess.run(client, cwd="/", check=False, capture_output=True, text=True, timeout=60, **user)
    assert (ended.returncode == 0) is allowed
    assert ("PermissionError" in ended.stderr) is not allowed


def test_a_socket_on_which_nobody_listens_is_replaced(exporter: Exporter, path: Path) -> None:
    leave_dead_socket(path)
    with closing(serve(exporter, TCP, unix=UnixAddress(str(path)))):
        assert ask(path, "/-/healthy") == (200, b"healthy\n")


@pytest.mark.parametrize("kind", ["file", "folder", "link", "live socket", "datagram socket"])
def test_anything_but_a_dead_socket_is_left_alone(path: Path, kind: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM if kind == "datagram socket" else socket.SOCK_STREAM) as other:
        if kind == "file":
            path.write_text("precious")
        elif kind == "folder":
            path.mkdir()
        elif kind == "link":
            leave_dead_socket(path.with_name("target"))
            path.symlink_to("target")
        else:
            other.bind(str(path))
            if kind == "live socket":
                other.listen()
        before = path.lstat()
        with pytest.raises(ListenError, match=r"http\.sock.*choose another path for exporter\.socket"):
            bind_unix(UnixAddress(str(path)))
        assert path.lstat() == before


def test_a_file_that_took_the_place_of_the_socket_is_not_removed(exporter: Exporter, path: Path) -> None:
    server = serve(exporter, TCP, unix=UnixAddress(str(path)))
    path.unlink()
    path.write_text("precious")
    server.close()
    assert path.read_text() == "precious"


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (UnixAddress("/nowhere/http.sock"), "its folder does not exist; make the folder"),
        (UnixAddress("/tmp/inferometer-test.sock", "no such group"), "there is no group 'no such group'; make it"),
        (UnixAddress("/" + "x" * 200), "too long"),
    ],
)
def test_a_socket_that_cannot_be_bound_is_explained(address: UnixAddress, message: str) -> None:
    with pytest.raises(ListenError, match=message):
        bind_unix(address)
    assert not os.path.lexists(address.path)


def test_a_socket_moves_and_is_withdrawn_as_an_address_is(
    exporter: Exporter, tmp_path: Path, endpoint: Endpoint
) -> None:
    first, second = tmp_path / "first.sock", tmp_path / "second.sock"
    endpoint.bind(TCP, UnixAddress(str(first)))
    endpoint.show(exporter)
    endpoint.bind(TCP, UnixAddress(str(second)))
    assert (ask(first, "/-/ready")[0], ask(second, "/-/ready")[0]) == (200, 200)
    endpoint.bind(TCP, UnixAddress(str(first)))  # the configuration with the second did not start
    assert (first.exists(), second.exists()) == (True, False)
    endpoint.bind(TCP, UnixAddress(str(second)))
    endpoint.show(exporter)
    assert (first.exists(), second.exists()) == (False, True)
    endpoint.bind(TCP)
    endpoint.show(exporter)
    assert not second.exists()


def test_a_socket_file_that_was_deleted_comes_back_with_a_reload(
    exporter: Exporter, path: Path, endpoint: Endpoint
) -> None:
    for _ in range(2):
        endpoint.bind(TCP, UnixAddress(str(path)))
        endpoint.show(exporter)
        assert ask(path, "/-/healthy")[0] == 200
        path.unlink()


def test_the_daemon_serves_the_socket_of_its_configuration_and_a_reload_moves_it(tmp_path: Path) -> None:
    home = create_host(tmp_path)
    first, second = home / "first.sock", home / "second.sock"
    configure(home, exporter=f'socket = "{first}"')
    leave_dead_socket(first)
    with running(home) as daemon:
        assert ask(first, "/-/ready") == (200, b"ready\n")
        await_true(lambda: f"socket={first} " in daemon.log.read_text())
        configure(home, exporter=f'socket = "{second}"')
        daemon.send(signal.SIGHUP)
        await_true(lambda: second.exists() and not first.exists())
        assert b"inferometer_energy_joules_total" in ask(second, "/metrics")[1]
        assert daemon.end() == 0
    assert not second.exists()


def test_a_daemon_whose_socket_is_taken_does_not_start(tmp_path: Path) -> None:
    home = create_host(tmp_path)
    (home / "http.sock").write_text("precious")
    configure(home, exporter=f'socket = "{home / "http.sock"}"')
    with launched(home) as daemon:
        assert daemon.process.wait(60) == 1
    assert "a file that is not a socket is there; choose another path for exporter.socket" in daemon.log.read_text()
    assert (home / "http.sock").read_text() == "precious"
