"""The description of a server, from answers that it may make wrong."""

from __future__ import annotations

import pytest

from agent.workloads.endpoint.server import JsonExchange


@pytest.mark.parametrize("content", [b"", b"[1]", b"{", b"[" * 100_000, b'{"data":[{"id":"\\ud800"}]}'])
def test_an_answer_that_is_no_object_has_no_content(content):
    made = JsonExchange()
    made.begin(200)
    made.receive(content, 1)
    made.complete(2)
    assert made.decoded() == {}
