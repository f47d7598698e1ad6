from __future__ import annotations

import gzip
import socket
import threading
import time
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection, HTTPResponse
from typing import TYPE_CHECKING

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from agent.beat import BeatState
from agent.exporter import Exporter
from agent.http import PAGES, Limits, ListenError, Server, resolve, serve
from probes.model import Channel, Device, Kind
from store.records import Layout, Tick

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOW = 1_700_000_000_000_000_000
POWER = Channel(Device("GPU-1", Kind.GPU), "board", "power_watts")
TICK = Tick(1, NOW, NOW, (250.0,))


def export(dropped: Callable[[], int] = lambda: 0) -> Exporter:
    state = BeatState("gpu", 1.0, latest=TICK)
    return Exporter([Layout(1, "gpu", (POWER,))], [state], dropped, lambda: NOW, "1.2.3<")


@contextmanager
def serving(exporter: Exporter, limits: Limits | None = None) -> Iterator[Server]:
    server = serve(exporter, "127.0.0.1:0", limits or Limits())
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def exporter() -> Exporter:
    return export()


@pytest.fixture(scope="module")
def address(exporter: Exporter) -> Iterator[str]:
    with serving(exporter) as server:
        yield server.address


def ask(address: str, path: str, method: str = "GET", **headers: str) -> tuple[HTTPResponse, bytes]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with closing(HTTPConnection(address, timeout=10)) as connection:
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
    return socket.create_connection((host.strip("[]"), int(port)), timeout=10)


def is_closed(client: socket.socket) -> bool:
    try:
        return client.recv(65536) == b""
    except ConnectionResetError:
        return True


