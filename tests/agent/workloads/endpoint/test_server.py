"""The description of a server, from answers that it may make wrong."""

from __future__ import annotations

import pytest

from agent.workloads.endpoint.server import JsonExchange
from agent.workloads.endpoint.workload import _error_text


@pytest.mark.parametrize("content", [b"", b"[1]", b"{", b"[" * 100_000, b'{"data":[{"id":"\\ud800"}]}'])
def test_an_answer_that_is_no_object_has_no_content(content):
    made = JsonExchange()
    made.begin(200)
    made.receive(content, 1)
    made.complete(2)
    assert made.decoded() == {}


def test_the_error_of_a_server_is_its_message_or_its_body():
    assert _error_text(b'{"error": {"message": "too long"}}') == "too long"
    assert _error_text(b"no \xff json") == "no \ufffd json"
    nested = b'{"x": ' + b"[" * 4000
    assert _error_text(nested) == nested.decode()
