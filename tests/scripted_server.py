"""An inference server whose every answer is scripted, and which logs the times of its own writes.

with ScriptedServer([Answer(first_seconds=0.05, gap_seconds=0.01, tokens=8)]) as server:
    ...                        # a load on server.url; the n-th request gets the n-th answer, then the first again
    server.served              # one Served for each request: its body, tokens, and times on CLOCK_MONOTONIC

Its energy can drive a sensor: `ScriptedServer(..., idle_watts=20, energy_file=zone / "energy_uj")` rewrites a powercap
counter every 4 ms. Each request adds the `joules` of its answer, evenly over its duration.

    python tests/scripted_server.py --port 8000 --first 0.05 --gap 0.01 --tokens 16    # until it is interrupted
"""

from __future__ import annotations

import argparse
import asyncio
import json
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from scripted_answers import Answer, Served, choice, chunk, delta, event, output_tokens, prompt_tokens, response, usage

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence
    from pathlib import Path

_COMPLETIONS = {"/v1/chat/completions": "chat", "/v1/completions": "completions", "/v1/embeddings": "embeddings"}


_AT_ONCE = Answer()


class ScriptedServer:
    """A server on a free port of loopback, in a thread of its own.

    `answers` are the answers in turn, or a function of a request's number and body. `slots` is the number of requests
    that it answers at once; the others wait. `refuses` are fields that it answers with status 400. `headers` are
    added to every response.
    """

    def __init__(
        self,
        answers: Sequence[Answer] | Callable[[int, Any], Answer] = (_AT_ONCE,),
        *,
        models: Sequence[str] = ("scripted",),
        slots: int | None = None,
        refuses: Sequence[str] = (),
        headers: Sequence[str] = (),
        owner: str = "scripted",
        idle_watts: float = 0.0,
        energy_file: Path | None = None,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.served: list[Served] = []
        self.connections = 0
        self._answers = answers if callable(answers) else lambda number, _body: answers[number % len(answers)]
        self._models, self._refuses, self._headers, self._owner = models, refuses, headers, owner
        self._slots = slots
        self._idle_watts, self._energy_file = idle_watts, energy_file
        self._port, self._tls = port, tls
        self._number = 0
        self._energies: list[tuple[float, float, float]] = []  # start, end, joules
        self._spent = 0.0
        self.longest_gap = 0.0
        """The longest time between two writes of the counter so far, in seconds; a test may set it back."""
        self._began = time.monotonic()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(60)

    @property
    def url(self) -> str:
        """The base URL."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._port}"

    def joules(self) -> float:
        """Return the energy since the start, in joules."""
        now, running = time.monotonic(), self._spent
        for start, end, joules in list(self._energies):
            running += joules * min(1.0, max(0.0, (now - start) / max(end - start, 1e-9)))
        return self._idle_watts * (now - self._began) + running

    async def _run(self) -> None:
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        self._slot = asyncio.Semaphore(self._slots or 1_000_000)
        server = await asyncio.start_server(
            self._connected, "127.0.0.1", self._port, limit=1 << 24, backlog=4096, ssl=self._tls
        )
        self._port = server.sockets[0].getsockname()[1]
        if self._energy_file:
            self._energy_writer = asyncio.create_task(self._write_energy())
        self._ready.set()
        await self._ended.wait()
        server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # the transports close their sockets

    async def _write_energy(self) -> None:
        whole = int((self._energy_file.parent / "max_energy_range_uj").read_text())
        start = int(self._energy_file.read_text())
        last = time.monotonic()
        with self._energy_file.open("r+b", buffering=0) as file:
            while True:
                now = time.monotonic()
                self.longest_gap, last = max(self.longest_gap, now - last), now
                file.seek(0)
                file.write(b"%015d\n" % ((start + int(self.joules() * 1e6)) % whole))
                await asyncio.sleep(0.004)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while await self._request(reader, writer):
                pass
        writer.close()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.strip().split("\r\n")
        method, path, _ = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        sent = await reader.readexactly(int(headers.get("content-length", 0)))
        received_ns = time.monotonic_ns()
        if method == "GET":
            return await self._get(writer, path)
        with suppress(ValueError):
            sent = json.loads(sent)
        served = Served(path, headers, sent, received_ns)
        self.served.append(served)
        number, self._number = self._number, self._number + 1
        return await self._answer(writer, served, self._answers(number, sent))

    async def _get(self, writer: asyncio.StreamWriter, path: str) -> bool:
        if path != "/v1/models":
            await self._reply(writer, {"error": {"message": "not here"}}, 404)
            return True
        models = [{"id": name, "object": "model", "owned_by": self._owner} for name in self._models]
        await self._reply(writer, {"object": "list", "data": models})
        return True

    async def _reply(self, writer: asyncio.StreamWriter, body: Any, status: int = 200) -> None:
        text = json.dumps(body).encode()
        more = "".join(f"{each}\r\n" for each in self._headers)
        head = (
            f"HTTP/1.1 {status} Scripted\r\nContent-Type: application/json\r\n{more}Content-Length: {len(text)}\r\n\r\n"
        )
        writer.write(head.encode() + text)
        await writer.drain()

    async def _answer(self, writer: asyncio.StreamWriter, served: Served, answer: Answer) -> bool:
        api = _COMPLETIONS.get(served.path, "")
        refused = [name for name in self._refuses if isinstance(served.body, dict) and name in served.body]
        if refused or answer.status != 200:
            error = {"error": {"message": f"unknown field {refused[0]}" if refused else "scripted"}}
            await self._reply(writer, error, 400 if refused else answer.status)
            served.end_ns = time.monotonic_ns()
            return True
        if answer.fault == "close":
            return False
        if answer.fault == "hang":
            await self._ended.wait()
        async with self._slot:
            return await self._timed(writer, served, answer, api)

    async def _timed(self, writer: asyncio.StreamWriter, served: Served, answer: Answer, api: str) -> bool:
        count = output_tokens(served.body, answer) if api in {"chat", "completions"} else 0
        served.prompt_tokens = prompt_tokens(served.body, api)
        seconds = answer.first_seconds + answer.gap_seconds * max(count - 1, 0)
        start = time.monotonic()
        energy = (start, start + seconds, answer.joules)
        self._energies.append(energy)
        try:
            if api in {"chat", "completions"} and served.body.get("stream"):
                whole = await self._stream(writer, served, answer, api, count, start)
            else:
                await _until(start + seconds)
                served.output_tokens = count
                served.written_ns.append(time.monotonic_ns())
                await self._reply(writer, response(served, answer, api, count))
                whole = True
        finally:
            served.end_ns = time.monotonic_ns()
            self._energies.remove(energy)
            share = min(1.0, (time.monotonic() - start) / seconds) if seconds else 1.0
            self._spent += answer.joules * share
        return whole

    async def _stream(
        self, writer: asyncio.StreamWriter, served: Served, answer: Answer, api: str, count: int, start: float
    ) -> bool:
        more = "".join(f"{each}\r\n" for each in self._headers)
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{more}Transfer-Encoding: chunked\r\n\r\n"
        writer.write(head.encode())
        events: list[bytes] = []
        if api == "chat":
            events.append(event({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}, answer))
        step = answer.tokens_per_event
        for number in range(0, count, step):
            await _until(start + answer.first_seconds + answer.gap_seconds * number)
            if writer.is_closing():
                return False
            if answer.fault in {"truncated", "garbage"} and number * 2 >= count:
                if answer.fault == "garbage":
                    writer.write(chunk(b"data: {]\n\n"))
                return False
            here = min(step, count - number)
            events.append(event(delta(answer, api, number, here), answer))
            served.output_tokens += here
            if len(events) >= answer.events_per_packet or number + step >= count:
                await _send(writer, served, events, answer)
                events = []
        events.append(event({"choices": [choice(api, "", answer.finish)]}, answer))
        if answer.usage and served.body.get("stream_options", {}).get("include_usage"):
            events.append(event({"choices": [], "usage": usage(served, answer)}, answer))
        if answer.fault != "no done":
            events.append(b"data: [DONE]\n\n")
        writer.write(chunk(b"".join(events)) + b"0\r\n\r\n")
        await writer.drain()
        return True


async def _until(moment: float) -> None:
    await asyncio.sleep(max(0.0, moment - time.monotonic()))


async def _send(writer: asyncio.StreamWriter, served: Served, events: list[bytes], answer: Answer) -> None:
    """Write events as one packet, or in two whose border lies inside of a character."""
    whole = chunk(b"".join(events))
    served.written_ns.append(time.monotonic_ns())
    if not answer.split:
        writer.write(whole)
        return
    border = next((at for at, byte in enumerate(whole) if byte >= 0x80), len(whole) // 2) + 1
    writer.write(whole[:border])
    await asyncio.sleep(0.001)
    writer.write(whole[border:])


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--first", type=float, default=0.05)
    parser.add_argument("--gap", type=float, default=0.01)
    parser.add_argument("--tokens", type=int, default=None)
    parser.add_argument("--slots", type=int, default=None)
    given = parser.parse_args()
    answer = Answer(first_seconds=given.first, gap_seconds=given.gap, tokens=given.tokens)
    with ScriptedServer([answer], port=given.port, slots=given.slots) as server, suppress(KeyboardInterrupt):
        print(server.url, flush=True)  # noqa: T201  for a person at a terminal
        threading.Event().wait()


if __name__ == "__main__":
    _main()