def test_metrics_are_text_unless_something_else_is_asked_for(address: str):
    answer, body = ask(address, "/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    samples = [s for family in parse_text(body.decode()) for s in family.samples if s.name == "inferometer_power_watts"]
    assert [(sample.labels["device"], sample.value) for sample in samples] == [("GPU-1", 250.0)]


def test_metrics_come_as_openmetrics_for_who_accepts_it(address: str):
    accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
    answer, body = ask(address, "/metrics", Accept=accept)
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert "inferometer_power_watts" in [family.name for family in parse_openmetrics(body.decode())]


def test_a_format_version_that_is_no_number_gets_plain_text(address: str):
    answer, _ = ask(address, "/metrics", Accept="application/openmetrics-text;version=new")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")


def test_no_line_of_a_request_becomes_a_header_of_the_answer(address: str):
    folded = b"GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text;version=1.0.0\r\n Injected: yes\r\n\r\n"
    assert b"\r\n Injected" not in raw(address, folded)
    assert b"\r\nInjected" not in raw(address, folded)


def test_metrics_are_compressed_for_who_accepts_it(address: str):
    answer, body = ask(address, "/metrics", Accept_Encoding="deflate, gzip;q=0.9")
    assert answer.headers["Content-Encoding"] == "gzip"
    assert b"inferometer_power_watts" in gzip.decompress(body)
    assert ask(address, "/metrics")[0].headers["Content-Encoding"] is None


def test_a_query_after_the_path_changes_nothing(address: str):
    assert b"inferometer_power_watts" in ask(address, "/metrics?x=1")[1]


def test_the_service_is_healthy_while_it_answers():
    with serving(export()) as server:
        answer, body = ask(server.address, "/-/healthy")
    assert (answer.status, body) == (200, b"healthy\n")


def test_the_service_is_ready_from_the_first_tick_on():
    state = BeatState("gpu", 1.0)
    exporter = Exporter([Layout(1, "gpu", (POWER,))], [state], lambda: 0, lambda: NOW, "1.2.3")
    with serving(exporter) as server:
        answer, body = ask(server.address, "/-/ready")
        assert (answer.status, body) == (503, b"no tick yet from gpu\n")
        state.latest = TICK
        answer, body = ask(server.address, "/-/ready")
        assert (answer.status, body) == (200, b"ready\n")


def test_the_landing_page_links_to_every_other_and_escapes_the_version(address: str):
    answer, body = ask(address, "/")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert all(f'href="{path}"'.encode() in body for path in PAGES if path != "/")
    assert b"1.2.3&lt;" in body
    assert b"http" not in body


@pytest.mark.parametrize("path", ["/", "/metrics", "/-/healthy", "/-/ready"])
def test_a_head_has_the_headers_of_a_get_and_no_body(address: str, path: str):
    head, nothing = ask(address, path, "HEAD")
    get, _ = ask(address, path)
    assert (head.status, nothing) == (200, b"")
    assert head.headers.keys() == get.headers.keys()
    assert head.headers["Content-Type"] == get.headers["Content-Type"]
    assert int(head.headers["Content-Length"]) > 0


@pytest.mark.parametrize("path", ["/nothing", "/metrics/", "/../etc/passwd", "/-/", "/favicon.ico"])
def test_every_other_path_is_not_found(address: str, path: str):
    answer, body = ask(address, path)
    assert (answer.status, body) == (404, b"404 Not Found\n")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_every_other_method_is_not_allowed(address: str, method: str):
    answer, _ = ask(address, "/metrics", method)
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")


def test_what_is_no_http_is_a_bad_request(address: str):
    assert b"400 Bad Request" in raw(address, b"\x16\x03\x01 no http at all\r\n\r\n")


@pytest.mark.parametrize("path", ["/", "/metrics", "/nothing"])
def test_no_answer_tells_what_the_service_runs_on(address: str, path: str):
    answer, _ = ask(address, path)
    assert answer.headers["Server"] == "inferometer"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"


def test_a_fault_in_the_exporter_is_told_as_such_and_the_next_scrape_works(caplog: pytest.LogCaptureFixture):
    faults = [RuntimeError("broken")]

    def dropped() -> int:
        if faults:
            raise faults.pop()
        return 0

    with serving(export(dropped)) as server:
        answer, body = ask(server.address, "/metrics")
        assert (answer.status, body) == (500, b"500 Internal Server Error\n")
        assert ask(server.address, "/metrics")[0].status == 200
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == ["no answer"]


def test_requests_are_logged_only_for_who_looks_for_them(address: str, caplog: pytest.LogCaptureFixture):
    with caplog.at_level("INFO", "inferometer.http"):
        ask(address, "/-/healthy")
    assert caplog.records == []
    with caplog.at_level("DEBUG", "inferometer.http"):
        ask(address, "/-/healthy")
    assert [record.message for record in caplog.records] == ["request"]


def test_a_client_that_says_nothing_is_let_go(exporter: Exporter):
    with serving(exporter, Limits(silence_seconds=0.1)) as server, connect(server.address) as silent:
        assert is_closed(silent)


def test_a_client_that_speaks_too_slowly_is_cut_off(exporter: Exporter):
    with serving(exporter, Limits(connection_seconds=0.2)) as server, connect(server.address) as slow:
        slow.sendall(b"GET /metrics HTTP/1.1\r\nX: ")
        started = time.monotonic()
        assert is_closed(slow)
        assert time.monotonic() - started < 3.0


def test_one_connection_too_many_is_told_to_come_back_and_a_later_one_is_served(exporter: Exporter):
    with serving(exporter, Limits(connections=2)) as server:
        with connect(server.address), connect(server.address), connect(server.address) as refused:
            assert b"503 Service Unavailable" in refused.recv(65536)
        deadline = time.monotonic() + 5
        while b"200 OK" not in raw(server.address, b"GET /-/healthy HTTP/1.0\r\n\r\n"):
            assert time.monotonic() < deadline


def test_many_scrapes_at_once_are_all_served(address: str):
    statuses: list[int] = []
    threads = [threading.Thread(target=lambda: statuses.append(ask(address, "/metrics")[0].status)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 8


def test_stopping_closes_the_port_and_who_is_connected(exporter: Exporter):
    server = serve(exporter, "127.0.0.1:0")
    with connect(server.address) as silent:
        time.sleep(0.05)  # until it is accepted; sooner, the closed port resets it, which counts as closed as well
        server.stop()
        assert is_closed(silent)
    server.stop()
    with pytest.raises(ConnectionRefusedError):
        connect(server.address)
    serve(exporter, server.address).stop()


def test_ipv6_is_served_with_its_address_in_brackets(exporter: Exporter):
    try:
        server = serve(exporter, "[::1]:0")
    except ListenError:
        pytest.skip("this host has no IPv6 loopback")
    try:
        assert server.address.startswith("[::1]:")
        assert ask(server.address, "/-/healthy")[0].status == 200
    finally:
        server.stop()


def test_a_port_that_is_taken_is_told_with_what_to_do(address: str, exporter: Exporter):
    with pytest.raises(ListenError, match="already in use; another process listens there") as caught:
        serve(exporter, address)
    assert isinstance(caught.value, OSError)
    assert caught.value.listen == address
    assert "ss -ltnp" in caught.value.remedy


def test_an_address_of_another_host_is_told_with_what_to_do(exporter: Exporter):
    with pytest.raises(ListenError, match="no network interface of this host has this address"):
        serve(exporter, "192.0.2.1:19795")


@pytest.mark.parametrize(
    "listen",
    ["", "19795", ":19795", "127.0.0.1", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:65536", "::1:19795", "1:-1"],
)
def test_what_is_no_address_is_told_with_how_to_write_one(listen: str):
    with pytest.raises(ListenError, match=r"write it as 127\.0\.0\.1:19795 or \[::1\]:19795"):
        resolve(listen)


def test_a_name_that_has_no_address_is_told():
    with pytest.raises(ListenError, match="write the address of this host as a number"):
        resolve(f"{'x' * 64}.invalid:19795")


def test_a_name_is_resolved_to_ipv4_where_it_can_be():
    assert resolve("localhost:19795") == (socket.AF_INET, ("127.0.0.1", 19795))
