"""One request answers all probes of another host, and errors reach each of them."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from agent.sampling.remote.feed import Feed
from agent.sampling.remote.records import Counters, encode
from probes.errors import ReadError
from store.records import Host

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.system

SECOND = 1_000_000_000
UNIX = 1_700_000_000 * SECOND


class Service:
    """The answers of a service, and the number of requests."""

    def __init__(self) -> None:
        self.url = ""
        self.asked = 0
        self.authorizations: list[str | None] = []
        self.status = 200
        self.body = b""
        self.show("first")

    def show(self, session: str) -> None:
        self.body = encode(Counters(session, UNIX, Host("the-id", "node1"), ()))


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()
    with answering(service):
        yield service


@contextmanager
def answering(service: Service) -> Iterator[None]:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            service.asked += self.path == "/prefix/api/v1/counters"
            service.authorizations.append(self.headers["Authorization"])
            self.send_response(service.status)
            self.send_header("Content-Length", str(len(service.body)))
            self.end_headers()
            self.wfile.write(service.body)

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        service.url = f"http://127.0.0.1:{server.server_port}/prefix/"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def test_probes_that_are_read_at_the_same_time_share_one_request(service: Service):
    feed = Feed(service.url)
    first = feed.read(0)
    assert feed.read(SECOND // 4) is first
    assert feed.read(SECOND) is not first
    assert service.asked == 2


def test_probes_share_an_error_too_and_it_ends_with_the_next_request(service: Service):
    feed = Feed(service.url)
    service.status, good, service.body = 503, service.body, b"starting\n"
    for at_ns in (0, SECOND // 4):
        with pytest.raises(ReadError, match="answers 503: starting"):
            feed.read(at_ns)
    assert service.asked == 1
    service.status, service.body = 200, good
    assert feed.read(SECOND).counters.host.name == "node1"


def test_a_password_is_sent_with_each_request(service: Service):
    Feed(service.url, "Basic dTpw").read(0)
    Feed(service.url).read(0)
    assert service.authorizations == ["Basic dTpw", None]


def test_the_answer_of_another_program_is_an_error(service: Service):
    service.body = b"<html></html>"
    with pytest.raises(ReadError, match="not the answer of an Inferometer service"):
        Feed(service.url).read(0)


def test_the_clock_is_measured_again_after_a_restart_of_the_service(service: Service):
    feed = Feed(service.url)
    first = feed.read(0)
    service.show("second")
    service.body = service.body.replace(str(UNIX).encode(), str(UNIX + 3600 * SECOND).encode())
    second = feed.read(SECOND)
    assert second.lowest_ns - first.lowest_ns == pytest.approx(3600 * SECOND, abs=60 * SECOND)
    assert feed.clock_uncertainty_seconds < 30
