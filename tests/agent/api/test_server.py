"""The connections of the server: deadlines, limits, floods, faults and the end."""

from __future__ import annotations

import os
import resource
import socket
import threading
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent.api.connection import Limits
from agent.api.endpoint import serve
from http_clients import ask, connect, raw, serving, split
from ports import free_port
from waiting import await_true

if TYPE_CHECKING:
    from agent.api.metrics import Exporter

pytestmark = pytest.mark.system


def is_closed(client: socket.socket) -> bool:
    try:
        return client.recv(65536) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("start", [b"", b"GET /metrics HTTP/1.1\r\nX: "], ids=["nothing", "half a request"])
def test_a_request_that_is_not_complete_in_time_ends_its_connection(exporter: Exporter, start: bytes):
    with serving(exporter, Limits(request_seconds=0.2)) as server, connect(server.address) as slow:
        with suppress(OSError):  # the time may be over already
            slow.sendall(start)
        assert is_closed(slow)


def test_slowly_arriving_bytes_do_not_extend_the_deadline(exporter: Exporter):
    with serving(exporter, Limits(request_seconds=0.5)) as server, connect(server.address) as slow:
        ended = threading.Event()

        def drip() -> None:
            with suppress(OSError):
                while not ended.wait(0.02):
                    slow.sendall(b"X")

        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            assert is_closed(slow)
        finally:
            ended.set()
            dripping.join()


def test_a_client_that_does_not_read_its_response_is_disconnected(exporter: Exporter):
    body, asked = b"x" * 50_000_000, threading.Event()

    def large(_, start_response):
        asked.set()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    with serving(exporter, Limits(connection_seconds=2.0)) as server:
        server._server.application = large
        with connect(server.address) as slow:
            slow.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert asked.wait(60)
            await_true(lambda: not server._server._connections)
            received = b""
            with suppress(ConnectionResetError):
                while chunk := slow.recv(1 << 20):
                    received += chunk
    assert received.startswith(b"HTTP/1.1 200 OK")
    assert len(received) < len(body)


def test_one_connection_too_many_evicts_the_oldest(exporter: Exporter):
    address = (server := serve(exporter, "127.0.0.1:0", Limits(connections=2))).address
    with closing(server), connect(address) as oldest, connect(address) as younger:
        assert b"200 OK" in raw(address, b"GET /-/healthy HTTP/1.0\r\n\r\n")
        assert is_closed(oldest)
        younger.sendall(b"GET /-/healthy HTTP/1.0\r\n\r\n")
        assert b"200 OK" in younger.recv(65536)


def test_a_connection_that_is_being_answered_is_never_evicted_and_the_next_gets_503(exporter: Exporter):
    asked, goes_on = threading.Event(), threading.Event()

    def slow(_, start_response):
        asked.set()
        goes_on.wait(60)
        start_response("200 OK", [])
        return [b"done"]

    with serving(exporter, Limits(connections=1)) as server:
        server._server.application = slow
        with connect(server.address) as first:
            first.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert asked.wait(60)
            await_true(lambda: b"503 Service Unavailable" in raw(server.address, b"GET / HTTP/1.0\r\n\r\n"))
            goes_on.set()
            assert b"200 OK" in first.recv(65536)


def test_a_head_that_is_too_long_is_refused(address: str):
    assert b"431 Request Header Fields Too Large" in raw(address, b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000)
    assert b"431 Request Header Fields Too Large" in raw(address, b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 120 + b"\r\n")


def test_a_body_is_ignored_and_does_not_reset_the_connection(address: str):
    head = b"POST /metrics HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n"
    assert b"405 Method Not Allowed" in raw(address, head + b"x" * 1_000_000)


def test_a_server_without_file_descriptors_recovers(exporter: Exporter, caplog: pytest.LogCaptureFixture):
    with serving(exporter) as server, socket.socket() as waiting:
        before, taken = resource.getrlimit(resource.RLIMIT_NOFILE), []
        address = split(server.address)
        resource.setrlimit(resource.RLIMIT_NOFILE, (sum(1 for _ in Path("/proc/self/fd").iterdir()) + 2, before[1]))
        try:
            with suppress(OSError):
                while True:
                    taken.append(os.dup(0))
            waiting.connect(address)
            await_true(lambda: caplog.records)
        finally:
            for number in taken:
                os.close(number)
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        assert b"200 OK" in raw(server.address, b"GET /-/healthy HTTP/1.0\r\n\r\n")
    assert [record.getMessage() for record in caplog.records] == ["connections are not accepted"]


def test_a_fault_of_the_server_is_logged_and_the_next_client_is_served(
    exporter: Exporter, caplog: pytest.LogCaptureFixture
):
    with serving(exporter) as server:
        server._server._call(lambda: 1 / 0)
        await_true(lambda: caplog.records)
        assert b"200 OK" in raw(server.address, b"GET /-/healthy HTTP/1.0\r\n\r\n")
    assert [record.getMessage() for record in caplog.records] == ["server fault"]


def test_many_scrapes_at_once_are_all_served(address: str):
    statuses: list[int] = []
    threads = [threading.Thread(target=lambda: statuses.append(ask(address, "/metrics")[0].status)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 8


def test_closing_closes_the_port_and_the_connections(exporter: Exporter):
    server = serve(exporter, f"127.0.0.1:{free_port()}")
    with connect(server.address) as silent:
        await_true(lambda: server._server._connections)
        server.close()
        assert is_closed(silent)
    server.close()
    with pytest.raises(ConnectionRefusedError):
        connect(server.address)
    serve(exporter, server.address).close()
