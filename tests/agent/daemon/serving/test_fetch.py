from __future__ import annotations

import asyncio
import gzip
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from agent.config.serving import ServingConfig
from agent.daemon.serving import fetch as fetching
from agent.daemon.serving.fetch import FetchError, Target, fetch, read_credentials
from metrics_server import HANG, MetricsServer, response

if TYPE_CHECKING:
    from pathlib import Path

PACKED = gzip.compress(b"x_total 12345678\n", mtime=0)  # without a time: every worker collects the same tests
BIG = b"x_total 1\n" * 450_000


def got(url: str, seconds: float = 60.0, **settings: str) -> bytes:
    return asyncio.run(fetch(Target.of(ServingConfig("a", url, "generic", **settings)), seconds))


def error_of(script: bytes, seconds: float = 60.0, *, closes: bool = True) -> FetchError:
    with MetricsServer(script, closes=closes).running() as server, pytest.raises(FetchError) as raised:
        got(server.url, seconds)
    return raised.value


@pytest.mark.parametrize(
    "script",
    [
        response("x_total 1\n"),
        response("x_total 1\n", packed=True),
        b"HTTP/1.1 200 OK\r\n\r\nx_total 1\n",
        b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nx_total 1\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nx_to\r\n6\r\ntal 1\n\r\n0\r\n\r\n",
    ],
)
def test_the_body_of_a_response_is_returned_in_every_framing(script: bytes) -> None:
    with MetricsServer(script).running() as server:
        assert got(server.url) == b"x_total 1\n"


def test_a_server_that_never_closes_the_connection_is_not_waited_for() -> None:
    with MetricsServer(response("x_total 1\n"), closes=False).running() as server:
        assert got(server.url) == b"x_total 1\n"


def test_the_request_names_the_host_and_the_path_and_nothing_else_of_this_host(monkeypatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with MetricsServer(response("")).running() as server:
        got(f"http://localhost:{server.port}/prometheus/metrics?model=m")
    head, _, rest = server.requests[0].decode().partition("\r\n")
    assert head == "GET /prometheus/metrics?model=m HTTP/1.1"
    assert f"Host: localhost:{server.port}\r\n" in rest
    assert "Authorization" not in rest


def test_the_address_of_a_name_that_answers_is_used() -> None:
    with MetricsServer(response("x_total 1\n"), family=socket.AF_INET6).running() as server:
        assert got(f"http://[::1]:{server.port}/metrics") == b"x_total 1\n"


def test_a_token_is_sent_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("secret-1\n")
    path.chmod(0o600)
    with MetricsServer(response("")).running() as server:
        got(server.url, credentials_file=str(path))
    assert b"\r\nAuthorization: Bearer secret-1\r\n" in server.requests[0]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_token_that_other_users_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "token"
    path.write_text("secret")
    path.chmod(mode)
    with pytest.raises(FetchError, match="other users may read it") as raised:
        read_credentials(path)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("content", ["", "two words", "two\nlines", "a\x1b", "x" * 5000 + " "])
def test_a_file_that_is_not_a_token_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "token"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(FetchError, match="one line, a token"):
        read_credentials(path)


def test_a_missing_token_or_certificate_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="cannot be read"):
        read_credentials(tmp_path / "missing")
    with pytest.raises(FetchError, match="no certificates that can be read"):
        got("https://127.0.0.1:1/", ca_file=str(tmp_path / "missing"))


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
def test_a_redirect_is_not_followed(status: str) -> None:
    with MetricsServer().running() as other:
        error = error_of(response("", status, f"Location: {other.url}"))
    assert error.reason == "redirect"
    assert other.requests == []


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (response("x", "500 Internal Server Error"), "status"),
        (response("x", "204 No Content"), "status"),
        (response(BIG), "size"),
        (response(BIG * 3), "size"),
        (response(BIG, packed=True), "size"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000, "content"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort", "content"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nnot gzip", "content"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + PACKED[:-12], "content"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\n\r\nx", "content"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "content"),
        (b"\x00\xff garbage \x00", "content"),
        (b"SSH-2.0-OpenSSH\r\n", "content"),
    ],
)
def test_a_response_that_is_not_a_success_is_an_error_with_a_reason(script: bytes, reason: str) -> None:
    assert error_of(script).reason == reason


@pytest.mark.parametrize("script", [HANG, b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"])
def test_a_server_that_stops_answering_is_abandoned_at_the_limit_of_time(script: bytes) -> None:
    error = error_of(script, 0.3, closes=False)
    assert (error.reason, str(error)) == ("timeout", "no complete response within 0.3 s")


def test_a_server_that_sends_byte_after_byte_is_abandoned_at_the_limit_of_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ended = threading.Event()

        def drip() -> None:
            connection, _ = listener.accept()
            with connection:
                while not ended.is_set():
                    try:
                        connection.sendall(b"H")
                    except OSError:
                        return
                    time.sleep(0.01)

        thread = threading.Thread(target=drip)
        thread.start()
        with pytest.raises(FetchError, match="no complete response") as raised:
            got(f"http://127.0.0.1:{listener.getsockname()[1]}/", 0.3)
        ended.set()
        thread.join()
    assert raised.value.reason == "timeout"


def test_a_server_that_is_gone_is_an_error() -> None:
    with MetricsServer().running() as server:
        url = server.url
    with pytest.raises(FetchError) as raised:
        got(url)
    assert raised.value.reason == "connection"


def test_a_server_without_tls_is_an_error() -> None:
    with MetricsServer(b"not tls at all, but plain text").running() as server, pytest.raises(FetchError) as raised:
        got(server.url.replace("http:", "https:"))
    assert raised.value.reason == "tls"


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "fe80::1%lo", "fd00:ec2::254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe"]
)
def test_a_name_that_resolves_to_a_metadata_service_is_refused(monkeypatch, address: str) -> None:
    def resolve(_host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        return [(0, 0, 0, "", ("127.0.0.1", port)), (0, 0, 0, "", (address, port))]

    monkeypatch.setattr(fetching.socket, "getaddrinfo", resolve)
    with MetricsServer(response("x_total 1\n")).running() as server:
        with pytest.raises(FetchError, match="is refused") as raised:
            got(f"http://model.example.org:{server.port}/metrics")
        assert server.requests == []
    assert raised.value.reason == "address"


def test_an_unknown_name_is_an_error(monkeypatch) -> None:
    def resolve(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(fetching.socket, "getaddrinfo", resolve)
    with pytest.raises(FetchError, match="has no address") as raised:
        got("http://model.example.org/metrics")
    assert raised.value.reason == "address"


def test_a_resolver_that_never_answers_is_abandoned(monkeypatch) -> None:
    ended = threading.Event()
    monkeypatch.setattr(fetching.socket, "getaddrinfo", lambda *_, **__: ended.wait(10) and [])
    with pytest.raises(FetchError) as raised:
        got("http://model.example.org/metrics", 0.2)
    ended.set()
    assert raised.value.reason == "timeout"
