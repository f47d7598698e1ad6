"""The names by which a request may address the server, and the origins that may read it."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from agent.api.endpoint import serve
from http_clients import has_ipv6, raw, split

if TYPE_CHECKING:
    from agent.api.metrics import Exporter


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("127.0.0.1:19795", True),
        ("[::1]:19795", True),
        ("192.0.2.7", True),
        ("localhost:19795", True),
        ("LOCALHOST", True),
        ("scraped", True),
        ("monitor.example.org:1", True),
        ("MONITOR.example.org.", True),
        ("evil.example.com", False),
        ("127.0.0.1.evil.example.com", False),
        ("localhost.evil.example.com:19795", False),
        ("127.0.0.1@evil.example.com", False),
        ("evil.example.com, localhost", False),
        ("[::1", False),
        ("localhost:port", True),
    ],
)
def test_on_loopback_a_request_must_name_this_host(exporter: Exporter, host: str, allowed: bool):
    with closing(serve(exporter, "127.0.0.1:0", hosts=["monitor.example.org"])) as server:
        answer = raw(server.address, f"GET /metrics HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert (b"200 OK" in answer, b"403 Forbidden" in answer) == (allowed, not allowed)
        assert (b"exporter.hosts" in answer) is not allowed


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ("", 200),
        ("Host: localhost:1\r\nOrigin: http://localhost:1\r\n", 200),
        ("Host: localhost:1\r\nOrigin: http://localhost:2\r\n", 403),
        ("Host: localhost:1\r\nOrigin: https://evil.example.com\r\n", 403),
        ("Host: localhost:1\r\nOrigin: null\r\n", 403),
        ("Host: localhost:1\r\nOrigin: http://[x\r\n", 403),
        ("Host: localhost:1\r\nOrigin: http://a]b\r\n", 403),
        ("Host: localhost:1\r\nOrigin: http://\u2100\r\n", 403),
        ("Origin: http://localhost:1\r\n", 403),
        ("Host: localhost\r\nHost: evil.example.com\r\n", 403),
    ],
)
def test_pages_of_another_origin_cannot_read_this_host(address: str, headers: str, status: int):
    assert f" {status} ".encode() in raw(address, f"GET /metrics HTTP/1.1\r\n{headers}\r\n".encode())


def test_on_other_addresses_names_are_checked_only_if_some_are_configured(exporter: Exporter):
    foreign = b"GET /-/healthy HTTP/1.1\r\nHost: host.example.org\r\n\r\n"
    for hosts, status in [([], b" 200 "), (["host.example.org"], b" 200 "), (["other.example.org"], b" 403 ")]:
        with closing(serve(exporter, "0.0.0.0:0", hosts=hosts)) as server:
            assert status in raw(server.address.replace("0.0.0.0", "127.0.0.1"), foreign)


def test_names_are_checked_on_a_loopback_address_that_is_mapped_into_ipv6(exporter: Exporter):
    if not has_ipv6():
        pytest.skip("needs IPv6")
    foreign = b"GET /-/healthy HTTP/1.1\r\nHost: evil.example.com\r\n\r\n"
    with closing(serve(exporter, "[::ffff:127.0.0.1]:0")) as server:
        assert b" 403 " in raw(server.address, foreign)
    with closing(serve(exporter, "[::ffff:0.0.0.0]:0")) as server:
        assert b" 200 " in raw(f"127.0.0.1:{split(server.address)[1]}", foreign)
