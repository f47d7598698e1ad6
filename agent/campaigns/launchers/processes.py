"""Runs the tasks of many hosts as local processes: several hosts at once, the tasks of one host in order."""

from __future__ import annotations

import os
import queue
import selectors
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from agent.campaigns.records import MOST_RESULT_BYTES, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from agent.campaigns.records import Task

MOST_ERROR_BYTES = 1 << 16
"""The end of the standard error that is kept."""
_CHUNK_BYTES = 1 << 16
_LOOK_SECONDS = 0.5
"""The longest time until a closed iterator ends its processes."""
_GRACE_SECONDS = 5.0
"""The time that a process has between SIGTERM and SIGKILL, so that a profile can store its complete repeats."""


def run_by_host(
    tasks: Sequence[Task],
    run: Callable[[Task, threading.Event], Outcome],
    proceed: Callable[[Outcome], bool],
    forks: int,
) -> Generator[Outcome]:
    """Run tasks with `run`, at most `forks` hosts at once, and yield each outcome as it comes.

    When the iterator is closed, the event that `run` gets is set, and nothing more starts.
    """
    by_host: dict[str, list[Task]] = {}
    for task in tasks:
        by_host.setdefault(task.host.name, []).append(task)
    hosts = _Hosts(run, proceed)
    with ThreadPoolExecutor(max(1, min(forks, len(by_host))), thread_name_prefix="launcher") as pool:
        for own in by_host.values():
            pool.submit(hosts.run, own)
        try:
            yield from hosts.outcomes(len(by_host))
        finally:
            hosts.stop.set()
            pool.shutdown(cancel_futures=True)


class _Hosts:
    """The outcomes of hosts that run in threads; `stop` ends them."""

    def __init__(self, run: Callable[[Task, threading.Event], Outcome], proceed: Callable[[Outcome], bool]) -> None:
        self.stop = threading.Event()
        self._run = run
        self._proceed = proceed
        self._ready: queue.SimpleQueue[Outcome | BaseException | None] = queue.SimpleQueue()

    def run(self, tasks: Sequence[Task]) -> None:
        """Run the tasks of one host in their order, until one must not be followed by the next."""
        try:
            for task in tasks:
                if self.stop.is_set():
                    return
                outcome = self._run(task, self.stop)
                self._ready.put(outcome)
                if not self._proceed(outcome):
                    return
        except BaseException as error:  # noqa: BLE001  the thread of the head raises it
            self._ready.put(error)
        finally:
            self._ready.put(None)

    def outcomes(self, hosts: int) -> Generator[Outcome]:
        """Yield the outcomes until that many hosts have ended; raise the error of a thread."""
        while hosts:
            ready = self._ready.get()
            if ready is None:
                hosts -= 1
            elif isinstance(ready, BaseException):
                raise ready
            else:
                yield ready


@dataclass(frozen=True, slots=True)
class Printed:
    """The output of a process; without a `code` it did not start or had to be ended, and `errors` has the reason."""

    code: int | None
    output: bytes
    errors: str
    received_ns: int


def run_process(task: Task, argv: Sequence[str], stop: threading.Event) -> Outcome:
    """Run a command to its end, its time limit, or `stop`, and return the outcome with what it printed."""
    sent_ns = time.time_ns()
    found = printed_by(argv, stop, task.timeout_seconds, task.given, late="raise timeout_hours")
    return Outcome(task, found.code, found.output, found.errors, sent_ns, found.received_ns)


def printed_by(argv: Sequence[str], stop: threading.Event, seconds: float, given: str = "", *, late: str) -> Printed:
    """Run a program to its end, its time limit, or `stop`; `late` is the remedy for one that exceeds its limit."""
    try:
        child = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE if given else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C reaches the head alone, which ends its processes itself
        )
    except OSError as error:
        reason = f"{argv[0]} cannot be started ({error.strerror}): install it, or name its path"
        return Printed(None, b"", reason, time.time_ns())
    exchange = _Exchange(child, given.encode())
    with child:
        try:
            reason = exchange.until_closed(stop, seconds, late)
            if not reason:
                child.wait()
        finally:
            end_process(child)
    if reason:
        return Printed(None, b"", reason, exchange.received_ns)
    errors = exchange.errors.decode(errors="replace")
    return Printed(child.returncode, bytes(exchange.result), errors, exchange.received_ns)


class _Exchange:
    """The input of a process, and what it has printed so far; `received_ns` is the time of its last output."""

    def __init__(self, child: subprocess.Popen[bytes], given: bytes) -> None:
        self.result = bytearray()
        self.errors = bytearray()
        self.received_ns = time.time_ns()
        self._child = child
        self._given = memoryview(given)

    def until_closed(self, stop: threading.Event, seconds: float, late: str) -> str:
        """Exchange until the process closes its outputs; return why it must be ended before, empty if it need not."""
        ends = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            self._register(selector)
            while selector.get_map():
                if stop.is_set():
                    return "the head stopped while it ran"
                if (left := ends - time.monotonic()) <= 0:
                    return f"it did not end within {seconds:g} s: {late}"
                for key, _ in selector.select(min(_LOOK_SECONDS, left)):
                    if not self._continues(key):
                        selector.unregister(key.fileobj)
                        key.fileobj.close()  # type: ignore[union-attr]  # it is a pipe
                if len(self.result) > MOST_RESULT_BYTES:
                    return f"its result is larger than {MOST_RESULT_BYTES >> 20} MiB"
        return ""

    def _register(self, selector: selectors.BaseSelector) -> None:
        for pipe in (self._child.stdout, self._child.stderr):
            if pipe is not None:
                selector.register(pipe, selectors.EVENT_READ)
        if self._child.stdin is not None:
            os.set_blocking(self._child.stdin.fileno(), False)
            selector.register(self._child.stdin, selectors.EVENT_WRITE)

    def _continues(self, key: selectors.SelectorKey) -> bool:
        """Read or write a part; return whether its pipe has more."""
        if key.fileobj is self._child.stdin:
            return self._feeds(self._child.stdin)
        part = os.read(key.fd, _CHUNK_BYTES)
        if key.fileobj is self._child.stdout:
            self.result += part
            self.received_ns = time.time_ns() if part else self.received_ns
        else:
            self.errors = (self.errors + part)[-MOST_ERROR_BYTES:]
        return bool(part)

    def _feeds(self, pipe: IO[bytes]) -> bool:
        """Write a part of the input, and close it after the last one; return whether there is more."""
        try:
            self._given = self._given[os.write(pipe.fileno(), self._given[:_CHUNK_BYTES]) :]
        except BrokenPipeError:  # the command ended without reading it
            self._given = self._given[:0]
        return bool(self._given)


def end_process(child: subprocess.Popen[bytes]) -> None:
    """End a process that still runs, with its children: by SIGTERM, and by SIGKILL if it does not end."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if child.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, number)
            with suppress(subprocess.TimeoutExpired):
                child.wait(_GRACE_SECONDS)
