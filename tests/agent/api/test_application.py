"""The pages and the formats of their responses."""

from __future__ import annotations

import gzip

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from agent.api.metrics import Exporter
from agent.api.routes import service_routes
from agent.sampling.probe_reader import ProbeHealth
from http_clients import NOW, POWER, TICK, ask, export, raw, serving
from store.records import Layout


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
