"""The HTTP client against a server that writes literal bytes."""

from __future__ import annotations

import asyncio
import ssl
import time
from contextlib import asynccontextmanager, suppress

import pytest

from agent.workloads.load.client import Client
from agent.workloads.load.event_loop import LoopLag, new_event_loop
from agent.workloads.load.exchange import Exchange
from agent.workloads.load.target import parse_url

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@asynccontextmanager
async def serving(connected):
    """Serve connections by a coroutine; yield the URL."""

    async def closing(reader, writer):
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            await connected(reader, writer)
        writer.close()

    server = await asyncio.start_server(closing, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0.01)


async def read_request(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(int(head.partition(b"Content-Length: ")[2].split(b"\r")[0]))


async def sent(url, requests=1, limit_seconds=60.0):
    """Send requests one after the other, and return them."""
    client = Client(parse_url(url), {}, limit_seconds)
    made = [Exchange(b"{}") for _ in range(requests)]
    for each in made:
        await client.send(client.head("POST", "/x"), each)
    client.close()
    return made


def exchanged(answers, requests=1, at_once=False):
    """Send requests to a server that writes these bytes in turn on each connection, and closes it then.

    Return the ended requests, and the number of connections.
    """
    connections = []

    async def connected(reader, writer):
        connections.append(writer)
        for answer in answers:
            await read_request(reader)
            writer.write(answer)

    async def run():
        async with serving(connected) as url:
            if at_once:
                client = Client(parse_url(url), {}, 60.0)
                made = [Exchange(b"{}") for _ in range(requests)]
                await asyncio.gather(*(client.send(client.head("POST", "/x"), each) for each in made))
                client.close()
                return made
            return await sent(url, requests)

    return asyncio.run(run()), len(connections)


def test_a_connection_is_used_again():
    made, connections = exchanged([OK] * 3, requests=3)
    assert [each.outcome for each in made] == ["ok"] * 3
    assert connections == 1


def test_requests_at_once_have_connections_of_their_own():
    made, connections = exchanged([OK], requests=3, at_once=True)
    assert [each.outcome for each in made] == ["ok"] * 3
    assert connections == 3


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (b"", "connection"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", "truncated"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", "truncated"),
        (b"HTTP/1.1 200 OK\r\n\r\nok", "ok"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "malformed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "malformed"),
        (b"HTTP/1.1 200 OK\r\n" + b"".join(b"H%d: %d\r\n" % (n, n) for n in range(9000)) + b"\r\n", "malformed"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 2_000_000, "malformed"),
        (b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", "malformed"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "http 204"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", "http 302"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, "ok"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n", "ok"),
    ],
)
def test_each_kind_of_answer_has_its_outcome(answer, outcome):
    (made,), _ = exchanged([answer])
    assert made.outcome == outcome
    assert made.end_ns >= made.sent_ns == made.intended_ns > 0


def test_a_request_ends_at_its_time_limit():
    async def silent(reader, _writer):
        await reader.read()

    async def run():
        async with serving(silent) as url:
            return await sent(url, limit_seconds=0.2)

    (made,) = asyncio.run(run())
    assert made.outcome == "timeout"
    assert made.end_ns - made.intended_ns >= 0.2e9


def test_a_request_on_a_closed_connection_is_sent_once_more_and_then_no_connection_is_used_again():
    """As llama.cpp: the connection closes after each answer without an announcement, here during the next request."""

    async def connected(reader, writer):
        await read_request(reader)
        writer.write(OK)
        await reader.read(1)
        writer.transport.abort()

    async def run():
        async with serving(connected) as url:
            return await sent(url, requests=5)

    made = asyncio.run(run())
    assert [each.outcome for each in made] == ["ok"] * 5
    assert [each.attempts for each in made] == [1, 2, 1, 1, 1]


def test_a_connection_that_the_server_closes_at_once_is_not_used_again():
    async def connected(reader, writer):
        await read_request(reader)
        writer.write(OK)

    async def run():
        async with serving(connected) as url:
            client = Client(parse_url(url), {}, 60.0)
            made = [Exchange(b"{}") for _ in range(4)]
            for each in made:
                await client.send(client.head("POST", "/"), each)
                await asyncio.sleep(0 if made[1].ended else 0.05)
            client.close()
            return made

    assert [(each.outcome, each.attempts) for each in asyncio.run(run())] == [("ok", 1)] * 4


def test_a_refused_connection_names_its_cause():
    client = Client(parse_url("http://127.0.0.1:1"), {}, 60.0)
    made = Exchange(b"")
    asyncio.run(client.send(client.head("GET", "/"), made))
    assert made.outcome == "connection"
    assert client.cause(made) == "Connection refused"


def test_plain_http_on_a_tls_connection_is_an_error_of_tls():
    async def connected(_reader, writer):
        writer.write(OK)

    async def run():
        async with serving(connected) as url:
            client = Client(parse_url(url.replace("http:", "https:")), {}, 60.0, ssl.create_default_context())
            made = Exchange(b"")
            await client.send(client.head("GET", "/"), made)
            return made, client

    made, client = asyncio.run(run())
    assert made.outcome == "tls"
    assert client.cause(made) == "it does not answer TLS; an http server needs http:// in --url"


def test_given_headers_take_the_place_of_the_client_s_own():
    client = Client(parse_url("http://host:81/p"), {"host": "other", "content-type": "text/plain"}, 1.0)
    head = client.head("PUT", "/p").decode()
    assert head.startswith("PUT /p HTTP/1.1\r\n")
    assert "host: other\r\n" in head
    assert "Host: host" not in head
    assert "application/json" not in head
    assert head.endswith("\r\nContent-Length: ")


def test_the_lag_of_a_blocked_event_loop_is_measured():
    async def run():
        lag = LoopLag()
        await asyncio.sleep(0.05)
        end = time.process_time() + 0.06
        while time.process_time() < end:
            pass
        await asyncio.sleep(0.02)
        lag.stop()
        return lag

    loop = new_event_loop()
    try:
        lag = loop.run_until_complete(run())
    finally:
        loop.close()
    assert lag.max_seconds >= 0.05
    assert 0 < lag.p99_seconds <= lag.max_seconds
    assert lag.cpu_seconds >= 0.05
