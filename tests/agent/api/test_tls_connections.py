"""Connections over TLS: large responses, requests in single bytes, and clients that hang."""

from __future__ import annotations

import os
import socket
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import pytest

from agent.api.connection import Limits
from agent.api.endpoint import Endpoint
from http_clients import connect, split
from secured_exporters import TLS, ask_tls, basic, configured, secured, trusting

if TYPE_CHECKING:
    from pathlib import Path

    from agent.api.metrics import Exporter

pytestmark = pytest.mark.system


def test_a_large_response_reaches_a_slow_reader_complete(tmp_path: Path):
    body = os.urandom(3_000_000)

    def application(_environ, start_response):
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    path = configured(tmp_path, TLS)
    with closing(Endpoint(Limits(connection_seconds=120.0))) as endpoint:
        endpoint.bind("127.0.0.1:0", None, str(path))
        endpoint._server.application = application
        with socket.socket() as plain:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            plain.settimeout(10)
            plain.connect(split(endpoint.address))
            with trusting(tmp_path).wrap_socket(plain, server_hostname="localhost") as client:
                client.sendall(b"GET / HTTP/1.1\r\n\r\n")
                received = b""
                while chunk := client.recv(65536):
                    received += chunk
                    if len(received) < 200_000:
                        time.sleep(0.01)
    assert received.partition(b"\r\n\r\n")[2] == body


def test_a_request_in_single_bytes_is_answered(exporter: Exporter, tmp_path: Path):
    with (
        secured(exporter, configured(tmp_path, TLS)) as address,
        connect(address) as plain,
        trusting(tmp_path).wrap_socket(plain, server_hostname="localhost") as client,
    ):
        for byte in b"GET /-/healthy HTTP/1.1\r\n\r\n":
            client.sendall(bytes([byte]))
        assert client.recv(65536).startswith(b"HTTP/1.1 200 OK")


def test_the_response_ends_as_tls_demands(exporter: Exporter, tmp_path: Path):
    with secured(exporter, configured(tmp_path, TLS)) as address, connect(address) as plain:
        context = trusting(tmp_path)
        with context.wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=False) as client:
            client.sendall(b"GET /-/healthy HTTP/1.1\r\n\r\n")
            received = b""
            while chunk := client.recv(65536):  # raises SSLEOFError without the notification of the end
                received += chunk
    assert received.endswith(b"healthy\n")


@pytest.mark.parametrize("start", [b"", b"\x16\x03\x01", b"GET / HTTP/1.1\r\n\r\n" * 10, bytes(range(256))])
def test_clients_that_end_no_handshake_prevent_no_scrape(exporter: Exporter, tmp_path: Path, start: bytes):
    path = configured(tmp_path)
    with secured(exporter, path, Limits(connections=20, request_seconds=6.0)) as address:
        hanging = [connect(address) for _ in range(40)]
        try:
            for each in hanging:
                with suppress(OSError):
                    each.sendall(start)
            assert ask_tls(address, trusting(tmp_path), Authorization=basic())[0].status == 200
        finally:
            for each in hanging:
                each.close()


def test_a_client_that_ends_its_handshake_and_sends_nothing_is_disconnected(exporter: Exporter, tmp_path: Path):
    path = configured(tmp_path)
    context = trusting(tmp_path)
    with (
        secured(exporter, path, Limits(request_seconds=6.0)) as address,
        connect(address) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as client,
    ):
        assert client.recv(100) == b""
