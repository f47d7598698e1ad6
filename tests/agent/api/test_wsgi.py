"""The application and the server as WSGI, and the parser of requests."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING
from wsgiref.validate import validator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.api import wsgi
from agent.api.application import Application
from agent.api.routes import service_routes

if TYPE_CHECKING:
    from agent.api.metrics import Exporter


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
