"""HTTP and raw clients of the exporter, and a server for them."""

from __future__ import annotations

import socket
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection, HTTPResponse
from typing import TYPE_CHECKING

from agent.api.endpoint import Endpoint, serve
from agent.api.metrics import Exporter
from agent.api.server import DEFAULTS
from agent.sampling.probe_reader import ProbeHealth
from probes.model import Channel, Device, Kind
from store.records import Layout, Tick

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agent.api.connection import Limits

NOW = 1_700_000_000_000_000_000
POWER = Channel(Device("GPU-1", Kind.GPU), "board", "power_watts")
TICK = Tick(1, NOW, NOW, (250.0,))


def export(dropped: Callable[[], int] = lambda: 0) -> Exporter:
    state = ProbeHealth("gpu", 1.0, latest=TICK)
    return Exporter([Layout(1, "gpu", (POWER,))], [state], dropped, lambda: NOW, "1.2.3<")


@contextmanager
def serving(exporter: Exporter, limits: Limits = DEFAULTS) -> Iterator[Endpoint]:
    with closing(serve(exporter, "127.0.0.1:0", limits)) as endpoint:
        yield endpoint


def ask(address: str, path: str, method: str = "GET", **headers: str) -> tuple[HTTPResponse, bytes]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with closing(HTTPConnection(address, timeout=60)) as connection:
        connection.request(method, path, headers=named)
        answer = connection.getresponse()
        return answer, answer.read()


def raw(address: str, request: bytes) -> bytes:
    """Send the bytes and return all that comes back until the server closes."""
    received = b""
    with connect(address) as client, suppress(ConnectionResetError, BrokenPipeError):
        client.sendall(request)
        while chunk := client.recv(65536):
            received += chunk
    return received


def connect(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), timeout=60)


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)
