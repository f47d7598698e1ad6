"""Reads the pipes of a child process: whole lines of its output, the end of its error output."""

from __future__ import annotations

import os
import selectors
import time
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_TAIL_BYTES = 4096
_CHUNK_BYTES = 1 << 16
_WATCH_SECONDS = 0.1


class PipeReader:
    """Reads both pipes of a child as they fill, so the child never blocks on either.

    A wait is one `select`: it uses no CPU, and a signal ends it at once. `show` gets each part of the error output.
    """

    def __init__(
        self, output: IO[bytes], errors: IO[bytes], show: Callable[[bytes], object] = lambda _part: None
    ) -> None:
        self._output = output
        self._errors = errors
        self._selector = selectors.DefaultSelector()
        self._show = show
        self._received = bytearray()
        self._tail = b""
        for stream in (output, errors):
            self._selector.register(stream, selectors.EVENT_READ)

    def line(self, timeout_seconds: float, watch: Callable[[], None] | None = None) -> bytes | None:
        """Return the next line of the output, None after its end. Raises TimeoutError.

        `watch` is called ten times a second during the wait; its error ends the wait.
        """
        deadline = time.monotonic() + timeout_seconds
        while b"\n" not in self._received:
            if self._output not in (key.fileobj for key in self._selector.get_map().values()):
                return None
            remaining = deadline - time.monotonic()
            if watch is not None:
                watch()
                remaining = min(remaining, _WATCH_SECONDS)
            self._take(remaining)
        line, _, rest = self._received.partition(b"\n")
        self._received = rest
        return bytes(line)

    def stderr_tail(self, timeout_seconds: float) -> str:
        """Return the end of the error output; wait up to `timeout_seconds` for it to close."""
        deadline = time.monotonic() + timeout_seconds
        try:
            while self._selector.get_map():
                self._take(deadline - time.monotonic())
        except TimeoutError:
            pass
        return self._tail.decode(errors="replace").strip()

    def close(self) -> None:
        """Close both pipes."""
        self._selector.close()
        self._output.close()
        self._errors.close()

    def _take(self, timeout_seconds: float) -> None:
        ready = self._selector.select(max(timeout_seconds, 0.0))
        if not ready and timeout_seconds <= 0:
            raise TimeoutError
        for key, _ in ready:
            chunk = os.read(key.fd, _CHUNK_BYTES)
            if not chunk:
                self._selector.unregister(key.fileobj)
            elif key.fileobj is self._output:
                self._received += chunk
            else:
                self._tail = (self._tail + chunk)[-_TAIL_BYTES:]
                self._show(chunk)
