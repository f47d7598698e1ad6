from __future__ import annotations

import gzip
import os
import resource
import socket
import threading
from contextlib import closing, contextmanager, suppress
from http import HTTPStatus
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import TYPE_CHECKING
from wsgiref.validate import validator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from agent.api import wsgi
from agent.api.application import Application
from agent.api.endpoint import Endpoint, serve
from agent.api.metrics import Exporter
from agent.api.routes import ROUTES, service_routes
from agent.api.server import DEFAULTS, Limits
from agent.api.sockets import ListenError, resolve
from agent.sampling.probe_reader import ProbeHealth
from probes.model import Channel, Device, Kind
from store.records import Layout, Tick
from waiting import await_true

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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


def test_metrics_are_text_by_default(address: str):
    answer, body = ask(address, "/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    samples = [s for family in parse_text(body.decode()) for s in family.samples if s.name == "inferometer_power_watts"]
    assert [(sample.labels["device"], sample.value) for sample in samples] == [("GPU-1", 250.0)]


def test_metrics_are_openmetrics_for_a_client_that_accepts_it(address: str):
    accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
    answer, body = ask(address, "/metrics", Accept=accept)
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert "inferometer_power_watts" in [family.name for family in parse_openmetrics(body.decode())]


def test_a_non_numeric_format_version_gets_plain_text(address: str):
    answer, _ = ask(address, "/metrics", Accept="application/openmetrics-text;version=new")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")


def test_no_line_of_a_request_becomes_a_header_of_the_response(address: str):
    folded = b"GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text;version=1.0.0\r\n Injected: yes\r\n\r\n"
    assert b"\r\n Injected" not in raw(address, folded)
    assert b"\r\nInjected" not in raw(address, folded)


def test_metrics_are_compressed_for_a_client_that_accepts_it(address: str):
    answer, body = ask(address, "/metrics", Accept_Encoding="deflate, gzip;q=0.9")
    assert answer.headers["Content-Encoding"] == "gzip"
    assert b"inferometer_power_watts" in gzip.decompress(body)
    assert ask(address, "/metrics")[0].headers["Content-Encoding"] is None


@pytest.mark.parametrize(
    ("header", "packed"),
    [
        ("gzip", True),
        ("GZIP;q=0.001", True),
        ("deflate, gzip ; q = 1", True),
        ("*", True),
        ("gzip;q=0", False),
        ("gzip;q=0.000, *", False),
        ("identity, *;q=0", False),
        ("gzip;q=-1", False),
        ("gzip;q=nan", False),
        ("br", False),
    ],
)
def test_compression_depends_on_the_weight_that_the_client_sets(address: str, header: str, packed: bool):
    answer, _ = ask(address, "/metrics", Accept_Encoding=header)
    assert answer.headers["Content-Encoding"] == ("gzip" if packed else None)


@pytest.mark.parametrize(
    ("header", "openmetrics"),
    [
        ("application/openmetrics-text;version=1.0.0;q=0", False),
        ("application/openmetrics-text; q=0.0, text/plain", False),
        ("application/openmetrics-text;version=1.0.0;q=0.3", True),
    ],
)
def test_a_format_of_weight_zero_is_not_sent(address: str, header: str, openmetrics: bool):
    answer, _ = ask(address, "/metrics", Accept=header)
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text") is openmetrics


def test_a_query_after_the_path_changes_nothing(address: str):
    assert b"inferometer_power_watts" in ask(address, "/metrics?x=1")[1]


def test_the_service_is_healthy_while_it_answers():
    with serving(export()) as server:
        answer, body = ask(server.address, "/-/healthy")
    assert (answer.status, body) == (200, b"healthy\n")


def test_the_service_is_ready_after_the_first_tick():
    state = ProbeHealth("gpu", 1.0)
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
    assert all(f'href="{path}"'.encode() in body for path in service_routes(export()) if path != "/")
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


def test_a_request_that_is_not_http_is_a_bad_request(address: str):
    assert b"400 Bad Request" in raw(address, b"\x16\x03\x01 no http at all\r\n\r\n")


@pytest.mark.parametrize("path", ["/", "/metrics", "/nothing"])
def test_no_response_reveals_the_platform(address: str, path: str):
    answer, _ = ask(address, path)
    assert answer.headers["Server"] == "inferometer"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"


def test_a_fault_in_the_exporter_is_a_500_and_the_next_scrape_works(caplog: pytest.LogCaptureFixture):
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


def test_requests_are_logged_only_at_the_debug_level(address: str, caplog: pytest.LogCaptureFixture):
    with caplog.at_level("INFO", "inferometer.http"):
        ask(address, "/-/healthy")
    assert caplog.records == []
    with caplog.at_level("DEBUG", "inferometer.http"):
        ask(address, "/-/healthy")
    assert [record.message for record in caplog.records] == ["request"]


@pytest.mark.parametrize("start", [b"", b"GET /metrics HTTP/1.1\r\nX: "], ids=["nothing", "half a request"])
def test_a_request_that_is_not_complete_in_time_ends_its_connection(exporter: Exporter, start: bytes):
    with serving(exporter, Limits(request_seconds=0.2)) as server, connect(server.address) as slow:
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
    body = b"x" * 50_000_000

    def large(_, start_response):
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    with serving(exporter, Limits(connection_seconds=2.0)) as server:
        server._server.application = large
        with connect(server.address) as slow:
            slow.sendall(b"GET / HTTP/1.1\r\n\r\n")
            await_true(lambda: server._server._connections)
            await_true(lambda: not server._server._connections, seconds=30)
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
    goes_on = threading.Event()

    def slow(_, start_response):
        goes_on.wait(30)
        start_response("200 OK", [])
        return [b"done"]

    with serving(exporter, Limits(connections=1)) as server:
        server._server.application = slow
        with connect(server.address) as first:
            first.sendall(b"GET / HTTP/1.0\r\n\r\n")
            await_true(lambda: not server._server._requests.qsize() and server._server._connections, seconds=30)
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


# --- WSGI -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("path", ["/", "/metrics", "/-/ready", "/nothing", "/caf%C3%A9?q=1"])
def test_the_application_and_the_server_conform_to_pep_3333(exporter: Exporter, method: str, path: str):
    request = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/plain\r\n\r\n".encode()
    application = validator(Application(service_routes(exporter), ()))
    received = wsgi.respond(request, "127.0.0.1", ("127.0.0.1", 80), application)
    status = int(received.split()[1])
    assert status == (405 if method == "POST" else 404 if path.startswith(("/nothing", "/caf")) else 200)


def test_a_request_does_not_contain_the_environment_of_the_process(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("INFEROMETER_DATABASE", "postgresql://user:password@host/db")
    seen = {}

    def application(environ, start_response):
        seen.update(environ)
        start_response("200 OK", [])
        return []

    wsgi.respond(b"GET /a?b=c HTTP/1.1\r\nX-Y: 1\r\nX_Y: 2\r\n\r\n", "peer", ("127.0.0.1", 80), application)
    assert "INFEROMETER_DATABASE" not in seen
    assert (seen["PATH_INFO"], seen["QUERY_STRING"], seen["REMOTE_ADDR"], seen["HTTP_X_Y"]) == (
        "/a",
        "b=c",
        "peer",
        "1",
    )


@given(st.binary(max_size=300))
def test_no_bytes_make_the_parser_raise(received: bytes):
    answer = wsgi.respond(received, "peer", ("127.0.0.1", 80), wsgi.failure(HTTPStatus.NOT_FOUND))
    assert answer


# --- allowed names and origins --------------------------------------------------------------------------------------


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


# --- changes of the address -----------------------------------------------------------------------------------------


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
    return False


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def test_many_scrapes_at_once_are_all_served(address: str):
    statuses: list[int] = []
    threads = [threading.Thread(target=lambda: statuses.append(ask(address, "/metrics")[0].status)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 8


def test_closing_closes_the_port_and_the_connections(exporter: Exporter):
    server = serve(exporter, "127.0.0.1:0")
    with connect(server.address) as silent:
        await_true(lambda: server._server._connections)
        server.close()
        assert is_closed(silent)
    server.close()
    with pytest.raises(ConnectionRefusedError):
        connect(server.address)
    serve(exporter, server.address).close()


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
