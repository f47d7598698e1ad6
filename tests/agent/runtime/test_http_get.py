"""One GET: its answer, and every way in which a server can fail to give one."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from agent.runtime.http_get import HttpError, checked_url, get

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"


@contextmanager
def answering(*parts: bytes, pause_seconds: float = 0.0, context: ssl.SSLContext | None = None) -> Iterator[str]:
    """Listen on loopback and answer one connection with these parts, a pause before each; yield host:port."""
    asked: list[bytes] = []

    def serve() -> None:
        try:
            connection, _ = server.accept()
            with context.wrap_socket(connection, server_side=True) if context else connection as accepted:
                asked.append(accepted.recv(65536))
                for part in parts:
                    time.sleep(pause_seconds)
                    accepted.sendall(part)
        except OSError:
            return

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{server.getsockname()[1]}"
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
    for request in asked:
        assert b"Accept-Encoding: identity" in request or context


def test_an_answer_has_its_status_type_body_and_times():
    before = time.monotonic_ns()
    with answering(OK + b"Content-Length: 5\r\n\r\nhello") as address:
        answer = get(f"http://{address}/page", 60.0, 100)
    assert (answer.status, answer.content_type, answer.body) == (200, "text/plain", b"hello")
    assert before <= answer.sent_ns <= answer.received_ns <= time.monotonic_ns()


def test_a_redirect_is_returned_and_not_followed():
    with answering(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n") as address:
        assert get(f"http://{address}/", 60.0, 100).status == 302


def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with answering(OK + b"Content-Length: 0\r\n\r\n") as address:
        assert get(f"http://{address}/", 60.0, 100).status == 200


@pytest.mark.parametrize("head", [b"Content-Length: 101\r\n\r\n", b"\r\n"])
def test_an_answer_that_is_too_long_is_an_error(head: bytes):
    with answering(OK + head + b"x" * 101) as address, pytest.raises(HttpError, match="longer than 100 bytes"):
        get(f"http://{address}/", 60.0, 100)


def test_an_answer_that_ends_early_is_an_error():
    with answering(OK + b"Content-Length: 10\r\n\r\nhello") as address, pytest.raises(HttpError, match=address):
        get(f"http://{address}/", 60.0, 100)


@pytest.mark.parametrize("text", [b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 200\r\n" + b"a" * 70_000])
def test_an_answer_that_is_no_http_is_an_error(text: bytes):
    with answering(text) as address, pytest.raises(HttpError, match=address):
        get(f"http://{address}/", 60.0, 100)


@pytest.mark.parametrize("head", [b"", OK, OK + b"Content-Length: 50\r\n\r\n"])
def test_a_server_that_sends_a_byte_now_and_then_is_left_at_the_deadline(head: bytes):
    parts = (head, *[b"x"] * 40)
    with answering(*parts, pause_seconds=0.1) as address, pytest.raises(HttpError, match=r"within 0\.4 s"):
        get(f"http://{address}/", 0.4, 100)


def test_a_resolver_that_hangs_is_left_at_the_deadline(monkeypatch: pytest.MonkeyPatch):
    released, resolve = threading.Event(), socket.getaddrinfo

    def hanging(*asked, **more):
        released.wait(60)
        return resolve(*asked, **more)

    with socket.create_server(("127.0.0.1", 0)) as server:
        others = set(threading.enumerate())
        monkeypatch.setattr(socket, "getaddrinfo", hanging)
        with pytest.raises(HttpError, match=r"within 0\.1 s"):
            get(f"http://localhost:{server.getsockname()[1]}/", 0.1, 100)
        assert not released.is_set()
        (worker,) = (each for each in threading.enumerate() if each.name == "http-get" and each not in others)
        released.set()
        worker.join(60)
        assert not worker.is_alive()
        connected, _ = server.accept()
        with connected:
            assert connected.recv(100) == b""  # nothing is requested after the deadline


def test_a_port_without_a_server_is_an_error():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # and does not listen
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(HttpError, match="refused"):
            get(f"http://{address}/", 60.0, 100)


def test_a_certificate_is_verified(tmp_path: Path):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    line = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-keyout",
        key,
        "-out",
        certificate,
    ]
    subprocess.run([*map(str, line), *subject], check=True, capture_output=True)
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(certificate, key)
    answer = OK + b"Content-Length: 0\r\n\r\n"
    with answering(answer, context=served) as address, pytest.raises(HttpError, match=r"(?i)certificate verify failed"):
        get(f"https://{address}/", 60.0, 100)
    trusting = ssl.create_default_context(cafile=str(certificate))
    with answering(answer, context=served) as address:
        assert get(f"https://{address}/", 60.0, 100, trusting).status == 200


@pytest.mark.parametrize(
    ("url", "cause"),
    [
        ("node1:19795", "is not a URL"),
        ("ftp://node1", "is not a URL"),
        ("http://", "is not a URL"),
        ("http://node1:port", "is not a URL"),
        ("http://node1:99999", "is not a URL"),
        ("http://[::1", "is not a URL"),
        ("http://node1/\r\nInjected: yes", "is not a URL"),
        ("http://user:secret@node1", "visible in the list of processes"),
        ("http://node1/?a=1", "query"),
        ("http://node1/#a", "query or a fragment"),
    ],
)
def test_an_invalid_url_is_an_error_that_shows_no_password(url: str, cause: str):
    with pytest.raises(HttpError, match=cause) as raised:
        checked_url(url)
    assert "secret" not in str(raised.value)
