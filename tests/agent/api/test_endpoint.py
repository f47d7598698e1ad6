"""The addresses of the server: changes, families, names and errors."""

from __future__ import annotations

import socket
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from agent.api.endpoint import Endpoint, serve
from agent.api.routes import ROUTES
from agent.api.sockets import ListenError, resolve
from http_clients import ask, connect, has_ipv6, raw
from waiting import await_true

if TYPE_CHECKING:
    from agent.api.metrics import Exporter


def test_a_new_address_answers_before_the_old_one_closes(exporter: Exporter):
    with closing(Endpoint()) as endpoint:
        endpoint.bind("127.0.0.1:0")
        endpoint.show(exporter)
        old = endpoint.address
        endpoint.bind("[::1]:0" if has_ipv6() else "127.0.0.2:0")
        new = endpoint.address
        assert b"200 OK" in raw(old, b"GET /-/ready HTTP/1.0\r\n\r\n")
        assert b"200 OK" in raw(new, b"GET /-/ready HTTP/1.0\r\n\r\n")
        endpoint.show(exporter)
        await_true(lambda: refuses(old))
        assert b"200 OK" in raw(new, b"GET /-/ready HTTP/1.0\r\n\r\n")


def test_an_address_may_widen_and_narrow_on_its_port(exporter: Exporter):
    with closing(Endpoint()) as endpoint:
        endpoint.bind("127.0.0.1:0")
        endpoint.show(exporter)
        port = endpoint.address.rpartition(":")[2]
        for host in ("0.0.0.0", "127.0.0.1", "127.0.0.1"):
            endpoint.bind(f"{host}:{port}")
            assert b"200 OK" in raw(f"127.0.0.1:{port}", b"GET /-/ready HTTP/1.0\r\n\r\n")
            endpoint.show(exporter)
            await_true(lambda: len(endpoint._server._listeners) == 1)
            assert b"200 OK" in raw(f"127.0.0.1:{port}", b"GET /-/ready HTTP/1.0\r\n\r\n")
        with pytest.raises(ListenError, match="already in use"):
            serve(exporter, f"127.0.0.1:{port}")


def test_a_withdrawn_address_is_closed_and_the_one_before_remains(exporter: Exporter):
    with closing(Endpoint()) as endpoint:
        endpoint.bind("127.0.0.1:0")
        endpoint.show(exporter)
        old = endpoint.address
        endpoint.bind("127.0.0.2:0")
        new = endpoint.address
        with pytest.raises(ListenError):
            endpoint.bind("192.0.2.1:19795")
        await_true(lambda: refuses(new))
        assert endpoint.address == old
        endpoint.bind(old)
        assert b"200 OK" in raw(old, b"GET /-/ready HTTP/1.0\r\n\r\n")


def test_a_service_that_starts_is_healthy_and_not_ready_and_has_no_metrics():
    with closing(Endpoint()) as endpoint:
        endpoint.bind("127.0.0.1:0")
        statuses = {path: ask(endpoint.address, path)[0].status for path in (*ROUTES, "/other")}
    assert statuses == dict.fromkeys(ROUTES, 503) | {"/-/healthy": 200, "/other": 404}


def refuses(address: str) -> bool:
    try:
        connect(address).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:  # it closed while this connection was waiting
        return False
    return False


def test_ipv6_is_served_with_its_address_in_brackets(exporter: Exporter):
    if not has_ipv6():
        pytest.skip("this host has no IPv6 loopback")
    with closing(serve(exporter, "[::1]:0")) as server:
        assert server.address.startswith("[::1]:")
        assert ask(server.address, "/-/healthy")[0].status == 200


def test_a_port_in_use_is_reported_with_a_remedy(address: str, exporter: Exporter):
    with pytest.raises(ListenError, match="already in use; another process listens there") as caught:
        serve(exporter, address)
    assert isinstance(caught.value, OSError)
    assert caught.value.listen == address
    assert "ss -ltnp" in caught.value.remedy


def test_an_address_of_another_host_is_reported_with_a_remedy(exporter: Exporter):
    with pytest.raises(ListenError, match="no network interface of this host has this address"):
        serve(exporter, "192.0.2.1:19795")


@pytest.mark.parametrize(
    "listen",
    ["", "19795", ":19795", "127.0.0.1", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:65536", "::1:19795", "1:-1"],
)
def test_an_invalid_address_is_reported_with_the_right_form(listen: str):
    with pytest.raises(ListenError, match=r"write it as 127\.0\.0\.1:19795 or \[::1\]:19795"):
        resolve(listen)


def test_a_name_without_an_address_is_reported():
    with pytest.raises(ListenError, match="write the address of this host as a number"):
        resolve(f"{'x' * 64}.invalid:19795")


def test_a_name_is_resolved_to_ipv4_if_possible():
    assert resolve("localhost:19795") == (socket.AF_INET, ("127.0.0.1", 19795))
